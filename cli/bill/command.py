"""`./maas bill` and `./maas usage`."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from cli.bill.api import Api, token_of_user
from cli.bill.counters import Growth, growth
from cli.bill.report import plain
from cli.bill.statement import (
    By,
    Period,
    Prices,
    Statement,
    about_changed_prices,
    month_of,
    source_of,
    statement,
)
from cli.deploy.target import ambient_kubeconfig
from cli.exits import Exit, MaasError
from cli.models.catalogue import load
from cli.stacks.stackfile import SANDBOX
from config.settings import Settings
from sandbox.instance import Sandbox

_USAGE_FOR = "5m"
_FIRST_YEAR = 2012
"""Of Prometheus."""


def period(start: str | None, end: str | None, now: datetime) -> Period:
    """What `--from` and `--to` mean: dates in UTC, or times with their zone; default is this month until now."""
    first = _moment("--from", start) if start else month_of(now)
    last = _moment("--to", end) if end else now.replace(microsecond=0)
    if first >= now:
        raise MaasError(f"--from {first.isoformat()} has not come yet.", code=Exit.USAGE)
    if last <= first:
        raise MaasError(f"--to {last.isoformat()} is not after --from {first.isoformat()}.", code=Exit.USAGE)
    return Period(first, last)


def _moment(option: str, text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise MaasError(
            f"{option} {text}: not a date (2026-10-01) or a time (2026-10-01T08:00:00+02:00).", code=Exit.USAGE
        ) from None
    if moment.year < _FIRST_YEAR:
        raise MaasError(f"{option} {text}: there was no Prometheus then.", code=Exit.USAGE)
    return moment.replace(microsecond=0)


def find_api(settings: Settings, stack: str, sandbox: str, url: str | None, ca: Path | None) -> Api:
    """The API that was named, or that of the stack's cluster."""
    if url:
        return Api.at(url, token_of_user(), ca)
    if stack == SANDBOX and settings.observability.prometheus.url is None:
        raise MaasError(
            "A sandbox has no Prometheus: give --url, such as that of ./maas dashboard, or --stack. What the sandbox's "
            "gateway has counted: ./maas sandbox usage",
            code=Exit.USAGE,
        )
    kubeconfig = Sandbox.open(sandbox).kubeconfig if stack == SANDBOX else ambient_kubeconfig()
    return Api.of_cluster(settings, kubeconfig, ca)


def bill(
    empty: Statement, api: Api, settings: Settings, progress: Callable[[int, int], None] | None = None
) -> Statement:
    """The bill of a period, beside the period before.

    Args:
        empty: Whose bill, by what, for when.
        api: Whom to ask.
        settings: The stack's prices and users.
        progress: Told how many windows are done, and of how many.
    """
    source, wanted, now = source_of(settings), empty.period, datetime.now(UTC)

    def grown(each: Period, tell: Callable[[int, int], None] | None = None) -> Growth:
        return growth(api, source, _seconds(each.start), _seconds(min(each.end, now)), tell)

    made = statement(settings, empty, grown(wanted, progress), grown(wanted.before))
    made.notes.extend(about_changed_prices(settings, *_recorded_prices(api, wanted, now)))
    made.notes.extend(f"Prometheus warns that its answer may not be whole: {each}" for each in api.warnings)
    return made


def _recorded_prices(api: Api, period: Period, now: datetime) -> tuple[Prices, Prices]:
    """By tier the least and the highest price that the rules recorded in a period; nothing where there are none."""
    end = min(period.end, now)
    series = f"maas:tier_price:info[{int((end - period.start).total_seconds())}s]"
    least, most = (
        {
            dict(labels).get("tier", ""): samples[-1].value
            for labels, samples in api.instant(f"{each} by (tier) ({each}_over_time({series}))", _seconds(end)).items()
        }
        for each in ("min", "max")
    )
    return least, most


def _seconds(moment: datetime) -> Decimal:
    return Decimal(int(moment.timestamp()))


def settings_of(stack: str) -> Settings:
    """The settings of a stack file."""
    return load(stack)[0]


def usage(settings: Settings, api: Api, *, watch: bool, every: float, console: Console) -> None:
    """What is used now, by user; with `watch` again and again until Ctrl-C."""
    if not watch:
        console.print(_usage_table(settings, api))
        return
    with Live(_usage_table(settings, api), console=console, auto_refresh=False) as live:
        while True:
            time.sleep(every)
            live.update(_usage_table(settings, api), refresh=True)


def _usage_table(settings: Settings, api: Api) -> Table:
    """The last minutes, of the counters themselves, so that it does not need the rules."""
    now = datetime.now(UTC)
    shown = Table(title=f"The last {_USAGE_FOR} until {now:%H:%M:%S} UTC")
    for name in ("user", "tier", "tokens", "requests", "429", "cost"):
        shown.add_column(name, justify="left" if name in {"user", "tier"} else "right")
    span = Period(now - timedelta(minutes=5), now)
    source = source_of(settings)
    grown = growth(api, source, _seconds(span.start), _seconds(span.end))
    by_user = statement(settings, Statement("", By.USER, span), grown, None)
    for line in by_user.lines:
        known = settings.users.get(line.name)
        cells = (f"{line.tokens:,.0f}", f"{line.requests or 0:,.0f}", f"{line.limited or 0:,.0f}", f"{line.cost:.4f}")
        shown.add_row(Text(plain(line.name)), known.tier if known else "-", *cells)
    return shown
