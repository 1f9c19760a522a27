"""One stack before and after: what changes, what that means, and what to look at twice."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from cli.diff import effects, notes, security
from cli.diff.changes import Action, Change, changes, counts
from cli.diff.meaning import meaning, said
from cli.diff.snapshot import Item, Snapshot
from cli.diff.words import count
from cli.stacks.stackfile import mapping
from policy.rules.resource import entries

_WHAT_GOES = {
    "Namespace": "with everything in it",
    "CustomResourceDefinition": "with every object of its kind",
    "Release": "what it installed is uninstalled",
    "Subscription": "the operator gets no more updates",
    "ClusterServiceVersion": "the operator is uninstalled",
    "Kuadrant": "nothing enforces the policies any more",
    "Gateway": "nothing answers at its address",
    "InferenceService": "the model stops",
    "LLMInferenceService": "the model stops",
    "PersistentVolumeClaim": "with what is stored on it",
    "Secret": "keys in it stop working",
    "ExternalSecret": "its key stops working",
    "HTTPRoute": "nothing answers there any more",
}
_WHAT_ANEW = {
    "Namespace": "everything in it is deleted first",
    "Gateway": "it may get another address, and nothing answers meanwhile",
    "InferenceService": "the model is away until the new one is ready",
    "LLMInferenceService": "the model is away until the new one is ready",
    "Release": "what it installed is uninstalled and installed anew",
    "Kuadrant": "no policy is enforced meanwhile",
    "HTTPRoute": "nothing answers there meanwhile",
}
_QUIET_ANEW = {"Secret", "ExternalSecret"}
"""A user's Secret has its content in its name: another one is how it changes, and no reason to worry."""


class Topic(StrEnum):
    """Why a change deserves a second look, the gravest first."""

    POLICY = "policy violated"
    SECURITY = "security loosened"
    QUOTA = "quota lost"
    REPLACED = "replaced"
    DELETED = "deleted"
    MOVED = "moved"


@dataclass(frozen=True)
class Warning:  # noqa: A001 - the report's own word
    """One thing to look at twice."""

    topic: Topic
    text: str


@dataclass(frozen=True)
class StackDiff:
    """What becomes of one stack."""

    stack: str
    status: str
    """`changed`, `unchanged`, `added`, `removed`, `refused` (as it is now) or `base refused`."""
    summary: Sequence[str] = ()
    warnings: Sequence[Warning] = ()
    changes: Sequence[Change] = ()
    problem: str = ""
    """Why the program refuses."""
    counts: Mapping[str, int] = field(default_factory=dict[str, int])


def compare(stack: str, before: Snapshot | None, after: Snapshot | None) -> StackDiff:
    """Compare two snapshots of a stack; None stands for a revision that has no file of it."""
    if after is not None and after.refused:
        return StackDiff(stack, "refused", problem=after.refused)
    if before is not None and before.refused and after is not None:
        words = f"what it has after the change: {count(len(after.items), 'resource')}"
        return StackDiff(stack, "base refused", summary=[words], problem=before.refused)
    old, new = before or Snapshot(stack), after or Snapshot(stack)
    if after is None:
        left = (
            f"what it deployed stays on the cluster ({count(len(old.items), 'resource')}): "
            f"`./maas destroy --stack {stack}` takes it away, where the file still is"
        )
        return StackDiff(stack, "removed", [left])
    found = changes(old, new)
    if before is None:
        lines = [f"stack added: {count(len(new.items), 'resource')}"]
        return StackDiff(stack, "added", lines, list(_violations(old, new)), found, counts=counts(found))
    old, new = replace(old, settings=said(old, new)), replace(new, settings=said(new, old))
    restarting = effects.restarting(found, new)
    lines = meaning(old, new, restarting) + notes.version_lines(old, new, _text(old), _text(new))
    if not found and not lines:
        return StackDiff(stack, "unchanged")
    known = {line.split(":")[0] for line in lines}
    lines += [
        f"model `{name}`: restart ({why})" for name, why in sorted(restarting.items()) if f"model `{name}`" not in known
    ]
    return StackDiff(stack, "changed", lines, list(_warnings(old, new, found)), found, counts=counts(found))


def _text(snapshot: Snapshot) -> str:
    return json.dumps([each.inputs for each in snapshot.items], default=str)


def _warnings(before: Snapshot, after: Snapshot, found: Sequence[Change]) -> Iterator[Warning]:
    yield from _violations(before, after)
    yield from (Warning(Topic.SECURITY, line) for line in security.loosened(before, after, found))
    yield from (Warning(Topic.QUOTA, line) for line in effects.lost_quotas(before, after, found))
    yield from (Warning(Topic.REPLACED, line) for line in _replaced(found))
    yield from (Warning(Topic.DELETED, line) for line in _deleted(found, after))
    for each in found:
        if each.action is Action.MOVE:
            text = (
                f"{each.item.title} has another place in the program ({each.before and each.before.urn} to "
                f"{each.item.urn}): without an alias it is written anew and then deleted"
            )
            yield Warning(Topic.MOVED, text)


def _violations(before: Snapshot, after: Snapshot) -> Iterator[Warning]:
    for level, rule, where, text in after.violations:
        if (level, rule, where, text) not in before.violations:
            yield Warning(Topic.POLICY, f"{rule} ({level}): {where}: {text}")


def _replaced(found: Iterable[Change]) -> Iterator[str]:
    for each in found:
        if each.action is Action.REPLACE and each.item.kind not in _QUIET_ANEW:
            words = _WHAT_ANEW.get(each.item.kind)
            yield f"{each.item.title} ({', '.join(each.because)})" + (f": {words}" if words else "")


def _deleted(found: Iterable[Change], after: Snapshot) -> Iterator[str]:
    answered = {place for item in after.items for place in _answered(item)}
    for each in found:
        if each.action is Action.DELETE:
            words = "stays on the cluster" if each.item.retained else _WHAT_GOES.get(each.item.kind)
            if each.item.kind == "HTTPRoute" and _answered(each.item) <= answered:
                words = "another one answers in its place"
            yield each.item.title + (f": {words}" if words else "")


def _answered(item: Item) -> set[tuple[str, str]]:
    """The hosts and paths of an HTTPRoute; nothing for anything else."""
    if item.kind != "HTTPRoute":
        return set()
    spec = mapping(item.inputs.get("spec"))
    matches = [match for rule in entries(spec.get("rules")) for match in entries(rule.get("matches"))]
    paths = {str(mapping(match.get("path")).get("value", "/")) for match in matches} or {"/"}
    return {(str(host), path) for host in spec.get("hostnames") or [""] for path in paths}
