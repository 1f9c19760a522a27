"""Two JSON values field by field."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

ABSENT = object()
"""Stands for a field that is not there; None is a value."""
_KEYS = ("name", "key", "id")
"""What tells the elements of a list apart, where they have it: first that all have, each with another value."""


@dataclass(frozen=True)
class Field:
    """One field that differs."""

    path: str
    """Such as `spec.limits.free.rates[0].limit`; elements of a list that have names go by them: `containers[main]`."""
    before: Any
    after: Any

    @property
    def steps(self) -> tuple[str, ...]:
        """The path without indexes: `spec`, `containers`, `image`."""
        return tuple(re.sub(r"\[[^\]]*\]", "", self.path).split("."))


def changed_fields(before: object, after: object, path: str = "") -> list[Field]:
    """The fields that differ, in the order of their paths as they are written."""
    return list(_changed(before, after, path))


def flattened(value: object, path: str = "") -> list[Field]:
    """Every leaf of a value as a field that came."""
    return changed_fields(ABSENT, value, path)


def _changed(before: object, after: object, path: str) -> Iterator[Field]:
    if _are_mappings(before, after):
        yield from _of_mappings(_mapping(before), _mapping(after), path)
        return
    if isinstance(before, list) and isinstance(after, list):
        yield from _of_lists(cast("list[object]", before), cast("list[object]", after), path)
    elif before != after or isinstance(before, bool) is not isinstance(after, bool):  # 1 == True, unlike in JSON
        yield Field(path, before, after)


def _are_mappings(before: object, after: object) -> bool:
    """Both are, or one is while the other is not there: then each of its fields comes or goes."""
    filled = [each for each in (before, after) if each is not ABSENT]
    return all(isinstance(each, Mapping) for each in filled) and any(_mapping(each) for each in filled)


def _mapping(value: object) -> Mapping[str, object]:
    return cast("Mapping[str, object]", value) if isinstance(value, Mapping) else {}


def _of_mappings(before: Mapping[str, object], after: Mapping[str, object], path: str) -> Iterator[Field]:
    for key in sorted({*before, *after}):
        step = key if _is_plain(key) else f"[{key}]"
        below = f"{path}.{step}" if path and _is_plain(key) else f"{path}{step}"
        yield from _changed(before.get(key, ABSENT), after.get(key, ABSENT), below)


def _of_lists(before: list[object], after: list[object], path: str) -> Iterator[Field]:
    old, new = _named(before), _named(after)
    if old is not None and new is not None:
        for name in sorted({*old, *new}):
            yield from _changed(old.get(name, ABSENT), new.get(name, ABSENT), f"{path}[{name}]")
        if list(old) != list(new) and set(old) == set(new):
            yield Field(f"{path} (order)", list(old), list(new))
        return
    for index in range(max(len(before), len(after))):
        pair = [each[index] if index < len(each) else ABSENT for each in (before, after)]
        yield from _changed(pair[0], pair[1], f"{path}[{index}]")


def _named(values: list[object]) -> dict[str, object] | None:
    """The elements by what names them; None when they have no names."""
    if not values or not all(isinstance(each, Mapping) for each in values):
        return {} if not values else None
    entries = [cast("Mapping[str, object]", each) for each in values]
    for key in _KEYS:
        names = [each.get(key) for each in entries]
        if all(isinstance(name, str) for name in names) and len(set(names)) == len(names):
            return {str(name): each for name, each in zip(names, entries, strict=True)}
    return None


def _is_plain(key: str) -> bool:
    """Whether a key can stand in a dotted path as it is; labels and annotations have dots of their own."""
    return "." not in key and "/" not in key
