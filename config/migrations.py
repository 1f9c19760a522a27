"""What older stack files say otherwise: which changes take a file from one version of the schema to the next.

The version goes up by one when a file that was accepted would be refused, or would mean something else. A migration
says what has to change, as a function of the values; `./maas config migrate` makes the changes in the file's text, and
in those that it extends. So a migration finds nothing to change in what is written the new way.

This module is also read by the policy pack, whose environment has no pydantic.
"""

import copy
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from config.figures import NEVER_REACHED

SCHEMA = 2
"""The version that this program reads."""
FIRST = 1
"""Of files that do not say."""
VERSION_KEY = "schemaVersion"
Path = tuple[str, ...]
"""Keys from the section on, such as `("tiers", "free", "tokens")`."""
Values = dict[str, Any]
"""The stack's keys without `maas:`."""


@dataclass(frozen=True)
class Replace:
    """Another value for a key."""

    path: Path
    value: object


@dataclass(frozen=True)
class Rename:
    """Another name for a key; its value stays."""

    path: Path
    name: str


Change = Replace | Rename
Migration = Callable[[Values], Iterator[Change]]


def _limits_of_nobody(values: Values) -> Iterator[Change]:
    """To 2: `unlimited` is counted, and has the figure 2^53 for itself, which stood for no limit before."""
    for name, tier in _mappings(values.get("tiers")):
        yield from _allowances(("tiers", name), tier)
        for model, other in _mappings(tier.get("models")):
            yield from _allowances(("tiers", name, "models", model), other)


def _allowances(path: Path, limits: Mapping[str, Any]) -> Iterator[Change]:
    for key in ("requests", "tokens"):
        written = cast("object", limits.get(key))
        rates = cast("list[object]", written) if isinstance(written, list) else [written]
        kept = [each for each in rates if not _is_of_nobody(each)]
        if len(kept) < len(rates):
            yield Replace((*path, key), kept or "unlimited")


def _is_of_nobody(rate: object) -> bool:
    if isinstance(rate, Mapping):
        return cast("Mapping[str, object]", rate).get("limit") == NEVER_REACHED
    number = re.match(r"\s*([0-9_]+)\s+per\s", rate) if isinstance(rate, str) else None
    return number is not None and number[1].replace("_", "") == str(NEVER_REACHED)


MIGRATIONS: Mapping[int, Migration] = {1: _limits_of_nobody}
"""By the version that they start from. One is never changed once it has been released."""


def version_of(values: Mapping[str, Any]) -> int:
    """The version that a file says, as far as it is one; a wrong one is refused by its own rule."""
    written = cast("object", values.get(VERSION_KEY, FIRST))
    known = isinstance(written, int) and not isinstance(written, bool) and FIRST <= written <= SCHEMA
    return cast("int", written) if known else SCHEMA


def pending(values: Mapping[str, Any]) -> list[Change]:
    """What has to change in a file for this program to read it as it was meant; nothing for most older ones."""
    now = copy.deepcopy(dict(values))
    found: list[Change] = []
    for version in range(version_of(values), SCHEMA):
        for change in list(MIGRATIONS[version](now)):
            apply(now, change)
            found.append(change)
    return found


def apply(values: Values, change: Change) -> None:
    """Make a change in values.

    Raises:
        KeyError: There is no such key.
    """
    *above, last = change.path
    place: Any = values
    for key in above:
        place = place[key]
    if isinstance(change, Replace):
        place[last] = change.value
        return
    place[change.name] = place.pop(last)


def _mappings(value: object) -> list[tuple[str, dict[str, Any]]]:
    """The entries of a mapping that are mappings themselves."""
    if not isinstance(value, Mapping):
        return []
    entries = cast("Mapping[str, object]", value)
    return [(key, cast("dict[str, Any]", each)) for key, each in entries.items() if isinstance(each, dict)]
