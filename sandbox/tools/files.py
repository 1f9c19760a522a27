"""Putting finished things into the cache whole, or not at all; reading the end of what a program wrote."""

import os
import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

_PREFIX = ".partial-"


@contextmanager
def partial_folder(parent: Path) -> Generator[Path]:
    """A folder to prepare something in, next to where it will be; gone afterwards, whatever happened.

    The caller holds the lock of `parent`: a partial folder that is found there was left by a run that was killed, and
    is removed.
    """
    parent.mkdir(parents=True, exist_ok=True)
    for leftover in parent.glob(_PREFIX + "*"):
        shutil.rmtree(leftover, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def publish(partial: Path, target: Path) -> None:
    """Rename a prepared file or folder to its final name, once its content is on disk; replaces what was there."""
    for path in (partial, *partial.rglob("*")) if partial.is_dir() else (partial,):
        if path.is_file() and not path.is_symlink():
            _sync(path)
    if partial.is_dir():
        _sync(partial)
        if target.exists():
            shutil.rmtree(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial.replace(target)
    _sync(target.parent)


def write_whole(target: Path, content: bytes, mode: int = 0o644) -> None:
    """Write a file so that a reader, or a run after a crash, sees the old content or the new one, never a part."""
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=_PREFIX, dir=target.parent)
    partial = Path(name)
    try:
        with os.fdopen(handle, "wb") as out:
            out.write(content)
            os.fchmod(out.fileno(), mode)
        publish(partial, target)
    finally:
        partial.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def last_lines(log: Path, most: int, widest: int = 300) -> list[str]:
    """The end of a log: at most so many lines, each cut off at a width; none where the file cannot be read.

    Only the last 4,000 bytes are looked at: a log may be of any size.
    """
    try:
        with log.open("rb") as content:
            content.seek(max(0, log.stat().st_size - 4000))
            lines = content.read().decode(errors="replace").strip().splitlines()
    except OSError:
        return []
    return [line[:widest] for line in lines[-most:]]
