"""What waits for what in a recording of the program."""

import re
from collections.abc import Iterator

from cli.program.recorder import Object, Recording, Resource

_HASH_OF_STEP = re.compile(r"(/Job/.*)-[0-9a-f]{8}$")


def key(each: Object) -> str:
    return f"{each.layer}/{each.kind}/{each.namespace}/{each.metadata_name}"


def reaches(recording: Recording, start: Resource) -> set[str]:
    """URNs of all that `start` waits for: what it depends on, what its parents depend on, and so on.

    The engine creates a child after its parent and so after all that its parent depends on; a dependency on a component
    is one on all that is in it.
    """
    children: dict[str, list[str]] = {}
    for each in recording.resources:
        children.setdefault(each.parent, []).append(each.urn)
    known = {each.urn: each for each in recording.resources}
    found: set[str] = set()
    todo = [start.urn]
    while todo:
        resource = known[todo.pop()]
        needed = [*resource.dependencies, *([resource.parent] if resource.parent in known else [])]
        for urn in needed:
            if urn in known and urn not in found:
                found.add(urn)
                todo.append(urn)
                if urn in resource.dependencies:
                    todo += [child for child in _below(children, urn) if child not in found]
                    found.update(_below(children, urn))
    return found - {start.urn}


def _below(children: dict[str, list[str]], urn: str) -> Iterator[str]:
    for child in children.get(urn, []):
        yield child
        yield from _below(children, child)


def installed_by(recording: Recording, operator: str) -> set[str]:
    """URNs of all objects, releases and files that get an operator onto the cluster, without its components."""
    children: dict[str, list[str]] = {}
    for each in recording.resources:
        children.setdefault(each.parent, []).append(each.urn)
    [top] = [
        each.urn
        for each in recording.components
        if each.name == operator and each.type in {"maas:operators:Operator", "maas:operators:GatewayApiCrds"}
    ]
    components = {each.urn for each in recording.components if not each.request.remote}
    return set(_below(children, top)) - components


def listed(recording: Recording) -> list[str]:
    """Every object, Helm release and manifest file of a recording, one line each, sorted.

    A one-time step's Job has a hash in its name, which says when it runs and not what it does: it is left out.
    """
    lines = [f"{key(each)}{' (patch)' if each.is_patch else ''}" for each in recording.objects]
    for each in recording.resources:
        if each.type == "kubernetes:helm.sh/v3:Release":
            lines.append(f"{each.layer}/Release/{each.inputs['namespace']}/{each.inputs['name']}")
        elif each.type == "kubernetes:yaml/v2:ConfigFile":
            lines.append(f"{each.layer}/ConfigFile//{each.name}")
    return sorted(_HASH_OF_STEP.sub(r"\1", line) for line in lines)
