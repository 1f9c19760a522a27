"""A proxy before an API server that misbehaves on request: late, broken, refusing or cut short.

It speaks plain HTTP on loopback and passes everything on as the identity of a kubeconfig. It runs in a thread.
"""

import asyncio
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from aiohttp import ClientError, ClientResponse, ClientSession, ClientTimeout, TCPConnector, web
from aiohttp.web import Request, StreamResponse

from sandbox.instance import LOOPBACK
from sandbox.kubeconfig import Connection
from tests.threads import in_thread, wait

Misbehave = Callable[[Request, "Proxy"], Awaitable[StreamResponse]]

_NOT_PASSED_ON = {"host", "transfer-encoding", "connection", "content-length", "content-encoding", "accept-encoding"}
_FOREVER = 3600.0
_NAME = "faults"


@dataclass
class Rule:
    """What is done to which requests."""

    act: Misbehave
    method: str = ""
    """Only requests of this method; empty for all."""
    path: str = ""
    """Only requests whose path and query have this in them, as a regular expression."""
    times: int | None = None
    """How many requests are treated so; None for all."""
    seen: int = field(default=0, init=False)
    """How many requests it was done to."""

    def takes(self, request: Request) -> bool:
        if self.times is not None and self.seen >= self.times:
            return False
        return self.method in ("", request.method) and bool(re.search(self.path, request.path_qs))


@dataclass(frozen=True)
class Asked:
    """A request that was passed on, and what the API server answered."""

    method: str
    path: str
    """With its query."""
    body: bytes
    content_type: str
    status: int


class Proxy:
    """The proxy at work. `rule` may be set at any time from any thread; None passes everything on."""

    def __init__(self, upstream: Connection, session: ClientSession) -> None:
        self.rule: Rule | None = None
        self.log: list[Asked] = []
        self.port = 0
        self._upstream, self._session = upstream, session

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    @contextmanager
    def misbehaving(self, rule: Rule) -> Generator[Rule]:
        self.rule = rule
        try:
            yield rule
        finally:
            self.rule = None

    async def handle(self, request: Request) -> StreamResponse:
        rule = self.rule
        try:
            if rule is None or not rule.takes(request):
                return await self.pass_on(request)
            rule.seen += 1
            return await rule.act(request, self)
        except ClientError:
            # What the API server would do that is not there: no answer of ours in its place.
            return await _broken(request)

    @asynccontextmanager
    async def asked(self, request: Request) -> AsyncGenerator[ClientResponse]:
        """The API server's answer to a request."""
        headers = {key: value for key, value in request.headers.items() if key.lower() not in _NOT_PASSED_ON}
        async with self._session.request(
            request.method,
            self._upstream.server + request.path_qs,
            headers={**headers, **self._upstream.headers},
            data=(body := await request.read()) or None,
        ) as answer:
            self.log.append(Asked(request.method, request.path_qs, body, request.content_type, answer.status))
            yield answer

    async def pass_on(self, request: Request) -> StreamResponse:
        async with self.asked(request) as answer:
            kept = {key: value for key, value in answer.headers.items() if key.lower() not in _NOT_PASSED_ON}
            response = web.StreamResponse(status=answer.status, headers=kept)
            await response.prepare(request)
            async for piece in answer.content.iter_any():
                await response.write(piece)
            await response.write_eof()
            return response


@contextmanager
def serve(upstream: Connection) -> Generator[Proxy]:
    """Have the proxy run for as long as the context lasts."""

    async def begin() -> tuple[Proxy, AsyncExitStack]:
        async with AsyncExitStack() as stack:
            session = await stack.enter_async_context(
                ClientSession(
                    connector=TCPConnector(ssl=upstream.tls, limit=0),
                    timeout=ClientTimeout(total=None),
                    auto_decompress=True,
                )
            )
            proxy = Proxy(upstream, session)
            app = web.Application(client_max_size=2**26)
            app.router.add_route("*", "/{path:.*}", proxy.handle)
            runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            await web.TCPSite(runner, LOOPBACK, 0).start()
            proxy.port = runner.addresses[0][1]
            return proxy, stack.pop_all()

    with in_thread() as loop:
        proxy, open_ = wait(loop, begin())
        try:
            yield proxy
        finally:
            wait(loop, open_.aclose())


