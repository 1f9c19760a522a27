"""Requests to the gateway, whatever it answers: no answer is an exception, each is bounded, all are counted."""

import asyncio
import json
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, cast
from urllib.parse import urlsplit

import httpx

from cli.service.calls import STREAM_END, Way, data_of
from cli.stacks.stackfile import mapping
from cli.verify.facts import error_code

CHAT, COMPLETIONS, EMBEDDINGS, MODELS = "/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/models"
_CONNECT_SECONDS = 5.0
_AT_ONCE = 16
_LARGEST = 4 * 1024 * 1024
"""Bytes of an answer that are read."""
_SHOWN = 160


class BudgetSpentError(Exception):
    """The run has made all the requests, or used all the tokens, that it may."""


@dataclass(frozen=True)
class Caller:
    """Somebody who calls."""

    name: str
    key: str = field(default="", repr=False)
    """Empty for nobody."""
    own: bool = False
    """Whether verify made the user, so that nobody else spends of its quota."""


NOBODY = Caller("nobody")


@dataclass(frozen=True)
class Reply:
    """What came back."""

    status: int
    """0 when no whole answer came."""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    body: bytes = b""
    error: str = ""
    """Why no whole answer came."""
    seconds: float = 0.0

    @property
    def id(self) -> str:
        """By which the gateway knows the request."""
        return self.headers.get("x-request-id", "")

    @cached_property
    def json(self) -> Mapping[str, Any]:
        """The body, where it is a JSON object; else nothing."""
        try:
            return mapping(json.loads(self.body))
        except ValueError:
            return {}

    @cached_property
    def events(self) -> list[Mapping[str, Any]] | None:
        """The events of a whole stream; None where it is none, or has no end."""
        lines = self.body.decode(errors="replace").splitlines()
        data = [carried for line in lines if (carried := data_of(line)) is not None]
        if not data or data[-1] != STREAM_END:
            return None
        try:
            return [mapping(json.loads(each)) for each in data[:-1]]
        except ValueError:
            return None

    @property
    def tokens(self) -> int | None:
        """What the answer says that it cost; None where it says nothing."""
        bodies = [self.json, *(reversed(self.events) if self.events else ())]
        found = (mapping(each.get("usage")).get("total_tokens") for each in bodies)
        return next((each for each in found if isinstance(each, int)), None)

    @property
    def code(self) -> str:
        """The `code` of an error in OpenAI's shape."""
        return error_code(self.json)

    @property
    def words(self) -> str:
        """For people: the status, and how the body begins."""
        if self.error:
            return self.error
        said = " ".join(self.body[: 2 * _SHOWN].decode(errors="replace").split())
        return f"{self.status} {said[:_SHOWN]}".strip()


@dataclass
class Spent:
    """What a run may use, and what it has used."""

    max_requests: int
    max_tokens: int
    requests: int = 0
    tokens: int = 0


class Client:
    """Sends requests; several at once, and never more than the run may make."""

    def __init__(self, spent: Spent, seconds: float, tls: ssl.SSLContext | None = None, *, trust_env: bool) -> None:
        """Get ready.

        Args:
            spent: what the run may use.
            seconds: how long one request may take, from its first byte to the answer's last.
            tls: how certificates are verified; None: with the authorities that the system knows.
            trust_env: whether the machine's proxy settings hold.
        """
        self.spent, self.seconds, self.tls = spent, seconds, tls
        self.under_way = 0
        """Requests that have no answer yet."""
        self._turn = asyncio.Semaphore(_AT_ONCE)
        self._http = httpx.AsyncClient(
            verify=True if tls is None else tls,
            trust_env=trust_env,
            timeout=httpx.Timeout(seconds, connect=min(seconds, _CONNECT_SECONDS), pool=None),
            limits=httpx.Limits(max_connections=_AT_ONCE),
        )

    async def close(self) -> None:
        """Close what is open."""
        await self._http.aclose()

    async def send(  # noqa: PLR0913 - what a request is made of
        self,
        way: Way,
        caller: Caller,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        host: str = "",
    ) -> Reply:
        """Ask: POST with a body, GET without.

        Args:
            way: to which model.
            caller: whose key is sent.
            path: below the model's address, with a query where it needs one.
            body: sent as JSON.
            headers: more of them.
            host: another Host header than the model's.

        Raises:
            BudgetSpentError: There is nothing left to spend.
        """
        sent = {**(headers or {}), "Host": host or way.host}
        if caller.key:
            sent["Authorization"] = f"Bearer {caller.key}"
        async with self._turn:
            self._count()
            self.under_way += 1
            try:
                reply = await self._sent(way, path, body, sent)
            finally:
                self.under_way -= 1
        self.spent.tokens += reply.tokens or 0
        return reply

    def _count(self) -> None:
        spent = self.spent
        if spent.requests >= spent.max_requests:
            raise BudgetSpentError(f"all of the {spent.max_requests} requests that this run may make are made")
        if spent.tokens >= spent.max_tokens:
            raise BudgetSpentError(f"all of the {spent.max_tokens} tokens that this run may use are used")
        spent.requests += 1

    async def _sent(self, way: Way, path: str, body: Mapping[str, Any] | None, headers: Mapping[str, str]) -> Reply:
        began = time.monotonic()
        # A certificate is for the model's host, whatever address stands in its place.
        name = way.host.rpartition(":")[0] or way.host
        aside = {"sni_hostname": name} if way.url.startswith("https") and urlsplit(way.url).hostname != name else {}
        try:
            async with asyncio.timeout(self.seconds):
                request = self._http.build_request(
                    "GET" if body is None else "POST",
                    way.url + path,
                    headers=dict(headers),
                    json=body,
                    extensions=aside,
                )
                answer = await self._http.send(request, stream=True)
                try:
                    whole = await _read(answer)
                finally:
                    await answer.aclose()
        except TimeoutError:
            return Reply(0, error=f"no whole answer within {self.seconds:g} s", seconds=time.monotonic() - began)
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, ssl.SSLError, OSError, ValueError) as error:
            said = f"{type(error).__name__}: {error}".rstrip(": ")
            return Reply(0, error=f"no whole answer: {said}", seconds=time.monotonic() - began)
        lower = {key.lower(): value for key, value in cast("Mapping[str, str]", answer.headers).items()}
        return Reply(answer.status_code, lower, whole, seconds=time.monotonic() - began)


async def _read(answer: httpx.Response) -> bytes:
    whole = bytearray()
    async for piece in answer.aiter_bytes():
        whole += piece
        if len(whole) > _LARGEST:
            raise ValueError(f"an answer of more than {_LARGEST} bytes")
    return bytes(whole)
