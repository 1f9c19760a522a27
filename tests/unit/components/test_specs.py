import json
from typing import Any

import pytest

from components.endpoints import external_rules
from components.identity import key_annotations, key_labels, key_secret_name, key_selector
from components.kserve import inferenceservice_settings, settings_hash
from components.models.inference_service import inference_service_spec
from components.models.llm_inference_service import llm_inference_service_spec
from components.models.pods import model_args
from components.models.runtimes.simulator import simulator_runtime
from components.models.runtimes.vllm import vllm_runtime
from components.policies.auth import auth_policy_spec
from components.policies.cel import cel_string
from components.policies.limits import request_limits_spec, token_limits_spec
from components.policies.telemetry import telemetry_spec
from components.routes import INFERENCE_PATHS, Backend, model_route_spec
from config.figures import NEVER_REACHED
from config.identity import ApiKeySource, User
from config.mirror import Mirror
from config.models import Model
from config.observability import TelemetryLabels
from config.platform import Profile
from config.settings import Settings
from enforcement.expressions import FilterContext, authorino_expression, filter_expression
from tests.merging import merged
from tests.unit.components.sources import EVERY_SOURCE, PER_MODEL
from tests.unit.config.bad import GOOD

TARGET = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "inference-gateway"}


def limits(**tiers: object) -> dict[str, Any]:
    """The token limits of a stack with these tiers' tokens, or with these tiers."""
    whole = {
        name: {"level": level, "requests": "unlimited", **(tier if isinstance(tier, dict) else {"tokens": tier})}
        for level, (name, tier) in enumerate(tiers.items())
    }
    stack = Settings.load("dev", GOOD | {"tiers": whole, "users": {}, "apiKeys": {}})
    return token_limits_spec(TARGET, stack)["limits"]


def test_several_windows_of_a_tier_are_rates_of_one_limit() -> None:
    found = limits(free=["100 per 1m", "5000 per 24h"])
    assert list(found) == ["free"], "with two limits, Kuadrant would count each token twice"
    assert found["free"]["rates"] == [{"limit": 100, "window": "1m"}, {"limit": 5000, "window": "24h"}]


def test_tokens_of_an_unlimited_tier_are_counted_under_a_limit_that_nobody_reaches() -> None:
    found = limits(free="1 per 1m", vip="unlimited")
    assert found["free"]["rates"] == [{"limit": 1, "window": "1m"}]
    assert found["vip"]["rates"] == [{"limit": NEVER_REACHED, "window": "1m"}], "Kuadrant reports no other tokens"
    assert float(NEVER_REACHED) == json.loads(json.dumps(NEVER_REACHED)), "no reader of JSON changes it"
    assert 'auth.identity.tier == "vip"' in found["vip"]["when"][1]["predicate"]


def test_there_is_no_policy_on_requests_when_every_tier_is_unlimited() -> None:
    tiers = {"vip": {"level": 0, "requests": "unlimited", "tokens": "unlimited"}}
    stack = Settings.load("dev", GOOD | {"tiers": tiers, "users": {}, "apiKeys": {}})
    assert request_limits_spec(TARGET, stack) is None, "the CRD refuses a policy without limits"


def test_limits_count_by_user_on_the_path_without_its_query() -> None:
    limit = limits(free="1 per 1m")["free"]
    assert limit["counters"] == [{"expression": "auth.identity.userid"}]
    paths = limit["when"][0]["predicate"]
    assert "request.url_path" in paths, "request.path has the query in it: ?x=1 would be a way around"


def test_a_models_own_limit_takes_the_place_of_the_tiers() -> None:
    found = limits(
        free={"tokens": "100 per 1m", "models": {"qwen3": {"tokens": "50 per 1m"}}},
        vip={"tokens": "9 per 1m", "models": {"qwen3": {"tokens": "unlimited"}}},
    )
    assert list(found) == ["free", "free.qwen3", "vip", "vip.qwen3"]
    assert found["free.qwen3"]["rates"] == [{"limit": 50, "window": "1m"}]
    assert found["vip.qwen3"]["rates"] == [{"limit": NEVER_REACHED, "window": "1m"}]


def test_each_counted_path_is_routed_and_each_routed_post_is_counted() -> None:
    rule = model_route_spec(TARGET, "a.example.com", [Backend("", "a-predictor", 80)])["rules"][0]
    posts = {match["path"]["value"] for match in rule["matches"] if match["method"] == "POST"}
    assert posts == set(INFERENCE_PATHS)


