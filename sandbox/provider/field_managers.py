"""Who owns which field: names for our own ownership, taking over from kubectl, conflicts as people can read them."""

import hashlib
import re
from collections.abc import Iterator
from typing import Final, cast

from sandbox.kube import ApiError, Object
from sandbox.provider.diff import Path
from sandbox.provider.readiness import annotation

PATCH_FORCE: Final = "pulumi.com/patchForce"
PATCH_FIELD_MANAGER: Final = "pulumi.com/patchFieldManager"

_TAKEN_OVER: Final = ("kubectl", "before-first-apply")
"""Prefixes of managers whose fields become ours: someone edited by hand what the program declares."""
_CONFLICT: Final = re.compile(r'conflict with "([^"]*)"')


def field_manager(urn: str, obj: Object, recorded: str = "") -> str:
    """The name under which a resource's fields are owned: the annotation's, the recorded one, else one from the URN.

    The official provider makes up a random one; one that follows from the URN lets a run that was killed before it
    could record anything be repeated without a second owner.
    """
    made = f"pulumi-kubernetes-{hashlib.sha256(urn.encode()).hexdigest()[:8]}"
    return annotation(obj, PATCH_FIELD_MANAGER) or recorded or made


def adopted(live: Object, manager: str) -> Object | None:
    """A merge patch that hands the fields of kubectl, and those we created by POST, to our server-side apply ownership.

    None when there is nothing to hand over. Such fields, unless declared, are then removed by the next apply.
    """
    entries = cast("list[Object]", live["metadata"].get("managedFields") or [])
    theirs = [entry for entry in entries if _is_taken_over(entry, manager)]
    if not theirs:
        return None
    ours = [entry for entry in entries if entry.get("manager") == manager and entry.get("operation") == "Apply"]
    fields: Object = {}
    for entry in (*ours, *theirs):
        fields = _union(fields, entry.get("fieldsV1") or {})
    merged = {**(ours or theirs)[0], "manager": manager, "operation": "Apply", "fieldsV1": fields}
    kept = [entry for entry in entries if entry not in ours and entry not in theirs]
    return {
        "metadata": {"resourceVersion": live["metadata"]["resourceVersion"], "managedFields": [*kept, merged]},
    }


def only_adopted_in_the_way(error: ApiError, manager: str) -> bool:
    """Whether a conflict is only with managers whose fields would be taken over."""
    managers = [found.group(1) for cause in error.causes if (found := _CONFLICT.search(cause.message))]
    return bool(managers) and all(name.startswith(_TAKEN_OVER) or name == manager for name in managers)


def conflict_message(error: ApiError) -> str:
    """A server-side apply conflict, naming each field and who owns it."""
    owners = [
        f"{cause.field} is owned by {found.group(1)!r}"
        for cause in error.causes
        if (found := _CONFLICT.search(cause.message))
    ]
    if not owners:
        return str(error)
    return (
        f"{error.target}: another field manager is in the way: {'; '.join(owners)}. Leave the field to its owner "
        f'(drop it from the program, or ignore_changes), or take it over with the annotation {PATCH_FORCE}: "true" or '
        "the provider option enablePatchForce. See who owns what: kubectl get --show-managed-fields -o yaml"
    )


def foreign_fields(live: Object, manager: str, ignored: Path) -> bool:
    """Whether a field is owned by other managers and not by ours."""
    owners = {str(entry.get("manager")) for entry in _owning(live, ignored)}
    return bool(owners) and manager not in owners


def _owning(live: Object, path: Path) -> Iterator[Object]:
    for entry in cast("list[Object]", live["metadata"].get("managedFields") or []):
        node: object = entry.get("fieldsV1")
        for step in path:
            node = cast("Object", node).get(f"f:{step}") if isinstance(node, dict) else None
        if node is not None:
            yield entry


def _is_taken_over(entry: Object, manager: str) -> bool:
    if entry.get("subresource"):
        return False
    name, operation = str(entry.get("manager")), entry.get("operation")
    return name.startswith(_TAKEN_OVER) or (name == manager and operation == "Update")


def _union(one: Object, other: Object) -> Object:
    merged = dict(one)
    for key, value in other.items():
        merged[key] = _union(merged[key], value) if key in merged else value
    return merged
