"""A small asynchronous API-server client: server-side apply, watch, discovery on demand, retries only where safe."""

import asyncio
import json
import random
import re
import time
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, cast

import httpx

from sandbox.kubeconfig import Connection

Object = dict[str, Any]
"""A Kubernetes object (or a Status) as JSON."""
Objects = list[Object]

APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"

_GONE = 410
_NOT_FOUND = 404
_CONFLICT = 409
_TOO_MANY = 429
_NOT_SERVED = "NotServed"
_TRANSIENT = frozenset({500, 502, 503, 504})
_AWAY = frozenset({0, 502, 503, 504})
"""What comes in place of an answer when the server is away: nothing, or the word of a load balancer before it."""
_REST = 10.0
"""Seconds in which a server that one request has given up on is not asked by others: each would wait as long."""
_SHOWN = 80
"""Characters of an answer that is none."""
_WATCH_SECONDS = 30.0
"""Length of one watch request, renewed from where it stopped (the server's own limit is 5 to 10 minutes).

A connection that something on the way has dropped without a word looks like one on which nothing happens. It is noticed
when the request should have ended, so requests are short.
"""
_WATCH_BEGINS = 10.0
"""Seconds until the header of a watch has to be there: the API server sends it at once, before any event."""


@dataclass(frozen=True)
class Cause:
    """One reason for a refusal: the field it is about and what is wrong with it."""

    reason: str
    message: str
    field: str


class ApiError(Exception):
    """The API server refused, or could not be reached (status 0).

    Attributes:
        status: HTTP status code; 0 when no answer came.
        reason: The machine-readable reason, such as `NotFound`, `Conflict`, `Invalid`, `Unreachable`.
        message: The server's sentence.
        target: What the request was about: `Kind namespace/name`.
        causes: The details of an `Invalid` or `Conflict` answer.
        details: The `details` of the server's Status.
    """

    def __init__(self, status: int, reason: str, message: str, target: str, details: Object | None = None) -> None:
        self.status = status
        self.reason = reason
        self.message = message
        self.target = target
        self.details: Object = details or {}
        causes = cast("list[dict[str, str]]", self.details.get("causes") or [])
        self.causes = [Cause(c.get("reason", ""), c.get("message", ""), c.get("field", "")) for c in causes]
        super().__init__(f"{target}: {message} ({reason}{f', HTTP {status}' if status else ''})")

    @property
    def not_found(self) -> bool:
        """Whether the object, its namespace or its kind does not exist."""
        return self.status == _NOT_FOUND

    @property
    def conflict(self) -> bool:
        """Whether another field manager, a newer version or another object is in the way."""
        return self.status == _CONFLICT


class NoMatchError(ApiError):
    """The API server does not serve this kind: its CRD is not there (yet), or not at this version."""

    def __init__(self, api_version: str, kind: str, target: str) -> None:
        super().__init__(_NOT_FOUND, "NoMatch", f'no matches for kind "{kind}" in version "{api_version}"', target)


@dataclass(frozen=True)
class Resource:
    """What discovery says of one kind."""

    plural: str
    namespaced: bool


@dataclass(frozen=True)
class Event:
    """One watch event; `type` is ADDED, MODIFIED or DELETED."""

    type: str
    object: Object


@dataclass(frozen=True)
class Retry:
    """How often and how long a request is tried again: after `base` seconds, doubled each time, with jitter.

    Both bounds hold: at most `attempts` requests, none started later than `seconds` after the first. There are no more
    than `few` where the server has never answered, so that a wrong address is told soon, and where it answers with an
    error. The others are for one that has answered and is away: it is being started again, which takes half a minute.
    """

    attempts: int = 11
    few: int = 6
    seconds: float = 60.0
    base: float = 0.2
    longest: float = 10.0

    def bound(self, *, is_away: bool) -> int:
        """How many requests there are at most."""
        return self.attempts if is_away else min(self.attempts, self.few)

    def pause(self, attempt: int, asked: float | None) -> float:
        """Seconds to wait before the next try; `asked` is what the server said in Retry-After."""
        if asked is not None:
            return asked
        delay = min(self.base * 2**attempt, self.longest)
        return delay * random.uniform(0.5, 1.0)  # noqa: S311  (jitter, not cryptography)


