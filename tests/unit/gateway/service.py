"""A gateway in this process, with the sandbox stack's own policies, in front of servers that a test scripts."""

import asyncio
import copy
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar

import aiohttp
from aiohttp import web

from enforcement.objects import Object
from sandbox.gateway.backends import Backend, Backends
from sandbox.gateway.gates import Gates
from sandbox.gateway.journal import Journal
from sandbox.gateway.models import Model
from sandbox.gateway.proxy import Proxy, data_runner
from sandbox.gateway.telemetry import Telemetry
from tests.unit.enforcement.service import CHAT, KEYS, objects

T = TypeVar("T")
LOOPBACK = "127.0.0.1"
HOST = "simulator.maas.localhost"
QUESTION = {"model": "simulator-model", "messages": [{"role": "user", "content": "Hello"}]}
Reader: TypeAlias = asyncio.StreamReader
Writer: TypeAlias = asyncio.StreamWriter


class OnePort(Backends):
    """Every model is on one port."""

    def __init__(self, port: int | None, *, ready: bool = True) -> None:
        super().__init__()
        self._one = Backend(Model("llm", "simulator", ready, (), ()), "1", port)

    def find(self, namespace: str, service: str) -> Backend | None:
        del namespace
        return self._one if service == "simulator-predictor" else None

    def all(self) -> list[Backend]:
        return [self._one]


@dataclass
class Server:
    """A model's server, as raw bytes; remembers the requests."""

    script: Callable[[Writer, int], Awaitable[None]]
    """Is given where to answer, and the number of the request."""
    heads: list[str] = field(default_factory=list[str])
    gone: asyncio.Event = field(default_factory=asyncio.Event)

    async def handle(self, reader: Reader, writer: Writer) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                lengths = [
                    line.split(":")[1] for line in head.lower().split("\r\n") if line.startswith("content-length")
                ]
                body = await reader.readexactly(int(lengths[0]) if lengths else 0)
                self.heads.append(head + body.decode())
                await self.script(writer, len(self.heads))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            self.gone.set()
        finally:
            writer.close()


@dataclass
class Running:
    """A gateway that answers."""

    proxy: Proxy
    server: Server
    port: int
    session: aiohttp.ClientSession

    @asynccontextmanager
    async def request(  # noqa: PLR0913 - what a request is made of
        self,
        user: str = "",
        *,
        method: str = "POST",
        target: str = CHAT,
        headers: dict[str, str] | None = None,
        body: object = QUESTION,
        host: str = HOST,
    ) -> AsyncGenerator[aiohttp.ClientResponse]:
        sent = {"Host": host, **({"Authorization": f"Bearer {KEYS[user]}"} if user else {}), **(headers or {})}
        url = f"http://{LOOPBACK}:{self.port}{target}"
        async with self.session.request(method, url, headers=sent, json=body, allow_redirects=False) as answer:
            yield answer

    async def ask(self, user: str = "", **more: Any) -> tuple[int, str, dict[str, str]]:  # noqa: ANN401 - of `request`
        async with self.request(user, **more) as answer:
            return answer.status, await answer.text(), {k.lower(): v for k, v in answer.headers.items()}

    def used(self, user: str) -> dict[str, int]:
        """What the user's counters are at, by what they count."""
        last = self.proxy.journal.last(1)[0]["time"]
        return {
            "tokens" if counter.conditions[0].startswith("tokenlimit.") else "requests": self.proxy.counters.value(
                counter, last
            )
            for counter in self.proxy.journal.counters_of(user)
        }

    def change(self, *changed: Object) -> None:
        """Put other objects in force."""
        self.proxy.gates = Gates(changed, self.proxy.counters)


def stack(**changes: Callable[[dict[str, Any]], None]) -> list[dict[str, Any]]:
    """The stack's objects, those of a kind changed by a function."""
    made = [dict(copy.deepcopy(each)) for each in objects()]
    for each in made:
        if each["kind"] in changes:
            changes[each["kind"]](each)
    return made


@asynccontextmanager
async def running(
    script: Callable[[Writer, int], Awaitable[None]],
    *,
    made: list[dict[str, Any]] | None = None,
    port: int | None = -1,
    ready: bool = True,
) -> AsyncGenerator[Running]:
    """A gateway before a scripted server, which is on `port` unless that is given."""
    server = Server(script)
    listening = await asyncio.start_server(server.handle, LOOPBACK, 0)
    at = listening.sockets[0].getsockname()[1] if port == -1 else port
    proxy = Proxy(OnePort(at, ready=ready), Telemetry(), Journal())
    proxy.gates = Gates(made or objects(), proxy.counters)
    await proxy.open()
    runner = data_runner(proxy)
    await runner.setup()
    await web.TCPSite(runner, LOOPBACK, 0).start()
    try:
        async with aiohttp.ClientSession() as session:
            yield Running(proxy, server, runner.addresses[0][1], session)
    finally:
        await runner.cleanup()
        await proxy.close()
        listening.close()


def in_loop(work: Coroutine[Any, Any, T]) -> T:
    async def bounded() -> T:
        return await asyncio.wait_for(work, 60)

    return asyncio.run(bounded())


def whole(body: str, kind: str = "application/json", status: str = "200 OK") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


def answers(tokens: int) -> Callable[[Writer, int], Awaitable[None]]:
    """A model that always uses so many tokens."""

    async def script(writer: Writer, number: int) -> None:
        del number
        writer.write(whole(f'{{"model": "simulator-model", "usage": {{"total_tokens": {tokens}}}}}'))

    return script


STREAM_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def chunk(text: str) -> bytes:
    return f"{len(text):x}\r\n{text}\r\n".encode()


def events(tokens: int) -> Iterator[str]:
    yield 'data: {"choices": [{"delta": {"content": "one"}}]}\n\n'
    yield 'data: {"choices": [{"delta": {"content": "two"}}]}\n\n'
    yield f'data: {{"choices": [], "usage": {{"total_tokens": {tokens}}}}}\n\n'
    yield "data: [DONE]\n\n"
