"""Which rule of which HTTPRoute a request takes: once as Envoy finds it, once as Kuadrant's filter does.

Both sort the same way (Gateway API's precedence); they differ in how they look the host up. Envoy compares hosts
without regard to case, the filter as they are written, and that is a difference through which requests have slipped.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from enforcement.objects import Object, World, created, fields_of, items_of, name_of, namespace_of
from enforcement.request import Request

ANY = "*"


@dataclass(frozen=True)
class Path:
    """One match of one rule of one route, for one hostname of one listener."""

    hostname: str
    listener: str
    route: Object
    rule_index: int
    match: Mapping[str, Any]

    @property
    def rule(self) -> Mapping[str, Any]:
        """The rule of the HTTPRoute."""
        return self.route["spec"]["rules"][self.rule_index]

    @property
    def namespace(self) -> str:
        """What Limitador keeps counters apart by: `<namespace>/<name>` of the route."""
        return f"{namespace_of(self.route)}/{name_of(self.route)}"


class Paths:
    """All ways through a gateway, by hostname, the more specific match first."""

    def __init__(self, world: World) -> None:
        self._by_host: dict[str, list[Path]] = {}
        for listener in world.gateway["spec"]["listeners"]:
            for route in world.routes:
                for path in _paths(listener, route):
                    self._by_host.setdefault(path.hostname, []).append(path)
        for paths in self._by_host.values():
            paths.sort(key=_precedence)

    def __iter__(self) -> Iterator[Path]:
        """Every path, hosts in order."""
        return (path for host in sorted(self._by_host) for path in self._by_host[host])

    def taken(self, request: Request) -> Path | None:
        """The path that Envoy takes; None when it answers 404."""
        return self._find(request, request.bare_host.lower(), lower=True)

    def guarded(self, request: Request, *, case_matters: bool) -> Path | None:
        """The path whose policies the filter applies; None when it finds none and lets the request through."""
        host = request.bare_host if case_matters else request.bare_host.lower()
        return self._find(request, host, lower=not case_matters)

    def _find(self, request: Request, host: str, *, lower: bool) -> Path | None:
        for hostname in _wider(host):
            known = next((each for each in self._by_host if (each.lower() if lower else each) == hostname), None)
            if known is not None:
                # A host that has paths of its own never falls back to those of a wider one.
                return next((path for path in self._by_host[known] if matches(path.match, request)), None)
        return None


def matches(match: Mapping[str, Any], request: Request) -> bool:
    """Whether a request fits an HTTPRouteMatch."""
    path = fields_of(match.get("path")) or {"type": "PathPrefix", "value": "/"}
    return (
        _path_matches(str(path.get("type", "PathPrefix")), str(path.get("value", "/")), request.url_path)
        and match.get("method") in (None, request.method)
        and all(_has_header(request.headers, each) for each in items_of(match.get("headers")))
        and all(_has_parameter(request.query, each) for each in items_of(match.get("queryParams")))
    )


def _path_matches(kind: str, value: str, path: str) -> bool:
    if kind == "Exact":
        return path == value
    if kind == "PathPrefix":
        # By whole segments: /v1 is a prefix of /v1/models and not of /v10.
        stem = value.rstrip("/")
        return path == stem or path.startswith(stem + "/")
    raise NotImplementedError(f"path matches of type {kind}")


def _has_header(headers: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    return headers.get(wanted["name"].lower()) == _exact(wanted)


def _exact(wanted: Mapping[str, str]) -> str:
    if wanted.get("type", "Exact") != "Exact":
        raise NotImplementedError(f"matches of type {wanted['type']}")
    return wanted["value"]


def _has_parameter(query: str, wanted: Mapping[str, str]) -> bool:
    pairs = [part.partition("=") for part in query.split("&")]
    return next((value for name, _, value in pairs if name == wanted["name"]), None) == _exact(wanted)


def _paths(listener: Mapping[str, Any], route: Object) -> list[Path]:
    sections = {ref.get("sectionName") for ref in route["spec"]["parentRefs"]}
    if None not in sections and listener["name"] not in sections:
        return []
    outer = str(listener.get("hostname") or ANY)
    hostnames = [
        common
        for each in items_of(route["spec"].get("hostnames")) or [ANY]
        if (common := _intersection(outer, str(each)))
    ]
    return [
        Path(hostname, str(listener["name"]), route, index, match)
        for hostname in hostnames
        for index, rule in enumerate(items_of(route["spec"].get("rules")))
        for match in items_of(fields_of(rule).get("matches")) or [{}]
    ]


def _intersection(outer: str, inner: str) -> str | None:
    """What two hostnames have in common, as the Gateway API intersects listener and route."""
    if outer in {ANY, inner}:
        return inner
    if inner == ANY:
        return outer
    for wide, narrow in ((outer, inner), (inner, outer)):
        if wide.startswith("*.") and narrow.endswith(wide[1:]) and narrow != wide:
            return narrow
    return None


def _wider(host: str) -> list[str]:
    """The host itself, then ever shorter wildcards, then any."""
    labels = host.split(".")
    return [host, *("*." + ".".join(labels[index:]) for index in range(1, len(labels))), ANY]


def _precedence(path: Path) -> tuple[object, ...]:
    match = path.match
    at = fields_of(match.get("path"))
    kind, value = at.get("type", "PathPrefix"), str(at.get("value", "/"))
    return (
        kind != "Exact",
        -len(value),
        "method" not in match,
        -len(items_of(match.get("headers"))),
        -len(items_of(match.get("queryParams"))),
        created(path.route),
        namespace_of(path.route),
        name_of(path.route),
        path.rule_index,
    )