def test_a_modelcar_comes_from_the_mirror_as_other_images_do() -> None:
    mirror = Mirror(registries={"quay.io": "mirror.example.com/quay"})
    model = Model.model_validate({"profile": "modelcar", "source": "oci://quay.io/models/granite:1.0"})
    predictor = inference_service_spec(model, "granite", mirror)["predictor"]
    assert predictor["model"]["storageUri"] == "oci://mirror.example.com/quay/models/granite:1.0"
    other = llm_inference_service_spec("granite", model, "granite", Profile.KUBERNETES, mirror)
    assert other["model"]["uri"] == "oci://mirror.example.com/quay/models/granite:1.0"


def test_a_template_that_speaks_https_does_not_make_our_probes_do_so() -> None:
    model = Model.model_validate({"profile": "small-gpu", "source": "hf://a/b"})
    spec = llm_inference_service_spec("b", model, "b", Profile.OPENSHIFT, Mirror())
    (container,) = spec["template"]["containers"]
    for each in ("livenessProbe", "readinessProbe", "startupProbe"):
        below = {"httpGet": {"path": "/health", "port": 8000, "scheme": "HTTPS"}}
        assert merged(below, container[each])["httpGet"] == {"path": "/health", "port": 8000, "scheme": "HTTP"}


def test_the_callers_credentials_do_not_reach_the_model() -> None:
    rule = model_route_spec(TARGET, "a.example.com", [Backend("", "a-predictor", 80)])["rules"][0]
    assert {*rule["filters"][0]["requestHeaderModifier"]["remove"]} >= {"authorization", "cookie", "x-api-key"}


def test_a_header_that_keys_may_be_in_does_not_reach_the_model() -> None:
    rule = model_route_spec(TARGET, "a.example.com", [Backend("", "a-predictor", 80)], ["x-our-key"])["rules"][0]
    assert "x-our-key" in rule["filters"][0]["requestHeaderModifier"]["remove"]


@pytest.mark.parametrize("text", ['x" || true || "', "a\\", "line\nfeed", "\u2028", "\U0001f600", "'"])
def test_a_text_cannot_break_out_of_its_expression(text: str) -> None:
    for value in (
        authorino_expression(cel_string(text)).value({}),
        filter_expression(cel_string(text)).value(FilterContext({})),
    ):
        assert value == text


def test_keys_of_another_stack_are_not_accepted() -> None:
    spec = auth_policy_spec(TARGET, Settings.load("blue", GOOD), "blue")
    for method in spec["rules"]["authentication"].values():
        assert method["apiKey"]["selector"]["matchLabels"]["maas.kuadrant.io/stack"] == "blue"
        assert "allNamespaces" not in method["apiKey"], "any namespace could add keys"


@pytest.mark.parametrize("stack", [PER_MODEL, EVERY_SOURCE], ids=["per model", "across models"])
def test_no_decision_is_kept_and_no_path_is_exempt_from_the_whole_policy(stack: dict[str, Any]) -> None:
    spec = auth_policy_spec(TARGET, Settings.load("test", GOOD | stack), "test")
    assert set(spec) == {"targetRef", "rules"}, "neither `when`, nor `defaults` or `overrides` with one"
    evaluators = [*spec["rules"]["authentication"].values(), *spec["rules"]["authorization"].values()]
    assert len(evaluators) > 10
    assert [each for each in evaluators if "cache" in each] == [], "a revoked key would go on being accepted"


def test_each_telemetry_label_can_be_turned_off() -> None:
    everything = TelemetryLabels.model_validate({"costCentre": True, "team": True})
    assert set(telemetry_spec(TARGET, everything)["metrics"]["default"]["labels"]) == {
        "user", "tier", "model", "team", "cost_centre",
    }  # fmt: skip
    for name in TelemetryLabels.model_fields:
        labels = telemetry_spec(TARGET, everything.model_copy(update={name: False}))["metrics"]["default"]["labels"]
        assert name not in labels


def test_no_limit_reads_a_body() -> None:
    found = limits(free={"tokens": "9 per 1m", "models": {"qwen3": {"tokens": "5 per 1m"}}})
    assert len(found) == 2
    assert "BodyJSON" not in str(found), "of a request it fails in the filter, of an answer it turns the limit off"


