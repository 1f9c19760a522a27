"""What the gateway's Envoy does with our configuration: the real one, on loopback."""

import json
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from components.endpoints import external_rules, gateway_environment
from components.policies.called import called_endpoint
from components.policies.guard import guard_spec
from components.policies.limits import inference_predicate
from components.routes import INFERENCE_PATHS, Backend, model_route_spec
from config.gateway import Guard
from config.settings import Settings
from enforcement.expressions import FilterContext, authorino_expression, filter_expression
from enforcement.request import Request
from tests.unit.components.envoy import Envoy, running
from tests.unit.components.sources import EVERY_SOURCE
from tests.unit.config.bad import GOOD

BY_HOST = Settings.load("dev", GOOD | {"domain": "maas.test"})
BY_PATH = Settings.load("dev", GOOD | EVERY_SOURCE | {"domain": "maas.test"})
HOST, SHARED = "simulator.maas.test", "models.maas.test"
CHAT = "/v1/chat/completions"
KEY = {"authorization": "Bearer test-only"}
PARENT = {"name": "inference-gateway"}
ROUTES = [
    model_route_spec(PARENT, HOST, [Backend("", "simulator-predictor", 80)]),
    model_route_spec(PARENT, SHARED, [Backend("/simulator", "simulator-predictor", 80)]),
]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Envoy]:
    with running(tmp_path_factory.mktemp("guarded"), ROUTES, guard_spec("inference-gateway", Guard())) as envoy:
        yield envoy


@pytest.mark.parametrize("host", ["Simulator.maas.test", "simulator.MAAS.test", "SIMULATOR.MAAS.TEST:8080"])
def test_a_host_in_mixed_case_gets_the_policies_all_the_same(gateway: Envoy, host: str) -> None:
    assert gateway.ask(host, CHAT).status == 401
    allowed = json.loads(gateway.ask(host, CHAT, **KEY).body)
    assert allowed["seen"] == CHAT
    assert allowed["host"] == host.lower()


def test_without_the_guard_a_host_in_mixed_case_would_pass_without_a_key(tmp_path: Path) -> None:
    with running(tmp_path, ROUTES, None) as unguarded:
        answer = unguarded.ask("Simulator.maas.test", CHAT)
        assert answer.status == 200
        assert json.loads(answer.body)["seen"] == "unguarded"
        assert unguarded.ask(HOST, CHAT, x_answer="429", **KEY).body == "Too Many Requests\n"


@pytest.mark.parametrize(("status", "code"), [(429, "rate_limit_exceeded"), (500, "gateway_error"), (404, "not_found")])
def test_what_the_gateway_refuses_by_itself_has_the_shape_of_openais_errors(
    gateway: Envoy, status: int, code: str
) -> None:
    answer = gateway.ask(HOST, CHAT, x_answer=str(status), **KEY)
    assert (answer.status, answer.headers["content-type"]) == (status, "application/json")
    assert answer.error["code"] == code
    assert answer.error["message"]


def test_retry_after_is_told_where_the_limiter_told_it_and_not_made_up(gateway: Envoy) -> None:
    assert gateway.ask(HOST, CHAT, x_answer="429", x_reset="17", **KEY).headers["retry-after"] == "17"
    assert "retry-after" not in gateway.ask(HOST, CHAT, x_answer="429", **KEY).headers


def test_authorinos_and_the_models_own_answers_stay_as_they_are(gateway: Envoy) -> None:
    assert gateway.ask(HOST, CHAT).body == '{"from": "authorino"}'
    busy = gateway.ask(HOST, f"{CHAT}?busy", **KEY)
    assert busy.status == 429
    assert json.loads(busy.body)["path"] == CHAT


STRANGE = [
    "{}", "{}?x=1", "{}/", "{}//", "/{}", "{}/.", "{}/x/..", "/./{}", "{}%3Fx", "{}%2F", "{}%20", "{};x=1", "{}%00x",
]  # fmt: skip
PATHS = [
    *(each.format(CHAT) for each in STRANGE),
    "/V1/chat/completions", "/v1/Chat/Completions", "/v1/chat%2Fcompletions", "/v1/chat%2fcompletions",
    "/v1/%63hat/completions", "/v1//chat/completions", "/v1/chat/../chat/completions", "/v1/chat\\completions",
    "/v1%2Fchat/completions", "/%76%31/completions", "/v1/models/../completions", "/v1/models/..%2Fcompletions",
    "/v1/models/%2e%2e/completions", "/v1/embeddings?q=/v1/models", "/v1/messages", "/v1/responses", "/metrics", "/",
]  # fmt: skip


