"""How long a first `up` takes until all is ready, against what its objects' waits allow.

Each resource's own time is from the beginning of its operation to its end, waits for the operators included. The
longest chain is that of resources that wait for each other with the longest sum: no order can be faster. One after the
other is the sum of all, which is how one deploys by hand.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from cli.program.urns import label

_WORTH_TELLING = 0.5


@dataclass(frozen=True)
class Ready:
    """One `up`."""

    seconds: float
    """From the beginning of the first object to the end of the last, by the clock: without engine and program."""
    whole: float
    """All of the command."""
    chain: float
    one_by_one: float
    along: tuple[str, ...]
    """The longest chain: kind and name of each, without those that took next to nothing."""


def ready(summary: Mapping[str, Any], state: Path, whole: float) -> Ready:
    """Work it out from what `up --json` said and from the state that it left."""
    timed = [each for each in summary["steps"] if "seconds" in each]
    took = {each["urn"]: float(each["seconds"]) for each in timed}
    content = json.loads(state.read_text(encoding="utf-8"))
    waits = {each["urn"]: _waits_for(each) for each in content["checkpoint"]["latest"]["resources"]}
    chain, along = longest(took, waits)
    shown = tuple(label(urn) for urn in along if took.get(urn, 0.0) >= _WORTH_TELLING)
    began = {each["urn"]: float(each["began"]) for each in timed}
    seconds = max(began[urn] + took[urn] for urn in took) - min(began.values())
    return Ready(round(seconds, 1), whole, round(chain, 1), round(sum(took.values()), 1), shown)


def longest(took: Mapping[str, float], waits: Mapping[str, frozenset[str]]) -> tuple[float, tuple[str, ...]]:
    """Seconds and members of the longest chain of things that wait for each other."""

    @cache
    def until(urn: str) -> tuple[float, tuple[str, ...]]:
        before = max((until(each) for each in waits.get(urn, frozenset())), default=(0.0, ()))
        return before[0] + took.get(urn, 0.0), (*before[1], urn)

    return max((until(urn) for urn in took), default=(0.0, ()))


def _waits_for(resource: Mapping[str, Any]) -> frozenset[str]:
    """What it depends on, and its parent, which is made after all that the parent depends on."""
    parent = [resource["parent"]] if resource.get("parent") else []
    by_property: Mapping[str, list[str]] = resource.get("propertyDependencies") or {}
    return frozenset(
        [*parent, *(resource.get("dependencies") or []), *(urn for urns in by_property.values() for urn in urns)]
    )