def reference(kind: str, name: str, namespace: str | None = None) -> str:
    """Name an object the way errors do: `Kind namespace/name`."""
    return f"{kind} {namespace}/{name}" if namespace else f"{kind} {name}"


def conditions(obj: Object) -> list[Object]:
    """The object's status conditions; empty when it has none."""
    status = obj.get("status")
    found: object = cast("Object", status).get("conditions") if isinstance(status, dict) else None
    if not isinstance(found, list):
        return []
    return [cast("Object", c) for c in cast("list[object]", found) if isinstance(c, dict)]


@dataclass
class _WatchState:
    """Where a watch stands between two requests: the last version seen, the objects known, failures in a row."""

    version: str | None
    known: dict[str, Object] = field(default_factory=dict[str, Object])
    failures: int = 0

    @classmethod
    def starting(cls, since: Object | None) -> Self:
        if since is None:
            return cls(version=None)
        return cls(version=since["metadata"]["resourceVersion"], known={since["metadata"]["uid"]: since})

    def remember(self, event: Event) -> None:
        self.failures = 0
        self.version = str(event.object["metadata"]["resourceVersion"])
        if event.type == "BOOKMARK":
            return
        uid = str(event.object["metadata"]["uid"])
        if event.type == "DELETED":
            self.known.pop(uid, None)
        else:
            self.known[uid] = event.object

    def relisted(self, items: Objects) -> list[Event]:
        """What a fresh list says that was not known: vanished objects as DELETED, new and changed ones."""
        present = {str(item["metadata"]["uid"]): item for item in items}
        gone = [Event("DELETED", obj) for uid, obj in self.known.items() if uid not in present]
        events = [
            Event("MODIFIED" if uid in self.known else "ADDED", item)
            for uid, item in present.items()
            if uid not in self.known
            or self.known[uid]["metadata"]["resourceVersion"] != item["metadata"]["resourceVersion"]
        ]
        self.known = present
        return gone + events


