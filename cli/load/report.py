"""The figures of a run for people."""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import TypeAlias

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from cli.load.drive import AT_ONCE
from cli.load.figures import Figures, by_tier

_LATE_SECONDS = 0.1
_Percentile: TypeAlias = Callable[[float], float | None]
_TIMES: Mapping[str, tuple[Callable[[Figures], _Percentile], float]] = {
    "latency p50": (lambda of: of.latency, 50),
    "p90": (lambda of: of.latency, 90),
    "p99": (lambda of: of.latency, 99),
    "first token p50": (lambda of: of.to_first, 50),
    "p99 ": (lambda of: of.to_first, 99),
}


def shown(whole: Figures) -> RenderableType:
    """A row for each tier and one for all; then what went wrong, and what to make of the figures."""
    table = Table(title="Load", title_justify="left", box=None)
    table.add_column("tier", no_wrap=True)
    for title in (
        "requests",
        "answered",
        "429",
        "failed",
        "tokens",
        "latency p50",
        "p90",
        "p99",
        "first token p50",
        "p99",
    ):
        table.add_column(title, justify="right")
    tiers = by_tier(whole)
    for name, figures in [*tiers.items(), *([("all", whole)] if len(tiers) != 1 else [])]:
        numbers = (len(figures.outcomes), len(figures.answered), figures.limited, figures.failed, figures.tokens)
        times = [_time(figures.latency, each) for each in (50, 90, 99)] + [
            _time(figures.to_first, each) for each in (50, 99)
        ]
        table.add_row(name, *map(str, numbers), *times)
    return Group(table, *(Text(line) for line in remarks(whole)))


def remarks(whole: Figures) -> list[str]:
    """What else is worth saying."""
    rates = f"{whole.rate:.1f} answers and {whole.tokens_per_second:.0f} completion tokens a second"
    lines = [f"{rates} over {whole.seconds:.1f} s."]
    if (speed := whole.speed(50)) is not None:
        lines.append(f"A stream gives {speed:.0f} tokens a second (median).")
    refused = Counter(each.status for each in whole.outcomes if each.failed and not each.error)
    if refused:
        lines.append(
            "Refused: " + ", ".join(f"{count} with {status}" for status, count in sorted(refused.items())) + "."
        )
    lines += [f"Failed: {count} with {error}." for error, count in sorted(whole.errors.items())]
    late = whole.late(99)
    if late is not None and late > _LATE_SECONDS:
        lines.append(
            f"1% of the requests were sent more than {late:.2f} s late: this machine, or {AT_ONCE} connections, "
            "could not keep up. The figures include that wait."
        )
    return lines


def _time(of: _Percentile, percent: float) -> str:
    value = of(percent)
    if value is None:
        return "-"
    return f"{value * 1000:.0f} ms" if value < 10 else f"{value:.1f} s"  # noqa: PLR2004 - where milliseconds say no more
