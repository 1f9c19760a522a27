"""What counters grew within a period, exactly as it was scraped.

`increase()` extrapolates to the edges of its range and does not see the first value of a new counter; a plain sum loses
everything that was before a restart. So the period is cut into windows. Where nothing was reset within a window, its
growth is the difference between two values; where something was, or may have been, the samples themselves are read.

A restarted limiter shows a user's counter again only when the user is back. Such a counter begins at nought, however
high it stood before: it is told by scrapes of its target that do not have it. One or two of them say nothing: of two
Prometheuses that scrape the same, Thanos takes now one's samples and now the other's, for each series by itself.
"""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from decimal import Decimal

from cli.bill.api import Api, Labels, Sample

_HOUR, _DAY = 3600, 86400
_WINDOWS_MOST = 750
_OVERLAP = 300
"""Seconds before a window, at least, in which the last value before it is looked for."""
_AWAY = 3
"""So many scrapes at least have to lack a counter."""
_BEFORE = _DAY
"""Seconds before the period in which the last values before it are looked for."""
_ZERO = Decimal(0)


@dataclass
class Growth:
    """What was found.

    Attributes:
        by_series: What each counter grew.
        restarts: Ends of windows in which something was reset, or a limiter was there for the last time.
        gaps: Windows in which nothing was scraped at all, as start and end.
        thin: Windows in which fewer than nine of ten scrapes succeeded.
        unknown: What counters stood at when the records began within the period: nobody knows when that was used.
        began: When the records begin, if that is within the period.
        twice: Whether a limiter was scraped by two monitors.
        end: When the period ended, as far as it has come.
    """

    by_series: dict[Labels, Decimal] = field(default_factory=lambda: defaultdict[Labels, Decimal](Decimal))
    restarts: set[Decimal] = field(default_factory=set[Decimal])
    gaps: list[tuple[Decimal, Decimal]] = field(default_factory=list[tuple[Decimal, Decimal]])
    thin: int = 0
    unknown: Decimal = _ZERO
    began: Decimal | None = None
    twice: bool = False
    end: Decimal = _ZERO

    @property
    def whole(self) -> bool:
        """Whether all of the period was recorded."""
        return not (self.gaps or self.thin or self.unknown or self.began is not None)


@dataclass(frozen=True)
class Source:
    """The counters to read.

    Attributes:
        names: Their names.
        alive: Selector of a series that their target always has.
        interval: Seconds between two scrapes.
    """

    names: tuple[str, ...]
    alive: str
    interval: int

    @property
    def counters(self) -> str:
        """Selector of all of them."""
        return f'{{__name__=~"{"|".join(self.names)}"}}'


def window_length(seconds: int, interval: int) -> int:
    """Length of the windows of a period: as short as their number allows, with two scrapes at least in each."""
    for length in (60, 300, _HOUR, 6 * _HOUR, _DAY):
        if seconds / length <= _WINDOWS_MOST and length >= 2 * interval:
            return length
    return 7 * _DAY


