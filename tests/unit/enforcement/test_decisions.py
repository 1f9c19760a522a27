import json

from enforcement.semantics import Semantics
from tests.unit.enforcement.service import CHAT, DOMAIN, Service


def test_without_a_key_a_request_is_answered_with_401_in_the_shape_of_openais_errors() -> None:
    decision = Service().ask()
    assert (decision.allowed, decision.status) == (False, 401)
    assert json.loads(decision.body)["error"]["code"] == "invalid_api_key"


def test_a_key_that_nobody_has_is_answered_with_401() -> None:
    assert Service().ask(authorization="Bearer nobody").status == 401


def test_a_key_opens_the_way_to_the_model_and_stays_behind() -> None:
    decision = Service().ask("freeuser1")
    assert decision.allowed
    assert decision.backend is not None
    assert decision.backend.name == "simulator-predictor"
    assert "authorization" not in decision.backend.headers


def test_the_request_after_the_last_of_a_tier_gets_429_until_the_window_ends() -> None:
    service = Service()
    assert [service.chat("freeuser1", 1).status for _ in range(6)] == [200] * 5 + [429]
    service.now += 119
    assert service.ask("freeuser1").status == 429
    service.now += 1
    assert service.ask("freeuser1").status == 200


def test_the_request_that_crosses_the_token_limit_passes_and_the_next_one_does_not() -> None:
    service = Service()
    assert service.chat("freeuser1", 99).allowed
    assert service.chat("freeuser1", 50).allowed
    refused = service.chat("freeuser1", 1)
    assert (refused.status, json.loads(refused.body)["error"]["code"]) == (429, "rate_limit_exceeded")
    assert refused.refused_by == "free"
    service.now += 60
    assert service.chat("freeuser1", 1).allowed


def test_a_window_begins_with_the_first_hit_and_not_with_the_last() -> None:
    service = Service()
    service.chat("freeuser1", 60)
    service.now += 59
    service.chat("freeuser1", 60)
    assert service.ask("freeuser1").status == 429
    service.now += 1
    assert service.ask("freeuser1").status == 200


def test_one_users_limit_is_not_anothers() -> None:
    service = Service()
    service.chat("freeuser1", 1000)
    assert service.ask("freeuser1").status == 429
    assert service.ask("freeuser2").status == 200


def test_a_higher_tier_is_not_held_to_a_lower_ones_limits() -> None:
    service = Service()
    service.chat("premiumuser1", 499)
    assert service.chat("premiumuser1", 100).allowed
    assert service.ask("premiumuser1").status == 429


def test_each_models_route_has_counters_of_its_own() -> None:
    service = Service()
    service.chat("freeuser1", 1000)
    assert service.ask("freeuser1").status == 429
    assert service.ask("freeuser1", host=f"qwen3.{DOMAIN}").status == 200


def test_the_list_of_models_is_neither_counted_nor_refused_when_a_limit_is_reached() -> None:
    service = Service()
    service.chat("freeuser1", 1000)
    listing = service.ask("freeuser1", target="/v1/models")
    assert listing.allowed
    assert listing.charged == []


def test_a_query_string_is_no_way_round_the_limits() -> None:
    service = Service()
    service.chat("freeuser1", 1000)
    assert service.ask("freeuser1", target=f"{CHAT}?x=1").status == 429


def test_a_request_refused_for_its_tokens_has_been_counted_as_a_request() -> None:
    service = Service()
    service.chat("freeuser1", 1000)
    for _ in range(4):
        service.ask("freeuser1")
    service.now += 60
    assert service.ask("freeuser1").status == 429


def test_an_answer_without_usage_is_not_counted_and_says_so() -> None:
    service = Service()
    decision = service.ask("freeuser1")
    service.gate.finish(decision, {"choices": []}, service.now)
    assert decision.errors == 1
    assert any("nothing is counted" in line for line in decision.explanation)


def test_an_answer_of_no_tokens_counts_as_one() -> None:
    service = Service()
    decision = service.ask("freeuser1")
    service.gate.finish(decision, {"usage": {"total_tokens": 0}}, service.now)
    assert [(call.kind, call.hits) for call in decision.calls][-1] == ("report", 1)


def test_kinds_of_tokens_weigh_the_same() -> None:
    service = Service()
    for usage in ({"prompt_tokens": 90, "completion_tokens": 10}, {"prompt_tokens": 10, "completion_tokens": 90}):
        decision = service.ask("premiumuser1")
        service.gate.finish(decision, {"usage": usage | {"total_tokens": 100}}, service.now)
        assert decision.calls[-1].hits == 100


def test_a_host_that_no_model_has_is_refused_without_a_key_and_leads_nowhere_with_one() -> None:
    service = Service()
    assert service.ask(host=f"other.{DOMAIN}", target="/").status == 401
    decision = service.ask("freeuser1", host=f"other.{DOMAIN}", target="/")
    assert decision.status == 403
    assert "unknown_model" in decision.body


def test_a_host_in_other_case_gets_the_policies_all_the_same() -> None:
    assert Service().ask(host=f"simulator.{DOMAIN.upper()}").status == 401


def test_without_the_gateways_guard_the_domain_in_other_case_would_pass_without_a_key() -> None:
    host = f"simulator.{DOMAIN.upper()}"
    passed = Service(without=("EnvoyFilter",)).ask(host=host)
    assert passed.allowed
    assert not passed.guarded
    assert Service(without=("EnvoyFilter",), semantics=Semantics(host_case_matters=False)).ask(host=host).status == 401


def test_a_model_name_in_other_case_falls_under_the_policies_of_the_fallback_route() -> None:
    assert Service().ask(host=f"SIMULATOR.{DOMAIN}").status == 401


def test_a_port_in_the_host_changes_nothing() -> None:
    assert Service().ask(host=f"simulator.{DOMAIN}:8080").status == 401
    assert Service().ask("freeuser1", host=f"simulator.{DOMAIN}:8080").status == 200


def test_a_decision_tells_which_limits_it_looked_at_and_how_full_they_were() -> None:
    service = Service()
    service.chat("freeuser1", 40)
    told = "\n".join(service.chat("freeuser1", 40).explanation)
    assert "request limit free for freeuser1: 2 of 5 in 120 s" in told
    assert "token limit free for freeuser1: 40 of 100 in 60 s" in told
    assert "40 tokens counted" in told


def test_limitador_is_called_once_for_request_limits_and_twice_for_a_token_limit() -> None:
    service = Service()
    answered = service.chat("freeuser1", 42)
    assert [(call.kind, call.hits, call.refused) for call in answered.calls] == [
        ("limit", 1, None),
        ("check", 1, None),
        ("report", 42, None),
    ]
    service.chat("freeuser1", 100)
    refused = service.ask("freeuser1")
    assert [(call.kind, call.refused is not None) for call in refused.calls] == [("limit", False), ("check", True)]
    assert service.ask("freeuser1", target="/v1/models").calls == [], "no limit applies, so nobody asks"
