"""What `./maas state` does."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from pulumi.automation import Deployment
from pulumi.automation.errors import CommandError

from cli.deploy import recovery
from cli.deploy.composed import forget
from cli.deploy.engine import Engine, Session
from cli.deploy.kind import KindCluster
from cli.deploy.lock import held
from cli.deploy.target import Target, of_sandbox, of_stack
from cli.exits import Exit, MaasError
from cli.paths import ROOT
from cli.stacks.command import still_secret, without_secrets
from cli.stacks.stackfile import SANDBOX, stack_file
from cli.state import checks
from cli.state.backups import MANUAL, Backup, Backups, load, write
from cli.state.checks import Finding
from cli.state.deployment import Export
from sandbox.instance import Sandbox, home_folder
from sandbox.progress import Reporter
from sandbox.toolbox import find
from sandbox.tools.declarations import TOOLS
from sandbox.tools.files import write_whole


def opened(stack: str, sandbox: str, kind: str) -> Target:
    """The stack that is meant.

    Raises:
        MaasError: There is none.
    """
    if kind:
        return KindCluster.open(kind).target()
    if stack != SANDBOX:
        return of_stack(stack)
    if not (home_folder() / sandbox).is_dir():
        raise MaasError(f"There is no sandbox {sandbox}, and its state is with it. Make it: ./maas up", code=Exit.USAGE)
    return of_sandbox(Sandbox.open(sandbox))


def backup(target: Target, out: Path | None, reporter: Reporter) -> Path:
    """Copy the state; says where to.

    Args:
        target: The stack.
        out: The file, which must not be there; default: one among the stack's other copies.
        reporter: Told of tools that have to be made first.

    Raises:
        MaasError: There is no state, or the copy cannot be written.
    """
    with _at_work(target):
        export = _export(target, reporter)
        if out is not None and out.exists():
            raise MaasError(f"{out} is there already.", code=Exit.USAGE)
        try:
            if out is None:
                taken = Backups(target.backups, 0).take(export, MANUAL)
                assert taken is not None  # noqa: S101 - a copy that somebody asks for is always taken
                return taken.path
            write(out, export)
        except OSError as error:
            raise MaasError(f"The copy cannot be written: {error}") from error
        return out


def restore(target: Target, source: str, user_path: Callable[[Path], Path], keep: int, reporter: Reporter) -> Path:
    """Take a copy back; what is there now is kept as a copy of its own. Says which copy was taken.

    Args:
        target: The stack.
        source: A copy's number or file; empty for the newest.
        user_path: Where a file of the command line is.
        keep: How many copies stay.
        reporter: Told what was done.

    Raises:
        MaasError: There is no such copy, it cannot be read, or somebody is at work on the stack.
    """
    backups = Backups(target.backups, keep)
    path, export = _chosen(backups, source, user_path, target)
    with _at_work(target):
        backend = target.backend
        if backend is None:
            session = _session(target, reporter)
            content = Deployment(version=export["version"], deployment=export["deployment"])
            session.stack.import_stack(content)
            return path
        recovery.end_orphans(backend, reporter)
        recovery.unlock(backend, reporter, target.words)
        present = backend.export()
        try:
            if present and keep:
                backups.take(present, "before-restore")
            elif not backend.is_readable() and (aside := backend.set_aside()):
                reporter.note(f"What was there could not be read; it is {aside} now.")
            backend.write(export)
        except OSError as error:
            raise MaasError(f"The state cannot be written: {error}") from error
    return path


def check(target: Target, reporter: Reporter) -> list[Finding]:
    """Look at the state; changes nothing."""
    if target.backend:
        return list(checks.of_folder(target, target.backend))
    return list(checks.of_export(target, _export(target, reporter)))


def unlock(target: Target, reporter: Reporter, *, force: bool) -> int:
    """Clear what a run that is gone has locked; says how many locks.

    Raises:
        MaasError: Somebody is at work on the stack, or may be.
    """
    with _at_work(target):
        if target.backend:
            recovery.end_orphans(target.backend, reporter)
            return recovery.unlock(target.backend, reporter, target.words, force=force)
        if not force:
            raise MaasError(
                f"The state of stack {target.stack} is kept elsewhere, so nobody here can tell whether a run is under "
                f"way. When you know that none is: ./maas state unlock --force{target.words}"
            )
        engine = _session(target, reporter).engine
        engine.run(["cancel", "--yes", "--stack", target.stack], str(target.work_dir), {})
        return 1


def adopt(stack: str, sandbox: str, kind: str, reporter: Reporter, *, lost_passphrase: bool) -> Target:
    """Set the state aside: the next `up` takes over what is on the cluster.

    Args:
        stack: Which stack.
        sandbox: Name of the sandbox, for the sandbox's stack.
        kind: Name of the kind cluster, instead of a stack.
        reporter: Told what was done.
        lost_passphrase: Also forget what was encrypted with it in the stack file.

    Raises:
        MaasError: The state is not on this machine, or somebody is at work on the stack.
    """
    target = opened(stack, sandbox, kind)
    if target.backend is None:
        raise MaasError(
            f"The state of stack {target.stack} is kept elsewhere: pulumi stack rm --force removes it there, and the "
            "next `up` takes over what is on the cluster.",
            code=Exit.USAGE,
        )
    with _at_work(target):
        recovery.end_orphans(target.backend, reporter)
        recovery.unlock(target.backend, reporter, target.words)
        try:
            if lost_passphrase:
                _forget_secrets(target, reporter)
            if aside := target.backend.set_aside():
                reporter.note(f"The old state is {aside} now.")
            target.backend.begin()
        except OSError as error:
            raise MaasError(f"The state cannot be written: {error}") from error
    return target


def listed(target: Target) -> list[Backup]:
    """The stack's copies, newest first."""
    return Backups(target.backups, 0).all()


