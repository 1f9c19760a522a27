"""What a check has passed on, so that it is not run again on exactly the same.

A type checker has no memory of its own: it takes half a minute to say once more what it has said of the same files.
"""

import hashlib
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from cli.files import private_folder
from cli.paths import ROOT, home
from sandbox.tools.files import write_whole

_SETTINGS = ("pyproject.toml", "requirements.lock")
_SOURCES = (".py", ".pyi")


def fingerprint(command: Sequence[str], root: Path = ROOT) -> str:
    """A hash of all that a check of the sources depends on: its command, the interpreter, its settings, each source.

    Hidden folders are left out, as type checkers leave them out; what `.venv` holds, the lock says.
    """
    found = hashlib.sha256(repr((tuple(command), sys.version)).encode())
    for path in (*(root / name for name in _SETTINGS), *_sources(root)):
        found.update(f"\0{path.relative_to(root)}\0".encode())
        found.update(hashlib.sha256(path.read_bytes()).digest())
    return found.hexdigest()


def has_passed(title: str, found: str) -> bool:
    """Whether the check of that title last passed on this fingerprint."""
    note = _note(title)
    return note.is_file() and note.read_text(encoding="utf-8") == found


def remember(title: str, found: str) -> None:
    """Note that the check of that title passed on this fingerprint."""
    note = _note(title)
    private_folder(note.parent)
    write_whole(note, found.encode(), 0o600)


def _note(title: str) -> Path:
    return home() / "passed" / title


def _sources(root: Path) -> Iterator[Path]:
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(folder, name) for name in sorted(files) if name.endswith(_SOURCES))
