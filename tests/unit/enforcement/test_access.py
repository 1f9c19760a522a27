"""Who may call what: every caller with every request, decided by the engines, against a table of its own."""

from functools import cache
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.policies.limits import token_limits_spec
from config.figures import NEVER_REACHED
from config.settings import Settings
from enforcement.decision import Gate
from enforcement.expressions import FilterContext, authorino_expression, filter_expression
from enforcement.request import Request
from tests.unit.config.bad import GOOD
from tests.unit.enforcement.access import (
    ASKS,
    BY_HOST,
    BY_PATH,
    CALLERS,
    CHAT,
    NOW,
    Ask,
    Caller,
    code,
    expected,
    gate,
    limits_expected,
    request,
)

STACKS = {"by host": BY_HOST, "by path": BY_PATH}
RANK = {name: tier.level for name, tier in BY_HOST.tiers.items()}


@cache
def shared(stack: str) -> Gate:
    return gate(STACKS[stack])


def counted(found: Gate, asked: Request) -> tuple[set[str], set[str]]:
    """Names of the request limits that were charged, and of the token limits that will be."""
    found.counters.clear()
    decision = found.decide(asked, NOW)
    requests = {counter.name for counter, _ in decision.charged}
    found.finish(decision, {"usage": {"total_tokens": 7}}, NOW)
    tokens = {counter.name for counter, hits in decision.charged if hits == 7}
    return requests, tokens


def test_the_table_has_more_than_three_hundred_cases() -> None:
    assert len(CALLERS) * len(ASKS) * len(STACKS) >= 300
    assert len({caller.name for caller in CALLERS}) == len(CALLERS)


@pytest.mark.parametrize("stack", STACKS)
@pytest.mark.parametrize("caller", CALLERS, ids=lambda caller: caller.name)
def test_every_request_of_a_caller_is_decided_as_the_table_has_it(caller: Caller, stack: str) -> None:
    found = shared(stack)
    wrong: list[str] = []
    for ask in ASKS:
        asked = request(STACKS[stack], ask, caller.headers)
        found.counters.clear()
        decision = found.decide(asked, NOW)
        status, why = expected(caller, ask, by_path=STACKS[stack].routing.by_path)
        if (decision.status, code(decision)) != (status, why):
            wrong.append(f"{ask}: {decision.status} {code(decision)}, not {status} {why}")
        elif decision.allowed and counted(found, asked) != limits_expected(caller, ask):
            wrong.append(f"{ask}: counted on {counted(found, asked)}, not on {limits_expected(caller, ask)}")
    assert wrong == []


@pytest.mark.parametrize("caller", [each for each in CALLERS if each.user and not each.trouble and each.tier], ids=str)
def test_limits_and_telemetry_get_one_shape_of_identity_from_every_source(caller: Caller) -> None:
    model = caller.models[0] if caller.models else "simulator"
    decision = shared("by host").decide(request(BY_HOST, Ask(model, "POST", CHAT), caller.headers), NOW)
    assert decision.verdict is not None
    identity = decision.verdict.metadata["identity"]
    assert set(identity) == {"source", "userid", "tier", "groups", "team", "costCentre", "models", "model"}
    assert (identity["userid"], identity["tier"], identity["model"]) == (caller.user, caller.tier, model)
    assert list(identity["models"]) == list(caller.models)
    assert all(isinstance(identity[name], str) for name in ("source", "team", "costCentre"))


def test_no_two_sources_can_give_one_user_id() -> None:
    ids: dict[str, str] = {}
    for caller in CALLERS:
        if caller.user and not caller.trouble:
            prefix = caller.user.partition(":")[0] if ":" in caller.user else "a key"
            source = (
                "key"
                if caller.secret is not None or caller.name in {"header", "prefix"}
                else ("account" if caller.review else "token")
            )
            assert ids.setdefault(prefix, source) == source


PATHS = st.one_of(
    st.sampled_from([ask.path for ask in ASKS]),
    st.text("/v1chatompleinsmbdg%2F.;?=&", min_size=0, max_size=30).map(lambda text: f"/{text}"),
)
REQUESTS = st.builds(
    Ask,
    st.sampled_from(["simulator", "qwen3", "large", "other", "Simulator"]),
    st.sampled_from(["POST", "GET", "PUT", "DELETE"]),
    PATHS,
    st.just(""),
    st.dictionaries(
        st.sampled_from(["x-request-id", "x-maas-tier", "x-maas-userid"]), st.just("enterprise"), max_size=1
    ),
)
OFTEN: Any = settings(max_examples=150, deadline=None)


