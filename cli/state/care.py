"""The copies of a stack's state: taken around each run, and taken back."""

from collections.abc import Generator
from contextlib import contextmanager

from cli.deploy.recovery import Backend
from cli.deploy.target import Target
from cli.exits import MaasError
from cli.state.backups import Backup, Backups
from cli.state.deployment import resources
from sandbox.progress import Reporter


@contextmanager
def kept(target: Target, keep: int, run: str, reporter: Reporter) -> Generator[None]:
    """Copy the state before a run and after it, however it ends; nothing where the state is not on this machine.

    Args:
        target: The stack.
        keep: How many copies stay; none are taken with 0.
        run: What runs, for the copies' names.
        reporter: Told when the copy after the run cannot be written.

    Raises:
        MaasError: The copy before the run cannot be written.
    """
    backend = target.backend
    if backend is None or keep == 0:
        yield
        return
    backups = Backups(target.backups, keep)
    try:
        _copy(backend, backups, f"before-{run}")
    except OSError as error:
        raise MaasError(
            f"Nothing was begun: the copy of the state could not be written to {backups.folder}: {error}. "
            "Make room, or see to the folder's permissions; --backups 0 does without copies."
        ) from error
    try:
        yield
    finally:
        try:
            _copy(backend, backups, f"after-{run}")
        except OSError as error:
            reporter.note(f"The copy of the state could not be written to {backups.folder}: {error}.")


def require_state(target: Target) -> None:
    """See that the state of a stack that was deployed from here is still there.

    Raises:
        MaasError: There are copies of it, and it is gone.
    """
    backend = target.backend
    if backend is None or backend.exists:
        return
    newest = Backups(target.backups, 0).newest()
    if newest is None or not resources(newest[1]):
        return
    backup, export = newest
    raise MaasError(
        f"The state of stack {target.stack} is gone: there is no {backend.snapshot}. Of {backup.when} there is a copy "
        f"of it, with {len(resources(export))} resources. Take it back: ./maas state restore{target.words}. Or begin "
        f"anew with what is on the cluster: ./maas state adopt{target.words}"
    )


def _copy(backend: Backend, backups: Backups, reason: str) -> Backup | None:
    export = backend.export()
    return backups.take(export, reason) if export else None
