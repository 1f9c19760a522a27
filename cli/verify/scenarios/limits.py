"""How much a user may use, and that it is the user's own."""

import time
from collections.abc import Iterator

from cli.verify.client import COMPLETIONS, EMBEDDINGS, NOBODY, Caller
from cli.verify.facts import TOKENS_AT_ONCE, Facts, Limit
from cli.verify.scenario import (
    OK,
    TOO_MANY,
    Bench,
    BlockedError,
    Case,
    Cost,
    ExpectationError,
    Need,
    Phase,
    Scenario,
    SkippedError,
    expect,
    expect_that,
)
from config.routing import QuotaScope
from config.values import Rate

GROUP = "limits"
_TOKENS = 10
"""What the smallest request costs, about."""
_MARGIN_SECONDS = 1.0
"""Tokens are reported when an answer has ended, so that their window begins somewhat later than the answer."""
_LATER_SECONDS = 3.0
_BURSTS = 3
"""Requests that use a token quota up, where their number is free to choose."""


async def second_user(bench: Bench, subject: tuple[str, str]) -> None:
    """While one user's quota is used up, another's of the same tier is whole."""
    tier, model = subject
    one = await bench.use_up(tier, model)
    other = await bench.user(tier)
    reply = await bench.chat(other, 1, model)
    bench.still(one)
    expect(reply, OK, f"for a second user of tier {tier}, while the quota of another is used up")


async def request_limit(bench: Bench, limit: Limit) -> str | None:
    """So many pass, and the next does not."""
    rate, caller = limit.rate, await bench.user(limit.tier)
    began = time.monotonic()
    budget = bench.facts.first("tokens", limit.tier, limit.model)
    for number in range(1, rate.limit + 1):
        reply = await bench.chat(caller, 1, limit.model)
        if time.monotonic() - began >= rate.seconds:
            raise BlockedError(f"{number} requests took longer than the window ({rate}): nothing is proved")
        expect(reply, OK, f"for request {number} of {rate}")
        if number == 1 and budget and (reply.tokens or 0) * rate.limit >= budget.limit:
            raise SkippedError(f"{budget} tokens are used up before {rate} requests are")
    reply = await bench.chat(caller, 1, limit.model)
    if time.monotonic() - began >= rate.seconds:
        raise BlockedError(f"the requests took longer than the window ({rate}): nothing is proved")
    expect(reply, TOO_MANY, f"for request {rate.limit + 1} of {rate}")
    return f"{rate.limit} passed, the next was refused"


async def token_limit(bench: Bench, limit: Limit) -> str:
    """All pass until the limit is crossed, then none, and then, when the window has ended, again."""
    caller = await bench.user(limit.tier)
    began = time.monotonic()
    used, ended = await _use_tokens(bench, caller, limit, stream=False)
    remark = f"{used} tokens passed, then none"
    if not _waits(bench.facts, limit):
        return f"{remark}; the end of the window was not waited for"
    await bench.wait(max(0.0, ended + limit.rate.seconds + _MARGIN_SECONDS - time.monotonic()))
    last = await bench.until(
        lambda: bench.chat(caller, 1, limit.model), lambda reply: reply.status != TOO_MANY, _LATER_SECONDS
    )
    if last is not None:
        wanted = f"200 after the window of {limit.rate} has ended, {time.monotonic() - began:.0f} s after it began"
        raise ExpectationError(wanted, last.words, last.id)
    return f"{remark}; open again after {limit.rate.window}"


async def token_limit_streamed(bench: Bench, limit: Limit) -> str:
    """What is streamed counts like what is not."""
    used, _ = await _use_tokens(bench, await bench.user(limit.tier), limit, stream=True)
    return f"{used} tokens passed, then none"


async def models_while_exhausted(bench: Bench, _: object) -> None:
    """The list of models costs nothing, and is told to whom has nothing left."""
    one = await bench.use_up(*tightest(bench))
    expect(await bench.ask(one.caller), OK, "for the list of models, while the user's quota is used up")


async def every_endpoint(bench: Bench, _: object) -> None:
    """A quota is one for chats, completions and embeddings."""
    tier, model = tightest(bench)
    one = await bench.use_up(tier, model)
    name = bench.way(model).served_name
    for path, body in (
        (COMPLETIONS, {"model": name, "prompt": "Hi", "max_tokens": 1}),
        (EMBEDDINGS, {"model": name, "input": "Hi"}),
    ):
        reply = await bench.ask(one.caller, path, model, body=body)
        bench.still(one)
        expect(reply, TOO_MANY, f"for {path}, while the user's quota is used up by chats")


