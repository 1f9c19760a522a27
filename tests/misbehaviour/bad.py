"""Servers that answer as nothing should: slowly, with broken connections, or with garbage."""

import asyncio
import contextlib
import json
import struct
from collections.abc import Awaitable, Callable, Generator, Mapping
from contextlib import contextmanager
from enum import Enum
from socket import SO_LINGER, SOL_SOCKET

from tests.misbehaviour.service import LOOPBACK
from tests.threads import in_thread, wait

_DRIP_SECONDS = 0.05
_HUGE = 1 << 30
_PIECE = b"x" * 65536
_SECONDS = 10.0


class Bad(Enum):
    """What is bad about it, in a few words."""

    SILENT = "takes connections and never says anything"
    DRIPS = "gives its answer byte by byte, without an end"
    DRIPPING_STREAM = "streams comments, and never a token nor an end"
    REFUSES = "takes no connections"
    RESETS = "breaks the connection off as soon as it was asked"
    HALF_AN_ANSWER = "ends in the middle of its answer"
    HALF_A_STREAM = "ends in the middle of a stream"
    NOT_HTTP = "answers something that is not HTTP"
    NOT_JSON = "answers 200 with a body that is said to be JSON and is none"
    OTHER_JSON = "answers 200 with JSON of another shape"
    WEB_PAGE = "answers 200 with a web page, as a portal does before one has signed in"
    STREAM_OF_GARBAGE = "streams events that are not JSON"
    HUGE_BODY = "answers with a body that does not end"
    HUGE_HEAD = "answers with a head that does not end"


class _End:
    """Where an answer goes."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer

    async def say(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def head(self, kind: str = "application/json", **more: str) -> None:
        headers = {
            "Content-Type": kind,
            "Connection": "close",
            **{name.replace("_", "-"): value for name, value in more.items()},
        }
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        await self.say(f"HTTP/1.1 200 OK\r\n{lines}\r\n".encode())

    async def whole(self, body: bytes, kind: str = "application/json") -> None:
        await self.head(kind, Content_Length=str(len(body)))
        await self.say(body)

    def reset(self) -> None:
        """Close with RST."""
        self._writer.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.close()

    async def stream(self, *events: str) -> None:
        await self.head("text/event-stream")
        for each in events:
            await self.say(f"data: {each}\n\n".encode())


async def _silent(end: _End) -> None:
    del end
    await asyncio.Event().wait()


async def _drips(end: _End) -> None:
    await end.head(Content_Length=str(_HUGE))
    while True:
        await end.say(b" ")
        await asyncio.sleep(_DRIP_SECONDS)


async def _dripping_stream(end: _End) -> None:
    await end.stream()
    while True:
        await end.say(b": wait\n\n")
        await asyncio.sleep(_DRIP_SECONDS)


async def _resets(end: _End) -> None:
    end.reset()


async def _half(end: _End) -> None:
    await end.head(Content_Length="1000")
    await end.say(b'{"object": "chat.comp')


async def _half_stream(end: _End) -> None:
    await end.head("text/event-stream", Transfer_Encoding="chunked")
    await end.say(b'30\r\ndata: {"choices": [{"delta": {"cont')


async def _not_http(end: _End) -> None:
    await end.say(b"\x16\x03\x01 SSH-2.0-nothing\r\n\x00\xff\r\n")


async def _not_json(end: _End) -> None:
    await end.whole(b'{"object": "chat.completion", "choices": [')


async def _other_json(end: _End) -> None:
    await end.whole(json.dumps([{"usage": "much", "choices": {"0": None}}, None, 7]).encode())


async def _web_page(end: _End) -> None:
    await end.whole(b"<!doctype html><title>Sign in</title><p>Sign in to go on.</p>", "text/html")


async def _garbage_stream(end: _End) -> None:
    await end.stream("{not json", "[1, 2", "null", "[DONE]")


async def _huge_body(end: _End) -> None:
    await end.head(Content_Length=str(_HUGE))
    while True:
        await end.say(_PIECE)


async def _huge_head(end: _End) -> None:
    await end.say(b"HTTP/1.1 200 OK\r\n")
    while True:
        await end.say(b"X-Filler: " + _PIECE[:1000] + b"\r\n")


SCRIPTS: Mapping[Bad, Callable[[_End], Awaitable[None]]] = {
    Bad.SILENT: _silent,
    Bad.DRIPS: _drips,
    Bad.DRIPPING_STREAM: _dripping_stream,
    Bad.RESETS: _resets,
    Bad.HALF_AN_ANSWER: _half,
    Bad.HALF_A_STREAM: _half_stream,
    Bad.NOT_HTTP: _not_http,
    Bad.NOT_JSON: _not_json,
    Bad.OTHER_JSON: _other_json,
    Bad.WEB_PAGE: _web_page,
    Bad.STREAM_OF_GARBAGE: _garbage_stream,
    Bad.HUGE_BODY: _huge_body,
    Bad.HUGE_HEAD: _huge_head,
}


@contextmanager
def serving_badly(bad: Bad) -> Generator[str]:
    """The URL of a server that answers every request in one bad way, until the end of the block."""
    with in_thread() as loop:

        async def begin() -> asyncio.Server:
            return await asyncio.start_server(handle, LOOPBACK, 0)

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                await _read_request(reader)
                await SCRIPTS[bad](_End(writer))
            writer.close()

        async def stop() -> None:
            server.close()

        server = wait(loop, begin(), _SECONDS)
        port = server.sockets[0].getsockname()[1]
        if bad is Bad.REFUSES:
            wait(loop, stop(), _SECONDS)
        try:
            yield f"http://{LOOPBACK}:{port}"
        finally:
            wait(loop, stop(), _SECONDS)


async def _read_request(reader: asyncio.StreamReader) -> None:
    """The whole of it: what is closed with something unread loses what it has said."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    lengths = [line.partition(":")[2] for line in head.lower().split("\r\n") if line.startswith("content-length:")]
    await reader.readexactly(int(lengths[0]) if lengths else 0)
