"""A request's head as Envoy reads it, and what of it is passed on."""

import re
import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from aiohttp import web
from multidict import CIMultiDictProxy
from yarl import URL

from enforcement.request import Request

_HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")


@dataclass(frozen=True)
class BadRequest:
    """A head that Envoy refuses before any filter sees it."""

    status: int
    because: str


def read_head(request: web.BaseRequest) -> Request | BadRequest:
    """The head, with the path normalised (RFC 3986), as Istio's gateways do, and the headers that Envoy adds."""
    hosts = request.headers.getall("Host", [])
    absolute = not request.raw_path.startswith("/")
    if len(hosts) != 1 or not hosts[0]:
        return BadRequest(400, "one Host header is needed")
    host, target = _readable(hosts[0]), request.raw_path
    if absolute:
        try:
            url = URL(target)
        except ValueError:
            return BadRequest(400, "not a target")
        if url.scheme != "http" or not url.host:
            return BadRequest(404, "no route")
        host, target = url.authority, url.raw_path_qs
    headers = {
        **{
            name: _readable(value) for name, value in joined(request.headers).items() if not name.startswith("x-envoy-")
        },
        "x-request-id": _request_id(request.headers.get("X-Request-ID", "")),
        "x-forwarded-proto": "http",
    }
    source = request.remote or "127.0.0.1"
    before = headers.get("x-forwarded-for")
    headers["x-forwarded-for"] = f"{before},{source}" if before else source
    version = f"HTTP/{request.version.major}.{request.version.minor}"
    return Request(
        request.method, host, normalised(target), headers, protocol=version, source=source, id=headers["x-request-id"]
    )


def joined(headers: CIMultiDictProxy[str]) -> dict[str, str]:
    """Headers by name in lower case; several of one name joined, as Envoy shows them to its filters."""
    found: dict[str, str] = {}
    for name, value in headers.items():
        key = name.lower()
        found[key] = f"{found[key]},{value}" if key in found else value
    return found


def normalised(target: str) -> str:
    """The target with dots resolved and harmless escapes undone, in its path only."""
    path, question, query = target.partition("?")
    if any(sign in path for sign in (".", "%", "\\", "#")):
        path = URL(f"http://gateway{path.partition('#')[0].replace(chr(92), '/')}").raw_path
    return path + question + query


def end_to_end(headers: Mapping[str, str]) -> dict[str, str]:
    """Without those that are for the next hop only."""
    named = {each.strip().lower() for each in headers.get("connection", "").split(",")}
    return {name: value for name, value in headers.items() if name not in _HOP_BY_HOP and name not in named}


def without_credentials(
    headers: Mapping[str, str], target: str, asked: Request, credentials: Collection[str]
) -> tuple[dict[str, str], str]:
    """What goes to a model: nothing by which the caller could be impersonated, wherever a key was sent.

    Args:
        headers: what the policies and the route made of the caller's headers.
        target: path and query.
        asked: the request as it came.
        credentials: every key that the gateway accepts.
    """
    sent = asked.headers.get("authorization")
    kept = {
        name: value
        for name, value in headers.items()
        if not (name == "authorization" and value == sent) and not _holds(value, credentials)
    }
    path, question, query = target.partition("?")
    parts = [part for part in query.split("&") if not _holds(part.partition("=")[2], credentials)]
    return kept, path + (question if parts and parts != [""] else "") + "&".join(parts)


def _readable(value: str) -> str:
    """A header's value as text: bytes that are no UTF-8 have a stand-in, since no expression can read them."""
    return value if value.isascii() else value.encode(errors="surrogateescape").decode(errors="replace")


def _holds(value: str, credentials: Collection[str]) -> bool:
    return any(word in credentials for word in re.split(r"[\s;,=]+", value))


def _request_id(given: str) -> str:
    return given if _REQUEST_ID.fullmatch(given) else str(uuid.uuid4())
