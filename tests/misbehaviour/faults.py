"""What a gateway can have wrong, and how it comes to have it wrong. Each fault is one change of one part."""

import asyncio
import copy
import itertools
import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from http import HTTPStatus
from typing import Any, TypeAlias

from aiohttp import web

from config.identity import IDENTITY_HEADERS
from enforcement.counters import Counter, Counters
from enforcement.decision import Backend, Gate
from enforcement.objects import Object, World, fields_of, items_of, name_of, namespace_of
from enforcement.request import Request
from enforcement.semantics import Semantics
from sandbox.gateway.gates import Gates
from sandbox.gateway.proxy import Proxy
from sandbox.gateway.telemetry import Telemetry
from simulator.maas_simulator import Handler, Json

SLOW_SECONDS = 1.0
"""What the slow authoriser takes for each request."""
FORGED_USER = f"{IDENTITY_HEADERS}userid"
"""The header that the gateway that trusts identity headers takes a user's name from."""
_LIMITS = ("RateLimitPolicy", "TokenRateLimitPolicy")
_CLOSED = Semantics()
Transform: TypeAlias = Callable[[Sequence[Object]], list[Object]]


class Fault(Enum):
    """What is wrong, in a few words."""

    AUTHORISER_FAILS_OPEN = "Authorino is down, and everybody passes"
    NO_KEY_NEEDED = "callers without a valid key pass as somebody unknown"
    REVOKED_KEY_ACCEPTED = "a key that was taken away is still accepted"
    EXPIRED_KEY_ACCEPTED = "a key whose time is over is still accepted"
    FORGED_IDENTITY_TRUSTED = "a caller can say in a header who they are"
    MODELS_TIERS_IGNORED = "a model answers tiers that it is not offered to"
    USERS_MODELS_IGNORED = "a user may call models that are not theirs"
    TIERS_MIXED_UP = "every user is held to the limits of one tier"
    REQUEST_LIMIT_ONE_TOO_LATE = "one request more than the limit is answered"
    TOKEN_LIMIT_ONE_TOO_LATE = "one request more is answered after the tokens are used up"  # noqa: S105 - no password
    TOKEN_WINDOW_TOO_LONG = "a window of tokens lasts twice as long as it should"  # noqa: S105 - no password
    WINDOWS_NEVER_END = "what was counted is never forgotten"
    STALE_POLICY = "limits are those of an older revision"
    STREAMED_TOKENS_NOT_COUNTED = "the tokens of streamed answers are not counted"
    COMPLETIONS_NOT_LIMITED = "limits hold for chats and not for completions and embeddings"
    MODEL_LIST_LIMITED = "the list of models is refused when a limit is reached"
    COUNTERS_SHARED_BETWEEN_USERS = "the users of a tier share one quota"
    COUNTERS_SHARED_BETWEEN_MODELS = "a user's models share one quota that should be one for each"
    COUNTERS_NOT_SHARED_BETWEEN_REPLICAS = "each of two limiters counts by itself"
    LIMITER_FAILS_OPEN = "without the limiter nobody is limited"
    MIXED_CASE_HOST_PASSES = "a host whose domain is in mixed case has no policies"
    QUERY_STRING_PASSES = "a query string leads around the limits"
    CREDENTIALS_PASSED_ON = "the model gets to see the caller's key"
    METRICS_DO_NOT_MOVE = "nothing is counted in the metrics"
    TOKENS_COUNTED_TWICE = "the metrics say twice the tokens that were used"
    USAGE_MISSING = "answers do not say what was used"
    PLAIN_429 = "429 has a body that is not JSON"
    SLOW_AUTHORISER = "Authorino takes its time with each request"


def unchanged() -> Transform:
    """The objects as they are."""
    return list