async def quota_scope(bench: Bench, other: str) -> str:
    """What is used on one model counts on another one, or does not, as the stack says."""
    tier, model = tightest(bench)
    one = await bench.use_up(tier, model)
    reply = await bench.chat(one.caller, 1, other)
    bench.still(one)
    across = bench.facts.settings.routing.quota is QuotaScope.ACROSS_MODELS
    expect(reply, TOO_MANY if across else OK, f"on {other}, while the quota on {model} is used up")
    return "one quota for all models" if across else "a quota for each model"


async def error_shape(bench: Bench, _: object) -> None:
    """Refusals by the limiter and by the authoriser are what OpenAI's clients understand."""
    one = await bench.use_up(*tightest(bench))
    for what, reply in (("limit", one.refused[0]), ("lack of a key", await bench.chat(NOBODY))):
        expected = f"that a refusal because of a {what} is an error in OpenAI's shape"
        expect_that(bool(reply.code) or reply.status == OK, expected, reply.words, reply)


async def _use_tokens(bench: Bench, caller: Caller, limit: Limit, *, stream: bool) -> tuple[int, float]:
    """Use a token quota up, exactly; returns what was used, and when the first answer had come."""
    rate, at_once = limit.rate, _at_once(bench.facts, limit)
    began, used, ended, most = time.monotonic(), 0, 0.0, 4 * _requests(bench.facts, limit)
    for number in range(1, most + 1):
        reply = await bench.chat(caller, at_once, limit.model, stream=stream)
        ended = ended or time.monotonic()
        _in_window(began, rate)
        expect(reply, OK, f"for request {number}, while {used} of {rate} tokens are used")
        expect_that(bool(reply.tokens), "an answer that says how many tokens it cost", reply.words, reply)
        used += reply.tokens or 0
        if used >= rate.limit:
            break
    else:
        raise BlockedError(f"the model says too little: {used} of {rate.limit} tokens in {most} answers")
    reply = await bench.chat(caller, 1, limit.model, stream=stream)
    _in_window(began, rate)
    expect(reply, TOO_MANY, f"once {used} of {rate} tokens are used")
    return used, ended


def _in_window(began: float, rate: Rate) -> None:
    if time.monotonic() - began >= rate.seconds:
        raise BlockedError(f"the requests took longer than the window ({rate}): nothing is proved")


def _requests(facts: Facts, limit: Limit) -> int:
    """Requests that a token quota is used up with: as few as it takes, or a few where that leaves the request limit."""
    requests = facts.first("requests", limit.tier, limit.model)
    # One more is refused, and one more follows when the window has ended.
    room = requests.limit - 2 if requests else _BURSTS
    return max(1, facts.bursts(limit.rate), min(_BURSTS, room))


