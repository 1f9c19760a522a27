"""One request of a load, and what it came to."""

import asyncio
import json
import ssl
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, cast

import aiohttp

from cli.load.drive import AT_ONCE
from cli.load.figures import Outcome
from cli.load.plan import words
from cli.service.calls import CHAT, STREAM_END, Way, chat_body, data_of, event_of
from cli.stacks.stackfile import mapping
from simulation.traffic import Ask

LONGEST_ANSWER = 16 * 1024 * 1024
"""Bytes; what is longer is no answer."""
_LONGEST_LINE = 1024 * 1024


class GarbageError(Exception):
    """An answer that is none; says why."""


@dataclass
class Caller:
    """Asks a stack's models in the name of its users."""

    session: aiohttp.ClientSession
    ways: Mapping[str, Way]
    """By model."""
    tiers: Mapping[str, str]
    keys: Mapping[str, str] = field(repr=False)
    timeout: float
    """Seconds for one answer."""

    async def ask(self, asked: Ask, number: int, due: float, began: float) -> Outcome:
        """Make a request, whatever comes of it.

        Args:
            asked: what.
            number: of the request, which makes its prompt.
            due: when it should be sent, by time.perf_counter.
            began: when the run did.
        """
        sent = time.perf_counter()
        made = Outcome(self.tiers[asked.user], due - began, sent - began, 0.0)
        try:
            async with asyncio.timeout(self.timeout):
                made = await self._answered(asked, number, made, began)
        except TimeoutError:
            made = replace(made, error=f"no whole answer within {self.timeout:g} s")
        except GarbageError as error:
            made = replace(made, error=str(error))
        except (aiohttp.ClientError, OSError) as error:
            made = replace(made, error=_words(error))
        except asyncio.CancelledError:
            made = replace(made, error="not ended when the run was stopped")
        return replace(made, ended=time.perf_counter() - began)

    async def _answered(self, asked: Ask, number: int, made: Outcome, began: float) -> Outcome:
        way = self.ways[asked.model]
        messages = [{"role": "user", "content": words(asked.prompt, f"{number}/{asked.user}")}]
        body = chat_body(way, messages, most=asked.completion or 1, stream=asked.stream)
        headers = {"Host": way.host, "Authorization": f"Bearer {self.keys[asked.user]}"}
        # With TLS the certificate is held to the model's name, wherever the connection leads.
        name = way.host.partition(":")[0] if way.url.startswith("https:") else None
        async with self.session.post(
            way.url + CHAT, json=body, headers=headers, server_hostname=name, allow_redirects=False
        ) as answer:
            made = replace(made, status=answer.status)
            kind = answer.content_type
            if kind == "text/event-stream":
                return await _streamed(answer, made, began)
            whole = await _whole(answer)
            if not answer.ok:
                return made
            if kind != "application/json":
                raise GarbageError(f"an answer of type {kind}")
            return _used(made, _parsed(whole))


async def _streamed(answer: aiohttp.ClientResponse, made: Outcome, began: float) -> Outcome:
    size, ended = 0, False
    async for raw in answer.content:
        size += len(raw)
        if size > LONGEST_ANSWER:
            raise GarbageError("an answer that is too long")
        line = raw.decode("utf-8", "replace").strip()
        ended = ended or data_of(line) == STREAM_END
        try:
            event = event_of(line)
        except ValueError:
            raise GarbageError("a stream of something else than events") from None
        if event is None:
            continue
        if event.text and made.first is None:
            made = replace(made, first=time.perf_counter() - began)
        if event.usage:
            made = _used(made, {"usage": event.usage})
    if not ended:
        raise GarbageError("a stream that ended early")
    return made


async def _whole(answer: aiohttp.ClientResponse) -> bytes:
    whole = bytearray()
    async for piece in answer.content.iter_any():
        whole += piece
        if len(whole) > LONGEST_ANSWER:
            raise GarbageError("an answer that is too long")
    return bytes(whole)


def _parsed(body: bytes) -> Mapping[str, Any]:
    try:
        value: object = json.loads(body)
    except (ValueError, RecursionError):
        raise GarbageError("an answer that is no JSON") from None
    if not isinstance(value, dict):
        raise GarbageError("an answer of another shape")
    return cast("Mapping[str, Any]", value)


def _used(made: Outcome, body: Mapping[str, Any]) -> Outcome:
    usage = mapping(body.get("usage"))
    total, completion = usage.get("total_tokens"), usage.get("completion_tokens")
    if not isinstance(total, int) or not isinstance(completion, int):
        raise GarbageError("an answer that does not say what it used")
    return replace(made, tokens=total, completion=completion)


def _words(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientConnectorSSLError):
        return "a certificate that is not trusted, or no TLS"
    if isinstance(error, aiohttp.ClientConnectorError):
        return "no connection"
    if isinstance(error, aiohttp.ClientPayloadError | aiohttp.ServerDisconnectedError | OSError):
        return "a connection that broke off"
    if isinstance(error, aiohttp.ClientResponseError):
        return "something else than HTTP"
    return type(error).__name__


@asynccontextmanager
async def session(ca: str | None) -> AsyncGenerator[aiohttp.ClientSession]:
    """Connections for a run.

    Args:
        ca: PEM file of the authority to trust; None for the system's.
    """
    context = ssl.create_default_context(cafile=ca)
    connector = aiohttp.TCPConnector(limit=AT_ONCE, ssl=context)
    async with aiohttp.ClientSession(
        connector=connector, timeout=aiohttp.ClientTimeout(total=None), read_bufsize=_LONGEST_LINE
    ) as made:
        yield made
