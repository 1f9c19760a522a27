"""What the engine would do with each resource: create, change, replace, delete, and which fields are why."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import cast

from cli.diff.fields import ABSENT, Field, changed_fields
from cli.diff.snapshot import Item, Snapshot
from cli.program.urns import STACK_TYPE
from sandbox.provider.replacement import forces_replacement, immutable_fields

_PROVIDER = "pulumi:providers:kubernetes"
_CLUSTER = "clusterIdentifier"
_RELEASE_IDENTITY = ("name", "namespace")
"""A Helm release cannot be moved (pulumi-kubernetes, provider/helm_release.go)."""


class Action(StrEnum):
    """What happens to a resource."""

    CREATE = "create"
    UPDATE = "update"
    REPLACE = "replace"
    DELETE = "delete"
    MOVE = "move"
    """The same object under another URN, without an alias: created where it is, then deleted."""


@dataclass(frozen=True)
class Change:
    """One resource that does not stay as it is."""

    action: Action
    before: Item | None
    after: Item | None
    fields: tuple[Field, ...] = ()
    """What differs; empty for what comes or goes whole."""
    because: tuple[str, ...] = ()
    """For a replacement: paths that cannot be changed in place."""

    @property
    def item(self) -> Item:
        """As it will be; as it was, when it goes."""
        return cast("Item", self.after or self.before)


@dataclass(frozen=True)
class Pairs:
    """Resources by what became of them."""

    kept: Sequence[tuple[Item, Item]] = field(default_factory=list[tuple[Item, Item]])
    came: Sequence[Item] = field(default_factory=list[Item])
    went: Sequence[Item] = field(default_factory=list[Item])


def changes(before: Snapshot, after: Snapshot) -> list[Change]:
    """The resources that do not stay as they are, by layer, kind and place."""
    pairs = _pairs(before.items, after.items)
    new_cluster = _moves_to_another_cluster(pairs)
    found = [change for old, new in pairs.kept if (change := _kept(old, new, new_cluster=new_cluster))]
    went = {each.identity: each for each in pairs.went if each.is_object and not each.is_patch}
    for item in pairs.came:
        old = went.pop(item.identity, None) if item.is_object and not item.is_patch else None
        if old:
            found.append(Change(Action.MOVE, old, item, tuple(changed_fields(old.inputs, item.inputs))))
        else:
            found.append(Change(Action.CREATE, None, item))
    moved = {id(each.before) for each in found if each.action is Action.MOVE}
    found += [Change(Action.DELETE, item, None) for item in pairs.went if id(item) not in moved]
    return sorted(
        found, key=lambda each: (each.item.layer, each.item.kind, each.item.place, each.action, each.item.urn)
    )


def _pairs(before: Iterable[Item], after: Iterable[Item]) -> Pairs:
    left = {each.urn: each for each in before}
    kept: list[tuple[Item, Item]] = []
    came: list[Item] = []
    for item in after:
        urn = next((each for each in (item.urn, *item.aliases) if each in left), None)
        if urn is None:
            came.append(item)
        else:
            kept.append((left.pop(urn), item))
    return Pairs(kept, came, list(left.values()))


def _moves_to_another_cluster(pairs: Pairs) -> bool:
    return any(
        old.type == _PROVIDER and old.inputs.get(_CLUSTER) != new.inputs.get(_CLUSTER) for old, new in pairs.kept
    )


def _kept(old: Item, new: Item, *, new_cluster: bool) -> Change | None:
    fields = changed_fields(old.inputs, new.inputs)
    if new_cluster and new.type != _PROVIDER:
        return Change(Action.REPLACE, old, new, tuple(fields), ("another cluster",))
    if not fields:
        return None
    because = tuple(dict.fromkeys(each.path for each in fields if _cannot_stay(each, old, new)))
    return Change(Action.REPLACE if because else Action.UPDATE, old, new, tuple(fields), because)


def _cannot_stay(each: Field, old: Item, new: Item) -> bool:
    value = each.before if each.after is ABSENT else each.after
    return forces_replacement(each.steps, value, [*_immutable(old, new), *new.replace_on_changes])


def _immutable(old: Item, new: Item) -> tuple[str, ...]:
    if new.type == _PROVIDER:
        return (_CLUSTER,)
    if not new.is_object:
        return _RELEASE_IDENTITY if new.kind == "Release" else ()
    # The stack's provider has both kinds of data mutable; see components/cluster.py.
    return immutable_fields(
        dict(old.inputs), dict(new.inputs), config_map_mutable=True, secret_mutable=True, patch=new.is_patch
    )


def counts(found: Iterable[Change]) -> Mapping[str, int]:
    """How many of each action, in the order of `Action`."""
    actions = [each.action for each in found if each.item.type != STACK_TYPE]
    return {action.value: actions.count(action) for action in Action if action in actions}
