"""Each fault of the double is really one: its sign is seen with it, and not without it."""

import json
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from enforcement.objects import name_of, namespace_of
from sandbox.gateway.admin import AUTHORINO, LIMITADOR
from tests.misbehaviour import faults
from tests.misbehaviour.faults import FAULTS, FORGED_USER, Fault
from tests.misbehaviour.service import Double, serving
from tests.misbehaviour.stack import CHAT, COMPLETIONS, DOMAIN, KEYS, MODELS, objects

SLOW = 0.16


@pytest.fixture(autouse=True)
def _not_too_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faults, "SLOW_SECONDS", SLOW)


@dataclass
class Caller:
    """Asks a double."""

    double: Double
    http: httpx.Client

    def ask(
        self,
        user: str = "",
        path: str = CHAT,
        *,
        model: str = "simulator",
        host: str = "",
        **more: Any,  # noqa: ANN401 - what a request can have
    ) -> httpx.Response:
        headers = {"Host": host or f"{model}.{DOMAIN}", **more.get("headers", {})}
        if user:
            headers["Authorization"] = f"Bearer {KEYS[user]}"
        if path == MODELS:
            return self.http.get(path, headers=headers)
        asked = {"prompt": "Hi"} if path == COMPLETIONS else {"messages": [{"role": "user", "content": "Hi"}]}
        body = {"model": model, **asked, "max_tokens": more.get("tokens", 1), "stream": more.get("stream", False)}
        return self.http.post(path, headers=headers, json=body)

    def status(self, user: str = "", path: str = CHAT, **more: Any) -> int:  # noqa: ANN401 - of `ask`
        return self.ask(user, path, **more).status_code

    def exhaust(self) -> None:
        """Make all the requests that ada has."""
        assert [self.status("ada") for _ in range(3)] == [200] * 3

    def spend(self, *, stream: bool = False) -> None:
        """Use all the tokens that cleo has."""
        assert self.status("cleo", tokens=40, stream=stream) == 200

    def sum_of(self, page: str, name: str) -> float:
        """All samples of a metric together."""
        text = self.http.get(self.double.admin_url + page).text
        samples = (sample for family in text_string_to_metric_families(text) for sample in family.samples)
        return sum(sample.value for sample in samples if sample.name.removesuffix("_total") == name)

    def hits(self) -> float:
        """What Limitador has counted, of tokens and of requests."""
        return self.sum_of(LIMITADOR, "authorized_hits")

    def counted(self, user: str) -> tuple[float, int]:
        """What one more request adds to the metrics, beside itself; and what it says that it used."""
        before = self.hits()
        used = self.ask(user, tokens=5).json()["usage"]["total_tokens"]
        return self.hits() - before - 1, used


@contextmanager
def caller(fault: Fault | None = None) -> Generator[Caller]:
    with serving(objects(), fault) as double, httpx.Client(base_url=double.url, trust_env=False, timeout=30) as http:
        yield Caller(double, http)


def revoked_key_works(at: Caller) -> bool:
    secret = next(
        each
        for each in at.double.objects
        if each["kind"] == "Secret" and each.get("stringData", {}).get("api_key") == KEYS["ada"]
    )
    at.double.delete("Secret", namespace_of(secret), name_of(secret))
    return at.status("ada") == 200


def forged_user_is_taken(at: Caller) -> bool:
    answer = at.ask("ada", headers={FORGED_USER: "somebody"})
    decision = at.http.get(f"{at.double.admin_url}/decisions/{answer.headers['x-request-id']}").json()
    return decision["user"] == "somebody" and answer.status_code == 200


def one_request_more(at: Caller) -> bool:
    at.exhaust()
    return at.status("ada") == 200


def tokens_are_late(at: Caller) -> bool:
    at.spend()
    return at.status("cleo") == 200 and at.status("cleo") == 429


def token_window_is_longer(at: Caller) -> bool:
    at.spend()
    at.double.pass_time(61)
    late = at.status("cleo")
    at.double.pass_time(60)
    return late == 429 and at.status("cleo") == 200


def request_window_does_not_end(at: Caller) -> bool:
    at.exhaust()
    at.double.pass_time(3601)
    return at.status("ada") == 429


def streams_are_free(at: Caller) -> bool:
    at.spend(stream=True)
    return at.status("cleo", stream=True) == 200


def completions_are_free(at: Caller) -> bool:
    return [at.status("ada", COMPLETIONS) for _ in range(4)] == [200] * 4


def list_is_refused(at: Caller) -> bool:
    at.exhaust()
    return at.status("ada", MODELS) == 429


def other_user_is_refused(at: Caller) -> bool:
    at.exhaust()
    return at.status("bob") == 429


def other_model_is_refused(at: Caller) -> bool:
    at.exhaust()
    return at.status("ada", model="other") == 429


def twice_the_requests(at: Caller) -> bool:
    return [at.status("ada") for _ in range(7)] == [200] * 6 + [429]


def unlimited_without_the_limiter(at: Caller) -> bool:
    at.double.set_limiter(answers=False)
    return [at.status("ada") for _ in range(4)] == [200] * 4


