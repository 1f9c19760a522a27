"""Event loops beside a test's own: servers that a test, or a command that it runs, talks to."""

import asyncio
import threading
from collections.abc import Coroutine, Generator
from contextlib import contextmanager
from typing import Any, TypeVar

T = TypeVar("T")
_SECONDS = 30.0


@contextmanager
def in_thread() -> Generator[asyncio.AbstractEventLoop]:
    """An event loop in a thread of its own; what still runs in it at the end is cancelled."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield loop
    finally:
        wait(loop, _cancel_others())
        loop.call_soon_threadsafe(loop.stop)
        thread.join(_SECONDS)
        loop.close()


def wait(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, T], seconds: float = _SECONDS) -> T:
    """Do something in such a loop, within so many seconds; gives what comes of it."""
    return asyncio.run_coroutine_threadsafe(work, loop).result(seconds)


async def _cancel_others() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for each in others:
        each.cancel()
    await asyncio.gather(*others, return_exceptions=True)
