"""A request from its first byte to its last: what is decided, what is counted, and why."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from enforcement.authentication import Authorino, Verdict
from enforcement.counters import Counter, Counters
from enforcement.effective import Effective, effective
from enforcement.expressions import EvaluationError, FilterContext, filter_expression
from enforcement.limits import Limit, limits_of
from enforcement.objects import World, fields_of, items_of
from enforcement.request import Request
from enforcement.routing import Path, Paths
from enforcement.semantics import Semantics

TOO_MANY = "Too Many Requests\n"
"""The body that the filter itself sends with 429; our gateway guard gives it another shape on the way out."""
_TOKENS = "/usage/total_tokens"


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
class Call:
    """One call that the filter made to Limitador, as Limitador's own metrics see it."""

    kind: Literal["limit", "check", "report"]
    """`limit`: request limits, checked and counted. `check`: a token limit, checked. `report`: its tokens, counted."""
    counters: Sequence[Counter]
    hits: int
    refused: Counter | None = None
    """The counter that had no room."""


@dataclass
class Decision:
    """What becomes of a request; `finish` has to be told of the answer's body, since tokens are counted from it."""

    allowed: bool
    status: int
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    body: str = ""
    path: Path | None = None
    backend: Backend | None = None
    verdict: Verdict | None = None
    guarded: bool = False
    """Whether the filter found policies for this host and path. A request that it knows nothing of passes."""
    refused_by: str = ""
    """Name of the limit that was exceeded."""
    explanation: list[str] = field(default_factory=list[str])
    charged: list[tuple[Counter, int]] = field(default_factory=list[tuple[Counter, int]])
    calls: list[Call] = field(default_factory=list[Call])
    errors: int = 0
    """Evaluations that failed: what Envoy counts as `kuadrant.errors`."""
    reports: "list[_Report]" = field(default_factory=list["_Report"])
    context: FilterContext | None = None


@dataclass(frozen=True)
class _Report:
    limit: Limit
    counters: list[Counter]


@dataclass(frozen=True)
class _Guard:
    """The policies in effect on one path, compiled."""

    auth: Effective
    requests: list[Limit]
    tokens: list[Limit]


class Gate:
    """One gateway with everything behind it. Not for several threads at once."""

    def __init__(
        self,
        world: World,
        authorino: Authorino,
        counters: Counters,
        semantics: Semantics = Semantics(),  # noqa: B008 - frozen
    ) -> None:
        self.world = world
        self.counters = counters
        self.semantics = semantics
        self._authorino = authorino
        self._paths = Paths(world)
        self._guards: dict[int, _Guard] = {}

    def decide(self, request: Request, now: float) -> Decision:
        """What the gateway does with a request's head at a time in seconds since the epoch."""
        taken = self._paths.taken(request)
        guarded = self._paths.guarded(request, case_matters=self.semantics.host_case_matters)
        decision = Decision(allowed=True, status=200, path=taken, guarded=guarded is not None)
        if guarded is None:
            decision.explanation.append(
                f"no policy is known for host {request.host} and path {request.url_path}: the filter lets it pass"
            )
        else:
            self._guarded(decision, guarded, request, now)
        if decision.allowed:
            _forward(decision, request)
        return decision

    def finish(self, decision: Decision, body: Mapping[str, Any] | None, now: float) -> None:
        """Count the tokens of an answer.

        Args:
            decision: what `decide` gave.
            body: the answer's JSON, or the last event but one of a stream; None when there was none to read.
            now: seconds since the epoch at the end of the answer.
        """
        if not decision.reports:
            return
        tokens = _total_tokens(body)
        for report in decision.reports:
            if tokens is None:
                decision.errors += 1
                decision.explanation.append(
                    f"token limit {report.limit.name}: the answer names no {_TOKENS}, so nothing is counted"
                )
                continue
            self.counters.add(report.counters, tokens, now)
            decision.calls.append(Call("report", report.counters, tokens))
            decision.charged += [(each, tokens) for each in report.counters]
            decision.explanation.append(f"token limit {report.limit.name}: {tokens} tokens counted")

    def _guarded(self, decision: Decision, path: Path, request: Request, now: float) -> None:
        guard = self._guard(path)
        context = FilterContext(request.attributes(now))
        decision.context = context
        decision.explanation.append(f"route {path.namespace}, host {path.hostname}")
        # What can be evaluated without an identity is asked before Authorino is.
        early = [each for each in guard.requests if not each.needs_auth]
        if not self._requests(decision, early, path, context, now):
            return
        if not self._tokens(decision, [each for each in guard.tokens if not each.needs_auth], path, context, now):
            return
        if guard.auth.rules and not self._authenticated(decision, guard.auth, request, context, now):
            return
        late = [each for each in guard.requests if each.needs_auth]
        if self._requests(decision, late, path, context, now):
            self._tokens(decision, [each for each in guard.tokens if each.needs_auth], path, context, now)

    def _guard(self, path: Path) -> _Guard:
        known = self._guards.get(id(path))
        if known is None:
            world = self.world
            known = self._guards[id(path)] = _Guard(
                effective(world, world.auth, path),
                limits_of(effective(world, world.requests, path)),
                limits_of(effective(world, world.tokens, path)),
            )
        return known

    def _authenticated(
        self, decision: Decision, policy: Effective, request: Request, context: FilterContext, now: float
    ) -> bool:
        verdict = self._authorino.check(policy, request, now)
        decision.verdict = verdict
        decision.explanation.append(f"authentication: {verdict.because}")
        if not verdict.allowed:
            _refuse(decision, verdict.status, verdict.body, verdict.headers)
            return False
        context.authenticated(verdict.metadata)
        return True

    def _requests(
        self, decision: Decision, limits: Sequence[Limit], path: Path, context: FilterContext, now: float
    ) -> bool:
        """One call for all request limits: all are counted, or none."""
        counters: list[Counter] = []
        try:
            for limit in limits:
                if limit.applies(context):
                    counters += limit.counters(path.namespace, context)
        except EvaluationError as error:
            return self._failed(decision, error)
        if not counters:
            return True
        refused = self.counters.check_and_add(counters, 1, now)
        decision.calls.append(Call("limit", counters, 1, refused))
        if refused is None:
            decision.charged += [(each, 1) for each in counters]
            decision.explanation += [f"request limit {_shown(each, self.counters, now)}" for each in counters]
            return True
        return self._over(decision, "request limit", refused, now)

    def _tokens(
        self, decision: Decision, limits: Sequence[Limit], path: Path, context: FilterContext, now: float
    ) -> bool:
        """A check for each token limit by itself; it counts nothing, and lets the request pass that will exceed it."""
        for limit in limits:
            try:
                if not limit.applies(context):
                    continue
                counters = limit.counters(path.namespace, context)
            except EvaluationError as error:
                if not self._failed(decision, error):
                    return False
                continue
            refused = self.counters.over(counters, 1, now)
            decision.calls.append(Call("check", counters, 1, refused))
            if refused is not None:
                return self._over(decision, "token limit", refused, now)
            decision.reports.append(_Report(limit, counters))
            decision.explanation += [f"token limit {_shown(each, self.counters, now)}" for each in counters]
        return True

    def _over(self, decision: Decision, kind: str, counter: Counter, now: float) -> bool:
        decision.refused_by = counter.name
        decision.explanation.append(
            f"{kind} {_shown(counter, self.counters, now)}: exceeded, "
            f"new window in {self.counters.remaining_seconds(counter, now):.0f} s"
        )
        _refuse(decision, 429, TOO_MANY, {})
        return False

    def _failed(self, decision: Decision, error: EvaluationError) -> bool:
        decision.errors += 1
        if self.semantics.check_fails_open:
            decision.explanation.append(f"not evaluated, so not limited: {error}")
            return True
        decision.explanation.append(f"not evaluated, so refused: {error}")
        _refuse(decision, 500, "", {})
        return False


