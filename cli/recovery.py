"""Put a local file backend right after a run that was killed: dead locks, engines without an owner, a broken snapshot.

Nothing here deletes state: a snapshot that cannot be read is kept beside the one that replaces it.
"""

import json
import shutil
import signal
import socket
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import psutil

from cli.engine import OWNER
from cli.exits import MaasError
from cli.urns import STACK_TYPE
from sandbox.progress import Reporter

_ASK_SECONDS = 10.0
"""How long an engine has, after SIGINT, to save its state."""
_ATTRIBUTES = ".attrs"
_META = "version: 1\n"
"""What the engine writes into a new store: stacks are kept by project."""
_ORGANIZATION = "organization"  # what a file backend calls the owner of all its stacks


@dataclass(frozen=True)
class Lock:
    """A stack's lock, as the engine writes it."""

    path: Path
    pid: int
    host: str

    @property
    def is_dead(self) -> bool:
        """Whether the process that took it has gone, as far as this machine can tell."""
        return self.host == socket.gethostname() and not _is_engine(self.pid)


@dataclass(frozen=True)
class Backend:
    """One stack in a backend that is a folder."""

    url: str
    folder: Path
    project: str
    stack: str

    @property
    def snapshot(self) -> Path:
        """The file of the stack's state."""
        return self.folder / ".pulumi" / "stacks" / self.project / f"{self.stack}.json"

    @property
    def exists(self) -> bool:
        """Whether the stack has been made."""
        return self.snapshot.is_file()

    def locks(self) -> list[Lock]:
        """The locks on the stack; one that cannot be read (cut short by a crash) has no holder."""
        folder = self.folder / ".pulumi" / "locks" / _ORGANIZATION / self.project / self.stack
        return [_read_lock(path) for path in sorted(folder.glob("*.json"))]

    def pending_operations(self) -> int:
        """How many operations the last run left half done."""
        return len(cast("list[object]", _latest(self.snapshot).get("pending_operations") or []))

    def urns(self) -> list[str]:
        """The resources that the state has, but for the stack itself."""
        resources = cast("list[dict[str, Any]]", _latest(self.snapshot).get("resources") or [])
        return [str(each.get("urn", "")) for each in resources if each.get("type") != STACK_TYPE]


def recover(backend: Backend, reporter: Reporter) -> None:
    """End engines whose owner was killed, clear the locks of the dead, and restore a broken snapshot.

    Raises:
        MaasError: Somebody else is working on the stack; or the snapshot is broken and has no backup.
    """
    for engine in orphans(backend):
        reporter.note(f"An earlier run was killed and left its engine (process {engine.pid}) behind: ending it.")
        end(engine)
    for lock in backend.locks():
        if not lock.is_dead:
            raise MaasError(
                f"Stack {backend.stack} is locked by process {lock.pid} on {lock.host}. Wait for it to end. If it is "
                f"not there any more, remove {lock.path} and run the command again."
            )
        lock.path.unlink(missing_ok=True)
        lock.path.with_name(lock.path.name + _ATTRIBUTES).unlink(missing_ok=True)
        reporter.note(f"Cleared the lock of process {lock.pid}, which is gone.")
    mend_sidecars(backend)
    if restored := restore(backend):
        reporter.note(
            f"The stack's state could not be read; took the backup {restored.name} (the broken file is kept)."
        )


def orphans(backend: Backend) -> list[psutil.Process]:
    """Engines that we started on this backend and whose owner is no more."""
    found: list[psutil.Process] = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if _is_engine_process(process):
                environment = process.environ()
                if environment.get("PULUMI_BACKEND_URL") == backend.url and not owner_lives(environment.get(OWNER, "")):
                    found.append(process)
    return found


def owner_lives(mark: str) -> bool:
    """Whether the process that `owner_mark` wrote is still there; true for an engine that is not ours."""
    pid, _, created = mark.partition(":")
    if not pid or not created:
        return True
    try:
        process = psutil.Process(int(pid))
        return f"{process.create_time():.2f}" == created and process.status() != psutil.STATUS_ZOMBIE
    except (psutil.Error, ValueError):
        return False


