"""Verify passes on a right gateway, and on one with a known fault fails exactly the scenarios that the fault breaks."""

import asyncio
from collections.abc import Mapping

import pytest

from cli.verify.report import details
from cli.verify.scenario import Outcome, Result
from cli.verify.scenarios import SCENARIOS
from tests.misbehaviour import faults
from tests.misbehaviour.faults import Fault
from tests.misbehaviour.service import serving
from tests.verifying import SLOW_SECONDS, objects, of_outcome, verified

pytestmark = pytest.mark.sandbox

USE_UP = {
    "second-user",
    "models-while-exhausted",
    "every-endpoint",
    "quota-scope",
    "error-shape",
    "mixed-case-host",
    "query-string",
    "metrics",
    "bill",
}
"""What begins with a quota that is used up."""
LIMITS = {"request-limit", "token-limit", "token-limit-streamed"}
QUOTA = (USE_UP | LIMITS) - {"second-user"}
"""What means nothing where users share counters."""
ANSWERS = {"chat", "chat-streamed", "completions", "completions-streamed", "embeddings"}

BREAKS: Mapping[Fault, set[str]] = {
    Fault.AUTHORISER_FAILS_OPEN: LIMITS
    | {"no-key", "bad-key", "expired-key", "revoked-key", "no-tier", "wrong-tier", "wrong-model", "forged-identity"}
    | {"limiter-down"},
    Fault.NO_KEY_NEEDED: {"no-key", "bad-key", "revoked-key"},
    Fault.REVOKED_KEY_ACCEPTED: {"revoked-key"},
    Fault.EXPIRED_KEY_ACCEPTED: {"expired-key"},
    Fault.FORGED_IDENTITY_TRUSTED: {"forged-identity"},
    Fault.MODELS_TIERS_IGNORED: {"wrong-tier"},
    Fault.USERS_MODELS_IGNORED: {"wrong-model"},
    # Everybody is of the highest tier: nobody is of none, and no smaller limit comes.
    Fault.TIERS_MIXED_UP: LIMITS | {"no-tier", "wrong-tier"},
    Fault.REQUEST_LIMIT_ONE_TOO_LATE: {"request-limit"},
    Fault.TOKEN_LIMIT_ONE_TOO_LATE: {"token-limit", "token-limit-streamed"},
    Fault.TOKEN_WINDOW_TOO_LONG: {"token-limit"},
    Fault.WINDOWS_NEVER_END: {"token-limit"},
    Fault.STALE_POLICY: LIMITS,
    # What is streamed is missing in what was counted, too.
    Fault.STREAMED_TOKENS_NOT_COUNTED: {"token-limit-streamed", "metrics", "bill"},
    Fault.COMPLETIONS_NOT_LIMITED: {"every-endpoint", "metrics", "bill"},
    # To see whether a new key is known, verify asks for the list of models: that is then a request of the user's.
    Fault.MODEL_LIST_LIMITED: {"models-while-exhausted", "request-limit", "bill"},
    Fault.COUNTERS_SHARED_BETWEEN_USERS: {"second-user"},
    Fault.COUNTERS_SHARED_BETWEEN_MODELS: {"quota-scope"},
    Fault.COUNTERS_NOT_SHARED_BETWEEN_REPLICAS: LIMITS,
    Fault.LIMITER_FAILS_OPEN: {"limiter-down"},
    Fault.MIXED_CASE_HOST_PASSES: {"mixed-case-host"},
    Fault.QUERY_STRING_PASSES: {"query-string"},
    Fault.CREDENTIALS_PASSED_ON: {"credentials-stay"},
    Fault.METRICS_DO_NOT_MOVE: {"metrics", "bill"},
    Fault.TOKENS_COUNTED_TWICE: {"metrics", "bill"},
    # Nothing can be counted either, so that no quota of tokens comes to its end.
    Fault.USAGE_MISSING: ANSWERS | {"token-limit", "token-limit-streamed"},
    Fault.PLAIN_429: {"error-shape"},
    Fault.SLOW_AUTHORISER: {"in-time"},
}
BLOCKS: Mapping[Fault, set[str]] = {
    Fault.AUTHORISER_FAILS_OPEN: USE_UP,
    Fault.TIERS_MIXED_UP: USE_UP,
    Fault.COUNTERS_SHARED_BETWEEN_USERS: QUOTA,
    Fault.USAGE_MISSING: {"second-user"},
}
"""What cannot be told any more with a fault."""


def run(fault: Fault | None) -> tuple[list[Result], int]:
    with serving(objects(), fault) as double:
        results, spent = asyncio.run(verified(double))
    return results, spent.requests


def test_a_right_gateway_passes_and_nearly_everything_is_tried() -> None:
    results, requests = run(None)
    assert of_outcome(results, Outcome.FAILED, Outcome.BLOCKED) == set(), [details(each) for each in results]
    assert of_outcome(results, Outcome.PASSED) == {each.name for each in SCENARIOS} - {
        "certificate",  # it speaks HTTP
        "network-policies",  # no cluster
    }
    assert requests < 300


def test_every_fault_is_in_the_table_and_every_scenario_finds_one() -> None:
    assert set(BREAKS) == set(Fault)
    found = set[str]().union(*BREAKS.values())
    never = {each.name for each in SCENARIOS} - found
    assert never == {"certificate", "gateway", "models", "uncounted-paths", "backend-host", "network-policies"}, (
        "those that are shown to fail elsewhere (tests/unit/cli/verify)"
    )


@pytest.mark.parametrize("fault", Fault)
def test_a_fault_fails_exactly_what_it_breaks(fault: Fault, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faults, "SLOW_SECONDS", SLOW_SECONDS + 0.1)
    results, _ = run(fault)
    told = {each.name: details(each) or each.remark for each in results if each.outcome is not Outcome.PASSED}
    assert of_outcome(results, Outcome.FAILED) == BREAKS[fault], told
    assert of_outcome(results, Outcome.BLOCKED) == BLOCKS.get(fault, set()), told
    for each in results:
        if each.outcome is Outcome.FAILED:
            assert each.expected, "a failure says what was expected"
            assert each.seen, "and what was seen"