def growth(
    api: Api, source: Source, start: Decimal, end: Decimal, progress: Callable[[int, int], None] | None = None
) -> Growth:
    """What the counters grew from `start` to `end`.

    Args:
        api: Whom to ask.
        source: Which counters.
        start: Seconds since 1970; what was counted up to then is not in it.
        end: Seconds since 1970.
        progress: Told how many windows are done, and of how many.
    """
    found = Growth(end=end)
    length = window_length(int(end - start), source.interval)
    before = api.instant(f"last_over_time({source.counters}[{_BEFORE}s])", start)
    alive = _by_target(api.instant(f"last_over_time({source.alive}[{_BEFORE}s])", start))
    state = _State({labels: samples[-1].value for labels, samples in before.items()}, alive)
    overlap = max(_OVERLAP, (_AWAY + 1) * source.interval)
    state.forget(
        api.instant(f"last_over_time({source.counters}[{overlap}s])", start).keys(),
        api.instant(f"last_over_time({source.alive}[{overlap}s])", start).keys(),
        sure=True,
    )
    windows = list(_windows(start, end, length))
    tables = _Tables.read(api, source, windows, length)
    found.twice = tables.twice
    was_gap = False
    for number, (begin, finish) in enumerate(windows):
        span, scraped = int(finish - begin), tables.alive.get(finish, {})
        seen, values = sum(scraped.values(), _ZERO), tables.values.get(finish, {})
        # A shorter last window may lie between two scrapes.
        if span >= 2 * source.interval:
            if not seen:
                _add_gap(found, begin, finish)
            elif seen * 10 < 9 * tables.targets.get(finish, _ZERO) * (span // source.interval):
                found.thin += 1
        if finish in tables.broken or (seen and (was_gap or not state.alive)):
            state.by_samples(api, source, begin, finish, found)
        else:
            state.by_ends(values, found)
        there = [labels for labels, count in scraped.items() if count]
        if state.forget(values.keys(), there, sure=span > _AWAY * source.interval):
            found.restarts.add(finish)
        was_gap = not seen
        if progress:
            progress(number + 1, len(windows))
    found.restarts |= tables.ended
    return found


@dataclass(frozen=True)
class _Tables:
    """By end of window: the counters' last values, how often each target was scraped, whether anything was reset."""

    values: Mapping[Decimal, Mapping[Labels, Decimal]]
    alive: Mapping[Decimal, Mapping[Labels, Decimal]]
    targets: Mapping[Decimal, Decimal]
    broken: frozenset[Decimal]
    """Windows in which a counter was reset, or was there before and is not in every scrape."""
    twice: bool

    @property
    def ended(self) -> set[Decimal]:
        """Windows in which a target was scraped for the last time, while others went on: its pod was replaced."""
        last = {
            target: finish for finish in sorted(self.alive) for target, count in self.alive[finish].items() if count
        }
        return {finish for finish in last.values() if finish < max(last.values())}

    @classmethod
    def read(cls, api: Api, source: Source, windows: Sequence[tuple[Decimal, Decimal]], length: int) -> "_Tables":
        values: dict[Decimal, dict[Labels, Decimal]] = defaultdict(dict)
        alive: dict[Decimal, dict[Labels, Decimal]] = defaultdict(dict)
        targets: dict[Decimal, Decimal] = defaultdict(Decimal)
        broken: set[Decimal] = set()
        twice = False
        for first, last, span in _runs(windows, length):
            for table, expression in (
                (values, f"last_over_time({source.counters}[{span}s])"),
                # A failed scrape leaves `up` with 0.
                (alive, f"sum_over_time({source.alive}[{span}s])"),
            ):
                for labels, samples in api.range(expression, first, last, span).items():
                    for each in samples:
                        table[each.time][labels] = each.value
            for samples in api.range(
                f"max_over_time(count({source.alive})[{span}s:{source.interval}s])", first, last, span
            ).values():
                targets |= {each.time: each.value for each in samples}
            for expression in (each for name in source.names for each in _breaks(name, source.alive, span)):
                for samples in api.range(expression, first, last, span).values():
                    broken |= {each.time for each in samples}
            pods = f"max(count by (namespace, pod) (count_over_time({source.alive}[{span}s])))"
            twice = twice or any(
                each.value > 1 for samples in api.range(pods, first, last, span).values() for each in samples
            )
        return cls(values, alive, targets, frozenset(broken), twice)


def _breaks(name: str, alive: str, span: int) -> Iterator[str]:
    """Queries that have a value where the ends of a window do not say what a counter grew within it."""
    yield f"count(resets({name}[{span + max(_OVERLAP, span)}s]) > 0)"
    scrapes = f"max by (instance, job) (sum_over_time({alive}[{span}s]))"
    missed = f"count_over_time({name}[{span}s]) <= on (instance, job) group_left () ({scrapes} - {_AWAY})"
    yield f"count(({missed}) and last_over_time({name}[{span}s] offset {span}s))"


def _windows(start: Decimal, end: Decimal, length: int) -> Iterator[tuple[Decimal, Decimal]]:
    while start < end:
        finish = min(start + length, end)
        yield start, finish
        start = finish


def _runs(windows: Sequence[tuple[Decimal, Decimal]], length: int) -> Iterator[tuple[Decimal, Decimal, int]]:
    """The windows of full length together, and a shorter last one by itself: first end, last end, length."""
    full = [finish for begin, finish in windows if finish - begin == length]
    if full:
        yield full[0], full[-1], length
    yield from ((finish, finish, int(finish - begin)) for begin, finish in windows if 1 <= finish - begin < length)


def _by_target(series: Mapping[Labels, Sequence[Sample]]) -> dict[str, Decimal]:
    """When the target in each namespace was first seen."""
    first: dict[str, Decimal] = {}
    for labels, samples in series.items():
        namespace = dict(labels).get("namespace", "")
        first[namespace] = min(first.get(namespace, samples[0].time), samples[0].time)
    return first


def _target(labels: Iterable[tuple[str, str]]) -> frozenset[tuple[str, str]]:
    """The labels of a target, of a series that has no others."""
    return frozenset(each for each in labels if each[0] != "__name__")


@dataclass(frozen=True)
class _State:
    """Where the walk through the windows stands: the counters' last values, and since when their targets are known."""

    known: dict[Labels, Decimal]
    alive: dict[str, Decimal]
    away: set[Labels] = field(default_factory=set[Labels])
    """Counters that the last window lacked."""

    def forget(self, seen: AbstractSet[Labels], scraped: Iterable[Labels], *, sure: bool) -> bool:
        """Counters that were not there when their target was scraped: should they come back, they begin at nought.

        Args:
            seen: Counters of a window.
            scraped: Targets that were scraped in it.
            sure: Whether one window is long enough to tell; else it takes two.

        Returns:
            Whether there were any.
        """
        targets = [_target(each) for each in scraped]
        lacking = {labels for labels in self.known.keys() - seen if any(target.issubset(labels) for target in targets)}
        gone = lacking if sure else lacking & self.away
        self.away.clear()
        self.away.update(lacking)
        for labels in gone:
            del self.known[labels]
        return bool(gone)

    def by_samples(self, api: Api, source: Source, begin: Decimal, finish: Decimal, found: Growth) -> None:
        """One window, sample by sample, with as long a time before it, in which a counter may have gone."""
        span = int(finish - begin) * 2
        alive = api.instant(f"{source.alive}[{span}s]", finish)
        within = {labels: after for labels, each in alive.items() if (after := [x for x in each if x.time > begin])}
        for namespace, time in _by_target(within).items():
            if namespace not in self.alive:
                self.alive[namespace] = time
                found.began = time if found.began is None else min(found.began, time)
        near = Decimal(_AWAY * source.interval) / 2
        scrapes = {_target(labels): [each.time for each in samples if each.value] for labels, samples in alive.items()}
        for labels, samples in api.instant(f"{source.counters}[{span}s]", finish).items():
            times = next((times for target, times in scrapes.items() if target.issubset(labels)), list[Decimal]())
            last = finish - span
            for each in samples:
                if each.time > begin:
                    away = bisect_right(times, last + near) < bisect_left(times, each.time - near)
                    if away and self.known.pop(labels, _ZERO):
                        found.restarts.add(finish)
                    if self._add(labels, each, found):
                        found.restarts.add(finish)
                last = each.time
            if last > begin and bisect_right(times, last + 2 * near) < len(times) and self.known.pop(labels, _ZERO):
                found.restarts.add(finish)

    def by_ends(self, values: Mapping[Labels, Decimal], found: Growth) -> None:
        """One window in which nothing was reset: only the values at its end."""
        for labels, value in values.items():
            if labels not in self.known and not self.alive:
                found.unknown += value
            else:
                before = self.known.get(labels, _ZERO)
                found.by_series[labels] += value - before if value >= before else value
            self.known[labels] = value

    def _add(self, labels: Labels, sample: Sample, found: Growth) -> bool:
        """One sample; whether the counter was reset before it."""
        before = self.known.get(labels)
        self.known[labels] = sample.value
        since = self.alive.get(dict(labels).get("namespace", ""))
        if before is None and (since is None or sample.time <= since):
            found.unknown += sample.value
            return False
        was_reset = before is not None and sample.value < before
        found.by_series[labels] += sample.value if was_reset or before is None else sample.value - before
        return was_reset


def _add_gap(found: Growth, begin: Decimal, finish: Decimal) -> None:
    if found.gaps and found.gaps[-1][1] == begin:
        found.gaps[-1] = (found.gaps[-1][0], finish)
    else:
        found.gaps.append((begin, finish))
