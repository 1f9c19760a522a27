"""The examples are stack files that work, with the figures that they are named for."""

import re
from decimal import Decimal

import pytest
import yaml

from cli.paths import ROOT
from components.policies.auth import auth_policy_spec
from components.policies.limits import request_limits_spec, token_limits_spec
from config.figures import NEVER_REACHED
from config.settings import Settings

FILES = sorted((ROOT / "examples").glob("*.yaml"))
TARGET = {"name": "inference-gateway"}


def loaded(name: str) -> Settings:
    values = yaml.safe_load((ROOT / "examples" / f"{name}.yaml").read_text(encoding="utf-8"))["config"]
    return Settings.load(name, {key.removeprefix("maas:"): value for key, value in values.items()})


@pytest.mark.parametrize("name", [file.stem for file in FILES])
def test_an_example_is_accepted_and_gives_policies(name: str) -> None:
    settings = loaded(name)
    assert auth_policy_spec(TARGET, settings, name)["rules"]["authentication"]
    assert request_limits_spec(TARGET, settings) is not None
    assert set(settings.tiers) <= token_limits_spec(TARGET, settings)["limits"].keys()


def test_the_list_of_examples_has_every_one_of_them() -> None:
    listed = re.findall(
        r"^\| \[`([a-z-]+\.yaml)`\]", (ROOT / "examples" / "README.md").read_text("utf-8"), re.MULTILINE
    )
    assert sorted(listed) == [file.name for file in FILES]


@pytest.mark.parametrize(
    ("name", "tokens"),
    [
        ("demonstration-limits", {"free": 100, "premium": 500}),
        ("generous-limits", {"free": 10_000, "premium": 50_000}),
    ],
)
def test_the_original_limits_are_to_be_had(name: str, tokens: dict[str, int]) -> None:
    settings = loaded(name)
    found = token_limits_spec(TARGET, settings)["limits"]
    assert {tier: limit["rates"] for tier, limit in found.items()} == {
        tier: [{"limit": limit, "window": "1m"}] for tier, limit in (tokens | {"enterprise": NEVER_REACHED}).items()
    }
    found = (request_limits_spec(TARGET, settings) or {})["limits"]
    assert {tier: limit["rates"] for tier, limit in found.items()} == {
        tier: [{"limit": limit, "window": "2m"}] for tier, limit in (("free", 5), ("premium", 20), ("enterprise", 50))
    }


def test_the_original_prices_are_to_be_had() -> None:
    assert {name: tier.price for name, tier in loaded("freemium").tiers.items()} == {
        "freemium": Decimal("0.005"),
        "premium": Decimal("0.008"),
    }