def test_a_telemetry_label_looks_first_whether_its_value_is_there() -> None:
    chosen = TelemetryLabels().model_copy(update=dict.fromkeys(TelemetryLabels.model_fields, True))
    labels = telemetry_spec(TARGET, chosen)["metrics"]["default"]["labels"]
    assert labels.pop("model") == 'responseBodyJSON("/model")', "read when the answer is there"
    nobody: dict[str, Any] = {"auth": {"identity": {}}}
    for name, expression in labels.items():
        assert filter_expression(expression).value(FilterContext(nobody)) == "", name


@pytest.mark.parametrize("runtime", [vllm_runtime({}), vllm_runtime({}, processors=True), simulator_runtime({}, "0")])
def test_our_runtimes_force_usage_into_streams(runtime: dict[str, Any]) -> None:
    assert "--enable-force-include-usage" in runtime["containers"][0]["args"], "streams would not be counted"


def test_kserves_controller_restarts_when_a_setting_changes_and_only_then() -> None:
    settings = Settings.load("dev", GOOD)
    other_tier = Settings.load("dev", GOOD | {"users": {}, "apiKeys": {}})
    other_domain = Settings.load("dev", GOOD | {"domain": "other.example.com"})
    first = settings_hash(inferenceservice_settings(settings))
    assert settings_hash(inferenceservice_settings(other_tier)) == first
    assert settings_hash(inferenceservice_settings(other_domain)) != first


@pytest.mark.parametrize(("gpus", "parallel"), [(1, None), (4, "--tensor-parallel-size=4")])
def test_several_gpus_are_used_together(gpus: int, parallel: str | None) -> None:
    model = Model.model_validate({"profile": "gpu", "source": "hf://a/b", "gpu": {"count": gpus}})
    assert [each for each in model_args(model, "b") if "parallel" in each] == ([parallel] if parallel else [])


def test_the_users_own_arguments_come_last_so_that_they_win() -> None:
    model = Model.model_validate({"profile": "small-gpu", "source": "hf://a/b", "args": ["--enforce-eager"]})
    assert model_args(model, "b")[-1] == "--enforce-eager"


@pytest.mark.parametrize(
    "change",
    [{"tier": "premium"}, {"team": "b"}, {"costCentre": "2"}, {"models": ["a"]}, {"expires": "2027-01-01"}],
    ids=lambda change: next(iter(change)),
)
def test_a_key_that_says_something_else_of_its_owner_is_in_another_secret(change: dict[str, object]) -> None:
    before, after = (User.model_validate({"tier": "free"} | each) for each in ({}, change))
    names = {key_secret_name("ann", key_annotations("ann", user, user.expires)) for user in (before, after)}
    assert len(names) == 2, "Authorino would go on with what it read first"


def test_what_is_no_matter_of_authorinos_leaves_the_secret_as_it_is() -> None:
    before, after = (User.model_validate({"tier": "free"} | each) for each in ({}, {"labels": {"a": "b"}}))
    names = {key_secret_name("ann", key_annotations("ann", user, user.expires)) for user in (before, after)}
    assert len(names) == 1


def test_no_two_secrets_get_one_name_whatever_users_are_called() -> None:
    says = key_annotations("ann", User.model_validate({"tier": "free"}), None)
    names = [key_secret_name(user, says, slot) for user in ("ann", "ann-previous") for slot in (0, 1)]
    assert len(set(names)) == len(names)
    assert all(len(key_secret_name("u" * 63, says, slot)) <= 253 for slot in (0, 1))


def test_the_policy_looks_for_the_secrets_that_there_are() -> None:
    existing = ApiKeySource.model_validate({"backend": "existing", "selector": {"app": "keys"}})
    external = ApiKeySource.model_validate({"backend": "externalSecrets", "store": {"name": "vault"}})
    assert key_selector(existing, "dev") == {"app": "keys"}
    assert key_selector(ApiKeySource(), "dev") == key_labels("dev") == key_selector(external, "dev")


def test_a_rule_that_rewrites_a_prefix_has_one_match() -> None:
    outside = Model.model_validate({"source": "https://api.example.com/v1", "profile": "external"})
    rules = [
        *model_route_spec(TARGET, "models.example.com", [Backend("/a", "a-predictor", 80)])["rules"],
        *external_rules(outside, "/b"),
    ]
    assert [len(rule["matches"]) for rule in rules] == [1, 1], "the Gateway API's CRD refuses more"
