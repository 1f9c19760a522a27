"""A request from its first byte to its last: what is decided, what is counted, and why.

All that can be said without looking at a counter is a plan; following it checks and counts. A plan that does not depend
on the time holds for every like request, which is what makes a simulation quick.
"""

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from enforcement.authentication import Authorino, Rego, Tokens, Verdict
from enforcement.counters import Counter, Counters
from enforcement.edge import Edge
from enforcement.effective import Effective, effective
from enforcement.expressions import EvaluationError, FilterContext, filter_expression, read_clock, watched_clock
from enforcement.forwarding import Backend, Onward, onward
from enforcement.limits import Limit, distinct, limits_of
from enforcement.objects import World, fields_of, targets
from enforcement.request import Request
from enforcement.routing import Path, Paths
from enforcement.semantics import Semantics

__all__ = ["TOO_MANY", "Backend", "Call", "Decision", "Gate", "Plan", "labels"]

TOO_MANY = "Too Many Requests\n"
"""The body that the filter itself sends with 429; `Edge` gives it another shape on the way out."""
_TOKENS = "/usage/total_tokens"
_PASSED = 200
_NO_AUTH = "not enforced: a condition reads `auth.`, and no AuthPolicy is in effect here"
_TOO_LATE = "not enforced: a condition reads the answer, and is evaluated before there is one"


@dataclass(frozen=True)
class Call:
    """One call that the filter made to Limitador, as Limitador's own metrics see it."""

    kind: Literal["limit", "check", "report"]
    """`limit`: request limits, checked and counted. `check`: a token limit, checked. `report`: its tokens, counted."""
    counters: Sequence[Counter]
    hits: int
    refused: Counter | None = None
    """The counter that had no room."""


@dataclass(slots=True)
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
    refused: Counter | None = None
    """Its counter."""
    explanation: list[str] = field(default_factory=list[str])
    charged: list[tuple[Counter, int]] = field(default_factory=list[tuple[Counter, int]])
    calls: list[Call] = field(default_factory=list[Call])
    errors: int = 0
    """Evaluations and calls that failed: what Envoy counts as `kuadrant.errors`."""
    broken: bool = False
    """Whether the answer is cut off, or 500 if nothing of it was sent: a report failed, and reports fail closed."""
    reports: "list[_Check]" = field(default_factory=list["_Check"])
    context: FilterContext | None = None


@dataclass(frozen=True)
class _Charge:
    """One call for all request limits: all are counted, or none."""

    counters: tuple[Counter, ...]


@dataclass(frozen=True)
class _Check:
    """A call for one token limit; it counts nothing, and lets the request pass that will exceed it."""

    limit: Limit
    counters: tuple[Counter, ...]


@dataclass(frozen=True)
class _Known:
    """Authorino has answered."""

    verdict: Verdict | None
    """None when it did not."""
    status: int


@dataclass(frozen=True)
class _Note:
    """Something to be said, and whether it is an error."""

    text: str
    error: bool = False
    refuses: bool = False


_Step = _Charge | _Check | _Known | _Note


@dataclass(frozen=True)
class Plan:
    """What becomes of a request, whatever has been counted so far."""

    taken: Path | None
    guarded: Path | None
    steps: tuple[_Step, ...]
    onward: Onward
    context: FilterContext | None
    holds_always: bool
    """Whether it is the same for every request that differs in nothing but its time and its id."""


@dataclass(frozen=True)
class _Guard:
    """The policies in effect on one path."""

    auth: Effective
    requests: list[Limit]
    tokens: list[Limit]
    dropped: tuple[str, ...]
    """Names of limits that Kuadrant refuses to enforce here, and why."""


