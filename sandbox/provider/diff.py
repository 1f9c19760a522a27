"""What has changed, field by field; and what of a live object was declared by the program."""

import base64
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, cast

from sandbox.kube import Object
from sandbox.provider.replacement import Path
from sandbox.provider.values import UNKNOWN


class Change(Enum):
    """How one field changes."""

    ADD = "add"
    DELETE = "delete"
    UPDATE = "update"


@dataclass(frozen=True)
class FieldChange:
    """One changed field; `value` is what it becomes, or what it was when it is deleted."""

    path: Path
    change: Change
    value: Any


class _Missing:
    """The type of `_MISSING`: no value at all, which a null is not."""


_MISSING: Final = _Missing()
_STEP: Final = re.compile(r'\["((?:[^"\\]|\\.)*)"\]|\[(\d+)\]|\.?([^.\[]+)')
"""One step of a property path: `["quoted"]`, `[3]` or `.name`."""

# What the server alone writes. It comes into the declared fields when an existing object is imported.
_SERVER_METADATA: Final = frozenset(
    {
        "creationTimestamp",
        "deletionGracePeriodSeconds",
        "deletionTimestamp",
        "generation",
        "managedFields",
        "resourceVersion",
        "selfLink",
        "uid",
    }
)
_SERVER_ANNOTATIONS: Final = frozenset(
    {"deployment.kubernetes.io/revision", "kubectl.kubernetes.io/last-applied-configuration"}
)


def changes(old: Any, new: Any, path: Path = ()) -> Iterator[FieldChange]:  # noqa: ANN401  (any JSON values)
    """The fields in which `new` differs from `old`, each as deep as the two have the same shape."""
    if old is _MISSING:
        yield FieldChange(path, Change.ADD, new)
    elif new is _MISSING:
        yield FieldChange(path, Change.DELETE, old)
    elif new is UNKNOWN:
        yield FieldChange(path, Change.UPDATE, new)
    elif isinstance(old, dict) and isinstance(new, dict):
        olds, news = cast("Object", old), cast("Object", new)
        for key in sorted(olds.keys() | news.keys()):
            yield from changes(olds.get(key, _MISSING), news.get(key, _MISSING), (*path, key))
    elif isinstance(old, list) and isinstance(new, list):
        before, after = cast("list[Any]", old), cast("list[Any]", new)
        for index in range(max(len(before), len(after))):
            yield from changes(_at(before, index), _at(after, index), (*path, index))
    elif not same(old, new):
        yield FieldChange(path, Change.UPDATE, new)


def same(old: Any, new: Any) -> bool:  # noqa: ANN401
    """Equality as JSON has it: 1 and 1.0 are the same, 1 and true are not."""
    return old == new and isinstance(old, bool) == isinstance(new, bool)


def format_path(path: Path) -> str:
    """A property path in the engine's notation: `spec.limits.free.rates[0].limit`."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif any(char in step for char in '."[]'):
            quoted = step.replace('"', '\\"')
            text += f'["{quoted}"]'
        else:
            text += f".{step}" if text else step
    return text


def parse_path(text: str) -> Path:
    """The reverse of `format_path`, for paths that come from the engine."""
    steps: list[str | int] = []
    for quoted, index, name in _STEP.findall(text):
        if index:
            steps.append(int(index))
        else:
            steps.append(quoted.replace('\\"', '"') or name)
    return tuple(steps)


def is_ignored(path: Path, ignored: Sequence[Path]) -> bool:
    """Whether the path is one of the ignored ones, or inside one."""
    return any(path[: len(one)] == one or (len(one) == 1 and one[0] == "*") for one in ignored)


def observe(declared: Object, before: Object, now: Object) -> Object:
    """The declared fields with the values that the live object has now: where they differ, it has drifted.

    Args:
        declared: What the program said.
        before: The live object when it was last seen, in answer to what the program said.
        now: The live object.

    What is the same now as it was then has not drifted, even where the server writes it differently from the program
    (`1000m` of CPU reads `1`), and what the server or a controller added counts only when the program declared it.
    """
    then = _with_string_data(before, declared) if before else _MISSING
    return cast("Object", _prune(declared, then, _with_string_data(now, declared)))


def without_server_fields(obj: Object) -> Object:
    """The object as someone could have declared it: no status, none of the metadata that the server writes."""
    metadata = {key: value for key, value in obj["metadata"].items() if key not in _SERVER_METADATA}
    annotations = {
        key: value
        for key, value in cast("Object", metadata.pop("annotations", None) or {}).items()
        if key not in _SERVER_ANNOTATIONS
    }
    if annotations:
        metadata["annotations"] = annotations
    return {key: value for key, value in obj.items() if key != "status"} | {"metadata": metadata}


def _prune(declared: Any, before: Any, now: Any) -> object:  # noqa: ANN401
    if before is not _MISSING and same(before, now):
        return declared
    if isinstance(declared, dict) and isinstance(now, dict):
        then, live = _mapping(before), cast("Object", now)
        return {
            key: _prune(value, then.get(key, _MISSING), live[key])
            for key, value in cast("Object", declared).items()
            if key in live
        }
    if isinstance(declared, list) and isinstance(now, list):
        return _prune_list(cast("list[Any]", declared), before, cast("list[Any]", now))
    return cast("object", declared if same(declared, now) else now)


def _prune_list(declared: list[Any], before: Any, now: list[Any]) -> list[object]:  # noqa: ANN401
    then = cast("list[Any]", before) if isinstance(before, list) else []
    kept = [_prune(value, _at(then, index), now[index]) for index, value in enumerate(declared) if index < len(now)]
    # Elements beyond the declared ones were added by the server when they were there before, by someone else when not.
    added = now[max(len(declared), len(then)) :] if then else now[len(declared) :]
    return kept + added


def _mapping(value: Any) -> Object:  # noqa: ANN401
    return cast("Object", value) if isinstance(value, dict) else {}


def _at(items: list[Any], index: int) -> Any:  # noqa: ANN401
    return items[index] if index < len(items) else _MISSING


def _with_string_data(live: Object, declared: Object) -> Object:
    """A live Secret with the stringData that was declared: the server turns it into data and never shows it again."""
    if live.get("kind") != "Secret" or "stringData" not in declared:
        return live
    data = _mapping(live.get("data"))
    keys = [key for key in cast("Object", declared["stringData"]) if key in data]
    return live | {"stringData": {key: _decoded(data[key]) for key in keys}}


def _decoded(data: str) -> str:
    try:
        return base64.b64decode(data).decode()
    except ValueError:
        return data
