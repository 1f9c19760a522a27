"""A result in figures: by user, tier and model, the worst windows; and two results side by side."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from simulation.replay import Peak, Result, Tally

_TOP = 10


@dataclass(frozen=True)
class Line:
    """The figures of one user, tier or model, or of all."""

    name: str
    tally: Tally
    cost: Decimal

    def as_json(self) -> dict[str, Any]:
        """For scripts; money is a text, so that no digit is lost."""
        tally = self.tally
        return {
            "name": self.name,
            "requests": tally.requests,
            "allowed": tally.allowed,
            "limited": tally.limited,
            "refused": dict(sorted(tally.refused.items())),
            "promptTokens": tally.prompt,
            "completionTokens": tally.completion,
            "tokens": tally.tokens,
            "cost": money(self.cost),
        }


@dataclass(frozen=True)
class Change:
    """One user before and after."""

    name: str
    now: Line
    then: Line

    @property
    def is_one(self) -> bool:
        """Whether there is any."""
        return self.now != self.then

    def as_json(self) -> dict[str, Any]:
        """For scripts."""
        return {
            "name": self.name,
            "now": self.now.as_json(),
            "then": self.then.as_json(),
            "allowedMore": self.then.tally.allowed - self.now.tally.allowed,
            "tokensMore": self.then.tally.tokens - self.now.tally.tokens,
            "costMore": money(self.then.cost - self.now.cost),
        }


def money(value: Decimal) -> str:
    """An amount without zeros at its end, and never as a power of ten."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def by_user(result: Result) -> list[Line]:
    """A line for each user."""
    return _lines(result, lambda user, _: user)


def by_tier(result: Result) -> list[Line]:
    """A line for each tier; users that the stack does not know are in `none`."""
    return _lines(result, lambda user, _: result.service.users.get(user, "none"))


def by_model(result: Result) -> list[Line]:
    """A line for each model."""
    return _lines(result, lambda _, model: model)


def total(result: Result) -> Line:
    """Everything."""
    lines = _lines(result, _total)
    return lines[0] if lines else Line("total", Tally(), Decimal(0))


def worst(result: Result, most: int = _TOP) -> list[Peak]:
    """The counters that refused most, then those that were fullest."""
    return sorted(result.peaks.values(), key=_badness)[:most]


def compared(now: Result, then: Result) -> list[Change]:
    """User by user, those first whose requests fare worst."""
    mine, others = ({line.name: line for line in by_user(each)} for each in (now, then))
    changes = [
        Change(name, mine.get(name, _nothing(name)), others.get(name, _nothing(name)))
        for name in sorted(mine.keys() | others.keys())
    ]
    return sorted(changes, key=lambda each: each.then.tally.allowed - each.now.tally.allowed)


def flipped(now: Result, then: Result) -> tuple[int, int]:
    """How many requests only the second refuses, and how many only the first."""
    lost = gained = 0
    for one, other in zip(now.statuses, then.statuses, strict=True):
        lost += one < _ERRORS <= other
        gained += other < _ERRORS <= one
    return lost, gained


def as_json(result: Result) -> dict[str, Any]:
    """Everything, for scripts."""
    return {
        "seconds": result.ended - result.began,
        "total": total(result).as_json(),
        "users": [each.as_json() for each in by_user(result)],
        "tiers": [each.as_json() for each in by_tier(result)],
        "models": [each.as_json() for each in by_model(result)],
        "worstWindows": [_peak_json(each) for each in worst(result)],
        "overshoot": overshoot(result),
        **({"recorded": _recorded_json(result)} if result.recorded else {}),
    }


def comparison_json(now: Result, then: Result) -> dict[str, Any]:
    """Both, and what differs."""
    lost, gained = flipped(now, then)
    return {
        "now": as_json(now),
        "then": as_json(then),
        "refusedOnlyThen": lost,
        "refusedOnlyNow": gained,
        "users": [each.as_json() for each in compared(now, then) if each.is_one],
    }


def overshoot(result: Result) -> int:
    """Tokens that were counted beyond a maximum."""
    return sum(each.overshoot for each in result.peaks.values())


def whose(peak: Peak) -> str:
    """Who a counter is for."""
    return ", ".join(value for _, value in peak.counter.variables) or "all together"


_ERRORS = 400


def _badness(peak: Peak) -> tuple[object, ...]:
    counter = peak.counter
    fullness = peak.used / counter.max_value if counter.max_value else float("inf")
    return -peak.refused, -fullness, peak.kind, counter.namespace, counter.name, whose(peak), counter.seconds


def _nothing(name: str) -> Line:
    return Line(name, Tally(), Decimal(0))


def _total(user: str, model: str) -> str:
    del user, model
    return "total"


def _lines(result: Result, name_of: Callable[[str, str], str]) -> list[Line]:
    tallies: dict[str, Tally] = {}
    costs: dict[str, Decimal] = {}
    for (user, model), tally in result.tallies.items():
        name = name_of(user, model)
        tallies.setdefault(name, Tally()).add(tally)
        costs[name] = costs.get(name, Decimal(0)) + tally.tokens * result.service.price(user)
    return [Line(name, tallies[name], costs[name]) for name in sorted(tallies)]


def _peak_json(peak: Peak) -> Mapping[str, Any]:
    counter = peak.counter
    return {
        "kind": peak.kind,
        "limit": counter.name,
        "route": counter.namespace,
        "counter": dict(counter.variables),
        "seconds": counter.seconds,
        "maximum": counter.most,
        "mostUsed": peak.used,
        "began": peak.began,
        "refused": peak.refused,
        "overshoot": peak.overshoot,
    }


def _recorded_json(result: Result) -> dict[str, Any]:
    return {
        "requests": result.recorded,
        "differing": result.differing,
        "examples": [
            {
                "line": each.number,
                "time": each.ask.time,
                "user": each.ask.user,
                "model": each.ask.model,
                "recorded": each.ask.status,
                "simulated": each.status,
            }
            for each in result.differences
        ],
    }
