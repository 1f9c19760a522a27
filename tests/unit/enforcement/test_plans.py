"""A remembered plan decides as the whole evaluation does, on random traffic, decision by decision."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

import pytest

from enforcement.authentication import Authorino
from enforcement.counters import Counters
from enforcement.decision import Decision, Gate
from enforcement.expressions import AuthorinoExpression, FilterContext, FilterExpression, watched_clock
from enforcement.objects import World
from enforcement.request import Request
from tests.unit.enforcement.service import CHAT, DOMAIN, KEYS, Service
from tests.unit.enforcement.small import (
    GATEWAY,
    NOW,
    TIER,
    USER,
    Small,
    auth,
    key,
    limit,
    policy,
    requests,
    route,
    tokens,
)

EXPIRY = '("expires" in auth.identity.metadata.annotations ? auth.identity.metadata.annotations.expires : "")'
TROUBLE = f'{EXPIRY} != "" && {EXPIRY} <= string(timestamp(int(request.time.seconds))) ? "expired" : ""'


def comparable(decision: Decision) -> dict[str, object]:
    return {each.name: getattr(decision, each.name) for each in fields(decision) if each.name != "context"}


def small(remembers: int) -> Small:
    """Keys that expire, limits before and behind authentication, and one that looks at the time."""
    return Small(
        auth({"trouble": TROUBLE}, 'auth.identity.trouble == ""'),
        key("carol", expires="2027-01-15T08:05:00Z"),
        requests({"r": limit(7, 'request.method == "POST"'), "late": limit(2, TIER, "request.time.seconds % 2 == 0")}),
        tokens({"t": limit(50), "a": limit(900, counters=("request.host", USER))}),
        remembers=remembers,
    )


@pytest.mark.parametrize("seed", range(3))
def test_remembered_plans_and_whole_evaluations_are_the_same_on_random_traffic(seed: int) -> None:
    pick = random.Random(seed)  # noqa: S311 - traffic, not secrets
    whole, remembering = small(0), small(6)
    statuses: set[int] = set()
    under_way: list[tuple[Decision, Decision]] = []
    for _ in range(1000):
        whole.now = remembering.now = whole.now + pick.choice((0, 0, 0.2, 1, 1.5, 9))
        user = pick.choice(("alice", "bob", "carol", "nobody", ""))
        more = {"x-other": pick.choice("ab")} if pick.random() < 0.1 else {}
        target, host = pick.choice(("/v1", "/v1?x=1", "/")), pick.choice(("m.a.test", "M.a.test", "n.a.test"))
        pair = whole.ask(user, target, host, **more), remembering.ask(user, target, host, **more)
        assert comparable(pair[0]) == comparable(pair[1])
        statuses.add(pair[0].status)
        under_way.append(pair)
        if pick.random() < 0.8:
            one, other = under_way.pop(pick.randrange(len(under_way)))
            total = pick.choice((None, 0, 1, 5, 40))
            whole.answer(one, total)
            remembering.answer(other, total)
            assert comparable(one) == comparable(other)
    assert statuses == {200, 401, 403, 404, 429}


def test_the_sandbox_stack_is_decided_alike_with_and_without_a_memory() -> None:
    whole, remembering = Service(), Service(remembers=100)
    pick = random.Random(1)  # noqa: S311 - traffic, not secrets
    for _ in range(400):
        whole.now = remembering.now = whole.now + pick.choice((0, 0, 1, 20))
        user = pick.choice([*KEYS, ""])
        host = f"{pick.choice(('simulator', 'qwen3', 'QWEN3', 'none'))}.{DOMAIN}"
        target = pick.choice((CHAT, CHAT, "/v1/models", "/health", "/metrics"))
        one, other = whole.ask(user, host=host, target=target), remembering.ask(user, host=host, target=target)
        total = pick.randrange(60)
        for service, decision in ((whole, one), (remembering, other)):
            service.gate.finish(decision, {"usage": {"total_tokens": total}}, service.now)
        assert comparable(one) == comparable(other)


def test_a_plan_holds_always_unless_the_time_made_a_difference_to_it() -> None:
    gate = small(0).gate

    def holds(user: str) -> bool:
        return gate.plan(Request("POST", "m.a.test", "/", {"authorization": f"Bearer key-of-{user}"}), NOW).holds_always

    assert holds("nobody"), "no expression that reads the time was reached"
    assert holds("bob"), "a tier that the limit with the time in it does not hold for"
    assert not holds("alice")
    assert not holds("carol")


@pytest.mark.parametrize(
    ("text", "reads"),
    [
        ("request.host", False),
        ("true || request.time.seconds > 3", False),
        ("request.time.seconds > 3 && false", False),
        ("request.time.seconds > 3", True),
        ('request.id == "x"', True),
        ("has(request.time)", True),
        ('"time" in request', True),
        ('[request].exists(r, r.host == "h" || r.time.seconds > 3)', True),
        ('request["host"]', True),
    ],
)
def test_an_expression_reads_the_time_when_its_value_may_depend_on_it(text: str, *, reads: bool) -> None:
    attributes = Request("GET", "h", "/", id="i").attributes(NOW)
    with watched_clock() as clock:
        FilterExpression(text).value(FilterContext(attributes))
    assert clock.was_read is reads
    with watched_clock() as clock:
        AuthorinoExpression(text).value({**attributes, "auth": {}})
    assert clock.was_read is reads


@pytest.mark.parametrize("kind", ["jwt", "review", "rego"])
def test_what_ends_with_time_outside_of_cel_is_asked_anew_for_every_request(kind: str) -> None:
    rules: dict[str, Any] = {
        "jwt": {"authentication": {"t": {"jwt": {"issuerUrl": "https://i.test"}}}},
        "review": {"authentication": {"t": {"kubernetesTokenReview": {"audiences": ["a"]}}}},
        "rego": {
            "authentication": {"k": {"apiKey": {"selector": {"matchLabels": {"app": "t"}}}}},
            "authorization": {"r": {"opa": {"rego": "allow { true }"}}},
        },
    }[kind]
    world = World.of([GATEWAY, route(), key("alice"), policy("AuthPolicy", {"rules": rules})], "n/g")
    until = Until()
    authorino = Authorino(world.keys, "kuadrant-system", tokens=until, rego=until.allows)
    gate = Gate(world, authorino, Counters(), remembers=8)
    request = Request("POST", "m.a.test", "/", {"authorization": "Bearer key-of-alice"})
    statuses = [gate.decide(request, now).status for now in (1, 2)]
    until.ended = True
    assert [*statuses, gate.decide(request, 3).status] == [200, 200, 403 if kind == "rego" else 401]


class Until:
    """Accepts everything until it has ended."""

    ended = False

    def jwt(self, token: str, now: float, *, issuer: str = "", key_set: str = "") -> Mapping[str, Any] | None:
        del token, now, issuer, key_set
        return None if self.ended else {"sub": "alice"}

    def review(self, token: str, audiences: Sequence[str]) -> Mapping[str, Any] | None:
        del token, audiences
        return None if self.ended else {"user": {"username": "alice"}}

    def allows(self, rules: str, document: Mapping[str, Any], now: float) -> bool:
        del rules, document, now
        return not self.ended
