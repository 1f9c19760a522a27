"""What `./maas simulate` prints for people."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from config.values import UNLIMITED
from simulation.replay import Peak, Result
from simulation.summary import (
    Change,
    Line,
    by_model,
    by_tier,
    by_user,
    compared,
    flipped,
    money,
    overshoot,
    total,
    whose,
    worst,
)

_MOST_USERS = 20


def shown(result: Result, *, all_users: bool = False) -> RenderableType:
    """One simulation."""
    users = sorted(by_user(result), key=lambda each: (-each.tally.limited, each.name))
    parts: list[RenderableType] = [
        _lines("By tier", [*by_tier(result), total(result)]),
        _lines("By model", by_model(result)),
        _lines("By user, those who were limited most first", users if all_users else users[:_MOST_USERS]),
        *_left_out(len(users), all_users=all_users),
        _windows(result),
        Text(f"{overshoot(result)} tokens were counted beyond a limit: the request that crosses one still passes."),
    ]
    if result.recorded:
        parts.append(_recorded(result))
    return Group(*parts)


def shown_comparison(now: Result, then: Result, title: str, *, all_users: bool = False) -> RenderableType:
    """Two simulations of the same traffic."""
    changes = [each for each in compared(now, then) if each.is_one]
    lost, gained = flipped(now, then)
    before, after = total(now), total(then)
    table = _table(
        f"The stack as it is, and {title}",
        "user",
        *("allowed", "then"),
        *("limited", "then"),
        *("tokens", "then"),
        *("cost", "then"),
    )
    for change in [*(changes if all_users else changes[:_MOST_USERS]), Change("total", before, after)]:
        _row(table, change.name, *_pairs(change))
    return Group(
        table,
        *_left_out(len(changes), all_users=all_users),
        Text(
            f"{lost} requests would be refused that pass now, {gained} would pass that are refused now; "
            f"for {len(by_user(now)) - len(changes)} of {len(by_user(now))} users nothing changes."
        ),
    )


def _pairs(change: Change) -> Iterable[str]:
    now, then = change.now, change.then
    for one, other in (
        (now.tally.allowed, then.tally.allowed),
        (now.tally.limited, then.tally.limited),
        (now.tally.tokens, then.tally.tokens),
    ):
        yield str(one)
        yield f"{other} ({other - one:+d})" if other != one else str(other)
    difference = then.cost - now.cost
    yield money(now.cost)
    sign = "+" if difference > 0 else ""
    yield f"{money(then.cost)} ({sign}{money(difference)})" if difference else money(then.cost)


def _lines(title: str, lines: Sequence[Line]) -> Table:
    table = _table(title, "", "requests", "allowed", "limited", "refused by", "prompt", "completion", "tokens", "cost")
    for each in lines:
        tally = each.tally
        why = ", ".join(f"{name} {count}" for name, count in sorted(tally.refused.items()))
        _row(
            table,
            each.name,
            str(tally.requests),
            str(tally.allowed),
            str(tally.limited),
            why,
            str(tally.prompt),
            str(tally.completion),
            str(tally.tokens),
            money(each.cost),
        )
    return table


def _windows(result: Result) -> Table:
    table = _table(
        "Worst windows",
        "limit",
        "counter",
        "route",
        "at most",
        "used",
        "began (UTC)",
        "refused in all",
        "beyond in all",
    )
    for each in worst(result):
        _row(table, *_window(each))
    return table


def _window(peak: Peak) -> list[str]:
    counter = peak.counter
    return [
        f"{peak.kind}: {counter.name}",
        whose(peak),
        counter.namespace,
        UNLIMITED if counter.most is None else f"{counter.most} in {counter.seconds} s",
        str(peak.used),
        _moment(peak.began),
        str(peak.refused),
        str(peak.overshoot),
    ]


def _moment(seconds: float) -> str:
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError, OSError):
        # At a millionth of a token a second an answer ends in a year that no calendar has.
        return f"{seconds:.0f} s"


def _recorded(result: Result) -> Text:
    told = f"{result.recorded} requests had been decided when they were recorded: "
    if not result.differing:
        return Text(f"{told}the simulation decides all of them alike.")
    examples = "\n".join(
        f"  request {each.number}, {each.ask.user} to {each.ask.model}: {each.ask.status} then, {each.status} here"
        for each in result.differences
    )
    return Text(f"{told}{result.differing} otherwise than the simulation:\n{examples}", style="red")


def _left_out(count: int, *, all_users: bool) -> list[RenderableType]:
    if all_users or count <= _MOST_USERS:
        return []
    return [Text(f"... and {count - _MOST_USERS} more; --all-users shows them.")]


def _table(title: str, *columns: str) -> Table:
    table = Table(title=escape(title), title_justify="left", box=None, pad_edge=False)
    for number, column in enumerate(columns):
        right = number and column not in {"refused by", "counter", "route", "at most", "began (UTC)"}
        table.add_column(column, justify="right" if right else "left")
    return table


def _row(table: Table, *cells: str) -> None:
    """Names are from traces and settings: what stands in brackets there is no markup."""
    table.add_row(*map(escape, cells))