@dataclass
class _GroupVersion:
    kinds: dict[str, Resource] = field(default_factory=dict[str, Resource])
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Kube:
    """One API server, one connection pool. Use as `async with Kube.connect(kubeconfig) as kube`."""

    def __init__(
        self,
        connection: Connection,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        retry: Retry | None = None,
        on_warning: Callable[[str, str], None] | None = None,
    ) -> None:
        """Prepare the client.

        Args:
            connection: Where the server is and how to log in.
            transport: In place of real sockets, for tests.
            retry: Other bounds for repeated requests.
            on_warning: Is told target and text of each warning of the server (deprecations, unknown fields).
        """
        self.server = connection.server
        self.namespace = connection.namespace
        self._retry = retry or Retry()
        self._on_warning = on_warning
        self._answered: float | None = None
        self._given_up: tuple[float, ApiError] | None = None
        self._groups: dict[str, _GroupVersion] = {}
        self._http = httpx.AsyncClient(
            base_url=connection.server,
            headers=connection.headers,
            verify=connection.tls,
            transport=transport,
            proxy=connection.proxy if transport is None else None,
            # The machine's proxy settings are for the world outside; a kubeconfig says itself when it needs one.
            trust_env=False,
            # A watch holds its connection for as long as it lasts, so the pool itself has no bound.
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=32, keepalive_expiry=30),
            # Longer than the API server waits for a webhook (30 s at most). Shorter than a run may wait for all tries:
            # a connection that something on the way has dropped without a word has to end before the last of them.
            timeout=httpx.Timeout(35, connect=10),
            event_hooks={"request": [_named(connection.server_name)]} if connection.server_name else None,
        )

    @classmethod
    def connect(cls, kubeconfig: Path, context: str | None = None, *, retry: Retry | None = None) -> Self:
        """Read the kubeconfig; nothing is sent before the first request.

        Args:
            kubeconfig: The file.
            context: The context to use; the file's current one when None.
            retry: Other bounds for repeated requests.

        Raises:
            KubeconfigError: The file is missing, incomplete, or asks for a way to log in that is not supported.
        """
        return cls(Connection.read(kubeconfig, context), retry=retry)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connection pool."""
        await self._http.aclose()

    # --- objects

    async def apply(  # noqa: PLR0913
        self,
        obj: Object,
        *,
        field_manager: str,
        force: bool = False,
        dry_run: bool = False,
        strict: bool = False,
        subresource: str | None = None,
    ) -> Object:
        """Server-side apply; returns the object as it is now.

        Args:
            obj: The fields that `field_manager` wants to own; those it owned and that are missing here are removed.
            field_manager: Who owns the fields.
            force: Take fields over from other managers instead of failing with a conflict.
            dry_run: Validate, default and admit on the server, but change nothing.
            strict: Refuse unknown and duplicate fields.
            subresource: Such as `status`.

        Raises:
            ApiError: Refused; a conflict (409) lists the other managers and the fields in `causes`.
            NoMatchError: The kind is not served.
        """
        params = _params(field_manager, dry_run=dry_run, strict=strict) | {"force": str(force).lower()}
        # JSON is YAML, and the server parses it faster.
        return await self._write("PATCH", obj, params, content_type=APPLY, subresource=subresource)

    async def create(self, obj: Object, *, field_manager: str, dry_run: bool = False, strict: bool = False) -> Object:
        """Create by POST. Sent again only when it surely was not carried out.

        Raises:
            ApiError: Refused, for instance with reason AlreadyExists (409).
            NoMatchError: The kind is not served.
        """
        return await self._write("POST", obj, _params(field_manager, dry_run=dry_run, strict=strict))

    async def replace(
        self,
        obj: Object,
        *,
        field_manager: str,
        dry_run: bool = False,
        strict: bool = False,
        subresource: str | None = None,
    ) -> Object:
        """Replace the whole object by PUT.

        Raises:
            ApiError: Refused.
            NoMatchError: The kind is not served.
        """
        params = _params(field_manager, dry_run=dry_run, strict=strict)
        return await self._write("PUT", obj, params, subresource=subresource)

    async def patch(  # noqa: PLR0913
        self,
        api_version: str,
        kind: str,
        name: str,
        patch: Object,
        namespace: str | None = None,
        *,
        field_manager: str,
        dry_run: bool = False,
        subresource: str | None = None,
    ) -> Object:
        """Change some fields by JSON merge patch (a null removes a field).

        Raises:
            ApiError: Refused.
            NoMatchError: The kind is not served.
        """
        params = _params(field_manager, dry_run=dry_run)
        where = (api_version, kind, name, namespace, subresource)
        return await self._call("PATCH", where, params=params, body=patch, content_type=MERGE)

    async def get(self, api_version: str, kind: str, name: str, namespace: str | None = None) -> Object | None:
        """The object, or None when it, or its kind, does not exist.

        Raises:
            ApiError: Any refusal but "not found".
        """
        try:
            return await self._call("GET", (api_version, kind, name, namespace, None))
        except ApiError as error:
            if error.not_found:
                return None
            raise

    async def list(
        self, api_version: str, kind: str, namespace: str | None = None, label_selector: str | None = None
    ) -> Objects:
        """All objects of a kind, of all namespaces when `namespace` is None.

        Raises:
            ApiError: Refused.
            NoMatchError: The kind is not served.
        """
        items, _ = await self._list(api_version, kind, namespace, {"labelSelector": label_selector})
        return items

    async def token(self, namespace: str, account: str, seconds: int, audiences: Sequence[str] = ()) -> str:
        """A token of a service account.

        Args:
            namespace: Of the account.
            account: Its name.
            seconds: How long it lasts, 600 at least.
            audiences: Whom it is for; none: the API server.

        Raises:
            ApiError: Refused, for instance because there is no such account.
        """
        url = await self.path("v1", "ServiceAccount", account, namespace, "token")
        body = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"expirationSeconds": seconds, "audiences": list(audiences)},
        }
        answer = await self._send("POST", url, reference("ServiceAccount", account, namespace), body=body)
        return str(_json(answer, account)["status"]["token"])

    async def delete(  # noqa: PLR0913
        self,
        api_version: str,
        kind: str,
        name: str,
        namespace: str | None = None,
        *,
        propagation: str = "Background",
        uid: str | None = None,
    ) -> Object | None:
        """Ask for the object's deletion; does not wait until it is gone.

        Args:
            api_version: Such as `apps/v1`.
            kind: Such as `Deployment`.
            name: The object's name.
            namespace: Its namespace; None when the kind has none.
            propagation: Background (the object at once, its dependents after it, as kubectl does it), Foreground (not
                before its dependents, and not before the garbage collector has come by) or Orphan.
            uid: Delete only this very object, not one of the same name that came after it.

        Returns:
            What the server answered: the object while something still holds it, or a Status; None when there was
            nothing to delete.

        Raises:
            ApiError: Refused; a conflict (409) when `uid` is not that of the object.
        """
        body: Object = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": propagation}
        if uid:
            body["preconditions"] = {"uid": uid}
        try:
            return await self._call("DELETE", (api_version, kind, name, namespace, None), body=body)
        except ApiError as error:
            if error.not_found:
                return None
            raise

    async def watch(  # noqa: PLR0913
        self,
        api_version: str,
        kind: str,
        namespace: str | None = None,
        *,
        name: str | None = None,
        label_selector: str | None = None,
        since: Object | None = None,
        known: Mapping[str, Object] | None = None,
        seconds: float = 600.0,
    ) -> AsyncGenerator[Event, None]:
        """Yield what is there (as ADDED) and then each change, until `seconds` have passed.

        Broken and expired watches are resumed; when the server no longer knows the version (410) the objects are listed
        anew, and those that have vanished meanwhile are yielded as DELETED.

        Args:
            api_version: Such as `v1`.
            kind: Such as `Pod`.
            namespace: All when None.
            name: Only the object of this name.
            label_selector: Only objects with these labels.
            since: Take this object as known and start after its version, instead of with what is there.
            known: Objects by uid that the caller has from an earlier list or watch: what is there still and unchanged
                is not yielded, and what has gone is yielded as DELETED.
            seconds: When the iteration simply ends.

        Raises:
            ApiError: Refused, or the server stayed unreachable through all retries.
            NoMatchError: The kind is not served.
        """
        deadline = time.monotonic() + seconds
        state = _WatchState.starting(since)
        state.known |= known or {}
        selectors = {"labelSelector": label_selector, "fieldSelector": f"metadata.name={name}" if name else None}
        target = reference(kind, name or "(all)", namespace)
        while (remaining := deadline - time.monotonic()) > 0:
            failure: ApiError | None = None
            started = time.monotonic()
            round_ = self._watch_once(api_version, kind, namespace, selectors, state, min(remaining, _WATCH_SECONDS))
            try:
                async with aclosing(round_) as events:
                    async for event in events:
                        yield event
            except httpx.TransportError as error:
                failure = _unreachable(self.server, target, error)
            except ApiError as error:
                if error.status not in {*_TRANSIENT, _TOO_MANY, _GONE}:
                    raise
                failure = error
                state.version = None if error.status == _GONE else state.version
            if failure is None and time.monotonic() - started > 1:
                state.failures = 0
                continue
            # A stream that ends at once without a word counts as a failure: the server must not be asked in a hot loop.
            state.failures += 1
            if failure and state.failures >= self._bound(failure):
                raise failure
            await asyncio.sleep(min(self._retry.pause(state.failures, None), max(deadline - time.monotonic(), 0)))

    async def _watch_once(  # noqa: PLR0913, PLR0917  (internal half of watch)
        self,
        api_version: str,
        kind: str,
        namespace: str | None,
        selectors: Mapping[str, str | None],
        state: _WatchState,
        seconds: float,
    ) -> AsyncGenerator[Event, None]:
        if state.version is None:
            items, state.version = await self._list(api_version, kind, namespace, selectors)
            for event in state.relisted(items):
                yield event
        url = await self.path(api_version, kind, None, namespace)
        stream = self._stream(url, reference(kind, "(all)", namespace), selectors, state.version, seconds)
        async with aclosing(stream) as events:
            async for event in events:
                state.remember(event)
                if event.type != "BOOKMARK":
                    yield event

    # --- discovery

    async def resource(self, api_version: str, kind: str, target: str = "") -> Resource:
        """Plural and scope of a kind; asks the server again when the kind is not known yet.

        Raises:
            NoMatchError: The kind is not served.
            ApiError: The server could not be asked.
        """
        group = self._groups.setdefault(api_version, _GroupVersion())
        known = group.kinds
        if kind not in known:
            async with group.lock:
                # Someone who held the lock before us may have asked already.
                if group.kinds is known:
                    group.kinds = await self._discover(api_version, target or kind)
        found = group.kinds.get(kind)
        if found is None:
            raise NoMatchError(api_version, kind, target or kind)
        return found

    async def unpublished(self, api_version: str, kinds: Iterable[str]) -> set[str]:
        """Those kinds that the server's OpenAPI document lacks: they come there a moment after they are served.

        Raises:
            NoMatchError: A kind is not served.
            ApiError: The server could not be asked.
        """
        plurals = {kind: (await self.resource(api_version, kind)).plural for kind in kinds}
        prefix = _prefix(api_version)
        try:
            body = _json(await self._send("GET", f"/openapi/v3{prefix}", api_version), api_version)
        except ApiError as error:
            if error.not_found:
                return set(plurals)
            raise
        paths = [path for path in cast("Iterable[str]", body.get("paths") or ()) if path.startswith(prefix)]
        return {
            kind for kind, plural in plurals.items() if not any(path.endswith(f"/{plural}/{{name}}") for path in paths)
        }

    async def version(self) -> str:
        """The server's version, such as `v1.33.2`.

        Raises:
            ApiError: The server could not be asked.
        """
        return str(_json(await self._send("GET", "/version", "the API server"), "the API server")["gitVersion"])

    def forget(self, api_version: str) -> None:
        """Drop what discovery said of a group version, as when one of its CRDs has changed."""
        self._groups.pop(api_version, None)

    async def path(
        self,
        api_version: str,
        kind: str,
        name: str | None = None,
        namespace: str | None = None,
        subresource: str | None = None,
    ) -> str:
        """The URL path of an object, or of a collection when `name` is None.

        A namespaced object without a namespace is looked for in the one of the kubeconfig's context.

        Raises:
            NoMatchError: The kind is not served.
        """
        resource = await self.resource(api_version, kind, reference(kind, name or "(all)", namespace))
        parts = [_prefix(api_version)]
        if resource.namespaced and (namespace or name):
            parts += ["namespaces", namespace or self.namespace]
        parts.append(resource.plural)
        parts += [part for part in (name, subresource) if part]
        return "/".join(parts)

    async def _discover(self, api_version: str, target: str) -> dict[str, Resource]:
        try:
            body = _json(await self._send("GET", _prefix(api_version), target), target)
        except ApiError as error:
            if error.not_found:
                return {}
            raise
        resources = cast("list[Object]", body.get("resources") or [])
        return {r["kind"]: Resource(r["name"], bool(r["namespaced"])) for r in resources if "/" not in r["name"]}

    # --- requests

    async def _write(
        self,
        method: str,
        obj: Object,
        params: Mapping[str, str],
        *,
        content_type: str = "application/json",
        subresource: str | None = None,
    ) -> Object:
        metadata = cast("Object", obj.get("metadata") or {})
        where = (obj["apiVersion"], obj["kind"], metadata.get("name"), metadata.get("namespace"), subresource)
        return await self._call(method, where, params=params, body=obj, content_type=content_type)

    async def _call(
        self,
        method: str,
        where: tuple[str, str, str | None, str | None, str | None],
        *,
        params: Mapping[str, str] | None = None,
        body: Object | None = None,
        content_type: str = "application/json",
    ) -> Object:
        """Send a request about one object: apiVersion, kind, name, namespace, subresource."""
        api_version, kind, name, namespace, subresource = where
        target = reference(kind, name or "", namespace)
        if method == "POST":
            # A POST goes to the collection of one namespace; without a namespace, path() would name that of all.
            url = await self.path(api_version, kind, None, namespace or self.namespace, subresource)
        else:
            url = await self.path(api_version, kind, name, namespace, subresource)
        try:
            answer = await self._send(method, url, target, params=params, body=body, content_type=content_type)
            return _json(answer, target)
        except ApiError as error:
            if error.reason != _NOT_SERVED:
                raise
            # Discovery is out of date: the CRD has gone since.
            self.forget(api_version)
            raise NoMatchError(api_version, kind, target) from error

    async def _list(
        self, api_version: str, kind: str, namespace: str | None, selectors: Mapping[str, str | None]
    ) -> tuple[Objects, str]:
        url = await self.path(api_version, kind, None, namespace)
        params = {key: value for key, value in selectors.items() if value}
        target = reference(kind, "(all)", namespace)
        body = _json(await self._send("GET", url, target, params=params), target)
        items = cast("list[Object]", body.get("items") or [])
        # The server leaves both out of a list's items.
        return [{"apiVersion": api_version, "kind": kind} | item for item in items], body["metadata"]["resourceVersion"]

    async def _stream(
        self, url: str, target: str, selectors: Mapping[str, str | None], version: str, seconds: float
    ) -> AsyncGenerator[Event, None]:
        params = {key: value for key, value in selectors.items() if value} | {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": str(max(int(seconds), 1)),
        }
        asked = self._http.stream("GET", url, params=params, timeout=httpx.Timeout(10, read=max(seconds, 0.1) + 1))
        async with AsyncExitStack() as stack:
            try:
                async with asyncio.timeout(_WATCH_BEGINS):
                    response = await stack.enter_async_context(asked)
            except TimeoutError:
                raise httpx.ReadTimeout(f"the watch has not begun after {_WATCH_BEGINS:g} s") from None
            if response.is_error:
                await response.aread()
                raise _refusal(response, target)
            rest = b""
            async for data in response.aiter_bytes():
                # Not aiter_lines(): it also breaks at characters that JSON may hold within a string.
                *lines, rest = (rest + data).split(b"\n")
                for line in lines:
                    yield _parse_event(line, target)
            if rest:
                raise httpx.RemoteProtocolError("the watch broke off in the middle of an event")

    def _bound(self, failure: ApiError) -> int:
        return self._retry.bound(is_away=self._answered is not None and failure.status in _AWAY)

    def _refuse_while_away(self, now: float, target: str) -> None:
        if self._given_up and now - self._given_up[0] < _REST:
            failure = self._given_up[1]
            raise ApiError(failure.status, failure.reason, failure.message, target)

    def _tell_warnings(self, response: httpx.Response, target: str) -> None:
        if self._on_warning is None or "Warning" not in response.headers:
            return
        for text in _WARNING.findall(response.headers["Warning"]):
            self._on_warning(target, text.replace('\\"', '"'))

    async def _send(  # noqa: PLR0913
        self,
        method: str,
        url: str,
        target: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Object | None = None,
        content_type: str = "application/json",
    ) -> httpx.Response:
        """Send until answered, within the bounds of `Retry`; returns only successful responses."""
        # An apply is read as YAML, which does not know JSON's escapes of two halves for one letter.
        content = None if body is None else json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()
        headers = {"Content-Type": content_type} if content is not None else {}
        repeatable = method != "POST" or "dryRun" in (params or {})
        started = time.monotonic()
        self._refuse_while_away(started, target)
        for attempt in range(self._retry.attempts):
            asked: float | None = None
            try:
                response = await self._http.request(method, url, params=params, content=content, headers=headers)
            except httpx.TransportError as error:
                never_sent = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)
                failure = _unreachable(self.server, target, error)
                if not (repeatable or never_sent):
                    raise failure from error
            else:
                if response.status_code not in _AWAY:
                    self._answered, self._given_up = time.monotonic(), None
                if response.is_success:
                    self._tell_warnings(response, target)
                    return response
                failure = _refusal(response, target)
                transient = response.status_code in _TRANSIENT and repeatable
                if response.status_code != _TOO_MANY and not transient:
                    raise failure
                asked = _retry_after(response)
            pause = self._retry.pause(attempt, asked)
            if attempt + 1 >= self._bound(failure) or time.monotonic() + pause - started > self._retry.seconds:
                if failure.status in _AWAY and (self._answered or 0) < started:
                    self._given_up = time.monotonic(), failure
                raise failure
            await asyncio.sleep(pause)
        raise AssertionError("Retry.attempts is at least 1")


def _named(server: str) -> Callable[[httpx.Request], Coroutine[Any, Any, None]]:
    """Have the certificate checked against another name than that in the URL."""

    async def name(request: httpx.Request) -> None:
        request.extensions = {**request.extensions, "sni_hostname": server}

    return name


_WARNING = re.compile(r'299 \S+ "((?:[^"\\]|\\.)*)"')
"""A Warning header's text; RFC 9111 lets several stand in one header."""