@dataclass(frozen=True)
class Parts:
    """What a gateway is put together from."""

    objects: Callable[[], Transform] = unchanged
    """Makes what turns the cluster's objects into those that are enforced. Each gateway has one of its own."""
    counters: type[Counters] = Counters
    semantics: Semantics = _CLOSED
    authorino_answers: bool = True
    proxy: type[Proxy] = Proxy
    telemetry: type[Telemetry] = Telemetry
    handler: type[Handler] = Handler
    """How a model answers."""

    def gates(self, objects: Sequence[Object], counters: Counters, *, limiter_answers: bool) -> Gates:
        """What decides over requests."""
        return _Gates(objects, counters, self, limiter_answers=limiter_answers)


class _Gates(Gates):
    def __init__(self, objects: Iterable[Object], counters: Counters, parts: Parts, *, limiter_answers: bool) -> None:
        self._parts, self._limiter_answers = parts, limiter_answers
        super().__init__(objects, counters)

    def gate(self, world: World) -> Gate:
        gate = super().gate(world)
        gate.semantics = self._parts.semantics
        gate.limiter_answers = self._limiter_answers
        gate.authorino_answers = self._parts.authorino_answers
        return gate


# --- Other objects ---------------------------------------------------------------------------------------------------


def _edited(*kinds: str) -> Callable[[Callable[[dict[str, Any]], None]], Callable[[], Transform]]:
    """An edit of every object of some kinds, as what makes a transform."""

    def by(edit: Callable[[dict[str, Any]], None]) -> Callable[[], Transform]:
        def transform(objects: Sequence[Object]) -> list[Object]:
            return [_copy(each, edit) if each["kind"] in kinds else each for each in objects]

        return lambda: transform

    return by


def _copy(item: Object, edit: Callable[[dict[str, Any]], None]) -> Object:
    copied = copy.deepcopy(dict(item))
    edit(copied)
    return copied


def _limits(policy: Mapping[str, Any]) -> list[dict[str, Any]]:
    return list(fields_of(policy["spec"].get("limits")).values())


