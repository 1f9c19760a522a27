"""The keys of a stack as a table. None of it is a key."""

from rich.table import Table

from cli.keys.book import Held
from cli.keys.commands import Row


def shown_rows(rows: list[Row], stack: str) -> Table:
    """Users, their tier, and what may be known of their keys."""
    table = Table(title=f"API keys of stack {stack}", title_justify="left", box=None, pad_edge=False)
    for column in ("user", "tier", "team", "keys", "fingerprint", "until", "given out"):
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(
            row.user,
            "no such user" if row.tier is None else row.tier,
            row.team,
            str(len(row.keys)),
            "\n".join(each.fingerprint for each in row.keys),
            "\n".join(_until(each) for each in row.keys),
            "\n".join("yes" if each.shown else "no" for each in row.keys),
        )
    return table


def _until(key: Held) -> str:
    if key.expires is None:
        return "never ends"
    return f"ended {key.expires}" if key.expired else key.expires