class Gate:
    """One gateway with everything behind it. Not for several threads at once."""

    def __init__(
        self,
        world: World,
        authorino: Authorino,
        counters: Counters,
        semantics: Semantics = Semantics(),  # noqa: B008 - frozen
        *,
        remembers: int = 0,
    ) -> None:
        """Put a gate up.

        Args:
            world: what decides.
            authorino: who is asked about identities.
            counters: what has been counted so far.
            semantics: where releases and settings differ.
            remembers: how many plans to keep, for requests that come again; the answers are the same without.
        """
        self.world = world
        self.counters = counters
        self.semantics = semantics
        self.limiter_answers = True
        """Whether Limitador can be reached; what follows when it cannot is for `semantics` to say."""
        self.authorino_answers = True
        """Whether Authorino can be reached. Plans that were made before it changed are of no use after."""
        self._authorino = replace(authorino, tokens=_Timed(authorino.tokens), rego=_timed(authorino.rego))
        self._paths = Paths(world)
        self._edge = Edge.of(world)
        self._guards: dict[int, _Guard] = {}
        self._remembers = remembers
        self._plans: OrderedDict[object, Plan] = OrderedDict()

    def decide(self, request: Request, now: float, *, explain: bool = True) -> Decision:
        """What the gateway does with a request's head at a time in seconds since the epoch."""
        if not self._remembers:
            return self.follow(self.plan(request, now), now, explain=explain)
        decision = self.follow(self.remembered(request, now), now, explain=explain)
        if decision.context is not None:
            decision.context = decision.context.copy()
        return decision

    def remembered(self, request: Request, now: float) -> Plan:
        """The plan of a like request that came earlier, if there is one that holds always."""
        key = (request.likeness, self.authorino_answers)
        known = self._plans.get(key)
        if known is not None:
            self._plans.move_to_end(key)
            return known
        plan = self.plan(request, now)
        if plan.holds_always:
            self._plans[key] = plan
            if len(self._plans) > self._remembers:
                self._plans.popitem(last=False)
        return plan

    def plan(self, request: Request, now: float) -> Plan:
        """Everything about a request but its counters: the route, the identity, which limits it falls under."""
        if self._edge.lower_case_host:
            request = replace(request, host=request.host.lower())
        taken = self._paths.taken(request)
        guarded = self._paths.guarded(request, case_matters=self.semantics.host_case_matters)
        with watched_clock() as clock:
            context = None
            if guarded is None:
                steps: list[_Step] = [
                    _Note(
                        f"no policy is known for host {request.host} and path {request.url_path}: "
                        "the filter lets it pass"
                    )
                ]
            else:
                context = FilterContext(request.attributes(now))
                steps = list(self._steps(guarded, request, context, now))
        verdict = next((each.verdict for each in steps if isinstance(each, _Known)), None)
        ahead = onward(taken, request, verdict.upstream_headers if verdict else {})
        return Plan(taken, guarded, tuple(steps), ahead, context, not clock.was_read)

    def follow(self, plan: Plan, now: float, *, explain: bool = True) -> Decision:
        """Check and count as planned.

        Args:
            plan: of this gate.
            now: seconds since the epoch.
            explain: whether to put it into words, which takes longer than the decision itself.
        """
        decision = self._followed(plan, now, explain=explain)
        if not decision.allowed and decision.status in self._edge.answers:
            content_type, decision.body = self._edge.answers[decision.status]
            decision.headers = {**decision.headers, "content-type": content_type}
        return decision

    def _followed(self, plan: Plan, now: float, *, explain: bool) -> Decision:
        decision = Decision(
            allowed=True, status=_PASSED, path=plan.taken, guarded=plan.guarded is not None, context=plan.context
        )
        for step in plan.steps:
            if isinstance(step, _Check):
                passed = self._check(decision, step, now, explain=explain)
            elif isinstance(step, _Charge):
                passed = self._charge(decision, step, now, explain=explain)
            elif isinstance(step, _Known):
                passed = _known(decision, step)
            else:
                passed = _noted(decision, step)
            if not passed:
                return decision
        ahead = plan.onward
        decision.allowed, decision.status, decision.backend = ahead.backend is not None, ahead.status, ahead.backend
        decision.headers = ahead.headers
        if ahead.explanation:
            decision.explanation.append(ahead.explanation)
        return decision

    def finish(self, decision: Decision, body: Mapping[str, Any] | None, now: float, *, explain: bool = True) -> None:
        """Count the tokens of an answer.

        Args:
            decision: what `decide` gave.
            body: the answer's JSON, or the last event but one of a stream; None when there was none to read.
            now: seconds since the epoch at the end of the answer.
            explain: whether to put it into words.
        """
        if not decision.reports:
            return
        tokens = _total_tokens(body)
        for report in decision.reports:
            name = report.limit.name
            if tokens is None:
                self._not_reported(decision, f"token limit {name}: the answer names no {_TOKENS}")
                continue
            if not self.limiter_answers:
                self._not_reported(decision, f"token limit {name}: Limitador does not answer")
                continue
            self.counters.add(report.counters, tokens, now)
            decision.calls.append(Call("report", report.counters, tokens))
            decision.charged += [(each, tokens) for each in report.counters]
            if explain:
                decision.explanation.append(f"token limit {name}: {tokens} tokens counted")

    def _steps(self, path: Path, request: Request, context: FilterContext, now: float) -> Iterator[_Step]:
        guard = self._guard(path)
        yield _Note(f"route {path.namespace}, host {path.hostname}")
        yield from (_Note(each) for each in guard.dropped)
        late_requests = any(each.needs_auth for each in guard.requests)
        late_tokens = any(each.needs_auth for each in guard.tokens)
        # A policy that never says `auth.` is put before what is there already: its limits hold for those without a key.
        if not late_tokens:
            yield from self._token_steps(guard.tokens, path, context)
        if not late_requests:
            yield from self._request_steps(guard.requests, path, context)
        if guard.auth.rules:
            answer = self._authenticated(guard.auth, request, context, now)
            yield answer
            if answer.status != _PASSED:
                return
        if late_requests:
            yield from self._request_steps(guard.requests, path, context)
        if late_tokens:
            yield from self._token_steps(guard.tokens, path, context)

    def _guard(self, path: Path) -> _Guard:
        known = self._guards.get(id(path))
        if known is None:
            world = self.world
            auth = effective(world, world.auth, path)
            requests = limits_of(effective(world, world.requests, path))
            tokens = limits_of(effective(world, world.tokens, path))
            dropped: list[str] = []
            if not auth.rules:
                # All request limits are one action, which is dropped as a whole; each token limit is one of its own.
                if any(each.is_invalid_without_auth for each in requests):
                    dropped += [f"request limit {each.name}: {_NO_AUTH}" for each in requests]
                    requests = []
                dropped += [f"token limit {each.name}: {_NO_AUTH}" for each in tokens if each.is_invalid_without_auth]
                tokens = [each for each in tokens if not each.is_invalid_without_auth]
            dropped += [f"token limit {each.name}: {_TOO_LATE}" for each in tokens if each.waits_for_the_answer]
            tokens = [each for each in tokens if not each.waits_for_the_answer]
            known = self._guards[id(path)] = _Guard(auth, requests, tokens, tuple(dropped))
        return known

    def _authenticated(self, policy: Effective, request: Request, context: FilterContext, now: float) -> _Known:
        if not self.authorino_answers:
            return _Known(None, _PASSED if self.semantics.auth_fails_open else 500)
        verdict = self._authorino.check(policy, request, now)
        if verdict.allowed:
            context.authenticated(verdict.metadata)
        return _Known(verdict, _PASSED if verdict.allowed else verdict.status)

    def _request_steps(self, limits: Sequence[Limit], path: Path, context: FilterContext) -> Iterator[_Step]:
        counters: list[Counter] = []
        try:
            for limit in limits:
                if limit.applies(context):
                    counters += limit.counters(path.namespace, context)
        except EvaluationError as error:
            yield self._not_evaluated(error)
            return
        if counters:
            yield _Charge(tuple(distinct(counters)))

    def _token_steps(self, limits: Sequence[Limit], path: Path, context: FilterContext) -> Iterator[_Step]:
        for limit in limits:
            try:
                if limit.applies(context):
                    yield _Check(limit, tuple(limit.counters(path.namespace, context)))
            except EvaluationError as error:
                yield self._not_evaluated(error)

    def _charge(self, decision: Decision, step: _Charge, now: float, *, explain: bool) -> bool:
        if not self.limiter_answers:
            return _noted(decision, self._unreachable())
        refused = self.counters.check_and_add(step.counters, 1, now)
        decision.calls.append(Call("limit", step.counters, 1, refused))
        if refused is not None:
            return self._over(decision, "request limit", refused, now, explain=explain)
        decision.charged += [(each, 1) for each in step.counters]
        if explain:
            decision.explanation += [f"request limit {_shown(each, self.counters, now)}" for each in step.counters]
        return True

    def _check(self, decision: Decision, step: _Check, now: float, *, explain: bool) -> bool:
        if not self.limiter_answers:
            decision.reports.append(step)
            return _noted(decision, self._unreachable())
        refused = self.counters.over(step.counters, 1, now)
        decision.calls.append(Call("check", step.counters, 1, refused))
        if refused is not None:
            return self._over(decision, "token limit", refused, now, explain=explain)
        decision.reports.append(step)
        if explain:
            decision.explanation += [f"token limit {_shown(each, self.counters, now)}" for each in step.counters]
        return True

    def _over(self, decision: Decision, kind: str, counter: Counter, now: float, *, explain: bool) -> bool:
        decision.refused_by, decision.refused = counter.name, counter
        if explain:
            decision.explanation.append(
                f"{kind} {_shown(counter, self.counters, now)}: exceeded, "
                f"new window in {self.counters.remaining_seconds(counter, now):.0f} s"
            )
        _refuse(decision, 429, TOO_MANY, {})
        return False

    def _not_evaluated(self, error: EvaluationError) -> _Note:
        if self.semantics.check_fails_open:
            return _Note(f"not evaluated, so not limited: {error}", error=True)
        return _Note(f"not evaluated, so refused: {error}", error=True, refuses=True)

    def _unreachable(self) -> _Note:
        if self.semantics.check_fails_open:
            return _Note("Limitador does not answer, so not limited", error=True)
        return _Note("Limitador does not answer, so refused", error=True, refuses=True)

    def _not_reported(self, decision: Decision, why: str) -> None:
        decision.errors += 1
        if self.semantics.report_fails_open:
            decision.explanation.append(f"{why}, so nothing is counted")
            return
        decision.broken = True
        decision.explanation.append(f"{why}, so nothing is counted and the answer is cut off")


