"""The project folder of a sandbox: the tracked Pulumi.yaml and Pulumi.sandbox.yaml, plus what must never be tracked.

The engine writes to the stack file it works with (the salt of the passphrase, encrypted values). So the sandbox's stack
gets a copy, in the sandbox's own state folder, that follows the tracked files and keeps what the engine wrote: the salt
and the API keys that were generated for this sandbox, all in one encrypted text. A kind cluster's dev stack gets one in
the same way.
"""

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import yaml

from cli.exits import Exit, MaasError
from cli.files import private_folder, write_private
from cli.paths import ROOT
from cli.stacks.stackfile import (
    API_KEYS,
    PROJECT_FILE,
    SANDBOX,
    full_keys,
    has_secret,
    is_secure,
    mapping,
    read,
    stack_file,
    users_of,
    users_without_key,
    with_shared,
)
from config.merging import merged
from sandbox.go_yaml import load

ENGINE_OWNED = ("encryptionsalt", "encryptedkey", "secretsprovider")
"""What the engine writes into a stack file beside `config`, when it first encrypts a value."""
_KEYED = "keyed-users.json"
"""The users whose keys are settled: they have one, or it was revoked. The ciphertext does not tell who they are."""


def compose(
    folder: Path, root: Path = ROOT, *, stack: str = SANDBOX, overlay: Mapping[str, Any] | None = None
) -> list[str]:
    """Bring the project folder of a sandbox, or of a cluster of our own, in line with the tracked files.

    Args:
        folder: Where the composed files are; made when missing.
        root: Where the tracked files are.
        stack: Which stack.
        overlay: Settings by full key that stand over those of the tracked file, mappings key by key; None takes one
            away.

    Returns:
        The users whose keys are not settled, in alphabetical order: those that have come, and those that have gone.

    Raises:
        MaasError: A tracked file is missing or not usable.
    """
    private_folder(folder)
    project = (root / PROJECT_FILE).read_text(encoding="utf-8") if (root / PROJECT_FILE).is_file() else ""
    name = str(read(root / PROJECT_FILE).get("name", "maas"))
    _write_if_changed(folder / PROJECT_FILE, project)
    target = stack_file(stack, folder)
    tracked = read(stack_file(stack, root))
    config = merged(full_keys(tracked.get("config") or {}, name), overlay or {})
    config = {key: value for key, value in config.items() if value is not None}
    users = users_of(with_shared(config, root))
    composed = merge({**tracked, "config": config}, _earlier(target), name, stack, users)
    text = yaml.dump(composed, Dumper=yaml.CSafeDumper, sort_keys=True, allow_unicode=True, width=120)
    _write_if_changed(target, text)
    return _unsettled(folder, with_shared(composed["config"], root))


def keyed_users(folder: Path) -> frozenset[str]:
    """The users whose keys were settled last."""
    try:
        return frozenset(json.loads((folder / _KEYED).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return frozenset()


def remember_keyed(folder: Path, users: Collection[str]) -> None:
    """Note down whose keys are settled, once they are in the composed stack file."""
    write_private(folder / _KEYED, json.dumps(sorted(users)))


def forget(folder: Path, stack: str) -> None:
    """Forget what the composed stack file has of its own: its salt and its keys; the next `compose` makes both anew."""
    for path in (stack_file(stack, folder), folder / _KEYED):
        path.unlink(missing_ok=True)


def _unsettled(folder: Path, config: Mapping[str, Any]) -> list[str]:
    users = users_of(config)
    if is_secure(config.get(API_KEYS)):
        return sorted(users ^ keyed_users(folder))
    return users_without_key(config)


def merge(
    tracked: Mapping[str, Any],
    earlier: Mapping[str, Any],
    project: str = "maas",
    stack: str = SANDBOX,
    users: Collection[str] | None = None,
) -> dict[str, Any]:
    """The tracked stack file with what an earlier composed one has of its own.

    A key that the tracked file gives wins over a generated one. Keys of others than the stack's users, which are the
    tracked file's unless said otherwise, are left out.

    Raises:
        MaasError: The tracked file has encrypted values, which nobody but their author could decrypt.
    """
    config = full_keys(tracked.get("config") or {}, project)
    if hidden := sorted(key for key, value in config.items() if has_secret(value)):
        raise MaasError(
            f"{stack_file(stack).name} has encrypted values: {', '.join(hidden)}. They cannot be read here, where keys "
            "are generated and stay with the state: remove these values.",
            code=Exit.CONFIG,
        )
    users = users_of(config) if users is None else users
    own = mapping(mapping(earlier.get("config")).get(API_KEYS))
    kept = own if is_secure(own) else {user: own[user] for user in own if user in users and has_secret(own[user])}
    given = mapping(config.get(API_KEYS))
    keys = given if given and is_secure(own) else {**kept, **given}
    if keys:
        config[API_KEYS] = keys
    result = {key: value for key, value in tracked.items() if key not in ENGINE_OWNED}
    return {**result, "config": config, **{key: earlier[key] for key in ENGINE_OWNED if key in earlier}}


def _earlier(path: Path) -> dict[str, Any]:
    """What was composed before. The engine does not write it in one step: a file cut short counts as none."""
    if not path.is_file():
        return {}
    try:
        return read(path)
    except MaasError:
        return {}


def _write_if_changed(path: Path, content: str) -> None:
    """Leave a file alone that already says the same, however the engine formats it."""
    if path.is_file():
        try:
            if load(path.read_text(encoding="utf-8")) == load(content):
                path.chmod(0o600)
                return
        except yaml.YAMLError:
            pass
    write_private(path, content)
