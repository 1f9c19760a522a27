"""A request as the gateway sees it, and the attributes that expressions read."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Request:
    """A request's head. Header names are in lower case; `target` is the path with the query, as it was sent."""

    method: str
    host: str
    target: str
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    scheme: str = "http"
    protocol: str = "HTTP/1.1"
    source: str = "127.0.0.1"
    id: str = ""

    @property
    def url_path(self) -> str:
        """The path without the query."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        """What stands behind the question mark."""
        return self.target.partition("?")[2]

    @property
    def bare_host(self) -> str:
        """The host without a port, in the case in which it was sent."""
        return without_port(self.host)

    @property
    def likeness(self) -> tuple[object, ...]:
        """Equal for requests that differ in nothing but their id and the time they came at."""
        headers = tuple(sorted(self.headers.items()))
        return (self.method, self.host, self.target, self.scheme, self.protocol, self.source, headers)

    def attributes(self, now: float) -> dict[str, Any]:
        """`request` and `source` of both dialects (Envoy's attributes); `path` includes the query.

        Args:
            now: seconds since the epoch at which the request came.
        """
        seconds = int(now)
        headers = {**self.headers, ":authority": self.host, ":method": self.method, ":path": self.target}
        return {
            "request": {
                "id": self.id,
                "time": {"seconds": seconds, "nanos": int((now - seconds) * 1e9)},
                "protocol": self.protocol,
                "scheme": self.scheme,
                "host": self.host,
                "method": self.method,
                "path": self.target,
                "url_path": self.url_path,
                "query": self.query,
                "headers": headers,
                "referer": self.headers.get("referer", ""),
                "useragent": self.headers.get("user-agent", ""),
                "user_agent": self.headers.get("user-agent", ""),
                "size": int(self.headers.get("content-length", "0") or 0),
            },
            "source": {"address": self.source, "remote_address": self.source},
            "destination": {},
            "metadata": {},
        }


def without_port(host: str) -> str:
    """A host without its port; an IPv6 address keeps its brackets."""
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0]