def _params(field_manager: str, *, dry_run: bool, strict: bool = False) -> dict[str, str]:
    params = {"fieldManager": field_manager}
    if dry_run:
        params["dryRun"] = "All"
    if strict:
        params["fieldValidation"] = "Strict"
    return params


def _prefix(api_version: str) -> str:
    return f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"


def _json(response: httpx.Response, target: str) -> Object:
    try:
        body: object = response.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        start = " ".join(response.text[:_SHOWN].split())
        message = (
            f"the answer is no JSON object, but begins: {start!r}. Something between here and the API server gave it"
        )
        raise ApiError(response.status_code, "Unreadable", message, target)
    return cast("Object", body)


def _refusal(response: httpx.Response, target: str) -> ApiError:
    try:
        body: object = response.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        if response.status_code == _NOT_FOUND:
            return ApiError(_NOT_FOUND, _NOT_SERVED, "the server does not serve this path", target)
        return ApiError(response.status_code, response.reason_phrase, response.text[:500].strip(), target)
    return _from_status(cast("Object", body), response.status_code, target)


def _from_status(status: Object, code: int, target: str) -> ApiError:
    reason, message = str(status.get("reason") or "Unknown"), str(status.get("message") or "no message")
    return ApiError(code, reason, message, target, status.get("details"))


def _unreachable(server: str, target: str, error: httpx.TransportError) -> ApiError:
    return ApiError(
        0, "Unreachable", f"no answer from the API server at {server}: {type(error).__name__}: {error}", target
    )


def _retry_after(response: httpx.Response) -> float | None:
    value = response.headers.get("Retry-After", "")
    return float(value) if value.isdigit() else None


def _parse_event(line: bytes, target: str) -> Event:
    try:
        raw = cast("Object", json.loads(line))
    except ValueError as error:
        raise httpx.RemoteProtocolError("the watch has a line that is no event") from error
    if raw["type"] == "ERROR":
        status = cast("Object", raw["object"])
        raise _from_status(status, int(status.get("code") or 500), target)
    return Event(raw["type"], raw["object"])
