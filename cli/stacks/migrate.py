"""`./maas config migrate`: a stack file rewritten for the version of the schema that this program reads."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from cli.exits import Exit, MaasError
from cli.models.edit import changed, difference, with_first_setting
from cli.paths import ROOT
from cli.stacks.stackfile import full_keys, read, stack_file
from config.migrations import SCHEMA, VERSION_KEY, pending, version_of
from config.settings import NAMESPACE
from config.shared import EXTENDS, FOLDER, names
from sandbox.go_yaml import load
from sandbox.tools.files import write_whole


def migrate(stack: str, root: Path = ROOT, *, dry_run: bool = False) -> str:
    """Rewrite what older files say otherwise, and note the version; all else stays, byte for byte.

    What the stack shares with others is rewritten too: written the new way it means the same to all of them.

    Returns:
        The change, as a unified diff; empty when there is none to make.

    Raises:
        MaasError: The file is for a newer version, or one is laid out so that it has to be changed by hand.
    """
    path = stack_file(stack, root).resolve()
    read(path)  # says which stacks there are
    old = path.read_bytes().decode("utf-8")
    changes = {path: (old, migrated(old, path.name))}
    own = _values(old)
    for shared in _extended(own, root):
        text = shared.read_bytes().decode("utf-8")
        changes[shared] = (text, _rewritten(text, version_of(own)))
    differences: list[str] = []
    for each, (before, after) in changes.items():
        if before != after:
            if not dry_run:
                write_whole(each, after.encode("utf-8"), each.stat().st_mode & 0o777)
            differences.append(difference(before, after, each.relative_to(path.parent).as_posix()))
    return "\n".join(differences)


def migrated(text: str, name: str) -> str:
    """The text of a stack file for this version of the schema; the same when it is that already.

    Raises:
        MaasError: See `migrate`.
    """
    values = _values(text)
    written = cast("object", values.get(VERSION_KEY))
    if isinstance(written, int) and written > SCHEMA:
        why = f"{name} is for version {written} of the schema, and this program knows up to {SCHEMA}"
        raise MaasError(f"{why}: take the release that it was written for, or a newer one.", code=Exit.CONFIG)
    if written is not None and (isinstance(written, bool) or version_of(values) != written):
        raise MaasError(f"{name}: maas:{VERSION_KEY} is {written!r}, which is no version.", code=Exit.CONFIG)
    text = _rewritten(text, version_of(values))
    return text if written == SCHEMA else with_first_setting(text, VERSION_KEY, SCHEMA)


def _rewritten(text: str, version: int) -> str:
    for change in pending({**_values(text), VERSION_KEY: version}):
        text = changed(text, change)
    return text


def _extended(values: Mapping[str, Any], root: Path) -> list[Path]:
    """The files that a stack extends, as far as they are there; that one is missing is said when the stack is read."""
    folder = (root / FOLDER.name).resolve()
    return [path for name in names(values.get(EXTENDS)) if (path := folder / f"{name}.yaml") in folder.glob("*.yaml")]


def _values(text: str) -> dict[str, Any]:
    config = cast("Mapping[str, Any]", cast("Mapping[str, Any]", load(text) or {}).get("config") or {})
    return {key.removeprefix(f"{NAMESPACE}:"): each for key, each in full_keys(config, NAMESPACE).items()}