def end(engine: psutil.Process) -> None:
    """Ask an engine to cancel and save; kill it when it does not."""
    for number, patience in ((signal.SIGINT, _ASK_SECONDS), (signal.SIGKILL, _ASK_SECONDS)):
        try:
            engine.send_signal(number)
            engine.wait(timeout=patience)
        except psutil.TimeoutExpired:
            continue
        except psutil.NoSuchProcess:
            return
        return


def mend_sidecars(backend: Backend) -> None:
    """Put right the small files around the snapshot, which the engine does not write in one step.

    Each file has a `.attrs` beside it with no more than a content type and a checksum: without it all is well, with
    half of it every command fails ("failed to load checkpoint: EOF"). `meta.yaml` has one line, the layout's version.
    """
    store = backend.folder / ".pulumi"
    meta = store / "meta.yaml"
    for path in [meta, *backend.snapshot.parent.glob("*"), *_copies(backend)]:
        attributes = path if path.suffix == _ATTRIBUTES else path.with_name(path.name + _ATTRIBUTES)
        if attributes.is_file() and not _is_json(attributes):
            attributes.unlink()
    if meta.is_file() and not meta.read_text(encoding="utf-8").strip():
        meta.write_text(_META, encoding="utf-8")
        meta.with_name(meta.name + _ATTRIBUTES).unlink(missing_ok=True)


def restore(backend: Backend) -> Path | None:
    """Replace a snapshot that cannot be read by the backend's newest copy that can.

    Returns:
        The copy that was taken; None when there was nothing to mend.

    Raises:
        MaasError: No copy can be read.
    """
    snapshot = backend.snapshot
    if not snapshot.is_file() or _is_snapshot(snapshot):
        return None
    for copy in _copies(backend):
        if _is_snapshot(copy):
            shutil.copy2(snapshot, _unused(snapshot.with_suffix(".json.broken")))
            new = snapshot.with_suffix(".json.restored")
            shutil.copyfile(copy, new)
            new.replace(snapshot)
            snapshot.with_name(snapshot.name + _ATTRIBUTES).unlink(missing_ok=True)  # a checksum of the broken content
            return copy
    raise MaasError(
        f"The state of stack {backend.stack} cannot be read, and no backup of it can: {snapshot}. "
        "Restore that file, or move it away to begin with an empty stack."
    )


def _copies(backend: Backend) -> Iterator[Path]:
    """Copies of the snapshot that the backend keeps, newest first."""
    previous = backend.snapshot.with_name(backend.snapshot.name + ".bak")
    history = (backend.folder / ".pulumi" / "backups" / backend.project / backend.stack).glob("*.json")
    yield from sorted(
        [previous, *history] if previous.is_file() else history, key=lambda path: -path.stat().st_mtime_ns
    )


def _unused(path: Path) -> Path:
    number = 1
    while (candidate := path.with_name(f"{path.name}-{number}")).exists():
        number += 1
    return candidate


def _is_json(path: Path) -> bool:
    try:
        json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return True


def _is_snapshot(path: Path) -> bool:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and "checkpoint" in content


def _latest(path: Path) -> dict[str, Any]:
    try:
        content = cast("dict[str, Any]", json.loads(path.read_text(encoding="utf-8")))
        return cast("dict[str, Any]", content["checkpoint"].get("latest") or {})
    except (OSError, ValueError, KeyError, AttributeError):
        return {}


def _read_lock(path: Path) -> Lock:
    try:
        content = cast("dict[str, Any]", json.loads(path.read_text(encoding="utf-8")))
        return Lock(path, int(content["pid"]), str(content["hostname"]))
    except (OSError, ValueError, KeyError, TypeError):
        return Lock(path, 0, socket.gethostname())


def _is_engine(pid: int) -> bool:
    try:
        return pid > 0 and _is_engine_process(psutil.Process(pid))
    except psutil.Error:
        return False


def _is_engine_process(process: psutil.Process) -> bool:
    return process.name() == "pulumi" and process.status() != psutil.STATUS_ZOMBIE
