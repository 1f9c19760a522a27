"""`./maas state check`: what is to be said of a stack's state. Reads only, and takes no lock."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cli.deploy.recovery import Backend
from cli.deploy.target import Target
from cli.exits import MaasError
from cli.state import passphrase
from cli.state.backups import Backups, load
from cli.state.deployment import Export, faults, pending, resources, salt

OK, WARNING, PROBLEM = "ok", "warning", "problem"
_OTHERS = 0o077
_SPARE = 20
"""How many times the state's size should be free: the engine keeps copies of its own beside ours."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    subject: str
    level: str
    text: str
    fix: str = ""


def of_folder(target: Target, backend: Backend) -> Iterator[Finding]:
    """What there is to say of a state that is a folder on this machine."""
    yield from _state(target, backend)
    yield from _locks(target, backend)
    yield from _copies(target)
    yield from _private(backend, target)
    yield from _room(backend)


def of_export(target: Target, export: Export) -> Iterator[Finding]:
    """What there is to say of a state, wherever it is."""
    found = faults(export)
    yield Finding("state", OK, f"{len(resources(export))} resources")
    way = f"./maas state restore{target.words}, or pulumi state repair"
    yield from (Finding("integrity", PROBLEM, fault, way) for fault in found)
    if not found:
        yield Finding("integrity", OK, "each resource is there once, and what it needs before it")
    if cut := pending(export):
        yield Finding("operations", WARNING, f"{len(cut)} were cut off", f"./maas up{target.words} takes them up again")
    yield _passphrase(target, export)


def _state(target: Target, backend: Backend) -> Iterator[Finding]:
    if not backend.exists:
        copies = bool(Backups(target.backups, 0).all())
        yield Finding(
            "state",
            PROBLEM if copies else WARNING,
            f"there is none: {backend.snapshot}",
            f"./maas state restore{target.words}" if copies else f"./maas up{target.words} makes one",
        )
        return
    if not backend.is_readable():
        yield Finding(
            "state",
            PROBLEM,
            f"cannot be read: {backend.snapshot}",
            f"./maas up{target.words} takes the engine's own copy, ./maas state restore{target.words} one of ours",
        )
        return
    export = backend.export()
    if export is None:
        yield Finding("state", OK, "empty: the stack was never deployed, or was adopted")
    else:
        yield from of_export(target, export)


def _passphrase(target: Target, export: Export) -> Finding:
    proof = salt(export)
    if not proof:
        return Finding("passphrase", OK, "none: another provider encrypts the secrets, or there are none")
    adopt = f"should it be lost for good: ./maas state adopt --lost-passphrase{target.words}"
    given = passphrase.given(target.environment)
    if given is None:
        return Finding("passphrase", PROBLEM, "it is not at hand", f"put it back; {adopt}")
    try:
        fits = passphrase.fits(given, proof)
    except ValueError as error:
        return Finding("passphrase", PROBLEM, f"the state's proof of it is damaged: {error}", adopt)
    if not fits:
        return Finding("passphrase", PROBLEM, "it is another than the state was encrypted with", adopt)
    return Finding("passphrase", OK, "it is the one that the state was encrypted with")


def _locks(target: Target, backend: Backend) -> Iterator[Finding]:
    for lock in backend.locks():
        who = f"process {lock.pid} on {lock.host}"
        if lock.is_dead:
            text = f"left by {who}, which is gone" if lock.is_whole else f"written by half: {lock.path.name}"
            yield Finding("lock", WARNING, text, f"./maas state unlock{target.words}")
        elif lock.is_elsewhere:
            way = f"if it is not there any more: ./maas state unlock --force{target.words}"
            yield Finding("lock", WARNING, f"held by {who}", way)
        else:
            yield Finding("lock", OK, f"held by {who}, which is at work")


def _copies(target: Target) -> Iterator[Finding]:
    found = Backups(target.backups, 0).all()
    damaged = 0
    for each in found:
        try:
            load(each.path)
        except MaasError as error:
            damaged += 1
            yield Finding("copies", WARNING, str(error), f"delete {each.path}")
    if not found:
        yield Finding("copies", WARNING, "there are none", f"./maas state backup{target.words}")
    elif damaged < len(found):
        yield Finding("copies", OK, f"{len(found) - damaged}, the newest of {found[0].when}: {found[0].path}")


def _private(backend: Backend, target: Target) -> Iterator[Finding]:
    """Secrets are encrypted in the state; names, limits and users are not."""
    named = target.environment.get("PULUMI_CONFIG_PASSPHRASE_FILE")
    for path in (backend.folder, target.backups, *((Path(named),) if named else ())):
        if path.exists() and path.stat().st_mode & _OTHERS:
            yield Finding("permissions", WARNING, f"others on this machine can read {path}", f"chmod go= {path}")


def _room(backend: Backend) -> Iterator[Finding]:
    if not backend.folder.is_dir():
        return
    if not os.access(backend.folder, os.W_OK):
        yield Finding("room", PROBLEM, f"{backend.folder} cannot be written to", "see to its permissions or its mount")
        return
    size = backend.snapshot.stat().st_size if backend.exists else 0
    free = shutil.disk_usage(backend.folder).free
    if free < _SPARE * max(size, 2**20):
        yield Finding(
            "room", WARNING, f"{free // 2**20} MiB are free where the state is", f"make room: {backend.folder}"
        )
