"""Copies of a stack's state, numbered, in a private folder beside the state's own.

A copy is an export of the state, compressed, with its digest in its name. Secrets are encrypted in it, as they are in
the state, and the passphrase is not in it.
"""

import gzip
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from cli.exits import Exit, MaasError
from cli.files import private_folder
from cli.state.deployment import Export, digest
from sandbox.tools.files import write_whole

MANUAL = "manual"
"""Copies that somebody asked for, which stay until somebody deletes them."""
_NAME = re.compile(r"(?P<number>\d{6})-(?P<reason>[a-z-]+)-(?P<digest>[0-9a-f]{12})\.json\.gz")
_PRIVATE = 0o600


@dataclass(frozen=True)
class Backup:
    """One copy."""

    path: Path
    number: int
    """Grows by one from copy to copy: a clock may be set back."""
    reason: str
    digest: str

    @property
    def when(self) -> str:
        """When it was written, in UTC."""
        return datetime.fromtimestamp(self.path.stat().st_mtime, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


@dataclass(frozen=True)
class Backups:
    """The copies of one stack's state."""

    folder: Path
    keep: int
    """How many of those that were taken by themselves stay."""

    def all(self) -> list[Backup]:
        """Every copy, newest first."""
        found = [
            Backup(path, int(match["number"]), match["reason"], match["digest"])
            for path in self.folder.glob("*.json.gz")
            if (match := _NAME.fullmatch(path.name))
        ]
        return sorted(found, key=lambda each: -each.number)

    def take(self, export: Export, reason: str) -> Backup | None:
        """Write a copy, unless the newest says the same; those that are too many go.

        Raises:
            OSError: It cannot be written.
        """
        others, mark = self.all(), digest(export)
        if reason != MANUAL and others and others[0].digest == mark:
            return None
        number = others[0].number + 1 if others else 1
        path = private_folder(self.folder) / f"{number:06d}-{reason}-{mark}.json.gz"
        write(path, export)
        taken = Backup(path, number, reason, mark)
        own = [each for each in (taken, *others) if each.reason != MANUAL]
        for each in own[self.keep :]:
            each.path.unlink(missing_ok=True)
        return taken

    def find(self, name: str) -> Backup | None:
        """A copy by its number."""
        return next((each for each in self.all() if name.isdigit() and each.number == int(name)), None)

    def newest(self) -> tuple[Backup, Export] | None:
        """The newest copy that can be read, and what is in it."""
        for each in self.all():
            try:
                return each, load(each.path)
            except MaasError:
                continue
        return None


def write(path: Path, export: Export) -> None:
    """Write a copy in one step, for its owner's eyes only; compressed, unless the name says otherwise."""
    content = (json.dumps(export, indent=None if path.suffix == ".gz" else 2) + "\n").encode()
    write_whole(path, gzip.compress(content, mtime=0) if path.suffix == ".gz" else content, _PRIVATE)


def load(path: Path) -> Export:
    """Read a copy, or an export of `pulumi stack export`.

    Raises:
        MaasError: It is not there, is no export, or is not what its name says.
    """
    try:
        content = path.read_bytes()
        found = cast("object", json.loads(gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content))
    except FileNotFoundError:
        raise MaasError(f"There is no backup {path}.", code=Exit.USAGE) from None
    except (OSError, EOFError, ValueError) as error:
        raise MaasError(f"Backup {path} cannot be read: {error}") from error
    if not _is_export(found):
        raise MaasError(f"{path} is no state: it has no `version` and `deployment`.", code=Exit.USAGE)
    export = cast("Export", found)
    match = _NAME.fullmatch(path.name)
    if match and match["digest"] != digest(export):
        raise MaasError(f"Backup {path} was changed after it was written: its digest is {digest(export)}.")
    return export


def _is_export(content: object) -> bool:
    if not isinstance(content, dict):
        return False
    found = cast("dict[str, Any]", content)
    return isinstance(found.get("version"), int) and isinstance(found.get("deployment"), dict)