@pytest.mark.parametrize("method", ["POST", "GET"])
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(("settings", "host"), [(BY_HOST, HOST), (BY_PATH, SHARED)], ids=["by host", "by path"])
def test_nothing_that_spends_tokens_reaches_a_model_uncounted(
    gateway: Envoy, settings: Settings, host: str, path: str, method: str
) -> None:
    answer = gateway.ask(host, settings.prefix("simulator") + path, method, **KEY)
    if answer.status != 200:
        assert answer.status in {400, 404}
        return
    reached = json.loads(answer.body)
    # What the filter saw is what Authorino is asked about, and what limits look at.
    request = Request(method, host, reached["seen"])
    endpoint = authorino_expression(called_endpoint(settings)).value(request.attributes(0))
    predicate = filter_expression(inference_predicate(by_path=settings.routing.by_path))
    counted = predicate.holds(FilterContext(request.attributes(0)))
    spends = any(each in reached["path"].lower() for each in ("completions", "embeddings")) and method == "POST"
    assert endpoint in {"", "models", "health", "inference"}
    if endpoint == "inference":
        assert counted
        assert reached["path"] in INFERENCE_PATHS
    if spends and endpoint:
        assert counted


def test_credentials_stay_behind_at_the_gateway(gateway: Envoy) -> None:
    answer = json.loads(gateway.ask(HOST, CHAT, cookie="a=b", x_api_key="k", x_request_note="n", **KEY).body)
    assert "x-request-note" in answer["headers"]
    assert not {"authorization", "cookie", "x-api-key"} & set(answer["headers"])


OUTSIDE = {
    "models": {
        "simulator": {"profile": "simulator"},
        "gpt": {"source": "https://api.openai.test/openai/v1", "profile": "external", "secret": "openai"},
    },
    "modelSecrets": {"openai": {"api_key": "test-only-of-the-endpoint"}},
}
CREDENTIALS = {
    **KEY,
    "x_api_key": "test-only",
    "api_key": "test-only",
    "cookie": "a=b",
    "proxy_authorization": "Basic x",
}
PLACES: dict[str, tuple[dict[str, Any], str, str]] = {
    "by host": ({}, "gpt.maas.test", CHAT),
    "by path": ({"routing": {"by": "path"}}, SHARED, f"/gpt{CHAT}"),
}


@contextmanager
def outside(place: str, folder: Path, key: str | None) -> Generator[Callable[..., dict[str, Any]]]:
    """A gateway with a model at an endpoint outside, whose key is there or not; a call gives what the endpoint got."""
    more, host, path = PLACES[place]
    settings = Settings.load("dev", GOOD | OUTSIDE | more | {"domain": "maas.test"})
    route = model_route_spec(PARENT, host, [], (), external_rules(settings.models["gpt"], settings.prefix("gpt")))
    names = [each["name"] for each in gateway_environment(settings)]
    environment = {} if key is None else dict.fromkeys(names, key)
    with running(folder, [route], guard_spec("inference-gateway", Guard()), environment) as envoy:

        def call(**headers: str) -> dict[str, Any]:
            answer = envoy.ask(host, path, **headers)
            assert answer.status == 200
            return json.loads(answer.body)

        yield call


@pytest.mark.parametrize("place", PLACES)
def test_an_endpoint_outside_gets_its_own_key_and_no_credential_of_the_caller(place: str, tmp_path: Path) -> None:
    with outside(place, tmp_path, "test-only-of-the-endpoint") as call:
        got = call(**CREDENTIALS)
        assert got["authorization"] == ["Bearer test-only-of-the-endpoint"]
        assert not {"x-api-key", "api-key", "cookie", "proxy-authorization"} & set(got["headers"])
        assert (got["host"], got["path"]) == ("api.openai.test", "/openai/v1/chat/completions")


@pytest.mark.parametrize("place", PLACES)
def test_without_the_endpoints_key_the_callers_key_stays_here_all_the_same(place: str, tmp_path: Path) -> None:
    with outside(place, tmp_path, None) as call:
        assert call(**CREDENTIALS)["authorization"] == ["Bearer -"]


def test_what_a_caller_sends_is_not_read_for_variables_of_the_gateway(tmp_path: Path) -> None:
    with outside("by host", tmp_path, "test-only-of-the-endpoint") as call:
        got = call(**KEY, x_note="%ENVIRONMENT(PATH)%", user_agent="Bearer %ENVIRONMENT(HOME)%")
        assert got["authorization"] == ["Bearer test-only-of-the-endpoint"]
        assert got["note"] == "%ENVIRONMENT(PATH)%"
