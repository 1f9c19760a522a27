"""What Pulumi's SDK does beside its work."""

from collections.abc import Generator
from contextlib import contextmanager

import pulumi


@contextmanager
def without_debug_messages() -> Generator[None]:
    """Keep the SDK from telling the engine of every step that it takes, meanwhile.

    Each message is a request of its own, five for each object, which the SDK waits for; the engine drops them, as we
    never ask it to show them.
    """
    kept = pulumi.log.debug
    pulumi.log.debug = _ignored
    try:
        yield
    finally:
        pulumi.log.debug = kept


def _ignored(*_: object, **__: object) -> None:
    """In the place of a message."""
