from decimal import Decimal

import pytest
from pydantic import ValidationError

from config.gateway import Expose, Gateway
from config.identity import Key, User
from config.models import PROFILES, Model, Runtime
from config.platform import Profile
from config.settings import Settings
from config.source import parsed
from config.values import Rate
from tests.unit.config.bad import GOOD


def test_short_and_long_forms_of_a_rate_mean_the_same() -> None:
    assert Rate.model_validate("5 per 2m") == Rate.model_validate({"limit": 5, "window": "2m"})
    assert str(Rate.model_validate({"limit": 5, "window": "2m"})) == "5 per 2m"


def test_settings_cannot_be_changed_after_they_were_checked() -> None:
    settings = Settings.load("dev", GOOD)
    with pytest.raises(ValidationError):
        settings.domain = "elsewhere.example.com"
    with pytest.raises(ValidationError):
        settings.tiers["free"].level = 9


def test_an_unlimited_tier_has_no_rates_and_a_limited_one_has_all_of_them() -> None:
    tiers = GOOD["tiers"] | {"vip": {"level": 5, "requests": "unlimited", "tokens": "unlimited"}}
    settings = Settings.load("dev", GOOD | {"tiers": tiers})
    assert settings.tiers["vip"].tokens.rates == ()
    assert settings.tiers["vip"].tokens.short == "unlimited"
    assert [str(rate) for rate in settings.tiers["premium"].tokens.rates] == ["500 per 1m", "200000 per 24h"]


def test_a_price_is_exactly_what_was_written() -> None:
    assert Settings.load("dev", GOOD).tiers["free"].price == Decimal("0.005"), "bills must not show binary fractions"


def test_hosts_follow_the_platform_unless_the_model_says_otherwise() -> None:
    models = GOOD["models"] | {"own": {"profile": "simulator", "host": "chat"}}
    on_kubernetes = Settings.load("dev", GOOD | {"models": models})
    on_openshift = Settings.load("ocp", GOOD | {"models": models, "platform": {"profile": "openshift"}})
    assert on_kubernetes.host("qwen3") == "qwen3.maas.example.com"
    assert on_openshift.host("qwen3") == "qwen3-llm.maas.example.com"
    assert on_openshift.host("own") == "chat.maas.example.com"


def test_the_profile_of_the_platform_picks_class_and_exposure_and_both_can_be_overridden() -> None:
    default, own = Gateway(), Gateway.model_validate({"className": "cilium", "expose": "clusterIP"})
    assert (default.class_on(Profile.KUBERNETES), default.exposure_on(Profile.KUBERNETES)) == (
        "istio",
        Expose.LOAD_BALANCER,
    )
    assert (default.class_on(Profile.OPENSHIFT), default.exposure_on(Profile.OPENSHIFT)) == (
        "openshift-default",
        Expose.ROUTE,
    )
    assert (own.class_on(Profile.OPENSHIFT), own.exposure_on(Profile.OPENSHIFT)) == ("cilium", Expose.CLUSTER_IP)


def test_what_a_model_says_itself_wins_over_its_profile_key_by_key() -> None:
    model = Model.model_validate(
        {"profile": "small-gpu", "source": "hf://a/b", "resources": {"memory": "24Gi"}, "gpu": {"count": 2}}
    )
    assert model.resources is not None
    assert model.resources.memory == "24Gi"
    assert model.resources.cpu == PROFILES["small-gpu"]["resources"]["cpu"], "keys beside it keep the profile's value"
    assert model.gpu is not None
    assert model.gpu.count == 2
    assert model.gpu.node_selector == {"nvidia.com/gpu.present": "true"}
    assert model.max_length == 6144


def test_qwen3_has_the_figures_of_the_original_deployment() -> None:
    model = Settings.load("dev", GOOD).models["qwen3"]
    assert model.runtime is Runtime.VLLM
    assert (model.max_length, model.memory_utilisation, model.max_sequences) == (6144, 0.8, 32)
    assert model.gpu is not None
    assert [(each.key, each.operator, each.effect) for each in model.gpu.tolerations] == [
        ("nvidia.com/gpu", "Exists", "NoSchedule")
    ]


def test_an_api_key_does_not_show_in_the_settings_own_text() -> None:
    settings = Settings.load("dev", GOOD)
    assert "a" * 40 not in repr(settings)
    assert "a" * 40 not in settings.model_dump_json()


def test_only_the_projects_own_keys_are_read_and_objects_are_read_as_json() -> None:
    bag = {"maas:domain": "0", "maas:tiers": '{"free": 1}', "kubernetes:context": "kind", "maas:users": "not json"}
    assert parsed(bag) == {"domain": "0", "tiers": {"free": 1}, "users": "not json"}


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("2027-12-31", "2027-12-31T23:59:59Z"),
        ("2027-12-31T18:00:00Z", "2027-12-31T18:00:00Z"),
        ("2027-12-31T18:00:00+01:00", "2027-12-31T17:00:00Z"),
        ("2027-12-31T23:30:00-02:00", "2028-01-01T01:30:00Z"),
        # What the engine makes of a date, and of a time, that stand without quotes in YAML.
        ("2027-12-31 00:00:00 +0000 UTC", "2027-12-31T23:59:59Z"),
        ("2027-12-31 18:00:00 +0000 UTC", "2027-12-31T18:00:00Z"),
        ("2027-12-31 18:00:00 +0100 +0100", "2027-12-31T17:00:00Z"),
    ],
)
def test_every_way_of_writing_an_expiry_is_one_text_in_utc(written: str, meant: str) -> None:
    assert User.model_validate({"tier": "free", "expires": written}).expires == meant


@pytest.mark.parametrize(
    ("of_user", "of_key", "ends"),
    [
        (None, None, None),
        ("2027-01-01", None, "2027-01-01T23:59:59Z"),
        (None, "2026-06-01", "2026-06-01T23:59:59Z"),
        ("2027-01-01", "2026-06-01", "2026-06-01T23:59:59Z"),
        ("2026-01-01", "2026-06-01", "2026-01-01T23:59:59Z"),
    ],
)
def test_a_key_ends_with_its_user_or_before(of_user: str | None, of_key: str | None, ends: str | None) -> None:
    user = User.model_validate({"tier": "free"} | ({"expires": of_user} if of_user else {}))
    key = Key.model_validate({"key": "k" * 40} | ({"expires": of_key} if of_key else {}))
    assert key.ends(user) == ends


def test_one_key_stands_for_a_list_of_one() -> None:
    keys = GOOD["apiKeys"] | {"alice": ["x" * 40, {"key": "y" * 40, "expires": "2027-01-01"}]}
    loaded = Settings.load("dev", GOOD | {"apiKeys": keys}).api_keys
    assert [each.key.get_secret_value()[0] for each in loaded["alice"]] == ["x", "y"]
    assert [each.expires for each in loaded["alice"]] == [None, "2027-01-01T23:59:59Z"]
    assert len(loaded["bob"]) == 1
    assert "x" * 40 not in repr(loaded)