def _at_once(facts: Facts, limit: Limit) -> int:
    return min(TOKENS_AT_ONCE, -(-limit.rate.limit // _requests(facts, limit)))


def _waits(facts: Facts, limit: Limit) -> bool:
    """Whether the end of a window can be seen: another rate, of requests, must not hold meanwhile."""
    requests = facts.first("requests", limit.tier, limit.model)
    room = requests is None or requests.limit >= _requests(facts, limit) + 2
    return limit.rate.seconds <= facts.longest_wait and room


def tightest(bench: Bench) -> tuple[str, str]:
    """Tier and model whose quota is the cheapest to use up.

    Raises:
        SkippedError: Nothing is limited.
    """
    found = bench.facts.tightest()
    if found is None:
        raise SkippedError("no tier has limits")
    return found


def _each_tier(facts: Facts) -> Iterator[Case]:
    for tier in facts.tiers:
        model = next((each for each in facts.models if facts.may_call(tier, each)), None)
        way = facts.way_to_429(tier, model) if model else None
        if model is None or way is None:
            yield Case(tier, skip=f"tier {tier} has no limits" if model else f"no model is offered to tier {tier}")
            continue
        rate, counts = way
        by_requests = counts == "requests"
        cost = Cost(rate.limit + 8, rate.limit * _TOKENS) if by_requests else Cost(facts.bursts(rate) + 8, rate.limit)
        yield Case(tier, cost, (tier, model))


def _each_request_limit(facts: Facts) -> Iterator[Case]:
    for limit in facts.limits("requests"):
        tightest = facts.first("requests", limit.tier, limit.model)
        skip = "" if limit.rate == tightest else f"{tightest} holds first"
        yield Case(limit.label, Cost(limit.rate.limit + 3, limit.rate.limit * _TOKENS), limit, skip)


def _each_token_limit(facts: Facts) -> Iterator[Case]:
    for limit in facts.limits("tokens"):
        tightest = facts.first("tokens", limit.tier, limit.model)
        requests, count = facts.first("requests", limit.tier, limit.model), _requests(facts, limit)
        skip = "" if limit.rate == tightest else f"{tightest} holds first"
        if not skip and requests and requests.limit <= count:
            skip = f"{requests} requests hold first: no {count} answers of {TOKENS_AT_ONCE} tokens"
        seconds = limit.rate.seconds + _LATER_SECONDS if _waits(facts, limit) else 0.0
        yield Case(limit.label, Cost(count + 6, limit.rate.limit + 2 * TOKENS_AT_ONCE, seconds), limit, skip)


def _each_other_model(facts: Facts) -> Iterator[Case]:
    found = facts.tightest()
    across = facts.settings.routing.quota is QuotaScope.ACROSS_MODELS
    others = [
        model
        for model in facts.models[1:]
        if found
        and facts.may_call(found[0], model)
        # A model with limits of its own has counters of its own.
        and (not across or model not in facts.settings.tiers[found[0]].models)
    ]
    yield Case(others[0], Cost(20, 200), others[0]) if others else Case(skip="no second model shares a limited tier")


def used_up(facts: Facts) -> Iterator[Case]:
    """The one case of a scenario that uses up what is the cheapest to use up."""
    yield Case(cost=Cost(20, 200)) if facts.tightest() else Case(skip="no tier has limits")


def _smallest_token_limit(facts: Facts) -> Iterator[Case]:
    possible = [case for case in _each_token_limit(facts) if not case.skip]
    smallest = min(possible, key=lambda case: case.subject.rate.limit, default=None)
    yield smallest or Case(skip="no tier has a token limit that a few requests can reach")


_HINT = "the limits on the cluster are not the stack's (./maas refresh), or the limiter is not asked"
_USERS = frozenset({Need.USERS})
SCENARIOS = (
    Scenario(
        "second-user",
        GROUP,
        "One user's use does not count against another of the same tier.",
        second_user,
        Phase.SHARED,
        _USERS,
        cases=_each_tier,
        hint="the limits do not count by user: `counters` of the policies, and the identity that Authorino gives",
    ),
    Scenario(
        "request-limit",
        GROUP,
        "As many requests pass as the tier has, and the next gets 429.",
        request_limit,
        Phase.QUOTA,
        _USERS,
        cases=_each_request_limit,
        hint=_HINT,
    ),
    Scenario(
        "token-limit",
        GROUP,
        "Requests pass until the tier's tokens are used, then get 429, and pass again when the window has ended.",
        token_limit,
        Phase.QUOTA,
        _USERS,
        cases=_each_token_limit,
        hint=_HINT,
    ),
    Scenario(
        "token-limit-streamed",
        GROUP,
        "Streamed tokens count.",
        token_limit_streamed,
        Phase.QUOTA,
        _USERS,
        cases=_smallest_token_limit,
        hint="the model's streams do not say what they cost: --enable-force-include-usage on its runtime",
    ),
    Scenario(
        "models-while-exhausted",
        GROUP,
        "The list of models is told to a user whose quota is used up.",
        models_while_exhausted,
        Phase.QUOTA,
        _USERS,
        cases=used_up,
        hint=_HINT,
    ),
    Scenario(
        "every-endpoint",
        GROUP,
        "Completions and embeddings are refused when chats have used the quota up.",
        every_endpoint,
        Phase.QUOTA,
        _USERS,
        cases=used_up,
        hint="a limit's `when` names some of the counted paths only",
    ),
    Scenario(
        "quota-scope",
        GROUP,
        "A quota is for one model or for all of them, as the stack says.",
        quota_scope,
        Phase.QUOTA,
        _USERS,
        cases=_each_other_model,
        hint="Kuadrant counts each HTTPRoute by itself: routing.quota and the routes on the cluster do not agree",
    ),
    Scenario(
        "error-shape",
        GROUP,
        "Refusals are errors in the shape that OpenAI's clients understand.",
        error_shape,
        Phase.QUOTA,
        _USERS,
        cases=used_up,
        hint="the EnvoyFilter of the gateway is missing, or does not select its pods",
    ),
)
