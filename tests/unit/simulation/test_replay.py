import json
from dataclasses import replace
from decimal import Decimal

from enforcement.objects import Object
from simulation import summary
from simulation.generated import recipe, traffic
from simulation.replay import Result, replay
from simulation.service import Service
from simulation.traffic import Ask
from tests.unit.enforcement.small import GATEWAY, KEYS, TIER, auth, key, limit, requests, route, tokens

FREE = {"r": limit(3, TIER), "p": limit(100, 'auth.identity.tier == "premium"')}


def service(*policies: Object) -> Service:
    return Service(
        objects=[GATEWAY, route(), route("n", "n.a.test"), *(key(each) for each in KEYS), auth(), *policies],
        gateway="n/g",
        kuadrant_namespace="kuadrant-system",
        endpoints={"m": "http://m.a.test", "n": "http://n.a.test"},
        users=KEYS,
        prices={"free": Decimal("0.005"), "premium": Decimal("0.008")},
        keys={user: f"key-of-{user}" for user in KEYS},
    )


def asks(*times: float, user: str = "alice", model: str = "m", size: int = 10, seconds: float = 1.0) -> list[Ask]:
    return [Ask(each, user, model, size, 0, seconds=seconds) for each in times]


def statuses(result: Result) -> list[int]:
    return list(result.statuses)


def test_tokens_count_when_the_answer_ends_and_not_when_it_begins() -> None:
    result = replay(service(tokens({"t": limit(10)})), asks(0, 0.5, 0.9, 1.0, 60.9, 61.0))
    assert statuses(result) == [200, 200, 200, 429, 429, 200]
    line = summary.total(result)
    assert (line.tally.tokens, line.tally.refused) == (40, {"tokens: t": 2})
    assert line.cost == Decimal("0.200")


def test_what_is_counted_beyond_a_limit_is_the_request_that_crosses_it_and_those_beside_it() -> None:
    result = replay(service(tokens({"t": limit(25)})), asks(0, 1, 2, 2, 2, 5, 70))
    assert statuses(result) == [200, 200, 200, 200, 200, 429, 200]
    assert summary.overshoot(result) == 25
    (peak,) = summary.worst(result)
    assert (peak.kind, peak.used, peak.began, peak.refused) == ("tokens", 50, 1.0, 1)


def test_requests_and_tokens_are_told_apart_and_so_are_users_tiers_and_models() -> None:
    many = [*asks(0, 0, 0, 0), *asks(0, user="bob", model="n"), *asks(0, user="nobody"), *asks(0, model="unknown")]
    result = replay(service(requests(FREE)), many)
    assert statuses(result) == [200, 200, 200, 429, 200, 401, 404]
    users = {each.name: each for each in summary.by_user(result)}
    assert users["alice"].tally.refused == {"requests: r": 1, "404": 1}
    assert users["alice"].tally.limited == 1
    assert users["nobody"].tally.refused == {"401": 1}
    assert [(each.name, each.tally.allowed, each.cost) for each in summary.by_tier(result)] == [
        ("free", 3, Decimal("0.150")),
        ("none", 0, Decimal(0)),
        ("premium", 1, Decimal("0.080")),
    ]
    assert [each.name for each in summary.by_model(result)] == ["m", "n", "unknown"]


def test_answers_whose_length_is_not_known_take_as_long_as_their_completion() -> None:
    known = service(tokens({"t": limit(10)}))
    traffic = [Ask(0, "alice", "m", 10, 100), Ask(1.9, "alice", "m", 0, 0), Ask(2.1, "alice", "m", 0, 0)]
    assert statuses(replay(known, traffic)) == [200, 200, 429]
    assert statuses(replay(known, traffic, tokens_per_second=0)) == [200, 429, 429]


def test_kept_plans_change_nothing() -> None:
    known = service(requests(FREE), tokens({"t": limit(900), "h": limit(9000, TIER, window="30m")}))
    made = recipe("free: 4 per 1m; premium: 6 per 1m; for 40m")
    with_plans, without = (
        replay(known, traffic(made, known.users, ["m", "n"]), keep_plans=each) for each in (True, False)
    )
    assert statuses(with_plans) == statuses(without)
    assert set(statuses(without)) == {200, 429}
    assert summary.as_json(with_plans) == summary.as_json(without)


def test_decisions_that_were_recorded_are_compared_with() -> None:
    recorded = [each._replace(status=status) for each, status in zip(asks(0, 2, 4), (200, 200, 429), strict=True)]
    result = replay(service(tokens({"t": limit(10)})), [*recorded, *asks(5)])
    assert (result.recorded, result.differing) == (3, 1)
    (difference,) = result.differences
    assert (difference.number, difference.ask.status, difference.status) == (2, 200, 429)
    assert summary.as_json(result)["recorded"]["examples"][0]["line"] == 2


def test_a_comparison_says_user_by_user_what_changes_and_leaves_out_those_for_whom_nothing_does() -> None:
    now = service(requests(FREE))
    then = replace(service(requests({**FREE, "r": limit(1, TIER)})), prices={**now.prices, "free": Decimal("0.01")})
    many = [*asks(0, 0, 0, 0), *asks(0, 0, user="bob")]
    one, other = replay(now, many), replay(then, many)
    assert summary.flipped(one, other) == (2, 0)
    changed = [each for each in summary.compared(one, other) if each.is_one]
    assert [each.name for each in changed] == ["alice"]
    content = json.loads(json.dumps(summary.comparison_json(one, other)))
    assert content["users"][0]["allowedMore"] == -2
    assert content["users"][0]["costMore"] == "-0.05"
    assert content["refusedOnlyThen"] == 2


def test_money_has_all_its_digits_and_no_others() -> None:
    shown = {"0": "0", "1.500": "1.5", "0.000001": "0.000001", "1E+3": "1000", "100": "100", "10.0": "10"}
    assert {each: summary.money(Decimal(each)) for each in shown} == shown