def query_leads_around(at: Caller) -> bool:
    at.exhaust()
    return at.status("ada", CHAT + "?x=1") == 200


def model_sees_the_key(at: Caller) -> bool:
    at.status("ada")
    return KEYS["ada"] in at.double.received[-1].headers.get("authorization", "")


def metrics_stand_still(at: Caller) -> bool:
    at.status("ada")
    return at.hits() == 0


def metrics_say_twice_as_much(at: Caller) -> bool:
    counted, used = at.counted("eve")
    return counted == 2 * used


def usage_is_missing(at: Caller) -> bool:
    return "usage" not in at.ask("eve").text and "usage" not in at.ask("eve", stream=True).text


def refusal_is_no_json(at: Caller) -> bool:
    at.exhaust()
    answer = at.ask("ada")
    assert answer.status_code == 429
    try:
        json.loads(answer.text)
    except ValueError:
        return True
    return False


def refusals_take_long(at: Caller) -> bool:
    began = time.monotonic()
    assert at.status() == 401
    took = time.monotonic() - began
    return took >= SLOW and at.sum_of(AUTHORINO, "auth_server_authconfig_duration_seconds_sum") >= SLOW


SIGNS: Mapping[Fault, Callable[[Caller], bool]] = {
    Fault.AUTHORISER_FAILS_OPEN: lambda at: at.status() == 200,
    Fault.NO_KEY_NEEDED: lambda at: at.status() == 200,
    Fault.REVOKED_KEY_ACCEPTED: revoked_key_works,
    Fault.EXPIRED_KEY_ACCEPTED: lambda at: at.status("old") == 200,
    Fault.FORGED_IDENTITY_TRUSTED: forged_user_is_taken,
    Fault.MODELS_TIERS_IGNORED: lambda at: at.status("ada", model="costly") == 200,
    Fault.USERS_MODELS_IGNORED: lambda at: at.status("pat", model="other") == 200,
    Fault.TIERS_MIXED_UP: one_request_more,
    Fault.REQUEST_LIMIT_ONE_TOO_LATE: one_request_more,
    Fault.TOKEN_LIMIT_ONE_TOO_LATE: tokens_are_late,
    Fault.TOKEN_WINDOW_TOO_LONG: token_window_is_longer,
    Fault.WINDOWS_NEVER_END: request_window_does_not_end,
    Fault.STALE_POLICY: twice_the_requests,
    Fault.STREAMED_TOKENS_NOT_COUNTED: streams_are_free,
    Fault.COMPLETIONS_NOT_LIMITED: completions_are_free,
    Fault.MODEL_LIST_LIMITED: list_is_refused,
    Fault.COUNTERS_SHARED_BETWEEN_USERS: other_user_is_refused,
    Fault.COUNTERS_SHARED_BETWEEN_MODELS: other_model_is_refused,
    Fault.COUNTERS_NOT_SHARED_BETWEEN_REPLICAS: twice_the_requests,
    Fault.LIMITER_FAILS_OPEN: unlimited_without_the_limiter,
    Fault.MIXED_CASE_HOST_PASSES: lambda at: at.status(host="simulator.MAAS.localhost") == 200,
    Fault.QUERY_STRING_PASSES: query_leads_around,
    Fault.CREDENTIALS_PASSED_ON: model_sees_the_key,
    Fault.METRICS_DO_NOT_MOVE: metrics_stand_still,
    Fault.TOKENS_COUNTED_TWICE: metrics_say_twice_as_much,
    Fault.USAGE_MISSING: usage_is_missing,
    Fault.PLAIN_429: refusal_is_no_json,
    Fault.SLOW_AUTHORISER: refusals_take_long,
}


def test_every_fault_is_made_and_has_a_sign() -> None:
    assert set(FAULTS) == set(SIGNS) == set(Fault)


@pytest.mark.parametrize("fault", Fault, ids=lambda fault: fault.name.lower())
def test_a_fault_shows_and_without_it_nothing_does(fault: Fault) -> None:
    with caller(fault) as wrong:
        assert SIGNS[fault](wrong), fault.value
    with caller() as right:
        assert not SIGNS[fault](right)


def test_the_right_one_does_what_the_stack_says() -> None:
    with caller() as right:
        assert right.counted("eve")[0] == right.counted("eve")[1] > 5
        assert right.status("ada", headers={FORGED_USER: "somebody"}) == 403
        assert right.status("old") == 403
        right.double.set_limiter(answers=False)
        assert right.status("ada") == 500
        right.double.set_limiter(answers=True)
        assert right.status("ada") == 200


def test_an_old_policy_stays_old_and_a_new_key_is_known_all_the_same() -> None:
    with caller(Fault.STALE_POLICY) as wrong:
        new = next(each for each in objects() if each["kind"] == "Secret")
        wrong.double.put({**new, "metadata": {**new["metadata"], "name": "new"}, "stringData": {"api_key": "new"}})
        assert wrong.http.get(MODELS, headers={"Host": f"simulator.{DOMAIN}", "Authorization": "Bearer new"}).is_success
        with pytest.raises(LookupError, match="no Secret kuadrant-system/gone"):
            wrong.double.delete("Secret", "kuadrant-system", "gone")
