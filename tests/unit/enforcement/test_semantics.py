"""What Kuadrant does, point by point; routes and effective policies are in test_routing, windows in test_counters."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from enforcement.decision import TOO_MANY, labels
from enforcement.expressions import EvaluationError, FilterContext, filter_expression
from enforcement.objects import Object
from enforcement.request import Request
from enforcement.semantics import NOT_MODELLED, Semantics
from tests.unit.enforcement.small import TIER, USER, Small, auth, limit, policy, rates, requests, route, tokens

OPEN = Semantics(check_fails_open=True)


# 1. Route match.


def test_a_host_and_path_that_no_route_has_is_answered_with_404_and_no_policy_is_asked() -> None:
    decision = Small(auth()).ask("alice", host="other.a.test")
    assert (decision.status, decision.guarded, decision.verdict) == (404, False, None)


# 2. Effective policy.


def test_of_two_policies_on_one_target_that_are_equally_old_the_later_name_holds() -> None:
    one, two = tokens({"a": limit(1)}, name="one"), tokens({"b": limit(1)}, name="two")
    for objects in ((one, two), (two, one)):
        small = Small(auth(), *objects)
        assert [each.counters[0].name for each in small.ask("alice").calls] == ["b"]


@pytest.mark.parametrize("section", ["defaults", "overrides"])
def test_the_condition_of_defaults_and_overrides_holds_for_each_of_their_limits(section: str) -> None:
    body = {"when": [{"predicate": TIER}], "limits": {"all": limit(0)}}
    small = Small(auth(), policy("RateLimitPolicy", {section: body}))
    assert small.ask("alice").status == 429
    assert small.ask("bob").status == 200


# 3. Order of actions.


def test_a_policy_that_never_mentions_auth_is_enforced_before_anybody_is_asked_for_a_key() -> None:
    small = Small(auth(), requests({"all": limit(1, counters=())}))
    assert small.ask().status == 401
    assert small.ask().status == 429
    assert small.ask("alice").status == 429


def test_one_limit_that_mentions_auth_puts_its_whole_policy_behind_authentication() -> None:
    small = Small(auth(), requests({"all": limit(1, counters=()), "free": limit(5, TIER)}))
    assert [small.ask().status for _ in range(3)] == [401, 401, 401]
    assert [small.ask("alice").status for _ in range(2)] == [200, 429]


def test_a_request_that_the_token_limit_refuses_has_been_counted_by_the_request_limit() -> None:
    small = Small(auth(), requests({"r": limit(2)}), tokens({"t": limit(10)}))
    assert small.chat("alice", 10) == 200
    assert small.ask("alice").refused_by == "t"
    assert small.ask("alice").refused_by == "r"


def test_token_limits_are_checked_in_the_order_of_their_names_and_the_first_refusal_ends_it() -> None:
    small = Small(auth(), tokens({"b": limit(0), "a": limit(5), "c": limit(0)}))
    decision = small.ask("alice")
    assert [(call.kind, call.counters[0].name) for call in decision.calls] == [("check", "a"), ("check", "b")]
    assert decision.refused_by == "b"


# 4. RateLimitPolicy.


def test_request_limits_are_one_call_which_counts_on_all_of_them_or_on_none() -> None:
    small = Small(auth(), requests({"narrow": limit(1), "wide": limit(3, window="1h")}))
    (first,) = small.ask("alice").calls
    assert [each.name for each in first.counters] == ["narrow", "wide"]
    assert [small.ask("alice").refused_by for _ in range(5)] == ["narrow"] * 5
    small.now += 60
    assert small.ask("alice").status == 200, "the refused ones were not counted on the wide one"


def test_only_the_request_limits_whose_conditions_hold_are_in_the_call() -> None:
    small = Small(auth(), requests({"free": limit(5, TIER), "all": limit(5)}))
    assert [each.name for each in small.ask("bob").calls[0].counters] == ["all"]


# 5. TokenRateLimitPolicy.


def test_requests_that_are_under_way_together_all_pass_and_all_count() -> None:
    small = Small(auth(), tokens({"t": limit(10)}))
    together = [small.ask("alice") for _ in range(3)]
    assert [each.status for each in together] == [200] * 3
    for each in together:
        small.answer(each, 9)
    told = "\n".join(small.ask("alice").explanation)
    assert "t for alice: 27 of 10 in 60 s: exceeded, new window in 60 s" in told


def test_a_request_passes_as_long_as_one_token_is_left_and_not_when_none_is() -> None:
    small = Small(auth(), tokens({"t": limit(10)}))
    assert [small.chat("alice", 9), small.chat("alice", 1), small.chat("alice", 1)] == [200, 200, 429]


def test_an_answer_of_no_tokens_counts_as_one() -> None:
    small = Small(auth(), tokens({"t": limit(2)}))
    assert [small.chat("alice", 0) for _ in range(3)] == [200, 200, 429]


def test_a_limit_of_nothing_refuses_everything() -> None:
    assert Small(auth(), tokens({"t": limit(0)})).ask("alice").status == 429


# 6. Limits as Limitador knows them.


def test_each_route_has_counters_of_its_own_also_for_a_policy_of_the_gateway() -> None:
    small = Small(auth(), tokens({"t": limit(5)}), route("other", "other.a.test"))
    assert [small.chat("alice", 5), small.chat("alice", 5)] == [200, 429]
    assert small.chat("alice", 5, host="other.a.test") == 200


def test_a_changed_maximum_keeps_what_was_counted_and_a_changed_window_or_name_does_not() -> None:
    small = Small(auth(), tokens({"t": limit(10)}))
    small.chat("alice", 8)
    for changed, status in (
        ({"t": limit(8)}, 429),
        ({"t": limit(9)}, 200),
        ({"t": limit(8, window="2m")}, 200),
        ({"u": limit(8)}, 200),
        ({"t": limit(8, counters=(USER, "request.host"))}, 200),
    ):
        assert Small(auth(), tokens(changed), counters=small.counters).ask("alice").status == status


def test_of_two_rates_with_one_window_in_a_policy_the_first_holds() -> None:
    small = Small(auth(), requests({"r": limit(1, rates=[*rates(3), *rates(1)])}))
    assert [small.ask("alice").status for _ in range(4)] == [200, 200, 200, 429]


def test_without_counters_all_share_one() -> None:
    small = Small(auth(), tokens({"t": limit(5, TIER, counters=())}), requests({"r": limit(1, counters=())}))
    assert [small.ask("alice").status, small.ask("bob").status] == [200, 429]


# 7. Windows.


def test_a_window_begins_with_the_first_answer_and_ends_so_many_seconds_later() -> None:
    small = Small(auth(), tokens({"t": limit(5)}))
    decision = small.ask("alice")
    small.now += 30
    small.answer(decision, 5)
    small.now += 59
    assert small.ask("alice").status == 429
    small.now += 1
    assert small.ask("alice").status == 200


# 8. Refusals.


def test_a_limit_refuses_with_the_filters_own_body_and_no_headers() -> None:
    decision = Small(auth(), requests({"r": limit(0)})).ask("alice")
    assert (decision.status, decision.body, decision.headers) == (429, TOO_MANY, {})


# 9. Expressions.


def test_a_condition_on_the_path_sees_the_query_and_one_on_the_url_path_does_not() -> None:
    by_path = limit(0, 'request.path == "/x"', counters=())
    by_url_path = limit(0, 'request.url_path == "/x"', counters=())
    for rule, status in ((by_path, 404), (by_url_path, 429)):
        small = Small(requests({"r": rule}))
        assert small.ask(target="/x").status == 429
        assert (small.ask(target="/x?y=1").status == 429) is (status == 429)


def test_a_condition_that_reads_the_answer_disables_its_token_limit_and_that_is_said() -> None:
    decision = Small(auth(), tokens({"t": limit(0, 'responseBodyJSON("/model") == "m"')})).ask("alice")
    assert decision.status == 200
    assert any("token limit t: not enforced" in each for each in decision.explanation)


def test_conditions_on_auth_are_dropped_where_no_authpolicy_is_in_effect() -> None:
    small = Small(requests({"free": limit(0, TIER), "all": limit(0, counters=())}), tokens({"t": limit(0, TIER)}))
    decision = small.ask("alice")
    assert (decision.status, decision.calls) == (200, [])
    assert sum("not enforced" in each for each in decision.explanation) == 3


def test_a_counter_on_auth_is_not_looked_at_by_that_check_and_fails_at_each_request() -> None:
    assert Small(tokens({"t": limit(5)})).ask("alice").status == 500


# 10. Errors, and calls without an answer.


@pytest.mark.parametrize("make", [requests, tokens])
@pytest.mark.parametrize(("semantics", "status"), [(Semantics(), 500), (OPEN, 200)])
def test_a_condition_that_cannot_be_evaluated_refuses_or_lets_pass_unlimited(
    make: Callable[[Mapping[str, Any]], Object], semantics: Semantics, status: int
) -> None:
    decision = Small(auth(), make({"l": limit(0, 'auth.identity.nothing == "x"')}), semantics=semantics).ask("alice")
    assert (decision.status, decision.errors, decision.charged) == (status, 1, [])


def test_a_condition_that_is_neither_true_nor_false_is_an_error() -> None:
    assert Small(auth(), requests({"l": limit(5, "auth.identity.tier")})).ask("alice").status == 500


@pytest.mark.parametrize(("semantics", "status"), [(Semantics(), 500), (OPEN, 200)])
def test_without_limitador_checks_fail_closed_or_open(semantics: Semantics, status: int) -> None:
    for rules in (requests({"l": limit(5)}), tokens({"l": limit(5)})):
        small = Small(auth(), rules, semantics=semantics)
        small.gate.limiter_answers = False
        decision = small.ask("alice")
        assert (decision.status, decision.errors) == (status, 1)


@pytest.mark.parametrize(("report_fails_open", "broken"), [(True, False), (False, True)])
def test_an_answer_that_cannot_be_reported_goes_out_uncounted_or_is_cut_off(
    *, report_fails_open: bool, broken: bool
) -> None:
    small = Small(auth(), tokens({"t": limit(5)}), semantics=Semantics(report_fails_open=report_fails_open))
    unnamed = small.answer(small.ask("alice"), None)
    assert (unnamed.errors, unnamed.broken) == (1, broken)
    decision = small.ask("alice")
    small.gate.limiter_answers = False
    small.answer(decision, 100)
    assert (decision.errors, decision.broken) == (1, broken)
    small.gate.limiter_answers = True
    assert small.ask("alice").status == 200, "nothing was counted"


@pytest.mark.parametrize(("auth_fails_open", "statuses"), [(False, [500, 500]), (True, [200, 200])])
def test_without_authorino_requests_are_refused_or_nobody_is_asked(
    *, auth_fails_open: bool, statuses: list[int]
) -> None:
    small = Small(auth(), semantics=Semantics(auth_fails_open=auth_fails_open), remembers=8)
    assert [small.ask().status, small.ask("alice").status] == [401, 200]
    small.gate.authorino_answers = False
    assert [small.ask().status, small.ask("alice").status] == statuses


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ('"abc".charAt(1)', "b"),
        ('"abc".charAt(3)', None),
        ('"hello mellow".indexOf("")', 0),
        ('"hello mellow".indexOf("jello")', -1),
        ('"hello mellow".indexOf("ello", 2)', 7),
        ('"hello mellow".indexOf("ello", 20)', -1),
        ('"hello mellow".lastIndexOf("")', 12),
        ('"hello mellow".lastIndexOf("ello")', 7),
        ('"hello mellow".lastIndexOf("ello", 6)', 1),
        ('"hello mellow".lastIndexOf("ello", 20)', -1),
        ('["hello", "mellow"].join()', "hellomellow"),
        ('["hello", "mellow"].join(" ")', "hello mellow"),
        ('"TacoCÆt".lowerAscii()', "tacocÆt"),
        ('"TacoCæß".upperAscii()', "TACOCæß"),
        ('"  trim\t ".trim()', "trim"),
        ('"hello hello".replace("he", "we")', "wello wello"),
        ('"hello hello".replace("he", "we", 1)', "wello hello"),
        ('"hello hello".replace("he", "we", -1)', "wello wello"),
        ('"hello".replace("", "_")', "_h_e_l_l_o_"),
        ('"a b c".split(" ")', ["a", "b", "c"]),
        ('"a b c".split(" ", 0)', []),
        ('"a b c".split(" ", 1)', ["a b c"]),
        ('"a b c".split(" ", 2)', ["a", "b c"]),
        ('"a b c".split(" ", -1)', ["a", "b", "c"]),
        ('"abc".split("")', ["", "a", "b", "c", ""]),
        ('"abc".split("", 2)', ["", "abc"]),
        ('"tacocat".substring(4)', "cat"),
        ('"tacocat".substring(0, 4)', "taco"),
        ('"tacocat".substring(4, 99)', "cat"),
        ('"tacocat".substring(4, -1)', "cat"),
        ('"tacocat".substring(4, 2)', None),
        ('"tacocat".substring(8)', None),
        ('"tacocat".substring(8, 9)', ""),
        ('"tacocat".substring(-1)', None),
    ],
)
def test_the_filters_own_string_functions_do_as_its_source_says(expression: str, value: object) -> None:
    """None: an error. The cases are those of the filter's own tests, and its edges."""
    context = FilterContext({"request": {}})
    if value is None:
        with pytest.raises(EvaluationError):
            filter_expression(expression).value(context)
    else:
        assert filter_expression(expression).value(context) == value


