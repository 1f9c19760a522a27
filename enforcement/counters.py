"""Limitador's counters in memory: fixed windows that begin with the first hit.

Held against Limitador's own library by tests/differential.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from config.figures import is_reached


@dataclass(frozen=True)
class Counter:
    """One counter: what tells it from others, and what it may reach.

    Limitador's identity of a limit is namespace, window, conditions and variables. The maximum and the limit's name are
    not part of it, so that a changed maximum goes on counting where the old one was.
    """

    namespace: str
    seconds: int
    conditions: tuple[str, ...]
    variables: tuple[tuple[str, str], ...]
    """Expression and value, in the alphabetical order of the expressions."""
    max_value: int
    name: str = ""
    key: tuple[object, ...] = field(init=False, repr=False, compare=False)
    """What two counters have to share to be one."""

    @property
    def most(self) -> int | None:
        """What it may reach; None where tokens are only counted."""
        return self.max_value if is_reached(self.max_value) else None

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", (self.namespace, self.seconds, self.conditions, self.variables))


class _Window:
    __slots__ = ("ends", "value")

    def __init__(self, value: int, ends: float) -> None:
        self.value = value
        self.ends = ends


class Counters:
    """All counters of one Limitador. Every call is told what time it is, in seconds."""

    def __init__(self) -> None:
        self._windows: dict[tuple[object, ...], _Window] = {}

    def value(self, counter: Counter, now: float) -> int:
        """Hits in the current window."""
        window = self._windows.get(counter.key)
        return window.value if window is not None and now < window.ends else 0

    def remaining_seconds(self, counter: Counter, now: float) -> float:
        """Until the current window ends; 0 when there is none."""
        window = self._windows.get(counter.key)
        return max(0.0, window.ends - now) if window else 0.0

    def window(self, counter: Counter, now: float) -> tuple[int, float]:
        """Hits in the current window, and when it began; nothing, now, when there is none."""
        window = self._windows.get(counter.key)
        if window is None or now >= window.ends:
            return 0, now
        return window.value, window.ends - counter.seconds

    def over(self, counters: Iterable[Counter], delta: int, now: float) -> Counter | None:
        """The first counter that `delta` more hits would carry over its maximum; None when there is room in all.

        Of several that are full, Limitador names any: it keeps its limits in no order.
        """
        windows = self._windows
        for each in counters:
            window = windows.get(each.key)
            value = window.value if window is not None and now < window.ends else 0
            if value + delta > each.max_value:
                return each
        return None

    def add(self, counters: Iterable[Counter], delta: int, now: float) -> None:
        """Count, whatever the maximum."""
        windows = self._windows
        for each in counters:
            window = windows.get(each.key)
            if window is None or now >= window.ends:
                windows[each.key] = _Window(delta, now + each.seconds)
            else:
                window.value += delta

    def check_and_add(self, counters: Sequence[Counter], delta: int, now: float) -> Counter | None:
        """Count on all or, when one of them would be over, on none; that one is returned.

        A counter with variables that was never seen begins its window even if nothing is counted on it.
        """
        refused = self.over(counters, delta, now)
        if refused is None:
            self.add(counters, delta, now)
            return None
        for each in counters:
            if each.variables and each.key not in self._windows:
                self._windows[each.key] = _Window(0, now + each.seconds)
        return refused

    def clear(self) -> None:
        """What a restart of a Limitador without storage does."""
        self._windows.clear()
