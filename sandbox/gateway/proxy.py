"""Answers requests: decides by the policies, sends on to the model, counts what the answer used."""

import asyncio
import json
import logging
import time
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import aiohttp
import redis
from aiohttp import web
from yarl import URL

from enforcement.counters import Counter, Counters
from enforcement.decision import Backend, Decision, Gate
from enforcement.limits import duration_seconds
from enforcement.objects import fields_of, name_of, namespace_of
from enforcement.request import Request
from sandbox.gateway.backends import Backends
from sandbox.gateway.gates import Gates
from sandbox.gateway.heads import BadRequest, end_to_end, joined, read_head, without_credentials
from sandbox.gateway.journal import Entry, Journal
from sandbox.gateway.storage import RedisCounters
from sandbox.gateway.telemetry import Telemetry
from sandbox.gateway.usage import StreamedUsage, parsed

log = logging.getLogger("maas.gateway")
T = TypeVar("T")

LARGEST_BODY = 16 * 1024 * 1024
"""Bytes of a request's body; a larger one gets 413."""
_LARGEST_LINE = 60 * 1024
"""Bytes of one header or of the target: what Envoy takes for a whole head."""
_LOOPBACK = "127.0.0.1"
_CONNECT_SECONDS = 5.0
_POOL_SECONDS = 20.0
"""Shorter than the models keep an idle connection, so that none is used that is just being closed."""
_ATTEMPTS = 2
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_SERVER = "istio-envoy"
_GONE = 499
_NO_UPSTREAM = "no healthy upstream"
_REFUSED = "upstream connect error or disconnect/reset before headers. reset reason: connection failure"
_RESET = "upstream connect error or disconnect/reset before headers. reset reason: connection termination"
_TIMEOUT = "upstream request timeout"


@dataclass
class _Exchange:
    """One request under way."""

    request: web.BaseRequest
    asked: Request
    gates: Gates
    gate: Gate
    decision: Decision
    entry: Entry
    began: float
    gone_on: float = 0.0

    @property
    def headers(self) -> dict[str, str]:
        """What every answer carries."""
        headers = {"x-request-id": self.asked.id, "server": _SERVER}
        if self.gates.limiter.headers:
            headers |= rate_limit_headers(self.decision, self.gate.counters, self.entry.time)
        return headers


