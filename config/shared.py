"""Values that several stacks share: files of the folder shared/ that a stack file names with `maas:extends`.

A file looks like a stack file. The stack stands over the files that it names, and each file over those named before it:
mappings are merged key by key, anything else is replaced as a whole, and `null` takes away what a file has (RFC 7386,
as Pulumi's own environments do it). The program itself does so, so that it is the same with plain `pulumi up`.

This module is also read by the policy pack, whose environment has no pydantic.
"""

import difflib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import yaml

from config.merging import merged
from config.migrations import VERSION_KEY
from sandbox.go_yaml import load

FOLDER = Path(__file__).resolve().parent.parent / "shared"
EXTENDS = "extends"
_NAMESPACE = "maas:"
_OWN = {
    VERSION_KEY: "what the stack file says of it holds for the files that it names, too",
    EXTENDS: "files do not name files: say both in the stack file",
    "domain": "each stack has a domain of its own",
    "cluster": "each stack has a cluster of its own",
    "apiKeys": "secrets are encrypted for one stack",
    "modelSecrets": "secrets are encrypted for one stack",
}
"""What stands in stack files only, and why."""
_PART = re.compile(r"\[(\d+)\]|\.?([^.\[]+)")
_MISSING = object()


@dataclass(frozen=True)
class Flaw:
    """Why a file cannot be used."""

    value: str
    why: str
    allowed: str = ""
    fix: str = ""


@dataclass(frozen=True)
class Layered:
    """The values of a stack over those that it shares."""

    values: dict[str, Any]
    flaws: tuple[Flaw, ...]
    files: tuple[tuple[str, Mapping[str, Any]], ...]
    """The files by name, with their values; the last one wins over those before it."""

    def origin(self, key: str) -> str:
        """The file that the value of a key, such as `maas:tiers.free.tokens`, comes from; empty for the stack's own.

        A key that is not there comes from where the mapping is that it should be in.
        """
        for path in _upwards(key.removeprefix(_NAMESPACE)):
            value = _at(self.values, path)
            if value is _MISSING:
                continue
            return next((name for name, values in reversed(self.files) if _at(values, path) == value), "")
        return ""


def layered(values: Mapping[str, Any], folder: Path = FOLDER) -> Layered:
    """The values of a stack, by key without `maas:`, over those of the files that it extends."""
    stacked, flaws, files = _stacked(values, folder)
    below: dict[str, Any] = {}
    for _, each in files:
        below = merged(below, each)
    return Layered(_pruned(stacked, below), tuple(flaws), tuple(files))


def stacked(values: Mapping[str, Any], folder: Path = FOLDER) -> dict[str, Any]:
    """The same, with a `null` still standing for what is taken away, so that doing it twice makes no difference."""
    return _stacked(values, folder)[0]


def _stacked(
    values: Mapping[str, Any], folder: Path
) -> tuple[dict[str, Any], list[Flaw], list[tuple[str, Mapping[str, Any]]]]:
    flaws: list[Flaw] = []
    files: list[tuple[str, Mapping[str, Any]]] = []
    below: dict[str, Any] = {}
    for name in names(values.get(EXTENDS)):
        found = _read(name, folder)
        if isinstance(found, Flaw):
            flaws.append(found)
        else:
            files.append((f"{folder.name}/{name}.yaml", found))
            below = merged(below, found)
    return merged(below, values), flaws, files


def names(value: object) -> list[str]:
    """The files that a value of `maas:extends` names."""
    if isinstance(value, str):
        return [value] if value else []
    return [str(each) for each in cast("list[object]", value)] if isinstance(value, list | tuple) else []


def _read(name: str, folder: Path) -> Mapping[str, Any] | Flaw:
    written, known = json.dumps(name), sorted(path.stem for path in folder.glob("*.yaml"))
    path = folder / f"{name}.yaml"
    if name not in known:
        fix = next(iter(difflib.get_close_matches(name, known, n=1)), "")
        return Flaw(written, f"there is no {folder.name}/{name}.yaml", ", ".join(known) or "(no file is there)", fix)
    try:
        content = load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        return Flaw(written, f"{folder.name}/{name}.yaml is not YAML: {' '.join(str(error).split())}")
    config = cast("dict[str, Any]", content).get("config") if isinstance(content, dict) else None
    if not isinstance(config, dict):
        allowed = "config: {maas:tiers: ...}, as in a stack file"
        return Flaw(written, f"{folder.name}/{name}.yaml has no config", allowed)
    values = {key.removeprefix(_NAMESPACE): each for key, each in cast("dict[str, Any]", config).items()}
    for key, why in _OWN.items():
        if key in values:
            return Flaw(written, f"{folder.name}/{name}.yaml has {_NAMESPACE}{key}: {why}", "other keys")
    if secret := next(_secrets(values, ""), None):
        return Flaw(written, f"{folder.name}/{name}.yaml has a secret at {secret}: secrets are encrypted for one stack")
    return values


def _secrets(value: object, path: str) -> Iterator[str]:
    if isinstance(value, dict):
        entries = cast("dict[str, object]", value)
        if set(entries) == {"secure"}:
            yield path
        for key, each in entries.items():
            yield from _secrets(each, f"{path}.{key}".strip("."))
    elif isinstance(value, list):
        for each in cast("list[object]", value):
            yield from _secrets(each, f"{path}[]")


def _pruned(value: Mapping[str, Any], below: Mapping[str, Any]) -> dict[str, Any]:
    """Without what a `null` takes away; a `null` that takes nothing away is a value like others."""
    return {
        key: _pruned(cast("Mapping[str, Any]", each), cast("Mapping[str, Any]", old))
        if isinstance(each, Mapping) and isinstance(old := below.get(key), Mapping)
        else each
        for key, each in value.items()
        if each is not None or below.get(key) is None
    }


def _upwards(path: str) -> Iterator[str]:
    """The path, then what it is in, up to its section."""
    while path:
        yield path
        cut = max(path.rfind("."), path.rfind("["))
        path = path[:cut] if cut > 0 else ""


def _at(value: object, path: str) -> object:
    """What is at a path such as `tiers.free.tokens[0]`; names may have dots themselves."""
    if not path:
        return value
    if isinstance(value, Mapping):
        entries = cast("Mapping[str, object]", value)
        for key in sorted(entries, key=len, reverse=True):
            rest = path.removeprefix(key)
            if path.startswith(key) and (not rest or rest[0] in ".["):
                return _at(entries[key], rest.removeprefix("."))
        return _MISSING
    match = _PART.match(path)
    if isinstance(value, list) and match and match[1] is not None:
        items = cast("list[object]", value)
        return (
            _at(items[int(match[1])], path[match.end() :].removeprefix(".")) if int(match[1]) < len(items) else _MISSING
        )
    return _MISSING