# 11. What counters are told apart by.


@pytest.mark.parametrize(
    ("expression", "shown"), [('"a" + auth.identity.userid', "aalice"), ("1.0", "1"), ("size(request.host)", "8")]
)
def test_a_counters_value_is_text_as_cel_writes_it(expression: str, shown: str) -> None:
    (call,) = Small(auth(), requests({"r": limit(5, counters=(expression, USER))})).ask("alice").calls
    assert dict(call.counters[0].variables)[expression] == shown


def test_a_counter_without_a_value_is_an_error() -> None:
    assert Small(auth(), requests({"r": limit(5, counters=("null", USER))})).ask("alice").status == 500


# Telemetry.


def test_labels_that_read_the_answer_are_on_reports_alone_and_those_without_a_value_on_none() -> None:
    wanted = {"user": USER, "model": 'responseBodyJSON("/model")', "none": "auth.identity.nothing"}
    # Of an answer's values the filter takes texts, numbers and truths, and leaves the others out.
    wanted |= {name: f'responseBodyJSON("/{name}")' for name in ("null", "list", "object", "list/5", "model/x")}
    telemetry = policy("TelemetryPolicy", {"metrics": {"default": {"labels": wanted}}}, name="t")
    small = Small(auth(), telemetry, tokens({"t": limit(5)}), remembers=8)
    for _ in range(2):  # the second from memory: the first one's answer must not be in it
        decision = small.ask("alice")
        assert decision.context is not None
        assert labels(small.world, decision.context) == {"user": "alice"}
        decision.context.answered({"model": "m", "null": None, "list": [1], "object": {"a": 1}})
        assert labels(small.world, decision.context) == {"user": "alice", "model": "m"}


