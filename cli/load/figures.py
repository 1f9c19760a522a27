"""What requests came to: how long they took, counted from when they were due."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

PERCENTILES = (50, 90, 99)


@dataclass(frozen=True)
class Outcome:
    """One request. Times are seconds since the run began."""

    tier: str
    due: float
    """When it should have been sent. Waiting is counted from here: a service that holds up the requests behind a slow
    one would otherwise look quick (coordinated omission)."""
    sent: float
    ended: float
    status: int = 0
    """0: there was no answer."""
    error: str = ""
    """What went wrong with the connection or the answer, in a few words."""
    first: float | None = None
    """When the first words of a stream came."""
    tokens: int = 0
    """What the answer says was used, prompt and completion."""
    completion: int = 0

    @property
    def answered(self) -> bool:
        """Whether there is a whole answer that is none of an error."""
        return not self.error and self.status == HTTPStatus.OK

    @property
    def limited(self) -> bool:
        """Whether a limit refused it."""
        return self.status == HTTPStatus.TOO_MANY_REQUESTS and not self.error

    @property
    def failed(self) -> bool:
        """Whether there was neither an answer nor a limit."""
        return not self.answered and not self.limited

    @property
    def seconds(self) -> float:
        """From when it was due to its end."""
        return self.ended - self.due


def quantile(values: Iterable[float], percent: float) -> float | None:
    """The value that so many percent do not exceed, by nearest rank; None of nothing."""
    ordered = sorted(values)
    if not ordered:
        return None
    return ordered[max(0, math.ceil(percent / 100 * len(ordered)) - 1)]


@dataclass(frozen=True)
class Figures:
    """What some requests came to."""

    outcomes: Sequence[Outcome] = field(repr=False)
    seconds: float
    """How long the run took."""

    @property
    def statuses(self) -> Counter[int]:
        """How many had which status; 0 for no answer."""
        return Counter(each.status for each in self.outcomes)

    @property
    def errors(self) -> Counter[str]:
        """What went wrong, and how often."""
        return Counter(each.error for each in self.outcomes if each.error)

    @property
    def limited(self) -> int:
        """How many got 429."""
        return sum(each.limited for each in self.outcomes)

    @property
    def answered(self) -> list[Outcome]:
        """Those with a whole answer."""
        return [each for each in self.outcomes if each.answered]

    @property
    def failed(self) -> int:
        """Those with neither an answer nor a 429."""
        return sum(each.failed for each in self.outcomes)

    @property
    def rate(self) -> float:
        """Answers a second, of any status."""
        return sum(count for status, count in self.statuses.items() if status) / self.seconds if self.seconds else 0.0

    @property
    def tokens(self) -> int:
        """What all answers say that was used."""
        return sum(each.tokens for each in self.outcomes)

    @property
    def tokens_per_second(self) -> float:
        """Completion tokens of all answers, by the time of the run."""
        return sum(each.completion for each in self.outcomes) / self.seconds if self.seconds else 0.0

    def latency(self, percent: float) -> float | None:
        """Seconds from when an answered request was due to its end."""
        return quantile((each.seconds for each in self.answered), percent)

    def to_first(self, percent: float) -> float | None:
        """Seconds from when a streamed request was due to its first words."""
        return quantile((each.first - each.due for each in self.answered if each.first is not None), percent)

    def speed(self, percent: float) -> float | None:
        """Tokens a second of one stream, from its first words on; a percent are slower."""
        speeds = (
            (each.completion - 1) / (each.ended - each.first)
            for each in self.answered
            if each.first is not None and each.completion > 1 and each.ended > each.first
        )
        return quantile(speeds, percent)

    def late(self, percent: float) -> float | None:
        """Seconds by which this machine sent late. What is not near 0 says more of it than of the service."""
        return quantile((each.sent - each.due for each in self.outcomes), percent)

    def as_json(self) -> dict[str, Any]:
        """For scripts; times in seconds."""
        return {
            "requests": len(self.outcomes),
            "statuses": {str(status): count for status, count in sorted(self.statuses.items())},
            "limited": self.limited,
            "failed": self.failed,
            "errors": dict(sorted(self.errors.items())),
            "requestsPerSecond": round(self.rate, 2),
            "tokens": self.tokens,
            "completionTokensPerSecond": round(self.tokens_per_second, 2),
            "latency": _percentiles(self.latency),
            "timeToFirstToken": _percentiles(self.to_first),
            "streamTokensPerSecond": _rounded(self.speed(50)),
            "sentLate": _percentiles(self.late),
        }


def by_tier(whole: Figures) -> Mapping[str, Figures]:
    """The same for each tier."""
    tiers = sorted({each.tier for each in whole.outcomes})
    return {tier: Figures([each for each in whole.outcomes if each.tier == tier], whole.seconds) for tier in tiers}


def _percentiles(at: Any) -> dict[str, float | None]:  # noqa: ANN401 - one of the methods above
    return {f"p{percent}": _rounded(at(percent)) for percent in PERCENTILES} | {"max": _rounded(at(100))}


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