@contextmanager
def _at_work(target: Target) -> Generator[None]:
    """Nobody else works on the stack meanwhile, and the SDK sees what the engine sees."""
    with held(target), target.in_this_process():
        try:
            yield
        except CommandError as error:
            said = str(error).partition("stderr: ")[2].strip() or str(error)
            raise MaasError(f"The engine could not do it: {said}") from None


def _export(target: Target, reporter: Reporter) -> Export:
    backend = target.backend
    if backend is None:
        state = _session(target, reporter).stack.export_stack()
        return {"version": state.version, "deployment": {**(state.deployment or {})}}
    export = backend.export()
    if export is None:
        why = "has no resources" if backend.is_readable() else "cannot be read" if backend.exists else "is not there"
        raise MaasError(
            f"The state of stack {target.stack} {why}: {backend.snapshot}. ./maas state check{target.words}"
        )
    return export


def _chosen(backups: Backups, source: str, user_path: Callable[[Path], Path], target: Target) -> tuple[Path, Export]:
    if not source:
        newest = backups.newest()
        if newest is None:
            raise MaasError(
                f"There is no copy of the state of stack {target.stack} in {backups.folder}. Begin anew with what is "
                f"on the cluster: ./maas state adopt{target.words}"
            )
        return newest[0].path, newest[1]
    numbered = backups.find(source)
    path = numbered.path if numbered else user_path(Path(source))
    return path, load(path)


def _session(target: Target, reporter: Reporter) -> Session:
    target.require_passphrase()
    engine = Engine(find("pulumi", reporter), TOOLS["pulumi"].version, target.environment, target.without)
    return Session(engine, target.stack, target.work_dir, ROOT / "__main__.py", create=False)


def _forget_secrets(target: Target, reporter: Reporter) -> None:
    """Take out of the stack file what nobody can decrypt any more."""
    path = stack_file(target.stack, target.work_dir)
    if target.work_dir != ROOT:
        forget(target.work_dir, target.stack)
        reporter.note("New API keys come with the next up.")
        return
    new = without_secrets(path.read_bytes().decode("utf-8"))
    write_whole(path, new.encode("utf-8"), path.stat().st_mode & 0o777)
    reporter.note(f"Took the API keys and the salt out of {path.name}. Make new ones: ./maas keys create{target.words}")
    if others := still_secret(new):
        reporter.note(f"These were encrypted, too, and have to be set anew: {', '.join(others)}.")