class _Timed:
    """Tokens whose worth ends with time."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    def jwt(self, token: str, now: float, *, issuer: str = "", key_set: str = "") -> Mapping[str, Any] | None:
        read_clock()
        return self._tokens.jwt(token, now, issuer=issuer, key_set=key_set)

    def review(self, token: str, audiences: Sequence[str]) -> Mapping[str, Any] | None:
        read_clock()
        return self._tokens.review(token, audiences)


def _timed(rego: Rego) -> Rego:
    def at_a_time(rules: str, document: Mapping[str, Any], now: float) -> bool:
        read_clock()
        return rego(rules, document, now)

    return at_a_time


def labels(world: World, context: FilterContext) -> dict[str, str]:
    """The labels that TelemetryPolicies put on Limitador's counters; those that have no value here are left out.

    What reads the answer has a value only once `context.answered` has been told of it: so such labels are on reports
    alone.
    """
    found: dict[str, str] = {}
    for policy in world.telemetry:
        if not targets(policy, "Gateway", world.gateway):
            continue
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


def _known(decision: Decision, step: _Known) -> bool:
    verdict = step.verdict
    decision.verdict = verdict
    if verdict is None:
        decision.errors += 1
        then = "nobody is asked who they are" if step.status == _PASSED else "refused"
        decision.explanation.append(f"authentication: Authorino does not answer, so {then}")
        if step.status != _PASSED:
            _refuse(decision, step.status, "", {})
        return step.status == _PASSED
    decision.explanation.append(f"authentication: {verdict.because}")
    if not verdict.allowed:
        _refuse(decision, verdict.status, verdict.body, verdict.headers)
    return verdict.allowed


def _noted(decision: Decision, note: _Note) -> bool:
    decision.explanation.append(note.text)
    decision.errors += note.error
    if note.refuses:
        _refuse(decision, 500, "", {})
    return not note.refuses


def _refuse(decision: Decision, status: int, body: str, headers: Mapping[str, str]) -> None:
    decision.allowed, decision.status, decision.body, decision.headers = False, status, body, headers
    decision.reports = []


def _shown(counter: Counter, counters: Counters, now: float) -> str:
    who = ", ".join(value for _, value in counter.variables) or "all together"
    used = counters.value(counter, now)
    if counter.most is None:
        return f"{counter.name} for {who}: {used} in {counter.seconds} s, unlimited"
    return f"{counter.name} for {who}: {used} of {counter.most} in {counter.seconds} s"
