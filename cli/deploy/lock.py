"""Keeps two commands from working on one stack at once."""

from collections.abc import Generator
from contextlib import contextmanager

from filelock import FileLock, Timeout

from cli.deploy.target import Target
from cli.exits import MaasError


@contextmanager
def held(target: Target) -> Generator[None]:
    """Keep other commands off the stack. The system drops the lock when its holder dies.

    Raises:
        MaasError: Another command has it.
    """
    lock = FileLock(target.lock)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        what = f"sandbox {target.sandbox.name}" if target.sandbox else f"stack {target.stack}"
        raise MaasError(f"Another command is at work on {what}. Wait for it to end, then try again.") from None
    try:
        yield
    finally:
        lock.release()