def labels(world: World, context: FilterContext) -> dict[str, str]:
    """The labels that TelemetryPolicies put on Limitador's counters; those that have no value here are left out."""
    found: dict[str, str] = {}
    for policy in world.telemetry:
        for name, expression in fields_of(policy["spec"]["metrics"]["default"].get("labels")).items():
            try:
                found[name] = str(filter_expression(str(expression)).value(context))
            except EvaluationError:
                continue
    return found


def _total_tokens(body: Mapping[str, Any] | None) -> int | None:
    usage = fields_of((body or {}).get("usage"))
    total = usage.get("total_tokens")
    if not isinstance(total, int) or isinstance(total, bool):
        return None
    # An answer without tokens still counts as one hit.
    return max(1, total)


def _refuse(decision: Decision, status: int, body: str, headers: Mapping[str, str]) -> None:
    decision.allowed, decision.status, decision.body, decision.headers = False, status, body, headers
    decision.reports = []


def _shown(counter: Counter, counters: Counters, now: float) -> str:
    who = ", ".join(value for _, value in counter.variables) or "all together"
    return f"{counter.name} for {who}: {counters.value(counter, now)} of {counter.max_value} in {counter.seconds} s"


def _forward(decision: Decision, request: Request) -> None:
    """What the router does with a request that the filters let pass."""
    path = decision.path
    if path is None:
        decision.allowed, decision.status = False, 404
        decision.explanation.append(f"no route for host {request.host} and path {request.url_path}")
        return
    headers = dict(request.headers)
    if decision.verdict is not None:
        headers |= {name.lower(): value for name, value in decision.verdict.upstream_headers.items()}
    target = request.target
    for rule in items_of(path.rule.get("filters")):
        if rule["type"] == "RequestRedirect":
            _redirect(decision, rule["requestRedirect"], request)
            return
        if rule["type"] == "RequestHeaderModifier":
            headers = _modified(headers, rule["requestHeaderModifier"])
        elif rule["type"] == "URLRewrite":
            target = _rewritten(target, fields_of(rule["urlRewrite"].get("path")), path)
    backends = items_of(path.rule.get("backendRefs"))
    if not backends:
        decision.allowed, decision.status = False, 500
        decision.explanation.append("the route leads nowhere")
        return
    first = backends[0]
    namespace = str(first.get("namespace") or path.namespace.partition("/")[0])
    decision.backend = Backend(
        namespace, str(first["name"]), str(first.get("kind", "Service")), first.get("port"), target, headers
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


def _redirect(decision: Decision, redirect: Mapping[str, Any], request: Request) -> None:
    scheme = redirect.get("scheme", request.scheme)
    host, port = redirect.get("hostname", request.bare_host), redirect.get("port")
    decision.allowed, decision.status = False, int(redirect.get("statusCode", 302))
    decision.headers = {"location": f"{scheme}://{host}{f':{port}' if port else ''}{request.target}"}
    decision.explanation.append("redirected")