def _identities(policy: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [rule["overrides"] for rule in policy["spec"]["rules"]["authentication"].values()]


@_edited("AuthPolicy")
def _anonymous_too(policy: dict[str, Any]) -> None:
    nothing = dict.fromkeys(("tier", "team", "costCentre", "trouble"), '""') | dict.fromkeys(("groups", "models"), "[]")
    who = {"source": '"anonymous"', "userid": '"anonymous"', **nothing}
    known = {name: _identities(policy)[0][name] for name in ("model", "endpoint")}
    policy["spec"]["rules"]["authentication"]["anybody"] = {
        "anonymous": {},
        "priority": 9,
        "overrides": {**known, **{name: {"expression": expression} for name, expression in who.items()}},
    }


def _without_rule(name: str) -> Callable[[], Transform]:
    @_edited("AuthPolicy")
    def edit(policy: dict[str, Any]) -> None:
        policy["spec"]["rules"]["authorization"].pop(name)

    return edit


@_edited("AuthPolicy")
def _says_who_it_is(policy: dict[str, Any]) -> None:
    policy["spec"]["rules"]["authorization"].pop("no-forged-identity")
    for identity in _identities(policy):
        said = f'("{FORGED_USER}" in request.headers ? request.headers["{FORGED_USER}"] : '
        identity["userid"] = {"expression": f"{said}{identity['userid']['expression']})"}


@_edited("AuthPolicy")
def _never_over(policy: dict[str, Any]) -> None:
    for identity in _identities(policy):
        expression = identity["trouble"]["expression"]
        identity["trouble"] = {"expression": expression.replace("expires <= ", "false && expires <= ")}


def _one_tier_for_all() -> Transform:
    """The one with the most requests: nobody is refused who would not be, and limits are missed."""

    def transform(objects: Sequence[Object]) -> list[Object]:
        policies = [each for each in objects if each["kind"] == "RateLimitPolicy"]
        limits = {name: limit for each in policies for name, limit in fields_of(each["spec"].get("limits")).items()}
        tier = max(limits, key=lambda name: limits[name]["rates"][0]["limit"])

        @_edited("AuthPolicy")
        def edit(policy: dict[str, Any]) -> None:
            for identity in _identities(policy):
                identity["tier"] = {"expression": json.dumps(tier)}

        return edit()(objects)

    return transform


@_edited(*_LIMITS)
def _chats_only(policy: dict[str, Any]) -> None:
    for limit in _limits(policy):
        limit["when"] = [{"predicate": 'request.url_path.endsWith("/chat/completions")'}, *items_of(limit.get("when"))]


@_edited(*_LIMITS)
def _whatever_the_path(policy: dict[str, Any]) -> None:
    for limit in _limits(policy):
        limit["when"] = [each for each in items_of(limit.get("when")) if "url_path" not in each["predicate"]]


@_edited(*_LIMITS)
def _path_with_its_query(policy: dict[str, Any]) -> None:
    for limit in _limits(policy):
        limit["when"] = [
            {"predicate": each["predicate"].replace("request.url_path", "request.path")} for each in limit["when"]
        ]


def _guard_without(part: Callable[[Mapping[str, Any]], bool]) -> Callable[[], Transform]:
    @_edited("EnvoyFilter")
    def edit(item: dict[str, Any]) -> None:
        patches = items_of(item["spec"].get("configPatches"))
        item["spec"]["configPatches"] = [each for each in patches if not part(each["patch"]["value"]["typed_config"])]

    return edit


def _old_limits() -> Transform:
    """Every limit as it was found first, and twice as high; the rest follows the cluster."""
    first: list[Object] = []

    @_edited(*_LIMITS)
    def double(policy: dict[str, Any]) -> None:
        for limit in _limits(policy):
            for rate in limit["rates"]:
                rate["limit"] *= 2

    def transform(objects: Sequence[Object]) -> list[Object]:
        if not first:
            first.extend(each for each in double()(objects) if each["kind"] in _LIMITS)
        return [each for each in objects if each["kind"] not in _LIMITS] + first

    return transform


def _secrets_stay() -> Transform:
    """Every Secret that was ever there."""
    seen: dict[tuple[str, str], Object] = {}

    def transform(objects: Sequence[Object]) -> list[Object]:
        seen.update({(namespace_of(each), name_of(each)): each for each in objects if each["kind"] == "Secret"})
        return [*(each for each in objects if each["kind"] != "Secret"), *seen.values()]

    return transform


# --- Other counters --------------------------------------------------------------------------------------------------


def _counts_tokens(counter: Counter) -> bool:
    return counter.conditions[0].startswith("tokenlimit.")


class _OneRequestMore(Counters):
    def check_and_add(self, counters: Sequence[Counter], delta: int, now: float) -> Counter | None:
        return super().check_and_add([replace(each, max_value=each.max_value + 1) for each in counters], delta, now)


class _OneRequestMoreAfterTheTokens(Counters):
    def __init__(self) -> None:
        super().__init__()
        self._forgiven: set[tuple[object, float]] = set()

    def over(self, counters: Iterable[Counter], delta: int, now: float) -> Counter | None:
        refused = super().over(counters, delta, now)
        if refused is None or not _counts_tokens(refused):
            return refused
        window = (refused.key, round(now + self.remaining_seconds(refused, now), 3))
        if window in self._forgiven:
            return refused
        self._forgiven.add(window)
        return None


class _SlowClock(Counters):
    """Time goes slower for some counters."""

    def speed(self, counter: Counter) -> float:
        """Seconds of the counter in a second."""
        raise NotImplementedError

    def value(self, counter: Counter, now: float) -> int:
        return super().value(counter, now * self.speed(counter))

    def remaining_seconds(self, counter: Counter, now: float) -> float:
        speed = self.speed(counter)
        return super().remaining_seconds(counter, now * speed) / speed

    def over(self, counters: Iterable[Counter], delta: int, now: float) -> Counter | None:
        return next(
            (each for each in counters if super(_SlowClock, self).over([each], delta, now * self.speed(each))), None
        )

    def add(self, counters: Iterable[Counter], delta: int, now: float) -> None:
        for each in counters:
            super().add([each], delta, now * self.speed(each))


class _LongTokenWindows(_SlowClock):
    def speed(self, counter: Counter) -> float:
        return 0.5 if _counts_tokens(counter) else 1.0


class _EndlessWindows(_SlowClock):
    def speed(self, counter: Counter) -> float:
        del counter
        return 1e-9


class _Regrouped(Counters):
    """Counters that are one although they should be several."""

    def group(self, counter: Counter) -> Counter:
        """The counter that is taken instead."""
        raise NotImplementedError

    def value(self, counter: Counter, now: float) -> int:
        return super().value(self.group(counter), now)

    def remaining_seconds(self, counter: Counter, now: float) -> float:
        return super().remaining_seconds(self.group(counter), now)

    def over(self, counters: Iterable[Counter], delta: int, now: float) -> Counter | None:
        return super().over(map(self.group, counters), delta, now)

    def add(self, counters: Iterable[Counter], delta: int, now: float) -> None:
        super().add(map(self.group, counters), delta, now)


class _OneForAllUsers(_Regrouped):
    def group(self, counter: Counter) -> Counter:
        return replace(counter, variables=())


class _OneForAllModels(_Regrouped):
    def group(self, counter: Counter) -> Counter:
        return replace(counter, namespace="")


class _TwoLimiters(Counters):
    """Calls go to two limiters by turns: those of each kind, and for each user's counters, for themselves.

    Which of the two is asked must not hang on who else asks, or a test fails by chance.
    """

    def __init__(self) -> None:
        super().__init__()
        self._both = (Counters(), Counters())
        self._turns: dict[object, itertools.cycle[Counters]] = {}

    def value(self, counter: Counter, now: float) -> int:
        return sum(each.value(counter, now) for each in self._both)

    def over(self, counters: Iterable[Counter], delta: int, now: float) -> Counter | None:
        asked = tuple(counters)
        return self._next("over", asked).over(asked, delta, now)

    def add(self, counters: Iterable[Counter], delta: int, now: float) -> None:
        asked = tuple(counters)
        self._next("add", asked).add(asked, delta, now)

    def check_and_add(self, counters: Sequence[Counter], delta: int, now: float) -> Counter | None:
        return self._next("check_and_add", counters).check_and_add(counters, delta, now)

    def _next(self, call: str, counters: Sequence[Counter]) -> Counters:
        return next(self._turns.setdefault((call, tuple(counters)), itertools.cycle(self._both)))


# --- Another data path -----------------------------------------------------------------------------------------------


class _CountsNoStreams(Proxy):
    async def _finish(self, exchange: Any, body: Mapping[str, object] | None) -> None:  # noqa: ANN401 - the parent's own
        if not exchange.entry.stream:
            await super()._finish(exchange, body)


class _PassesCredentialsOn(Proxy):
    def passed_on(self, to: Backend, asked: Request, credentials: Collection[str]) -> tuple[dict[str, str], str]:
        headers, target = super().passed_on(to, asked, credentials)
        return {**headers, "authorization": asked.headers["authorization"]}, target


class _AuthoriserTakesItsTime(Proxy):
    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        await asyncio.sleep(SLOW_SECONDS)
        return await super().handle(request)


class _SlowChecks(Telemetry):
    def decided(self, gate: Gate, decision: Any, limiter: Any, seconds: float) -> None:  # noqa: ANN401 - the parent's own
        super().decided(gate, decision, limiter, seconds + SLOW_SECONDS)


class _Still(Telemetry):
    def decided(self, gate: Gate, decision: Any, limiter: Any, seconds: float) -> None:  # noqa: ANN401 - the parent's own
        """Count nothing."""

    def finished(self, gate: Gate, decision: Any, limiter: Any, before: tuple[int, int]) -> None:  # noqa: ANN401 - the parent's own
        """Count nothing."""

    def answered(self, gateway: str, namespace: str, service: tuple[str, str], outcome: tuple[int, str, float]) -> None:
        """Count nothing."""


class _Twice(Telemetry):
    def finished(self, gate: Gate, decision: Any, limiter: Any, before: tuple[int, int]) -> None:  # noqa: ANN401 - the parent's own
        for _ in range(2):
            super().finished(gate, decision, limiter, before)


# --- Another model ---------------------------------------------------------------------------------------------------


class _WithoutUsage(Handler):
    def _send_json(self, status: HTTPStatus, body: Json, headers: Mapping[str, str] | None = None) -> None:
        super()._send_json(status, {name: part for name, part in body.items() if name != "usage"}, headers)

    def _stream(self, dialect: Any, work: Any, run: Any, reason: Any) -> None:  # noqa: ANN401 - the parent's own
        super()._stream(dialect, replace(work, usage_in_stream=False), run, reason)


RIGHT = Parts()
FAULTS: Mapping[Fault, Parts] = {
    Fault.AUTHORISER_FAILS_OPEN: Parts(
        semantics=Semantics(auth_fails_open=True, check_fails_open=True), authorino_answers=False
    ),
    Fault.NO_KEY_NEEDED: Parts(objects=_anonymous_too),
    Fault.REVOKED_KEY_ACCEPTED: Parts(objects=_secrets_stay),
    Fault.EXPIRED_KEY_ACCEPTED: Parts(objects=_never_over),
    Fault.FORGED_IDENTITY_TRUSTED: Parts(objects=_says_who_it_is),
    Fault.MODELS_TIERS_IGNORED: Parts(objects=_without_rule("model-is-for-the-tier")),
    Fault.USERS_MODELS_IGNORED: Parts(objects=_without_rule("user-may-call-the-model")),
    Fault.TIERS_MIXED_UP: Parts(objects=_one_tier_for_all),
    Fault.REQUEST_LIMIT_ONE_TOO_LATE: Parts(counters=_OneRequestMore),
    Fault.TOKEN_LIMIT_ONE_TOO_LATE: Parts(counters=_OneRequestMoreAfterTheTokens),
    Fault.TOKEN_WINDOW_TOO_LONG: Parts(counters=_LongTokenWindows),
    Fault.WINDOWS_NEVER_END: Parts(counters=_EndlessWindows),
    Fault.STALE_POLICY: Parts(objects=_old_limits),
    Fault.STREAMED_TOKENS_NOT_COUNTED: Parts(proxy=_CountsNoStreams),
    Fault.COMPLETIONS_NOT_LIMITED: Parts(objects=_chats_only),
    Fault.MODEL_LIST_LIMITED: Parts(objects=_whatever_the_path),
    Fault.COUNTERS_SHARED_BETWEEN_USERS: Parts(counters=_OneForAllUsers),
    Fault.COUNTERS_SHARED_BETWEEN_MODELS: Parts(counters=_OneForAllModels),
    Fault.COUNTERS_NOT_SHARED_BETWEEN_REPLICAS: Parts(counters=_TwoLimiters),
    Fault.LIMITER_FAILS_OPEN: Parts(semantics=Semantics(check_fails_open=True)),
    Fault.MIXED_CASE_HOST_PASSES: Parts(objects=_guard_without(lambda typed: "default_source_code" in typed)),
    Fault.QUERY_STRING_PASSES: Parts(objects=_path_with_its_query),
    Fault.CREDENTIALS_PASSED_ON: Parts(proxy=_PassesCredentialsOn),
    Fault.METRICS_DO_NOT_MOVE: Parts(telemetry=_Still),
    Fault.TOKENS_COUNTED_TWICE: Parts(telemetry=_Twice),
    Fault.USAGE_MISSING: Parts(handler=_WithoutUsage),
    Fault.PLAIN_429: Parts(objects=_guard_without(lambda typed: "local_reply_config" in typed)),
    Fault.SLOW_AUTHORISER: Parts(proxy=_AuthoriserTakesItsTime, telemetry=_SlowChecks),
}