# Versions, and what is left out.


def test_a_release_that_is_not_known_is_refused_by_name() -> None:
    assert Semantics.of("1.5.2", fail_open=True) == Semantics(check_fails_open=True)
    with pytest.raises(LookupError, match=r"Kuadrant v9\.9\.9 .*1\.4\.2"):
        Semantics.of("v9.9.9")


@pytest.mark.parametrize("attribute", ["connection.mtls", "destination.port", "source.port", "source.principal"])
def test_an_attribute_that_is_listed_as_not_modelled_has_no_value(attribute: str) -> None:
    assert any(attribute.partition(".")[0] in each for each in NOT_MODELLED)
    with pytest.raises(EvaluationError):
        filter_expression(attribute).value(FilterContext(Request("GET", "a", "/").attributes(0.0)))


@pytest.mark.parametrize(
    ("modes", "expected"),
    [
        ({}, Semantics()),
        ({"RATELIMIT": "allow", "RATELIMIT_CHECK": "allow"}, Semantics(check_fails_open=True)),
        ({"RATELIMIT": "allow", "RATELIMIT_CHECK": "deny"}, Semantics()),
        ({"AUTH": "allow", "RATELIMIT_REPORT": "deny"}, Semantics(auth_fails_open=True, report_fails_open=False)),
    ],
)
def test_failure_modes_are_read_from_the_environment_of_kuadrants_operator(
    modes: dict[str, str], expected: Semantics
) -> None:
    assert Semantics.of_environment({f"{name}_SERVICE_FAILURE_MODE": mode for name, mode in modes.items()}) == expected


def test_what_is_not_modelled_is_refused_and_not_passed_over() -> None:
    odd = route("odd", "odd.a.test")
    odd["spec"]["rules"][0]["matches"] = [{"headers": [{"type": "RegularExpression", "name": "x", "value": ".*"}]}]
    with pytest.raises(NotImplementedError, match="RegularExpression"):
        Small(odd).ask(host="odd.a.test")
