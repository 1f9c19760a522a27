"""What will be sent: the traffic of a text or a trace, within a budget."""

import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from simulation.traffic import Ask, TrafficError

LONGEST_SECONDS = 3600.0
_WORDS = (
    "answer", "book", "city", "day", "engine", "field", "garden", "house", "island", "journey", "kitchen", "letter",
    "market", "night", "ocean", "paper", "question", "river", "summer", "table", "unit", "valley", "window", "year",
)  # fmt: skip


@dataclass(frozen=True)
class Budget:
    """How much may be used. What is not said is not bounded, but by the traffic itself."""

    requests: int | None = None
    tokens: int | None = None
    """Prompts and completions together."""
    seconds: float = LONGEST_SECONDS

    @property
    def is_given(self) -> bool:
        """Whether somebody has said what a run may cost."""
        return self.requests is not None or self.tokens is not None


@dataclass(frozen=True)
class Plan:
    """Requests with seconds from the beginning, in order."""

    asks: tuple[tuple[float, Ask], ...]
    cut_by: str = ""
    """What ended it before the traffic did."""

    @property
    def tokens(self) -> int:
        """What all of them use at most, as far as it can be told before."""
        return sum(ask.prompt + ask.completion for _, ask in self.asks)

    @property
    def seconds(self) -> float:
        """When the last is sent."""
        return self.asks[-1][0] if self.asks else 0.0


def planned(traffic: Iterable[Ask], budget: Budget) -> Plan:
    """The traffic until it ends or the budget does.

    Raises:
        TrafficError: Nothing is left to send.
    """
    made: list[tuple[float, Ask]] = []
    began, tokens, cut_by = None, 0, ""
    for ask in traffic:
        began = ask.time if began is None else began
        after = ask.time - began
        tokens += ask.prompt + ask.completion
        cut_by = _cut(budget, len(made) + 1, tokens, after)
        if cut_by:
            break
        made.append((after, ask))
    if not made:
        raise TrafficError(f"there is nothing to send{f': the {cut_by} does not allow one request' if cut_by else ''}")
    return Plan(tuple(made), cut_by)


def known(plan: Plan, tiers: Mapping[str, str], models: Iterable[str]) -> Plan:
    """The plan, when all of its users and models are the stack's.

    Args:
        plan: what will be sent.
        tiers: of the users with keys.
        models: of the stack.

    Raises:
        TrafficError: Somebody or something is not; says who.
    """
    served = set(models)
    strangers = sorted({ask.user for _, ask in plan.asks} - tiers.keys())
    if strangers:
        known_ = ", ".join(tiers) or "none"
        raise TrafficError(f"users without a key here: {', '.join(strangers[:5])}. Users with keys: {known_}")
    unknown = sorted({ask.model for _, ask in plan.asks} - served)
    if unknown:
        raise TrafficError(f"not models of the stack: {', '.join(unknown[:5])}. It has: {', '.join(sorted(served))}")
    return plan


def words(count: int, seed: str) -> str:
    """A prompt of so many words, about as many tokens. Each is another, so that no cache of prefixes helps."""
    source = random.Random(seed)  # noqa: S311 - words, not secrets
    return " ".join(source.choices(_WORDS, k=max(1, count)))


def _cut(budget: Budget, requests: int, tokens: int, after: float) -> str:
    if budget.requests is not None and requests > budget.requests:
        return "budget of requests"
    if budget.tokens is not None and tokens > budget.tokens:
        return "budget of tokens"
    return "limit of time" if after > budget.seconds else ""
