"""Each scenario fails for the reason it is made for, and says what it expected and saw."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from cli.verify.client import Caller, Reply
from cli.verify.facts import Facts
from cli.verify.scenario import BlockedError, Case, ExpectationError, Scenario, SkippedError
from cli.verify.scenarios import SCENARIOS
from cli.verify.scenarios.isolation import DIRECT
from tests.unit.cli.verify.bench import Asked, Script, answer, bench, chat_answer, done, error
from tests.verifying import MODELS, STACK, stack

BY_NAME = {each.name: each for each in SCENARIOS}
FACTS = Facts(STACK, stack()[0], tuple(MODELS))
LISTED = {"data": [{"id": "simulator-model"}, {"id": "other"}, {"id": "costly"}]}


def case_of(scenario: Scenario) -> Case:
    return next(each for each in scenario.cases(FACTS) if not each.skip)


def run(name: str, script: Script, **more: Any) -> str | None:  # noqa: ANN401 - of Means
    scenario = BY_NAME[name]
    return done(scenario.run(bench(script, **more), case_of(scenario).subject))


def always(reply: Reply) -> Script:
    return lambda _: reply


def listed_or(reply: Reply) -> Script:
    """A service that tells the list of models, and answers everything else in one way."""
    return lambda asked: answer(body=LISTED) if asked.path == "/v1/models" and asked.caller != "nobody" else reply


def stream(*events: str) -> Reply:
    return Reply(200, {}, "".join(f"data: {each}\n\n" for each in events).encode())


def limited(after: int, *, also_list: bool = False) -> Script:
    """So many chats of a user pass."""
    count: dict[str, int] = {}

    def script(asked: Asked) -> Reply:
        if asked.caller == "nobody":
            return error(401, "invalid_api_key")
        if asked.path == "/v1/models":
            return answer(429) if also_list and count.get(asked.caller, 0) >= after else answer(body=LISTED)
        count[asked.caller] = count.get(asked.caller, 0) + 1
        return chat_answer() if count[asked.caller] <= after else error(429, "rate_limit_exceeded")

    return script


def shared(after: int) -> Script:
    """So many chats of everybody together pass."""
    count = iter(range(1000))
    return lambda asked: (
        answer(body=LISTED) if asked.path == "/v1/models" else chat_answer() if next(count) < after else answer(429)
    )


def around(trick: str) -> Script:
    """A limit of four that a trick leads around."""
    right = limited(4)

    def script(asked: Asked) -> Reply:
        tricky = asked.host.lower() != asked.host if trick == "host" else "?" in asked.path
        return chat_answer() if tricky else right(asked)

    return script


NO_USAGE = answer(body={"choices": [{"message": None}]})
WRONG: Mapping[str, tuple[Script, str, str]] = {
    "gateway": (always(Reply(0, error="no whole answer: ConnectError")), "an answer from", "ConnectError"),
    "no-key": (always(chat_answer()), "401 without a key", "200"),
    "bad-key": (listed_or(chat_answer()), "401 with a key that nobody has", "200"),
    "expired-key": (listed_or(chat_answer()), "403 (key_expired)", "200"),
    "revoked-key": (always(answer(body=LISTED)), "whose Secret was deleted", "200"),
    "no-tier": (listed_or(chat_answer()), "403 (no_tier)", "200"),
    "wrong-tier": (listed_or(error(403, "no_tier")), "403 (model_not_in_tier)", "no_tier"),
    "wrong-model": (listed_or(chat_answer()), "403 (model_not_allowed)", "200"),
    "models": (always(answer(body={"data": [{"id": "another"}]})), "simulator-model in the list", "another"),
    "chat": (listed_or(NO_USAGE), "how many tokens it cost", "200"),
    "chat-streamed": (listed_or(stream('{"choices": [{"delta": {}}]}')), "ends with [DONE]", "data:"),
    "completions": (listed_or(chat_answer()), "a choice with a text", "200"),
    "completions-streamed": (listed_or(stream('{"choices": []}', "[DONE]")), "events with a text", "200"),
    "embeddings": (listed_or(answer(body={"data": "none"})), "a vector", "200"),
    "in-time": (always(Reply(200, seconds=9)), "within 2 s", "9.0 s"),
    "second-user": (shared(4), "for a second user of tier few", "429"),
    "request-limit": (limited(5), "429 for request 5 of 4 per 1h", "200"),
    "token-limit": (limited(1), "200 for request 2, while 3 of 120 per 1m tokens are used", "429"),
    "token-limit-streamed": (listed_or(chat_answer(60)), "429 once", "200"),
    "models-while-exhausted": (limited(4, also_list=True), "200 for the list of models", "429"),
    "error-shape": (lambda asked: answer(429) if asked.number > 4 else chat_answer(), "OpenAI's shape", "429"),
    "mixed-case-host": (around("host"), "429 as Host", "200"),
    "query-string": (around("query"), "429 with ?verify=1", "200"),
    "forged-identity": (listed_or(chat_answer()), "403 (forged_identity) with a header x-maas-userid", "200"),
    "uncounted-paths": (always(answer(body={"version": "1"})), "for /metrics", "version"),
    "credentials-stay": (
        always(Reply(200, {"x-simulator-credentials": "authorization"})),
        "no header with credentials",
        "authorization at the model",
    ),
    "backend-host": (listed_or(chat_answer()), "no answer as Host simulator-predictor.llm.svc", "200"),
}
ELSEWHERE = {
    "certificate": "below, with TLS",
    "every-endpoint": "the matrix of faults",
    "quota-scope": "the matrix of faults",
    "metrics": "the matrix of faults",
    "bill": "the matrix of faults",
    "limiter-down": "the matrix of faults",
    "network-policies": "test_isolation",
}
"""Where the others are tried."""


def test_every_scenario_is_tried() -> None:
    assert WRONG.keys() | ELSEWHERE.keys() == BY_NAME.keys()
    assert not WRONG.keys() & ELSEWHERE.keys()


@pytest.mark.parametrize("name", WRONG)
def test_a_scenario_fails_for_the_reason_it_is_made_for(name: str) -> None:
    script, expected, seen = WRONG[name]
    with pytest.raises(ExpectationError) as caught:
        run(name, script)
    assert expected in caught.value.expected
    assert seen in caught.value.seen


def test_what_was_expected_comes_with_the_id_by_which_the_gateway_knows_the_request() -> None:
    with pytest.raises(ExpectationError) as caught:
        run("no-key", always(chat_answer()))
    assert caught.value.request_id == "id-1"


def test_a_right_service_passes_a_limit_and_says_how() -> None:
    assert run("request-limit", limited(4)) == "4 passed, the next was refused"


def test_what_needs_a_used_up_quota_is_blocked_and_not_failed_where_no_limit_comes() -> None:
    for name in ("second-user", "mixed-case-host", "query-string", "models-while-exhausted"):
        with pytest.raises(BlockedError, match="not limited after"):
            run(name, listed_or(chat_answer()))


def test_a_gateway_that_learns_of_no_new_key_is_asked_once_and_not_for_every_user() -> None:
    made = bench(always(error(401, "invalid_api_key")))

    async def work() -> None:
        for _ in range(3):
            with pytest.raises(BlockedError, match="does not accept new keys"):
                await made.user("few")

    done(work())
    assert made.spent.requests < 8


def test_a_request_limit_behind_a_smaller_token_limit_is_skipped() -> None:
    with pytest.raises(SkippedError, match="are used up before"):
        run("request-limit", listed_or(chat_answer(tokens=99_999)))


def test_a_model_that_does_not_tell_its_headers_is_skipped() -> None:
    with pytest.raises(SkippedError, match="does not tell which headers"):
        run("credentials-stay", always(answer(body=LISTED)))


def test_without_users_of_its_own_it_takes_those_of_the_stack_or_says_that_nobody_is_at_hand() -> None:
    with pytest.raises(SkippedError, match="--make-users"):
        run("chat", always(chat_answer()), keys=None)


def test_a_user_of_the_stack_who_has_nothing_left_tells_nothing_of_the_service() -> None:
    async def found(_tier: str, _model: str) -> Caller:
        await asyncio.sleep(0)
        return Caller("ada", "test-only")

    with pytest.raises(BlockedError, match="the quota of ada is used up"):
        run("chat", always(error(429, "rate_limit_exceeded")), keys=None, stack_users=found)


def test_a_model_that_answers_directly_is_told() -> None:
    with pytest.raises(ExpectationError) as caught:
        done(DIRECT.run(bench(always(answer(body=LISTED))), "http://127.0.0.1:9"))
    assert "no connection to http://127.0.0.1:9" in caught.value.expected
    done(DIRECT.run(bench(always(Reply(0, error="refused"))), "http://127.0.0.1:9"))


def test_waiting_for_the_end_of_a_window_takes_as_long_as_it_lasts() -> None:
    waited: list[float] = []

    async def wait(seconds: float) -> None:
        waited.append(seconds)
        await asyncio.sleep(0)

    tokens = {"used": 0}

    def script(asked: Asked) -> Reply:
        if asked.path == "/v1/models":
            return answer(body=LISTED)
        if tokens["used"] >= 120 and not waited:
            return answer(429)
        tokens["used"] += 60
        return chat_answer(60)

    scenario = BY_NAME["token-limit"]
    case = next(each for each in scenario.cases(FACTS) if each.label == "short: 120 per 1m")
    made = bench(script)
    made.wait = wait
    assert done(scenario.run(made, case.subject)) == "120 tokens passed, then none; open again after 1m"
    assert 60 < waited[0] < 62