@pytest.mark.parametrize("stack", STACKS)
@OFTEN
@given(caller=st.sampled_from(CALLERS), ask=REQUESTS)
def test_whoever_is_let_through_is_counted_on_exactly_the_limits_of_their_own_tier(
    stack: str, caller: Caller, ask: Ask
) -> None:
    found = shared(stack)
    asked = request(STACKS[stack], ask, caller.headers)
    found.counters.clear()
    decision = found.decide(asked, NOW)
    assert decision.guarded or decision.status == 404, "no request reaches a model without the policies"
    assert decision.errors == 0, "no expression fails on any request"
    requests, tokens = counted(found, asked)
    if caller.user is None:
        assert not requests | tokens, "a request with no identity matches no limit"
        assert not decision.allowed or ask.method == "GET", "and spends nothing"
        return
    for name in requests | tokens:
        assert RANK[name.partition(".")[0]] == RANK[caller.tier], "no identity of a tier matches another's limit"
    assert len(tokens) <= 1, "with two, each token would be counted twice"
    if decision.allowed and ask.method == "POST":
        assert requests == {caller.tier} - {"enterprise"}
        assert tokens, "unlimited or not, somebody counts them"
    elif not decision.allowed or ask.method == "GET":
        assert not requests | tokens


LIMITS = st.sampled_from(["unlimited", "5 per 1m", ["5 per 1m", "100 per 24h"]])


@st.composite
def tiers(draw: st.DrawFn) -> dict[str, Any]:
    names = draw(
        st.lists(st.from_regex(r"[a-z][a-z0-9-]{0,8}[a-z0-9]", fullmatch=True), min_size=1, max_size=4, unique=True)
    )
    return {
        name: {
            "level": level,
            "requests": draw(LIMITS),
            "tokens": draw(LIMITS),
            "models": draw(
                st.dictionaries(st.sampled_from(["simulator", "qwen3"]), st.fixed_dictionaries({"tokens": LIMITS}))
            ),
        }
        for level, name in enumerate(names)
    }


@settings(max_examples=40, deadline=None)
@given(stack=tiers(), data=st.data())
def test_exactly_one_limit_of_a_tier_matches_whatever_the_tiers_are(stack: dict[str, Any], data: st.DataObject) -> None:
    made = Settings.load("test", GOOD | {"tiers": stack, "users": {}, "apiKeys": {}})
    limits = (token_limits_spec({"name": "g"}, made) or {"limits": {}})["limits"]
    tier = data.draw(st.sampled_from(sorted(stack)))
    model = data.draw(st.sampled_from(["simulator", "qwen3"]))
    context = FilterContext(Request("POST", "h", CHAT).attributes(NOW))
    context.authenticated({"identity": {"tier": tier, "model": model, "userid": "u"}})
    hits = [
        name
        for name, limit in limits.items()
        if all(filter_expression(each["predicate"]).holds(context) for each in limit["when"])
    ]
    own = stack[tier]["models"].get(model, {}).get("tokens", stack[tier]["tokens"])
    assert len(hits) == 1, "with none its tokens would not be counted, with two they would be twice"
    assert (limits[hits[0]]["rates"][0]["limit"] == NEVER_REACHED) == (own == "unlimited")
    assert all(name.partition(".")[0] == tier for name in hits)


def texts(value: Any, key: str) -> list[str]:  # noqa: ANN401 - any part of a policy
    """Every text under a key, at any depth."""
    if isinstance(value, dict):
        fields = cast("dict[str, Any]", value)
        own = [fields[key]] if isinstance(fields.get(key), str) else []
        return [*own, *(each for part in fields.values() for each in texts(part, key))]
    return [each for part in cast("list[Any]", value) for each in texts(part, key)] if isinstance(value, list) else []


@pytest.mark.parametrize("stack", STACKS)
def test_every_expression_compiles_in_each_engine_that_reads_it(stack: str) -> None:
    world = shared(stack).world
    authorinos = [each for key in ("expression", "predicate") for each in texts(list(world.auth), key)]
    assert len(authorinos) > 50
    for text in authorinos:
        authorino_expression(text)
    limits = [*world.requests, *world.tokens]
    for text in [each for key in ("expression", "predicate") for each in texts(limits, key)]:
        filter_expression(text)
        authorino_expression(text)  # the operator's validator has Authorino's engine


def test_the_program_generates_no_rego() -> None:
    for stack in STACKS:
        for policy in shared(stack).world.auth:
            for rule in policy["spec"]["rules"]["authorization"].values():
                assert set(rule) == {"patternMatching"}, "Rego would need its own table, run by a real OPA"