class Proxy:
    """The data path. `gates` may be replaced at any time; a request ends with those that it began with."""

    def __init__(self, backends: Backends, telemetry: Telemetry, journal: Journal) -> None:
        self.gates: Gates | None = None
        self.counters = Counters()
        self.clock = time.time
        """What limits and expiries go by: seconds since the epoch."""
        self.backends, self.telemetry, self.journal = backends, telemetry, journal
        self._session: aiohttp.ClientSession | None = None
        # A Redis that hangs must not hold up the others' streams; one thread, since gates are not for several.
        self._aside = ThreadPoolExecutor(1, "redis")

    async def open(self) -> None:
        """Get ready to connect."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_POOL_SECONDS),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
        )

    async def close(self) -> None:
        """Close what is open."""
        self._aside.shutdown(wait=False)
        if self._session is not None:
            await self._session.close()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        began, now = time.perf_counter(), self.clock()
        asked = read_head(request)
        gates = self.gates
        if isinstance(asked, BadRequest):
            return _text(asked.status, "", {"server": _SERVER})
        gate = gates.for_host(asked.bare_host) if gates is not None else None
        if gates is None or gate is None:
            return _text(404, "", {"server": _SERVER, "x-request-id": asked.id})
        decision = await self.counting(gate.counters, lambda: self._decide(gate, asked, now))
        entry = self.journal.note(asked, decision, now)
        exchange = _Exchange(request, asked, gates, gate, decision, entry, began)
        self.telemetry.decided(gate, decision, gates.limiter, time.perf_counter() - began)
        try:
            response = await self._answer(exchange)
        except (asyncio.CancelledError, ConnectionResetError):
            # Nothing is reported for a stream that its caller left: the filter never sees the answer's end.
            self._ended(exchange, _GONE, "DC")
            raise
        finally:
            self.journal.ended(entry)
        entry.seconds = time.perf_counter() - began
        entry.status = response.status
        decision.context = None
        return response

    async def counting(self, counters: Counters, work: Callable[[], T]) -> T:
        """Do what asks the counters; beside the loop where they are in a Redis."""
        if isinstance(counters, RedisCounters):
            return await asyncio.get_running_loop().run_in_executor(self._aside, work)
        return work()

    def _decide(self, gate: Gate, asked: Request, now: float) -> Decision:
        try:
            decision = gate.decide(asked, now)
        except redis.RedisError as error:
            self.telemetry.partitioned(yes=True)
            because = f"Limitador's Redis does not answer ({type(error).__name__})"
            return (
                _without_limiter(gate, asked, now, because) if gate.semantics.check_fails_open else _undecided(because)
            )
        except NotImplementedError as error:
            return _undecided(f"not modelled here: {error}")
        if isinstance(gate.counters, RedisCounters):
            self.telemetry.partitioned(yes=False)
        return decision

    async def _answer(self, exchange: _Exchange) -> web.StreamResponse:
        decision = exchange.decision
        if decision.backend is None:
            return _text(decision.status, decision.body, {**exchange.headers, **decision.headers})
        exchange.gone_on = time.perf_counter()
        backend = self.backends.find(decision.backend.namespace, decision.backend.name)
        if backend is None:
            # A route to a Service that does not exist: Istio answers by itself. Here, also one that leads outside.
            what = f"{decision.backend.kind} {decision.backend.namespace}/{decision.backend.name}"
            decision.explanation.append(f"no model of this cluster is behind {what}, and nothing else is connected to")
            return self._failed(exchange, 500, "", "-")
        if backend.port is None or not backend.model.ready:
            return self._failed(exchange, 503, _NO_UPSTREAM, "UH")
        body = await _body(exchange.request)
        if body is None:
            return _text(413, "Payload Too Large", exchange.headers)
        return await self._sent_on(exchange, backend.port, body)

    async def _sent_on(self, exchange: _Exchange, port: int, body: bytes) -> web.StreamResponse:
        answer: web.StreamResponse | None = None
        path = exchange.decision.path
        limits = fields_of(path.rule.get("timeouts")) if path else {}
        within = duration_seconds(str(limits.get("request") or limits.get("backendRequest") or "0s")) or None
        upstream: aiohttp.ClientResponse | None = None
        try:
            async with asyncio.timeout(within):
                upstream = await self._connected(exchange, port, body)
                headers = {
                    **end_to_end(joined(upstream.headers)),
                    "x-envoy-upstream-service-time": str(round((time.perf_counter() - exchange.gone_on) * 1000)),
                    **exchange.headers,
                }
                if "text/event-stream" in upstream.headers.get("Content-Type", ""):
                    answer = web.StreamResponse(status=upstream.status, headers=headers)
                    await self._streamed(exchange, upstream, answer)
                else:
                    whole = await upstream.read()
                    await self._finish(exchange, parsed(whole))
                    if exchange.request.method != "HEAD":
                        headers.pop("content-length", None)
                    answer = web.Response(status=upstream.status, body=whole, headers=headers)
                self._ended(exchange, upstream.status, "-")
                return answer
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
            return self._failed(exchange, 503, _REFUSED, "UF", answer)
        except TimeoutError:
            return self._failed(exchange, 504, _TIMEOUT, "UT", answer)
        except (aiohttp.ClientError, ConnectionResetError) as error:
            if isinstance(error, ConnectionResetError) and not isinstance(error, aiohttp.ClientError):
                raise  # it was the caller who went away
            return self._failed(exchange, 503, _RESET, "UC", answer)
        finally:
            if upstream is not None:
                # A connection with an answer that was not read to its end cannot be used again.
                upstream.close() if not upstream.content.is_eof() else upstream.release()

    async def _connected(self, exchange: _Exchange, port: int, body: bytes) -> aiohttp.ClientResponse:
        """Send the request; once more, on another connection, where it surely was not read by anybody.

        A model that was changed since the request came has another server by then.
        """
        assert self._session is not None  # noqa: S101 - opened before the first request
        assert exchange.decision.backend is not None  # noqa: S101 - the caller has looked
        to = exchange.decision.backend
        headers, target = self.passed_on(to, exchange.asked, exchange.gates.credentials)
        headers = end_to_end(headers) | {"host": exchange.asked.host}
        headers.pop("content-length", None)
        headers.pop("expect", None)
        for attempt in range(_ATTEMPTS):
            # Nothing but loopback is ever connected to, whatever address the cluster pretends.
            url = URL(f"http://{_LOOPBACK}:{port}{target}", encoded=True)
            try:
                return await self._session.request(
                    exchange.asked.method, url, headers=headers, data=body or None, allow_redirects=False
                )
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
                found = self.backends.find(to.namespace, to.name)
                before, port = port, found.port if found and found.port else port
                refused = isinstance(error, aiohttp.ClientConnectorError) and port == before
                if attempt + 1 == _ATTEMPTS or refused:
                    raise
        raise AssertionError

    def passed_on(self, to: Backend, asked: Request, credentials: Collection[str]) -> tuple[dict[str, str], str]:
        """Headers and target of what a model gets to see."""
        return without_credentials(to.headers, to.path, asked, credentials)

    async def _streamed(
        self, exchange: _Exchange, upstream: aiohttp.ClientResponse, answer: web.StreamResponse
    ) -> None:
        """Pass a stream on, piece by piece; the one with its end waits until the tokens are counted."""
        await answer.prepare(exchange.request)
        usage, held = StreamedUsage(), b""
        exchange.entry.stream = True
        async for chunk in upstream.content.iter_any():
            usage.feed(chunk)
            if held:
                await answer.write(held)
                held = b""
            if usage.ended:
                held = chunk
            else:
                await answer.write(chunk)
        await self._finish(exchange, usage.body())
        if held:
            await answer.write(held)
        await answer.write_eof()

    async def _finish(self, exchange: _Exchange, body: Mapping[str, object] | None) -> None:
        decision, gate = exchange.decision, exchange.gate
        if not decision.reports:
            return
        before = (len(decision.calls), decision.errors)
        if decision.context is not None and body is not None:
            decision.context.answered(body)
        now = self.clock()
        try:
            await self.counting(gate.counters, lambda: gate.finish(decision, body, now))
        except redis.RedisError:
            decision.errors += 1
            decision.explanation.append("Limitador's Redis does not answer: the tokens are not counted")
        self.telemetry.finished(gate, decision, exchange.gates.limiter, before)
        _count(exchange.entry, next((call.hits for call in decision.calls[before[0] :]), None), body, now)

    def _failed(
        self, exchange: _Exchange, status: int, body: str, flags: str, answer: web.StreamResponse | None = None
    ) -> web.StreamResponse:
        """What Envoy answers when the model does not; an answer that has begun can only be cut off."""
        self._ended(exchange, status, flags)
        if answer is not None and answer.prepared:
            if exchange.request.transport is not None:
                exchange.request.transport.abort()
            return answer
        return _text(status, body, exchange.headers)

    def _ended(self, exchange: _Exchange, status: int, flags: str) -> None:
        exchange.entry.status, exchange.entry.flags = status, flags
        exchange.entry.seconds = time.perf_counter() - exchange.began
        to = exchange.decision.backend
        if to is None:
            return
        gateway = exchange.gate.world.gateway
        outcome = (0 if status == _GONE else status, flags, exchange.entry.seconds)
        self.telemetry.answered(name_of(gateway), namespace_of(gateway), (to.namespace, to.name), outcome)


def _undecided(because: str) -> Decision:
    return Decision(allowed=False, status=500, guarded=True, errors=1, explanation=[because])


def _without_limiter(gate: Gate, asked: Request, now: float, because: str) -> Decision:
    answered, gate.limiter_answers = gate.limiter_answers, False
    try:
        decision = gate.decide(asked, now)
    finally:
        gate.limiter_answers = answered
    decision.explanation.append(because)
    return decision


def _count(entry: Entry, tokens: int | None, body: Mapping[str, object] | None, now: float) -> None:
    """Note what was counted; nothing when the answer named no tokens."""
    entry.tokens = tokens
    if tokens is None:
        return
    prompt = fields_of((body or {}).get("usage")).get("prompt_tokens")
    entry.prompt_tokens = min(prompt, tokens) if isinstance(prompt, int) else 0
    entry.completion_tokens = tokens - entry.prompt_tokens
    entry.counted = now


def data_runner(proxy: Proxy, drain_seconds: float = 0.0) -> web.ServerRunner:
    """What hands requests to the data path: as they came, and told when their caller goes.

    Args:
        proxy: the data path.
        drain_seconds: for running requests, when it is cleaned up.
    """
    server = web.Server(
        proxy.handle,
        auto_decompress=False,
        handler_cancellation=True,
        access_log=None,
        max_line_size=_LARGEST_LINE,
        max_field_size=_LARGEST_LINE,
    )
    return web.ServerRunner(server, shutdown_timeout=drain_seconds)


def rate_limit_headers(decision: Decision, counters: Counters, now: float) -> dict[str, str]:
    """Limitador's headers (draft version 3) for the request limits; token limits have none."""
    asked = [each for call in decision.calls if call.kind == "limit" for each in call.counters]
    if not asked:
        return {}

    def left(counter: Counter) -> int:
        return max(0, counter.max_value - counters.value(counter, now))

    tightest = min(asked, key=left)
    all_limits = ", ".join(f'{each.max_value};w={each.seconds};name="{each.name}"' for each in asked)
    return {
        "x-ratelimit-limit": f"{tightest.max_value}, {all_limits}",
        "x-ratelimit-remaining": str(left(tightest)),
        "x-ratelimit-reset": str(int(counters.remaining_seconds(tightest, now))),
    }


async def _body(request: web.BaseRequest) -> bytes | None:
    """The whole body; None when it is too large."""
    if not request.can_read_body:
        return b""
    if int(request.headers.get("Content-Length") or 0) > LARGEST_BODY:
        return None
    if request.headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(_CONTINUE)
        request.writer.output_size = 0  # the answer itself has not begun
    whole = bytearray()
    async for chunk in request.content.iter_any():
        whole += chunk
        if len(whole) > LARGEST_BODY:
            return None
    return bytes(whole)


def _text(status: int, body: str, headers: Mapping[str, str]) -> web.Response:
    kind = {} if any(name.lower() == "content-type" for name in headers) or not body else {"content-type": "text/plain"}
    return web.Response(status=status, body=body.encode(), headers={**headers, **kind})


def as_json(value: object, status: int = 200) -> web.Response:
    """A value as an answer."""
    return web.Response(status=status, text=json.dumps(value, indent=2) + "\n", content_type="application/json")
