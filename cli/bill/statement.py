"""From counters to a bill: tokens, requests, 429s and cost, by user, team, tier or model."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from cli.bill.counters import Growth, Source
from config.settings import Settings
from config.values import window_seconds

_ZERO = Decimal(0)
UNKNOWN = "(unknown)"
Prices = Mapping[str, Decimal]
"""By tier."""


class By(StrEnum):
    """What the lines of a bill are."""

    USER = "user"
    TEAM = "team"
    TIER = "tier"
    MODEL = "model"


@dataclass
class Line:
    """What one of them used.

    Attributes:
        name: The user, team, tier or model.
        tokens: Prompt and completion tokens.
        requests: Requests that passed all limits; None by model, which is not known when they are counted.
        limited: Requests that got 429; None by model.
        cost: In the currency of the prices, exact.
        before: Cost in the period before.
    """

    name: str
    tokens: Decimal = _ZERO
    requests: Decimal | None = _ZERO
    limited: Decimal | None = _ZERO
    cost: Decimal = _ZERO
    before: Decimal = _ZERO


@dataclass(frozen=True)
class Period:
    """From a time to another one, which is not in it any more."""

    start: datetime
    end: datetime

    @property
    def before(self) -> "Period":
        """The months before whole months; else the same length of time."""
        if all(each == month_of(each) for each in (self.start, self.end)):
            months = (self.end.year - self.start.year) * 12 + self.end.month - self.start.month
            count = self.start.year * 12 + self.start.month - 1 - months
            return Period(self.start.replace(year=count // 12, month=count % 12 + 1), self.start)
        return Period(self.start - (self.end - self.start), self.start)


@dataclass(frozen=True)
class Statement:
    """A bill.

    Attributes:
        stack: Whose.
        by: What its lines are.
        period: What it is for.
        lines: The largest cost first.
        notes: What is not certain about it; nothing when all is.
    """

    stack: str
    by: By
    period: Period
    lines: list[Line] = field(default_factory=list[Line])
    notes: list[str] = field(default_factory=list[str])

    @property
    def total(self) -> Line:
        """All lines together."""
        counted = self.by is not By.MODEL
        return Line(
            "total",
            sum((each.tokens for each in self.lines), _ZERO),
            sum((each.requests or _ZERO for each in self.lines), _ZERO) if counted else None,
            sum((each.limited or _ZERO for each in self.lines), _ZERO) if counted else None,
            sum((each.cost for each in self.lines), _ZERO),
            sum((each.before for each in self.lines), _ZERO),
        )


def month_of(time: datetime) -> datetime:
    """The first of its month, at midnight in UTC."""
    return time.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def source_of(settings: Settings) -> Source:
    """The counters that a stack's usage is in."""
    interval = window_seconds(settings.observability.interval)
    if settings.observability.counted_by_gateway(settings.platform.kuadrant.wasm_shim):
        names = tuple(f"{name}_with_user_and_group" for name in ("token_usage", "authorized_calls", "limited_calls"))
        return Source(names, 'up{job=~".*(maas-gateway|istio-pod-monitor).*"}', interval)
    return Source(("authorized_hits", "authorized_calls", "limited_calls"), "limitador_up", interval)


@dataclass(frozen=True)
class _Who:
    user: str
    tier: str
    team: str


def statement(settings: Settings, empty: Statement, now: Growth, before: Growth | None) -> Statement:
    """The bill of a period.

    Args:
        settings: Prices, users, models of the stack.
        empty: Whose bill it is, what its lines are, what it is for.
        now: What the counters grew in the period.
        before: What they grew in the period before; None where that is not wanted.
    """
    by = empty.by
    lines = _lines(settings, by, now)
    for name, line in (_lines(settings, by, before) if before else {}).items():
        lines.setdefault(name, Line(name)).before = line.cost
    if by is By.MODEL:
        for line in lines.values():
            line.requests = line.limited = None
    ordered = sorted(lines.values(), key=lambda each: (-each.cost, -each.tokens, each.name))
    notes = [*_about_records(settings, empty.period, now), *_about_prices(settings, now)]
    if before and now.by_series and not before.whole:
        notes.append("The period before is not recorded as a whole: what is shown of it may be too little.")
    return replace(empty, lines=ordered, notes=notes)


class _Lines(dict[str, Line]):
    """The lines of a bill while they are added up."""

    def __init__(self, settings: Settings, by: By) -> None:
        super().__init__()
        self._settings, self._by = settings, by
        self._factors = {settings.served_name(name): model.price_factor for name, model in settings.models.items()}

    def of(self, who: _Who, model: str = UNKNOWN) -> Line:
        """The line that somebody's usage of a model belongs to."""
        name = {By.USER: who.user, By.TEAM: who.team, By.TIER: who.tier, By.MODEL: model}[self._by]
        return self.setdefault(name, Line(name))

    def add_tokens(self, who: _Who, model: str, count: Decimal) -> None:
        """Tokens and what they cost."""
        tiers, line = self._settings.tiers, self.of(who, model)
        line.tokens += count
        if who.tier in tiers:
            line.cost += count * tiers[who.tier].price * self._factors.get(model, Decimal(1))

    def add_calls(self, who: _Who, calls: Decimal, hits: Decimal) -> None:
        """Calls of the limiter as requests: two for one request of a tier that limits requests, too.

        Hits without a model are requests that passed the request limit; where no hit has one, tokens are among them.
        """
        tiers, line = self._settings.tiers, self.of(who)
        if self._settings.observability.telemetry_labels.model:
            requests = max(calls - hits, _ZERO)
        else:
            limited = who.tier not in tiers or tiers[who.tier].limits_requests
            requests = calls / 2 if limited else calls
            self.add_tokens(who, UNKNOWN, max(hits - requests, _ZERO) if limited else hits)
        line.requests = (line.requests or _ZERO) + requests


