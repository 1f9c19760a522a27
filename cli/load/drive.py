"""Sends requests when they are due, however long the answers take: an open loop."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")
AT_ONCE = 512
"""Requests under way; more wait, and their time runs all the same."""
GRACE_SECONDS = 5.0
"""For what is under way when the run is stopped."""
_LOOK_SECONDS = 0.2
"""How long it takes to notice that it is."""


async def open_loop(
    due: Iterable[tuple[float, T]],
    send: Callable[[T, float], Awaitable[None]],
    *,
    stop: asyncio.Event | None = None,
    at_once: int = AT_ONCE,
) -> float:
    """Send each when it is due, and wait for the last to end.

    Args:
        due: what to send, in order, with seconds from the beginning.
        send: sends one and takes note of what comes; it is told when that was due, by time.perf_counter.
        stop: once it is set nothing more is sent, and what is under way has a few seconds left.
        at_once: requests under way at most.

    Returns:
        When the run began, by time.perf_counter.
    """
    began, over = time.perf_counter(), stop or asyncio.Event()
    room, running = asyncio.Semaphore(at_once), set[asyncio.Task[None]]()

    async def one(what: T, at: float) -> None:
        async with room:
            await send(what, at)

    for after, what in due:
        if await _over_before(began + after, over):
            break
        task = asyncio.create_task(one(what, began + after))
        running.add(task)
        task.add_done_callback(running.discard)
    left: float | None = None
    while running:
        if over.is_set():
            left = GRACE_SECONDS if left is None else left - _LOOK_SECONDS
            if left <= 0:
                break
        await asyncio.wait(running, timeout=_LOOK_SECONDS)
    cancelled = list(running)
    for each in cancelled:
        each.cancel()
    await asyncio.gather(*cancelled, return_exceptions=True)
    return began


async def _over_before(due: float, over: asyncio.Event) -> bool:
    """Wait until something is due; whether it was all over before."""
    pause = due - time.perf_counter()
    if pause > 0 and not over.is_set():
        with suppress(TimeoutError):
            await asyncio.wait_for(over.wait(), pause)
    return over.is_set()
