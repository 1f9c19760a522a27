"""A stack's state as `pulumi stack export` writes it, and what makes it sound."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any, cast

from cli.program.urns import STACK_TYPE
from cli.stacks.stackfile import mapping

Export = dict[str, Any]
"""`{"version": ..., "deployment": {...}}`; secrets are encrypted in it."""

_PASSING = {"sourcePosition", "stackTrace"}
_CIPHERTEXT = "ciphertext"


def of_checkpoint(checkpoint: Mapping[str, Any]) -> Export | None:
    """What a file backend keeps, in the form of an export; None for a stack that was never deployed."""
    latest = mapping(checkpoint.get("checkpoint")).get("latest")
    if not isinstance(latest, Mapping):
        return None
    others = {key: value for key, value in checkpoint.items() if key != "checkpoint"}
    return {**others, "deployment": dict(cast("Mapping[str, Any]", latest))}


def as_checkpoint(export: Export, name: str) -> dict[str, Any]:
    """An export in the form of a file backend; `name` is the stack's full name there."""
    others = {key: value for key, value in export.items() if key != "deployment"}
    return {**others, "checkpoint": {"stack": name, "latest": export["deployment"]}}


def resources(export: Export) -> list[Mapping[str, Any]]:
    """Its resources, the stack itself left out."""
    return [each for each in _all(export) if each.get("type") != STACK_TYPE]


def pending(export: Export) -> list[Any]:
    """Operations that a run was at when it was cut off."""
    return cast("list[Any]", mapping(export.get("deployment")).get("pending_operations") or [])


def digest(export: Export) -> str:
    """Twelve digits that tell two states apart.

    A run that changes nothing writes a state that says the same in another order, at another time, encrypted anew, and,
    after an edit of the program, of other lines: that does not count. A secret that changes does: the engine notes when
    it changed the resource (`modified`).
    """
    deployment = mapping(export.get("deployment"))
    others = {key: value for key, value in deployment.items() if key not in {"manifest", "resources"}}
    lasting = [_lasting(each) for each in _all(export)]
    lasting.sort(key=lambda each: (str(each.get("urn")), bool(each.get("delete")), str(each.get("id"))))
    return hashlib.sha256(json.dumps([others, lasting], sort_keys=True).encode()).hexdigest()[:12]


def salt(export: Export) -> str:
    """What proves the passphrase that its secrets are encrypted with; empty where another provider encrypts them."""
    sealing = mapping(mapping(export.get("deployment")).get("secrets_providers"))
    return str(mapping(sealing.get("state")).get("salt", "")) if sealing.get("type") == "passphrase" else ""


def faults(export: Export) -> list[str]:
    """What keeps the engine from working with it: a resource that is there twice, or needs one that is not there."""
    return list(_faults(_all(export)))


def _faults(found: list[Mapping[str, Any]]) -> Iterator[str]:
    known: set[str] = set()
    alive: set[str] = set()
    for number, each in enumerate(found):
        urn = str(each.get("urn", ""))
        if not urn or not each.get("type"):
            yield f"resource {number} has no URN or no type"
            continue
        if urn in alive and not each.get("delete"):
            yield f"{urn} is there twice"
        missing = sorted(_needed(each) - known)
        if missing:
            yield f"{urn} needs {', '.join(missing)}, which is not there before it"
        known.add(urn)
        if not each.get("delete"):
            alive.add(urn)


def _lasting(resource: Mapping[str, Any]) -> dict[str, Any]:
    kept = {key: _opened(value) for key, value in resource.items() if key not in _PASSING}
    by_property = mapping(kept.get("propertyDependencies"))
    return {
        **kept,
        "dependencies": sorted(kept.get("dependencies") or ()),
        "propertyDependencies": {key: sorted(urns or ()) for key, urns in by_property.items()},
    }


def _opened(value: object) -> Any:  # noqa: ANN401 - whatever a resource has
    """The value without the text of what is encrypted."""
    if isinstance(value, dict):  # as JSON has it
        fields = cast("dict[str, object]", value)
        return {key: _opened(each) for key, each in fields.items() if key != _CIPHERTEXT}
    return [_opened(each) for each in cast("list[object]", value)] if isinstance(value, list) else value


def _needed(resource: Mapping[str, Any]) -> set[str]:
    """The URNs that a resource refers to."""
    by_property = mapping(resource.get("propertyDependencies")).values()
    needed = {str(urn) for urns in (resource.get("dependencies"), *by_property) for urn in urns or ()}
    needed |= {str(resource[key]) for key in ("parent", "deletedWith") if resource.get(key)}
    if provider := str(resource.get("provider") or ""):
        needed.add(provider.rpartition("::")[0])
    return needed


def _all(export: Export) -> list[Mapping[str, Any]]:
    found = mapping(export.get("deployment")).get("resources")
    return [mapping(each) for each in cast("list[object]", found)] if isinstance(found, list) else []
