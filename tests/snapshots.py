"""Snapshots of the stacks of this tree, as they are and with changed settings, made in this process."""

import json
from collections.abc import Callable
from functools import cache
from typing import Any

from cli.diff.snapshot import Snapshot
from cli.diff.worker import of_values, versions
from cli.paths import ROOT
from cli.stacks.stackfile import stack_config

Edit = Callable[[dict[str, Any]], None]


def edited(stack: str, edit: Edit | None = None) -> Snapshot:
    """A stack after `edit` has changed its settings in place: sections by name, `domain` a text."""
    values, secrets = stack_config(stack)
    sections: dict[str, Any] = {
        key.removeprefix("maas:"): text if key == "maas:domain" else json.loads(text)
        for key, text in values.items()
        if key.startswith("maas:")
    }
    if edit:
        edit(sections)
    changed = {f"maas:{key}": each if isinstance(each, str) else json.dumps(each) for key, each in sections.items()}
    given = {f"maas:{key}": each for key, each in sections.items()}
    content = of_values(stack, {**values, **changed}, secrets, ROOT / "__main__.py")
    return Snapshot.from_json(json.loads(json.dumps({**content, "given": given, "versions": versions(ROOT)})))


@cache
def unchanged(stack: str) -> Snapshot:
    """A stack as it is; frozen, so that tests may share it."""
    return edited(stack)