def write_kubeconfig(path: Path, server: str) -> None:
    """A kubeconfig that leads to a proxy, which logs in by itself."""
    named = {"name": _NAME}
    config: dict[str, object] = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": _NAME,
        "clusters": [{**named, "cluster": {"server": server}}],
        "contexts": [{**named, "context": {"cluster": _NAME, "user": _NAME}}],
        "users": [{**named, "user": {}}],
    }
    path.write_text(yaml.safe_dump(config))
    path.chmod(0o600)


# What it does.


def late(seconds: float) -> Misbehave:
    async def act(request: Request, proxy: "Proxy") -> StreamResponse:
        await asyncio.sleep(seconds)
        return await proxy.pass_on(request)

    return act


def answering(status: int, text: str = "", **headers: str) -> Misbehave:
    async def act(_request: Request, _proxy: "Proxy") -> StreamResponse:
        return web.Response(status=status, text=text, headers=headers)

    return act


async def reset(request: Request, _proxy: "Proxy") -> StreamResponse:
    """Break the connection before the request is passed on."""
    return await _broken(request)


async def reset_after(request: Request, proxy: "Proxy") -> StreamResponse:
    """Have the request carried out, and break the connection in place of the answer."""
    async with proxy.asked(request) as answer:
        await answer.read()
    return await _broken(request)


async def silent(_request: Request, _proxy: "Proxy") -> StreamResponse:
    """Keep the connection open and never answer: what a half-open connection looks like."""
    await asyncio.sleep(_FOREVER)
    return web.Response(status=504)


async def watch_silent(request: Request, _proxy: "Proxy") -> StreamResponse:
    """Begin a watch, and never say anything: what a connection looks like that was dropped on the way."""
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    await response.prepare(request)
    await asyncio.sleep(_FOREVER)
    return response


async def cut_short(request: Request, _proxy: "Proxy") -> StreamResponse:
    """Announce more than is sent, and break the connection."""
    response = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": "1000"})
    await response.prepare(request)
    await response.write(b'{"kind":"Conf')
    return await _broken(request, response)


async def watch_cut_short(request: Request, _proxy: "Proxy") -> StreamResponse:
    """Break a watch off in the middle of an event."""
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    await response.prepare(request)
    await response.write(b'{"type":"MODIFIED","object":{"apiVer')
    return await _broken(request, response)


def watch_for(seconds: float) -> Misbehave:
    """Break a watch off after so long."""

    async def act(request: Request, proxy: "Proxy") -> StreamResponse:
        async with proxy.asked(request) as answer:
            response = web.StreamResponse(status=answer.status, headers={"Content-Type": answer.content_type})
            await response.prepare(request)
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    async for piece in answer.content.iter_any():
                        await response.write(piece)
        return await _broken(request, response)

    return act


async def watch_too_old(request: Request, _proxy: "Proxy") -> StreamResponse:
    """Say in a watch that the version is not known any more, as after a compaction of etcd."""
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    await response.prepare(request)
    status = b'{"kind":"Status","code":410,"reason":"Expired","message":"too old resource version"}'
    await response.write(b'{"type":"ERROR","object":' + status + b"}\n")
    await response.write_eof()
    return response


async def _broken(request: Request, response: StreamResponse | None = None) -> StreamResponse:
    transport = request.transport
    if transport is not None:
        transport.abort()
    return response or web.Response(status=500)


async def pause() -> None:
    """A moment, for loops that wait for something."""
    await asyncio.sleep(0.1)
