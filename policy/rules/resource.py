"""What the rules look at: resources as plain data, whoever registered or wrote them."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

_PATCH = "Patch"
_NAMESPACE = "maas:"
_SECRET = {"apiKeys"}


@dataclass(frozen=True)
class Resource:
    """One resource: a Kubernetes object, or anything else that has a type and properties."""

    type: str
    """Type token, such as `kubernetes:kuadrant.io/v1:AuthPolicy`."""
    props: Mapping[str, Any]
    """Its inputs; for an object, its manifest."""
    urn: str = ""
    secrets: frozenset[str] | None = None
    """Paths of the properties that are secrets, such as `stringData`; None where nobody can tell."""

    @property
    def kind(self) -> str:
        """The object's kind; the last part of the type for what is no object."""
        return str(self.props.get("kind") or self.type.rsplit(":", 1)[-1])

    @property
    def is_patch(self) -> bool:
        """Whether it changes fields of somebody else's object."""
        return self.type.endswith(_PATCH)

    @property
    def namespace(self) -> str:
        """metadata.namespace."""
        return str(mapping(self.props.get("metadata")).get("namespace", ""))

    @property
    def name(self) -> str:
        """metadata.name."""
        return str(mapping(self.props.get("metadata")).get("name", ""))

    @property
    def spec(self) -> Mapping[str, Any]:
        """The object's spec."""
        return mapping(self.props.get("spec"))

    @property
    def title(self) -> str:
        """How a person would call it: `AuthPolicy llm/gateway-auth`."""
        return f"{self.kind} {'/'.join(part for part in (self.namespace, self.name) if part) or self.urn}"


@dataclass(frozen=True)
class Stack:
    """All of a stack."""

    resources: Sequence[Resource]
    config: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """What its file has under `maas:`, as the user wrote it."""

    def of_kind(self, *kinds: str) -> Iterator[Resource]:
        """The objects of some kinds."""
        return (each for each in self.resources if each.kind in kinds)


def config_of(values: Mapping[str, object]) -> dict[str, Any]:
    """The `maas:` keys of a stack as values, without those that hold keys: no rule has any business with them.

    Args:
        values: By key, with or without `maas:`; objects as they are, or as JSON text, which is how the engine has them.
    """
    wanted = {key.removeprefix(_NAMESPACE): value for key, value in values.items()}
    return {key: _value(value) for key, value in wanted.items() if ":" not in key and key not in _SECRET}


def _value(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return cast("object", json.loads(value))
    except ValueError:
        return value


def mapping(value: object) -> Mapping[str, Any]:
    """The value when it is a mapping, else an empty one."""
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else {}


def entries(value: object) -> list[Mapping[str, Any]]:
    """The mappings in a list; empty for anything else."""
    found = cast("list[object]", value) if isinstance(value, list) else []
    return [mapping(each) for each in found]


def walk(value: object, path: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every mapping in a value, with the path to it."""
    if isinstance(value, Mapping):
        here = cast("Mapping[str, object]", value)
        yield path, here
        for key, each in here.items():
            yield from walk(each, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list):
        for index, each in enumerate(cast("list[object]", value)):
            yield from walk(each, f"{path}[{index}]")
