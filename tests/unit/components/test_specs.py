import pytest

from components.kserve import inferenceservice_settings, settings_hash
from components.models.inference_service import model_args
from components.policies.auth import auth_policy_spec
from components.policies.limits import limits_spec
from components.policies.telemetry import telemetry_spec
from components.routes import INFERENCE_PATHS, model_route_spec
from config.models import Model
from config.observability import TelemetryLabels
from config.settings import Settings
from config.tiers import Tier
from config.values import Allowance
from tests.unit.config.bad import GOOD

TARGET = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "inference-gateway"}


def allowance(value: object) -> Allowance:
    return Allowance.model_validate(value)


def test_several_windows_of_a_tier_are_rates_of_one_limit() -> None:
    spec = limits_spec(TARGET, {"free": allowance(["100 per 1m", "5000 per 24h"])})
    assert spec is not None
    assert list(spec["limits"]) == ["free"], "with two limits, Kuadrant would count each token twice"
    assert spec["limits"]["free"]["rates"] == [{"limit": 100, "window": "1m"}, {"limit": 5000, "window": "24h"}]


def test_an_unlimited_tier_has_no_limit_and_others_keep_theirs() -> None:
    spec = limits_spec(TARGET, {"free": allowance("1 per 1m"), "vip": allowance("unlimited")})
    assert spec is not None
    assert list(spec["limits"]) == ["free"]


def test_there_is_no_policy_when_every_tier_is_unlimited() -> None:
    assert limits_spec(TARGET, {"vip": allowance("unlimited")}) is None, "both CRDs refuse a policy without limits"


def test_limits_count_by_user_on_the_path_without_its_query() -> None:
    spec = limits_spec(TARGET, {"free": allowance("1 per 1m")})
    assert spec is not None
    limit = spec["limits"]["free"]
    assert limit["counters"] == [{"expression": "auth.identity.userid"}]
    paths = limit["when"][1]["predicate"]
    assert "request.url_path" in paths, "request.path has the query in it: ?x=1 would be a way around"


def test_each_counted_path_is_routed_and_each_routed_post_is_counted() -> None:
    rule = model_route_spec(TARGET, "a.example.com", "a-predictor", 80)["rules"][0]
    posts = {match["path"]["value"] for match in rule["matches"] if match["method"] == "POST"}
    assert posts == set(INFERENCE_PATHS)


def test_the_callers_credentials_do_not_reach_the_model() -> None:
    rule = model_route_spec(TARGET, "a.example.com", "a-predictor", 80)["rules"][0]
    assert {"type": "RequestHeaderModifier", "requestHeaderModifier": {"remove": ["authorization"]}} in rule["filters"]


def test_a_tier_name_cannot_break_out_of_its_expression() -> None:
    tier = Tier.model_validate({"level": 0, "requests": "unlimited", "tokens": "unlimited"})
    spec = auth_policy_spec(TARGET, {'x" || true || "': tier}, "dev")
    predicate = spec["rules"]["authorization"]["has-a-tier"]["patternMatching"]["patterns"][0]["predicate"]
    assert predicate.endswith('in ["x\\" || true || \\""]')


def test_keys_of_another_stack_are_not_accepted() -> None:
    spec = auth_policy_spec(TARGET, {}, "blue")
    for method in spec["rules"]["authentication"].values():
        assert method["apiKey"]["selector"]["matchLabels"]["maas.kuadrant.io/stack"] == "blue"
        assert "allNamespaces" not in method["apiKey"], "any namespace could add keys"


def test_each_telemetry_label_can_be_turned_off() -> None:
    everything = TelemetryLabels.model_validate({"costCentre": True})
    assert set(telemetry_spec(TARGET, everything)["metrics"]["default"]["labels"]) == {
        "user", "tier", "model", "cost_centre",
    }  # fmt: skip
    for name in TelemetryLabels.model_fields:
        labels = telemetry_spec(TARGET, everything.model_copy(update={name: False}))["metrics"]["default"]["labels"]
        assert name not in labels


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
    model = Model.model_validate({"profile": "small-gpu", "source": "hf://a/b", "args": ["--max-model-len=100"]})
    assert model_args(model, "b")[-1] == "--max-model-len=100"
