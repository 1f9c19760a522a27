"""Made-up traffic from a short text: how many users of which tier, how often, how much. Same text, same traffic."""

import heapq
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from config.values import KUADRANT_WINDOW, window_seconds
from simulation.traffic import Ask, TrafficError

START = 1_767_225_600.0
"""2026-01-01T00:00:00Z."""
SYNTAX = (
    "<tier>: [<n> users,] <n> per <window> [steadily] [, <prompt> + <completion> tokens [exactly]] [, <n>% streamed] "
    "[, on <model> ...]; "
    "... [; for <window>] [; seed <n>]"
)
EXAMPLE = "free: 20 users, 2 per 1m; premium: 30 per 1m, 200 + 400 tokens; for 1h; seed 7"

_USERS = re.compile(r"^(\d+) users?$")
_RATE = re.compile(r"^(\d+(?:\.\d+)?) per (\w+?)( steadily)?$")
_TOKENS = re.compile(r"^(\d+) *\+ *(\d+) tokens( exactly)?$")
_STREAMED = re.compile(r"^(\d+)% streamed$")
_ON = re.compile(r"^on (.+)$")
_FOR = re.compile(r"^for (\w+)$")
_SEED = re.compile(r"^seed (\d+)$")
_ALL = 100
_FASTEST = 1000.0
"""Requests a second of one user: more is a slip of the pen, and would be made up for hours."""


@dataclass(frozen=True)
class Group:
    """The users of one tier, all alike."""

    tier: str
    users: int | None = None
    """How many are added for the simulation; None: the stack's own users of the tier."""
    per_second: float = 0.0
    """Of one user, on average; the requests come at random (a Poisson process)."""
    steady: bool = False
    """The requests of a user come at even distances instead, from a random beginning."""
    prompt: int = 100
    """Tokens on average; sizes are spread exponentially."""
    completion: int = 200
    exact: bool = False
    """All sizes are the average."""
    streamed: float = 0.5
    """Share of requests."""
    models: tuple[str, ...] = ()
    """Asked in turns at random; none: all of the stack."""


@dataclass(frozen=True)
class Recipe:
    """What to make up."""

    groups: tuple[Group, ...]
    seconds: float = 3600.0
    seed: int = 1

    def added_users(self) -> dict[str, str]:
        """Users that the stack does not have, with their tiers."""
        return {name: group.tier for group in self.groups for name in _added(group)}


def recipe(text: str) -> Recipe:
    """Read the short text.

    Raises:
        TrafficError: a part is not understood; says which, and what the whole looks like.
    """
    groups: list[Group] = []
    made = Recipe(())
    for part in filter(None, (each.strip() for each in text.split(";"))):
        if found := _FOR.match(part):
            made = replace(made, seconds=_window(found[1], part))
        elif found := _SEED.match(part):
            made = replace(made, seed=int(found[1]))
        else:
            groups.append(_group(part))
    if not groups:
        raise TrafficError(_unknown(text))
    if len({each.tier for each in groups}) < len(groups):
        raise TrafficError(f"a tier is named twice: {text}")
    return replace(made, groups=tuple(groups))


def traffic(made: Recipe, users: Mapping[str, str], models: Sequence[str]) -> Iterator[Ask]:
    """The requests of a recipe, in the order of their time.

    Each user has a source of chance of its own, so that one more user changes nothing about the others.

    Args:
        made: what to make up.
        users: tiers by user, with those that the recipe adds.
        models: those of the stack.

    Raises:
        TrafficError: a tier has no users, or there are no models.
    """
    queue: list[tuple[float, str]] = []
    chance: dict[str, tuple[random.Random, Group, Sequence[str]]] = {}
    for group in made.groups:
        names = _added(group) or sorted(user for user, tier in users.items() if tier == group.tier)
        if not names:
            raise TrafficError(f"the stack has no users of tier {group.tier}; say how many to add: 20 users")
        on = group.models or sorted(models)
        if not on:
            raise TrafficError("the stack has no models")
        for name in names:
            source = random.Random(f"{made.seed}/{name}")  # noqa: S311 - traffic, not secrets
            chance[name] = (source, group, on)
            heapq.heappush(queue, (START + _pause(source, group, first=True), name))
    end = START + made.seconds
    while queue and queue[0][0] < end:
        now, name = queue[0]
        source, group, on = chance[name]
        prompt, completion = (_size(source, average, exact=group.exact) for average in (group.prompt, group.completion))
        model = on[0] if len(on) == 1 else on[int(source.random() * len(on))]
        yield Ask(now, name, model, prompt, completion, source.random() < group.streamed)
        heapq.heapreplace(queue, (now + _pause(source, group), name))


def _group(part: str) -> Group:
    tier, colon, rest = part.partition(":")
    if not colon:
        raise TrafficError(_unknown(part))
    group = Group(tier.strip())
    for word in (each.strip() for each in rest.split(",")):
        if found := _USERS.match(word):
            group = replace(group, users=int(found[1]))
            if not group.users:
                raise TrafficError(f"{part}: at least 1 user; without a number they are the stack's own")
        elif found := _RATE.match(word):
            group = replace(group, per_second=float(found[1]) / _window(found[2], word), steady=bool(found[3]))
        elif found := _TOKENS.match(word):
            group = replace(group, prompt=int(found[1]), completion=int(found[2]), exact=bool(found[3]))
        elif (found := _STREAMED.match(word)) and int(found[1]) <= _ALL:
            group = replace(group, streamed=int(found[1]) / _ALL)
        elif found := _ON.match(word):
            group = replace(group, models=tuple(found[1].split()))
        else:
            raise TrafficError(_unknown(word))
    return _with_a_rate(group, part)


def _with_a_rate(group: Group, part: str) -> Group:
    if group.per_second <= 0:
        raise TrafficError(f"{part}: says no rate, such as 2 per 1m")
    if group.per_second > _FASTEST:
        raise TrafficError(f"{part}: a user sends at most {_FASTEST:.0f} per 1s")
    return group


def _pause(source: random.Random, group: Group, *, first: bool = False) -> float:
    """Seconds to a user's next request."""
    if not group.steady:
        return source.expovariate(group.per_second)
    return (source.random() if first else 1.0) / group.per_second


def _size(source: random.Random, average: int, *, exact: bool) -> int:
    if exact or not average:
        return average
    return 1 + int(source.expovariate(1 / average))


def _window(text: str, part: str) -> float:
    seconds = window_seconds(text) if KUADRANT_WINDOW.match(text) else 0
    if seconds < 1:
        raise TrafficError(f"{part}: {text} is no time such as 30s, 1m, 24h")
    return float(seconds)


def _added(group: Group) -> list[str]:
    return [f"simulated-{group.tier}-{number:04d}" for number in range(1, (group.users or 0) + 1)]


def _unknown(part: str) -> str:
    return f"not understood: {part!r}. Generated traffic is written as: {SYNTAX}. Example: {EXAMPLE}"
