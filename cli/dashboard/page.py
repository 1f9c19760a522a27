"""The dashboards as a plain page, for where there is no Grafana: the same panels, the same queries."""

import re
from dataclasses import dataclass
from decimal import Decimal
from html import escape

from cli.bill.api import Api, Labels, Sample
from cli.exits import MaasError
from dashboards.content import BOARDS, Board, Panel

Found = dict[Labels, list[Sample]]
_COLOURS = ("#3274d9", "#e0752d", "#299c46", "#8f3bb8", "#d44a3a", "#6d9e9e", "#b8860b", "#555f6e")
_WIDTH, _HEIGHT, _POINTS = 560, 150, 120
_MOST = 20
_STYLE = """
body { font: 14px/1.4 Arial, "DejaVu Sans", sans-serif; background: #f4f5f5; color: #222; margin: 16px; }
nav a { margin-right: 14px; } nav b { margin-right: 14px; }
main { display: grid; grid-template-columns: repeat(24, 1fr); gap: 8px; margin-top: 12px; }
section { background: #fff; border: 1px solid #ddd; border-radius: 3px; padding: 8px 10px; overflow: hidden; }
h2 { font-size: 13px; margin: 0 0 6px; font-weight: 600; }
.number { font-size: 30px; } .none { color: #999; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
td, th { text-align: left; padding: 1px 8px 1px 0; } td:last-child, th:last-child { text-align: right; }
.bar { background: #3274d9; height: 9px; } .bars td:nth-child(2) { width: 55%; }
.legend span { margin-right: 10px; white-space: nowrap; } svg { width: 100%; height: 150px; }
"""


@dataclass(frozen=True)
class Span:
    """What a page shows: until a time, so many seconds before it."""

    end: Decimal
    seconds: int

    @property
    def step(self) -> int:
        """Seconds between two points of a line."""
        return max(1, self.seconds // _POINTS)


def expression(text: str, span: Span) -> str:
    """A query as Grafana would ask it, with all teams and users chosen."""
    return text.replace("$__range", f"{span.seconds}s").replace("$team", ".*").replace("$user", ".*")


def page(board: Board, api: Api, span: Span, refresh: int) -> str:
    """One dashboard."""
    names = "".join(
        f"<b>{escape(each.title)}</b>" if each is board else f'<a href="/{each.uid}">{escape(each.title)}</a>'
        for each in BOARDS
    )
    panels = "".join(_panel(each, api, span) for each in board.panels)
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><meta http-equiv="refresh" content="{refresh}">'
        f"<title>{escape(board.title)}</title><style>{_STYLE}</style></head><body><nav>{names}</nav>"
        f"<p>{escape(board.about)}</p><main>{panels}</main></body></html>"
    )


def _panel(panel: Panel, api: Api, span: Span) -> str:
    try:
        body = _lines(panel, api, span) if panel.kind == "lines" else _now(panel, api, span)
    except MaasError as error:
        body = f'<p class="none">{escape(str(error))}</p>'
    title = f'<h2 title="{escape(panel.about)}">{escape(panel.title)}</h2>'
    return f'<section style="grid-column: span {panel.width}">{title}{body}</section>'


def _now(panel: Panel, api: Api, span: Span) -> str:
    rows: list[tuple[str, Decimal]] = []
    for query in panel.queries:
        found = api.instant(expression(query.expression, span), span.end)
        # A panel of several queries says which one a row is of.
        more = f" ({query.legend})" if len(panel.queries) > 1 else ""
        pattern = "" if more or panel.kind == "table" else query.legend
        rows += [
            (_name(pattern, labels) + more, samples[-1].value)
            for labels, samples in found.items()
            if samples[-1].value.is_finite()
        ]
    rows.sort(key=lambda row: (-row[1], row[0]))
    if not rows:
        return '<p class="none">No data yet</p>'
    if panel.kind == "number":
        return f'<div class="number">{shown(rows[0][1], panel.unit)}</div>'
    most = max(value for _, value in rows) or Decimal(1)
    bar = '<td><div class="bar" style="width: {}%"></div></td>'
    cells = "".join(
        f"<tr><td>{escape(name)}</td>{bar.format(max(0, int(value / most * 100))) if panel.kind == 'bars' else ''}"
        f"<td>{shown(value, panel.unit)}</td></tr>"
        for name, value in rows[:_MOST]
    )
    return f'<table class="{panel.kind}">{cells}</table>'


def _lines(panel: Panel, api: Api, span: Span) -> str:
    found: list[tuple[str, list[Sample]]] = []
    start = span.end - span.seconds
    for query in panel.queries:
        answer = api.range(expression(query.expression, span), start, span.end, span.step)
        found += [(_name(query.legend, labels), samples) for labels, samples in sorted(answer.items())]
    if not found:
        return '<p class="none">No data yet</p>'
    most = max((each.value for _, samples in found for each in samples if each.value.is_finite()), default=Decimal(0))
    scale = most or Decimal(1)
    drawn = legend = ""
    for number, (name, samples) in enumerate(found[:_MOST]):
        colour = _COLOURS[number % len(_COLOURS)]
        points = " ".join(
            f"{float((each.time - start) / span.seconds) * _WIDTH:.1f},"
            f"{_HEIGHT - 4 - float(each.value / scale) * (_HEIGHT - 10):.1f}"
            for each in samples
            if each.value.is_finite()
        )
        drawn += f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.5"/>'
        last = shown(samples[-1].value, panel.unit)
        legend += f'<span><b style="color: {colour}">&#9644;</b> {escape(name)} {last}</span> '
    chart = f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" preserveAspectRatio="none">{drawn}</svg>'
    return f'<div class="none">{shown(most, panel.unit)} at most</div>{chart}<div class="legend">{legend}</div>'


def _name(legend: str, labels: Labels) -> str:
    """Grafana's pattern filled in; without one, the labels themselves."""
    values = dict(labels)
    if legend:
        return re.sub(r"\{\{(\w+)\}\}", lambda match: values.get(match[1], ""), legend) or "all"
    return ", ".join(value for name, value in labels if name != "__name__") or "all"


def shown(value: Decimal, unit: str) -> str:
    """A figure in its unit, as short as a panel wants it."""
    if not value.is_finite():
        return "-"
    if unit == "percentunit":
        return f"{value * 100:.1f}%"
    suffix = {"s": " s", "ms": " ms", "reqps": "/s"}.get(unit, "")
    digits = 0 if value == value.to_integral_value() or abs(value) >= 100 else 3 if abs(value) < 1 else 2  # noqa: PLR2004
    return f"{value:,.{digits}f}{suffix}"
