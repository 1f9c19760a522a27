"""`./maas graph`: what a stack registers and what waits for what, drawn from the recording, so never out of date."""

import json
from collections.abc import Iterable, Mapping
from enum import StrEnum

from cli.program.drawing import svg
from cli.program.recorder import Recording, Resource

Edge = tuple[str, str]
"""What is needed, and what waits for it."""


class Format(StrEnum):
    """How to write it."""

    MERMAID = "mermaid"
    DOT = "dot"
    """For Graphviz."""
    SVG = "svg"
    """A picture; with every resource, those of a layer stand in its box."""


def of_layers(recording: Recording) -> tuple[list[str], list[Edge]]:
    """The layers, and which of them wait for which; what follows from other edges is left out."""
    layers = {each.urn: each.layer for each in recording.resources}
    edges: set[Edge] = set()
    for each in recording.resources:
        # A layer waits for all that its own dependencies and those of its objects belong to.
        needed = {layers.get(urn, "") for urn in (*each.dependencies, *_provider(each))}
        edges |= {(other, each.layer) for other in needed if other and each.layer and other != each.layer}
    return sorted({name for name in layers.values() if name}), reduced(edges)


def of_objects(recording: Recording) -> tuple[Mapping[str, list[str]], list[Edge]]:
    """The resources of each layer by their titles, and which wait for which."""
    titles = {each.urn: _title(each) for each in recording.resources if each.request.custom}
    layers: dict[str, list[str]] = {}
    for each in recording.resources:
        if each.urn in titles:
            layers.setdefault(each.layer or "stack", []).append(titles[each.urn])
    edges = {
        (titles[urn], titles[each.urn])
        for each in recording.resources
        if each.urn in titles
        for urn in each.dependencies
        if urn in titles
    }
    return {name: sorted(members) for name, members in sorted(layers.items())}, reduced(edges)


def reduced(edges: Iterable[Edge]) -> list[Edge]:
    """The edges without those that a longer way says already."""
    every = set(edges)
    after: dict[str, set[str]] = {}
    for first, second in every:
        after.setdefault(first, set()).add(second)

    def reachable(start: str) -> set[str]:
        found: set[str] = set()
        waiting = list(after.get(start, ()))
        while waiting:
            here = waiting.pop()
            if here not in found:
                found.add(here)
                waiting += after.get(here, ())
        return found

    beyond = {name: reachable(name) for name in after}
    return sorted(
        (first, second)
        for first, second in every
        if not any(second in beyond.get(other, ()) for other in after[first] - {second})
    )


def drawn(recording: Recording, style: Format, *, objects: bool) -> str:
    """The graph as text."""
    if style is Format.SVG:
        names, edges = of_layers(recording)
        members = of_objects(recording)[0]
        return svg({name: members.get(name, []) if objects else [] for name in names}, edges)
    if objects:
        groups, edges = of_objects(recording)
    else:
        names, edges = of_layers(recording)
        groups = {"": names}
    return _mermaid(groups, edges) if style is Format.MERMAID else _dot(groups, edges)


def _mermaid(groups: Mapping[str, list[str]], edges: Iterable[Edge]) -> str:
    ids = {name: f"n{number}" for number, name in enumerate(name for members in groups.values() for name in members)}
    lines = ["graph LR"]
    for group, members in groups.items():
        nodes = [f"{ids[name]}[{json.dumps(name)}]" for name in members]
        lines += (
            [f"  subgraph {group}", *(f"    {node}" for node in nodes), "  end"] if group else [f"  {n}" for n in nodes]
        )
    lines += [f"  {ids[first]} --> {ids[second]}" for first, second in edges]
    return "\n".join(lines)


def _dot(groups: Mapping[str, list[str]], edges: Iterable[Edge]) -> str:
    lines = ["digraph maas {", "  rankdir=LR;", "  node [shape=box];"]
    for group, members in groups.items():
        nodes = [f"{json.dumps(name)};" for name in members]
        head = f"  subgraph {json.dumps(f'cluster_{group}')} {{ label={json.dumps(group)};"
        lines += [head, *(f"    {node}" for node in nodes), "  }"] if group else [f"  {node}" for node in nodes]
    lines += [f"  {json.dumps(first)} -> {json.dumps(second)};" for first, second in edges]
    return "\n".join([*lines, "}"])


def _provider(resource: Resource) -> tuple[str, ...]:
    return (resource.provider.rpartition("::")[0],) if resource.provider else ()


def _title(resource: Resource) -> str:
    return f"{resource.type.rsplit(':', 1)[-1]} {resource.name}"
