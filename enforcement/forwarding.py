"""What the router does with a request that the filters let pass: where it goes, and what is changed on the way."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from enforcement.objects import fields_of, items_of
from enforcement.request import Request
from enforcement.routing import Path


@dataclass(frozen=True)
class Backend:
    """Where an allowed request goes, and what is changed about it on the way."""

    namespace: str
    name: str
    kind: str
    port: int | None
    path: str
    """The path with the query, after rewriting."""
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Onward:
    """A backend, or the answer of the router itself."""

    backend: Backend | None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    explanation: str = ""


def onward(path: Path | None, request: Request, added: Mapping[str, str]) -> Onward:
    """Where a request goes that takes a path.

    Args:
        path: what Envoy found; None for nothing.
        request: as it came.
        added: headers that Authorino sets.
    """
    if path is None:
        return Onward(None, 404, explanation=f"no route for host {request.host} and path {request.url_path}")
    headers = dict(request.headers) | {name.lower(): value for name, value in added.items()}
    target = request.target
    for rule in items_of(path.rule.get("filters")):
        if rule["type"] == "RequestRedirect":
            return _redirect(rule["requestRedirect"], request)
        if rule["type"] == "RequestHeaderModifier":
            headers = _modified(headers, rule["requestHeaderModifier"])
        elif rule["type"] == "URLRewrite":
            target = _rewritten(target, fields_of(rule["urlRewrite"].get("path")), path)
    backends = items_of(path.rule.get("backendRefs"))
    if not backends:
        return Onward(None, 500, explanation="the route leads nowhere")
    first = backends[0]
    namespace = str(first.get("namespace") or path.namespace.partition("/")[0])
    return Onward(
        Backend(namespace, str(first["name"]), str(first.get("kind", "Service")), first.get("port"), target, headers)
    )


def _modified(headers: Mapping[str, str], change: Mapping[str, Any]) -> dict[str, str]:
    changed = dict(headers)
    for each in items_of(change.get("set")):
        changed[each["name"].lower()] = each["value"]
    for each in items_of(change.get("add")):
        name = each["name"].lower()
        changed[name] = f"{changed[name]},{each['value']}" if name in changed else each["value"]
    for name in items_of(change.get("remove")):
        changed.pop(name.lower(), None)
    return changed


def _rewritten(target: str, change: Mapping[str, Any], path: Path) -> str:
    old, question, query = target.partition("?")
    if change.get("type") == "ReplaceFullPath":
        new = str(change["replaceFullPath"])
    elif change.get("type") == "ReplacePrefixMatch":
        prefix = str(fields_of(path.match.get("path")).get("value", "/")).rstrip("/")
        rest = old.removeprefix(prefix)
        new = str(change["replacePrefixMatch"]).rstrip("/") + rest or "/"
    else:
        new = old
    return new + question + query


def _redirect(redirect: Mapping[str, Any], request: Request) -> Onward:
    scheme = redirect.get("scheme", request.scheme)
    host, port = redirect.get("hostname", request.bare_host), redirect.get("port")
    location = f"{scheme}://{host}{f':{port}' if port else ''}{request.target}"
    return Onward(None, int(redirect.get("statusCode", 302)), {"location": location}, "redirected")
