"""Put a local file backend right after a run that was killed: dead locks, engines without an owner, a broken snapshot.

Nothing here deletes state: a snapshot that cannot be read is kept beside the one that replaces it.
"""

import json
import shutil
import signal
import socket
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import psutil

from cli.deploy.engine import OWNER
from cli.exits import MaasError
from cli.files import private_folder, write_private
from cli.state.deployment import Export, as_checkpoint, of_checkpoint, pending, resources
from sandbox.progress import Reporter

_ASK_SECONDS = 10.0
"""How long an engine has, after SIGINT, to save its state."""
_ATTRIBUTES = ".attrs"
_CHECKPOINT_VERSION = 3
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
        return not self.is_elsewhere and not _is_engine(self.pid)

    @property
    def is_whole(self) -> bool:
        """Whether it says who took it."""
        return self.pid > 0

    @property
    def is_elsewhere(self) -> bool:
        """Whether another machine's process took it."""
        return self.host != socket.gethostname()


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
        """The locks on the stack; one that cannot be read (cut short by a crash or a full disk) has no holder.

        The engine reads every file there, also what a full disk has left of one: `<id>.json.<number>.tmp`.
        """
        folder = self.folder / ".pulumi" / "locks" / _ORGANIZATION / self.project / self.stack
        return [_read_lock(path) for path in sorted(folder.glob("*")) if path.suffix != _ATTRIBUTES]

    @property
    def full_name(self) -> str:
        """What the backend calls the stack."""
        return f"{_ORGANIZATION}/{self.project}/{self.stack}"

    def export(self) -> Export | None:
        """The state; None where there is none, or it cannot be read."""
        checkpoint = _checkpoint(self.snapshot)
        return None if checkpoint is None else of_checkpoint(checkpoint)

    def write(self, export: Export) -> None:
        """Replace the state, in one step.

        Raises:
            OSError: It cannot be written.
        """
        self._write(as_checkpoint(export, self.full_name))

    def begin(self) -> None:
        """Write the state of a stack that has nothing yet.

        Raises:
            OSError: It cannot be written.
        """
        self._write({"version": _CHECKPOINT_VERSION, "checkpoint": {"stack": self.full_name}})

    def _write(self, checkpoint: Mapping[str, Any]) -> None:
        private_folder(self.snapshot.parent)
        write_private(self.snapshot, json.dumps(checkpoint))
        # A checksum of what was there before.
        self.snapshot.with_name(self.snapshot.name + _ATTRIBUTES).unlink(missing_ok=True)
        mend_sidecars(self)

    def set_aside(self) -> Path | None:
        """Rename the state, so that the stack is there no more; says where it is now."""
        if not self.snapshot.is_file():
            return None
        aside = _unused(self.snapshot.with_suffix(".json.aside"))
        self.snapshot.replace(aside)
        self.snapshot.with_name(self.snapshot.name + _ATTRIBUTES).unlink(missing_ok=True)
        return aside

    def is_readable(self) -> bool:
        """Whether the state is one that the engine could load."""
        return _is_snapshot(self.snapshot)

    def pending_operations(self) -> int:
        """How many operations the last run left half done."""
        return len(pending(self.export() or {}))

    def resources(self) -> list[Mapping[str, Any]]:
        """What the state has, but for the stack itself; what is secret in it stays encrypted."""
        return resources(self.export() or {})

    def urns(self) -> list[str]:
        """The URNs of these."""
        return [str(each.get("urn", "")) for each in self.resources()]


def recover(backend: Backend, reporter: Reporter, words: str = "") -> None:
    """End engines whose owner was killed, clear the locks of the dead, and restore a broken snapshot.

    Args:
        backend: The stack.
        reporter: Told what was done.
        words: What the command line says to mean this stack, for the commands in errors.

    Raises:
        MaasError: Somebody else is working on the stack; or the snapshot is broken and has no backup.
    """
    end_orphans(backend, reporter)
    unlock(backend, reporter, words)
    mend_sidecars(backend)
    if restored := restore(backend, words):
        reporter.note(
            f"The stack's state could not be read; took the backup {restored.name} (the broken file is kept)."
        )


def end_orphans(backend: Backend, reporter: Reporter) -> None:
    """End engines whose owner was killed."""
    for engine in orphans(backend):
        reporter.note(f"An earlier run was killed and left its engine (process {engine.pid}) behind: ending it.")
        end(engine)


def unlock(backend: Backend, reporter: Reporter, words: str = "", *, force: bool = False) -> int:
    """Clear the locks of processes that are gone; says how many.

    Args:
        backend: The stack.
        reporter: Told what was done.
        words: What the command line says to mean this stack.
        force: Clear locks of other machines, too, where nobody here can tell whether the process is gone.

    Raises:
        MaasError: Somebody holds one.
    """
    locks = backend.locks()
    for lock in locks:
        if not lock.is_dead and not (force and lock.is_elsewhere):
            there = f"{lock.pid} on {lock.host}" if lock.is_elsewhere else f"{lock.pid}"
            way = (
                f"If it is not there any more: ./maas state unlock --force{words}"
                if lock.is_elsewhere
                else f"It runs on this machine; should it hang, ask it to end and save its state: kill -INT {lock.pid}"
            )
            raise MaasError(f"Stack {backend.stack} is locked by process {there}. Wait for it to end. {way}")
    for lock in locks:
        lock.path.unlink(missing_ok=True)
        lock.path.with_name(lock.path.name + _ATTRIBUTES).unlink(missing_ok=True)
        gone = f"on {lock.host}" if lock.is_elsewhere else "which is gone"
        whole = f"the lock of process {lock.pid}, {gone}"
        reporter.note(f"Cleared {whole if lock.is_whole else 'a lock that was written by half'}.")
    return len(locks)


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
    half of it every command fails ("failed to load checkpoint: EOF"). `meta.yaml` has one line, the layout's version;
    without it the engine would take the store for one of an older layout, in which there are no projects.
    """
    store = backend.folder / ".pulumi"
    meta = store / "meta.yaml"
    for path in [meta, *backend.snapshot.parent.glob("*"), *_copies(backend)]:
        attributes = path if path.suffix == _ATTRIBUTES else path.with_name(path.name + _ATTRIBUTES)
        if attributes.is_file() and not _is_json(attributes):
            attributes.unlink()
    if backend.exists and not (meta.is_file() and meta.read_text(encoding="utf-8").strip()):
        meta.write_text(_META, encoding="utf-8")
        meta.with_name(meta.name + _ATTRIBUTES).unlink(missing_ok=True)


def restore(backend: Backend, words: str = "") -> Path | None:
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
        f"Take back a copy: ./maas state restore{words}. Or begin anew with what is on the cluster: "
        f"./maas state adopt{words}"
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
    return _checkpoint(path) is not None


def _checkpoint(path: Path) -> dict[str, Any] | None:
    try:
        content = cast("object", json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return None
    return cast("dict[str, Any]", content) if isinstance(content, dict) and "checkpoint" in content else None


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