def _lines(settings: Settings, by: By, grown: Growth) -> dict[str, Line]:
    lines = _Lines(settings, by)
    calls: dict[_Who, Decimal] = defaultdict(Decimal)
    hits: dict[_Who, Decimal] = defaultdict(Decimal)
    for series, value in grown.by_series.items():
        labels = dict(series)
        who, name, model = _who(labels, settings), labels.get("__name__", ""), labels.get("model", "")
        if name.startswith("limited_calls"):
            line = lines.of(who)
            line.limited = (line.limited or _ZERO) + value
        elif name.startswith("authorized_calls"):
            calls[who] += value
        elif model or name.startswith("token_usage"):
            lines.add_tokens(who, model or UNKNOWN, value)
        else:
            hits[who] += value
    for who, count in calls.items():
        if settings.observability.counted_by_gateway(settings.platform.kuadrant.wasm_shim):
            line = lines.of(who)
            line.requests = (line.requests or _ZERO) + count
        else:
            lines.add_calls(who, count, hits[who])
    return {name: each for name, each in lines.items() if by is not By.MODEL or name != UNKNOWN or each.tokens}


def _who(labels: Mapping[str, str], settings: Settings) -> _Who:
    user = labels.get("user") or UNKNOWN
    known = settings.users.get(user)
    tier = labels.get("tier") or labels.get("group") or (known.tier if known else UNKNOWN)
    return _Who(user, tier, labels.get("team") or (known.team if known else "") or UNKNOWN)


def _about_records(settings: Settings, period: Period, grown: Growth) -> list[str]:
    """What a reader has to know of the records before the figures are believed."""
    notes: list[str] = []
    if not grown.by_series:
        notes.append("Nothing was counted, or nothing is kept of this period: see how long Prometheus keeps its data.")
    elif grown.began is not None and grown.began > Decimal(period.start.timestamp()) + 60:
        notes.append(f"The records begin at {_time(grown.began)}: what was used before is not in this bill.")
    if grown.unknown:
        notes.append(
            f"Counters stood at {grown.unknown:,f} in all when the records began. Nobody knows when that was used: it "
            "is not in this bill."
        )
    for start, end in grown.gaps:
        if not grown.by_series or (grown.began is not None and start < grown.began):
            continue  # that is before the records, which is said
        later = "is in the bill of the time after it" if end == grown.end else "is in the bill"
        notes.append(
            f"Nothing was scraped from {_time(start)} to {_time(end)}. What was counted then {later}, unless the "
            "limiter was restarted meanwhile."
        )
    if grown.thin:
        notes.append(f"In {grown.thin} windows more than a tenth of the scrapes failed.")
    if grown.restarts:
        notes.append(
            f"The limiter's counters were reset, or its pod was replaced, in {len(grown.restarts)} windows, first by "
            f"{_time(min(grown.restarts))}. All that was scraped is in the bill; at each restart up to "
            f"{settings.observability.interval} of usage may be missing, the time between two scrapes."
        )
    if grown.twice:
        notes.append("A limiter was scraped by two monitors: usage of that time is counted twice.")
    if period.end > datetime.now(UTC):
        notes.append("The period has not ended yet.")
    return notes


def _about_prices(settings: Settings, grown: Growth) -> list[str]:
    """Usage that is in no price."""
    used = {_who(dict(series), settings).tier for series, value in grown.by_series.items() if value}
    unknown = sorted(used - settings.tiers.keys())
    notes = [f"Tier {tier} is none of the stack's: its tokens have no price." for tier in unknown]
    observability = settings.observability
    if not (
        observability.telemetry_labels.tier or observability.counted_by_gateway(settings.platform.kuadrant.wasm_shim)
    ):
        notes.append("Counters have no tier: all is at the price of the tier that a user has now.")
    return notes


def about_changed_prices(settings: Settings, least: Prices, most: Prices) -> list[str]:
    """Prices that were others in the period than they are now, by what the rules recorded."""
    notes: list[str] = []
    for name, tier in sorted(settings.tiers.items()):
        found = {float(each[name]) for each in (least, most) if name in each}
        if found - {float(tier.price)}:
            seen = " to ".join(f"{each:g}" for each in sorted(found))
            notes.append(
                f"Tier {name} cost {seen} within the period. All of it is billed at {tier.price}, as it is now."
            )
    return notes


def _time(seconds: Decimal) -> str:
    return (datetime.fromtimestamp(0, UTC) + timedelta(seconds=float(seconds))).strftime("%Y-%m-%d %H:%M:%S UTC")
