"""Runs in a process of its own: record the stacks of one tree with that tree's program, and write them as JSON.

The recorder is this revision's, so that both sides are read in the same way; `config` and `components` come from the
tree that is asked about. Call: `python -m cli.diff.worker <tree> <stack>...`
"""

import hashlib
import importlib
import json
import re
import sys
from collections.abc import Mapping
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any, cast

import pulumi
from pydantic import BaseModel, RootModel, SecretStr

from cli.exits import MaasError
from cli.program import redact
from cli.program.elsewhere import step_into
from cli.program.policies import of_recording
from cli.program.recorder import Recording, RecordingError, Resource, record
from cli.stacks.stackfile import full_keys, read, stack_config, stack_file, with_shared
from policy.rules import Violation, check

_SECRET_SETTINGS = {"apiKeys"}
_VERSION = re.compile(
    r"(?:^# renovate: datasource=(?P<datasource>\S+) depName=(?P<package>\S+)[^\n]*\n)?"
    r"^(?P<name>[A-Z][A-Z0-9_]*) = \"(?P<value>[^\"]+)\"$",
    re.MULTILINE,
)


def snapshot(tree: Path, stack: str) -> dict[str, Any]:
    """One stack of a tree as plain data; see `cli.diff.snapshot`."""
    try:
        values, secrets = stack_config(stack, tree)
        found = of_values(stack, values, secrets, tree / "__main__.py")
    except (pulumi.RunError, MaasError, RecordingError) as error:
        return {"stack": stack, "refused": str(error)}
    except Exception as error:  # noqa: BLE001 - another revision's program may fail in any way; the report says how
        return {"stack": stack, "refused": f"The program ended with {type(error).__name__}: {error}"}
    given = fingerprinted(with_shared(full_keys(read(stack_file(stack, tree)).get("config") or {}, "maas"), tree))
    return {**found, "given": given, "versions": versions(tree)}


def of_values(stack: str, values: Mapping[str, str], secrets: frozenset[str], program: Path) -> dict[str, Any]:
    """What a program makes of a configuration.

    Raises:
        pulumi.RunError: The program refused.
    """
    recording = record(stack, values, secrets, program)
    return {
        "stack": stack,
        "items": [_item(each) for each in recording.resources if each.request.custom],
        "outputs": _outputs(recording),
        "settings": settings(stack, values, secrets),
        "violations": [_violation(each) for each in check(of_recording(recording, values))],
    }


def _violation(each: Violation) -> list[str]:
    return [each.level.value, each.rule, each.where, each.text]


def settings(stack: str, values: Mapping[str, str], secrets: frozenset[str]) -> object:
    """Every setting as the tree's own models read it; empty when they are not where they are today."""
    try:
        source = importlib.import_module("config.source")
        root = importlib.import_module("config.settings").Settings
        loaded = root.load(stack, source.parsed(values), {key.removeprefix("maas:") for key in secrets})
    except (ImportError, AttributeError, TypeError):
        return {}
    return plain(loaded)


def plain(value: object) -> object:
    """A settings model as JSON can have it: the names that users write, sets in order, no secret."""
    if isinstance(value, RootModel):
        return plain(cast("RootModel[object]", value).root)
    if isinstance(value, BaseModel):
        fields = type(value).model_fields
        named = {field.alias or name: getattr(value, name) for name, field in fields.items()}
        return {name: plain(each) for name, each in sorted(named.items()) if name not in _SECRET_SETTINGS}
    if isinstance(value, Mapping):
        entries = cast("Mapping[object, object]", value)
        return {str(plain(key)): plain(each) for key, each in sorted(entries.items(), key=lambda item: str(item[0]))}
    if isinstance(value, frozenset | set):
        return sorted((plain(each) for each in cast("frozenset[object]", value)), key=str)
    if isinstance(value, list | tuple):
        return [plain(each) for each in cast("tuple[object, ...]", value)]
    return _plain_leaf(value)


def _plain_leaf(value: object) -> object:
    if isinstance(value, SecretStr):
        return redact.REDACTED
    if isinstance(value, Enum):
        return plain(value.value)
    if isinstance(value, Decimal):
        return format(value, "f")
    return value if value is None or isinstance(value, str | bool | int | float) else str(value)


def fingerprinted(value: object) -> object:
    """A stack file's settings, a fingerprint for each encrypted value: that it changed shows, its text does not."""
    if isinstance(value, Mapping):
        entries = cast("Mapping[str, object]", value)
        if set(entries) == {"secure"}:
            digest = hashlib.sha256(str(entries["secure"]).encode()).hexdigest()[:12]
            return f"encrypted {digest}"
        return {str(key): fingerprinted(each) for key, each in entries.items()}
    if isinstance(value, list):
        return [fingerprinted(each) for each in cast("list[object]", value)]
    return value if value is None or isinstance(value, str | bool | int | float) else str(value)


def versions(tree: Path) -> dict[str, list[str]]:
    """The text constants of config/versions.py with what Renovate is told of them."""
    try:
        text = (tree / "config" / "versions.py").read_text(encoding="utf-8")
    except OSError:
        return {}
    return {
        found["name"]: [found["value"], found["datasource"] or "", found["package"] or ""]
        for found in _VERSION.finditer(text)
    }


def _item(resource: Resource) -> dict[str, Any]:
    request = resource.request
    return {
        "urn": _short(resource.urn),
        "type": resource.type,
        "layer": resource.layer,
        "inputs": redact.manifest(resource.inputs, resource.secrets),
        "aliases": _aliases(resource),
        "replaceOnChanges": sorted(request.replaceOnChanges),
        "retained": bool(request.retainOnDelete),
    }


def _aliases(resource: Resource) -> list[str]:
    request = resource.request
    specs = cast("list[Any]", list(request.aliases))  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType] - no types in the SDK
    return sorted({*(_alias(each, resource) for each in specs), *map(_short, request.aliasURNs)})


def _alias(alias: Any, resource: Resource) -> str:  # noqa: ANN401 - a message of the SDK, which has no types
    """The URN that an alias stands for, as far as it names type and name; a parent's is taken as it is now."""
    if alias.urn:
        return _short(str(alias.urn))
    chain, name = _short(resource.urn).rsplit("::", 1)
    parents = chain.rpartition("$")[0]
    type_ = str(alias.spec.type) or resource.type
    chain = type_ if alias.spec.noParent or not parents else f"{parents}${type_}"
    return f"{chain}::{alias.spec.name or name}"


def _short(urn: str) -> str:
    """A URN without `urn:pulumi:<stack>::<project>::`."""
    return urn.split("::", 2)[-1]


def _outputs(recording: Recording) -> dict[str, Any]:
    return {
        name: redact.REDACTED if name in recording.secret_outputs else value
        for name, value in recording.outputs.items()
    }


def main(arguments: list[str]) -> None:
    """Write the stacks of a tree to stdout."""
    tree = Path(arguments[0]).resolve()
    step_into(tree)
    found = [snapshot(tree, stack) for stack in arguments[1:]]
    json.dump(found, sys.stdout, sort_keys=True)


if __name__ == "__main__":
    main(sys.argv[1:])
