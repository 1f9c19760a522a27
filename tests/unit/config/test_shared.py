"""Values that stacks share: what stands over what, what is refused, and which file an error names."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from cli.paths import ROOT
from config.problems import ConfigError
from config.settings import Settings
from config.shared import layered, stacked
from config.source import load

FREE = {"level": 0, "requests": "5 per 2m", "tokens": "100 per 1m"}
BASE: dict[str, Any] = {
    "tiers": {"free": FREE, "premium": FREE | {"level": 1}},
    "users": {"alice": {"tier": "free", "team": "search"}, "bob": {"tier": "free"}},
    "models": {"simulator": {"profile": "simulator"}},
    "platform": {"networkPolicies": {"scrapers": ["monitoring"]}},
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shared = tmp_path / "shared"
    shared.mkdir()
    write(shared, "base", BASE)
    return shared


def write(folder: Path, name: str, values: dict[str, Any]) -> None:
    config = {f"maas:{key}": value for key, value in values.items()}
    (folder / f"{name}.yaml").write_text(yaml.safe_dump({"config": config}), encoding="utf-8")


def loaded(folder: Path, **values: object) -> Settings:
    """The settings of a stack as the engine hands them over: Pulumi.yaml's defaults, then what the stack file has."""
    given: dict[str, object] = {"domain": "a.example.com", "tiers": {}, "platform": {}, "extends": "base", **values}
    texts = {f"maas:{key}": each if isinstance(each, str) else json.dumps(each) for key, each in given.items()}
    return load("eu1", texts, folder=folder)


def refused(folder: Path, **values: object) -> list[str]:
    with pytest.raises(ConfigError) as error:
        loaded(folder, **values)
    return [str(each) for each in error.value.problems]


def test_mappings_are_merged_and_everything_else_is_replaced(folder: Path) -> None:
    settings = loaded(
        folder,
        users={"alice": {"tier": "premium"}, "carol": {"tier": "free"}},
        platform={"networkPolicies": {"scrapers": ["ours"]}},
    )
    assert {name: user.tier for name, user in settings.users.items()} == {
        "alice": "premium",
        "bob": "free",
        "carol": "free",
    }
    assert settings.users["alice"].team == "search"
    assert settings.platform.network_policies.scrapers == ("ours",)
    assert set(settings.models) == {"simulator"}


def test_a_later_file_stands_over_an_earlier_one_and_the_stack_over_both(folder: Path) -> None:
    write(folder, "europe", {"tiers": {"free": {"tokens": "80 per 1m", "price": 0.1}}, "gateway": {"name": "europe"}})
    settings = loaded(folder, extends=["base", "europe"], tiers={"free": {"price": 0.2}})
    assert settings.tiers["free"].tokens.short == ["80 per 1m"]
    assert settings.tiers["free"].requests.short == ["5 per 2m"]
    assert str(settings.tiers["free"].price) == "0.2"
    assert settings.gateway.name == "europe"
    assert loaded(folder, extends=["europe", "base"]).tiers["free"].tokens.short == ["100 per 1m"]


def test_null_takes_away_what_a_file_has_and_is_a_value_like_others_where_it_has_nothing(folder: Path) -> None:
    settings = loaded(folder, users={"bob": None}, gateway={"resources": None})
    assert set(settings.users) == {"alice"}
    assert settings.gateway.resources is None, "null means something of its own there"


def test_tiers_may_come_from_a_file_and_have_to_come_from_somewhere(folder: Path) -> None:
    assert set(loaded(folder).tiers) == {"free", "premium"}
    assert "maas:tiers: required, but not set" in refused(folder, extends=[])


def test_an_error_names_the_file_that_the_value_is_from(folder: Path) -> None:
    write(folder, "wrong", {"tiers": {"free": {"tokens": ["5 per 1d"]}}, "users": {"dora": {"team": "x"}}, "tires": {}})
    found = refused(folder, extends=["base", "wrong"], users={"alice": {"tier": "gold"}})
    assert found == [
        (
            'maas:tiers.free.tokens[0].window = "1d" (in shared/wrong.yaml): not a window that Kuadrant accepts; '
            "allowed: whole numbers with h, m or s, such as 30s, 2m, 24h, 720h; try: 24h"
        ),
        f"maas:tires = {{}} (in shared/wrong.yaml): unknown key; allowed: {found[1].split('allowed: ')[1]}",
        "maas:users.dora.tier (in shared/wrong.yaml): required, but not set",
    ]
    assert refused(folder, users={"alice": {"tier": "gold"}}) == [
        'maas:users.alice.tier = "gold": no such tier; allowed: free, premium'
    ], "the stack's own"


@pytest.mark.parametrize(
    ("extends", "content", "says"),
    [
        ("bas", None, '= "bas": there is no shared/bas.yaml; allowed: base, other; try: base'),
        ("../Pulumi", None, "not a DNS label"),
        ("other", "config: [1", "shared/other.yaml is not YAML"),
        ("other", "maas:tiers: {}", "shared/other.yaml has no config; allowed: config: {maas:tiers: ...}"),
        ("other", "config: {maas:domain: b.example.com}", "has maas:domain: each stack has a domain of its own"),
        ("other", "config: {maas:extends: base}", "files do not name files"),
        ("other", "config: {maas:apiKeys: {}}", "secrets are encrypted for one stack"),
        ("other", "config: {maas:users: {a: {team: {secure: v1:x}}}}", "has a secret at users.a.team"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused(folder: Path, extends: str, content: str | None, says: str) -> None:
    (folder / "other.yaml").write_text(content or "config: {}", encoding="utf-8")
    found = refused(folder, extends=extends, tiers={"free": FREE})
    assert any(each.startswith("maas:extends") and says in each for each in found), found


def test_dates_without_quotes_are_read_as_the_engine_does(folder: Path) -> None:
    write(folder, "dates", {"users": {}})
    (folder / "dates.yaml").write_text("config: {maas:users: {alice: {expires: 2027-12-31}}}", encoding="utf-8")
    assert loaded(folder, extends=["base", "dates"]).users["alice"].expires == "2027-12-31T23:59:59Z"


def test_the_policy_pack_can_read_it_though_its_environment_has_no_pydantic() -> None:
    program = "import sys; sys.modules['pydantic'] = sys.modules['pulumi'] = None; import config.shared"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603 - our own words
    assert done.returncode == 0, done.stderr


VALUES = st.recursive(
    st.none() | st.integers(0, 3),
    lambda inner: st.dictionaries(st.sampled_from("ab"), inner) | st.lists(inner, max_size=2),
    max_leaves=8,
)


@given(
    st.dictionaries(st.sampled_from(["users", "models"]), VALUES),
    st.dictionaries(st.sampled_from(["users", "models"]), VALUES),
)
def test_doing_it_twice_makes_no_difference(
    tmp_path_factory: pytest.TempPathFactory, below: dict[str, Any], above: dict[str, Any]
) -> None:
    folder = tmp_path_factory.mktemp("shared")
    write(folder, "base", below)
    once = stacked({"extends": "base", **above}, folder)
    assert stacked(once, folder) == once
    assert layered(once, folder).values == layered({"extends": "base", **above}, folder).values
