"""A bill as a table, as CSV, as JSON, or as a page to print."""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cli.bill.statement import By, Line, Statement

_CENT = Decimal("0.01")
_TIME = "%Y-%m-%d %H:%M UTC"
_HEADER = ("tokens", "requests", "429", "cost", "share", "period before", "change")


def table(bill: Statement) -> str:
    """For a terminal."""
    output = io.StringIO()
    console = Console(file=output, width=120)
    shown = Table(title=f"{bill.stack}: {bill.period.start:{_TIME}} to {bill.period.end:{_TIME}}", show_footer=True)
    last = _cells(bill.total, bill)
    for number, name in enumerate((bill.by.value, *_HEADER)):
        shown.add_column(name, last[number], justify="left" if number == 0 else "right")
    for line in bill.lines:
        # Text, as a name in brackets would be taken for a style.
        shown.add_row(*map(Text, _cells(line, bill)))
    console.print(shown)
    for note in bill.notes:
        console.print(Text(f"- {plain(note)}"))
    return output.getvalue().rstrip("\n")


def as_csv(bill: Statement) -> str:
    """For a spreadsheet: exact figures, one line each, without a total; whether there are notes, which others show."""
    output = io.StringIO()
    writer = csv.writer(output, lineterminator="\n")
    names = ("from", "to", bill.by.value, "tokens", "requests", "limited", "cost", "cost_before", "complete")
    writer.writerow(names)
    for line in bill.lines:
        figures = (line.tokens, line.requests, line.limited, line.cost, line.before)
        writer.writerow(
            (
                bill.period.start.isoformat(),
                bill.period.end.isoformat(),
                _no_formula(line.name),
                *("" if each is None else _exact(each) for each in figures),
                "no" if bill.notes else "yes",
            )
        )
    return output.getvalue().rstrip("\n")


def as_json(bill: Statement) -> str:
    """For a program: exact figures as text, since a JSON number is a float to most readers."""
    content = {
        "stack": bill.stack,
        "from": bill.period.start.isoformat(),
        "to": bill.period.end.isoformat(),
        "by": bill.by.value,
        "lines": [_figures(line) for line in bill.lines],
        "total": _figures(bill.total),
        "complete": not bill.notes,
        "notes": bill.notes,
    }
    return json.dumps(content, indent=2)


def as_html(bill: Statement) -> str:
    """A page like an invoice; prints on A4."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        keep_trailing_newline=True,
    )
    total = _cells(bill.total, bill)
    return environment.get_template("invoice.html.j2").render(
        title=bill.stack,
        start=f"{bill.period.start:{_TIME}}",
        end=f"{bill.period.end:{_TIME}}",
        by=bill.by.value,
        header=(bill.by.value, *_HEADER),
        rows=[_cells(line, bill) for line in bill.lines],
        last=total,
        total=_Total(total[1], total[4], total[6]),
        notes=[plain(note) for note in bill.notes],
    )


@dataclass(frozen=True)
class _Total:
    tokens: str
    cost: str
    before: str


def _cells(line: Line, bill: Statement) -> Sequence[str]:
    return (
        plain(line.name),
        f"{line.tokens:,.0f}",
        "-" if line.requests is None else f"{line.requests:,.0f}",
        "-" if line.limited is None else f"{line.limited:,.0f}",
        _money(line.cost),
        _percent(line.cost, bill.total.cost),
        _money(line.before),
        _change(line),
    )


def _money(amount: Decimal) -> str:
    return f"{amount.quantize(_CENT, ROUND_HALF_EVEN):,f}"


def _percent(part: Decimal, whole: Decimal) -> str:
    return f"{part / whole * 100:.1f}%" if whole else "-"


def _change(line: Line) -> str:
    return f"{(line.cost - line.before) / line.before * 100:+.1f}%" if line.before else "-"


def _figures(line: Line) -> dict[str, str | None]:
    figures = {
        "tokens": line.tokens,
        "requests": line.requests,
        "limited": line.limited,
        "cost": line.cost,
        "costBefore": line.before,
    }
    return {"name": line.name} | {name: None if each is None else _exact(each) for name, each in figures.items()}


def _exact(value: Decimal) -> str:
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def plain(text: str) -> str:
    """Without what a terminal obeys, or a spreadsheet takes for the next row; user ids are other people's choice."""
    return "".join(each if each.isprintable() else "?" for each in text)


def _no_formula(text: str) -> str:
    """A spreadsheet takes a text that begins so for a formula."""
    text = plain(text)
    return f"'{text}" if text[:1] in {"=", "+", "-", "@"} else text


FORMATS = {"table": table, "csv": as_csv, "json": as_json, "html": as_html}
"""Every format by its name."""
__all__ = ["FORMATS", "By"]
