import json
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from cli.exits import Exit, MaasError
from cli.stacks.stackfile import placeholder, stack_config
from config.identity import ApiKeys

PROJECT = """
name: maas
config:
  pulumi:autonaming: {value: {mode: disabled}}
  maas:users: {type: object, default: {}}
  maas:apiKeys: {type: object, default: {}}
  replicas: {type: integer, default: 2}
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "Pulumi.yaml").write_text(PROJECT)
    return tmp_path


def test_the_stack_file_wins_over_the_defaults_and_values_have_the_engines_form(root: Path) -> None:
    (root / "Pulumi.dev.yaml").write_text("config: {maas:users: {a: {tier: free}}, domain: x.example}")
    values, secrets = stack_config("dev", root)
    assert values == {
        "pulumi:autonaming": '{"mode":"disabled"}',
        "maas:users": '{"a":{"tier":"free"}}',
        "maas:apiKeys": "{}",
        "maas:replicas": "2",
        "maas:domain": "x.example",
    }
    assert not secrets


def test_encrypted_values_become_placeholders_that_pass_for_api_keys(root: Path) -> None:
    (root / "Pulumi.dev.yaml").write_text("config: {maas:apiKeys: {a: {secure: 'v1:x'}, b: {secure: 'v1:y'}}}")
    values, secrets = stack_config("dev", root)
    keys = json.loads(values["maas:apiKeys"])
    assert secrets == {"maas:apiKeys"}
    assert "v1:" not in values["maas:apiKeys"]
    assert keys["a"] != keys["b"], "two users never have one key"
    TypeAdapter(ApiKeys).validate_python(keys)


def test_every_user_of_the_sandbox_has_a_key_because_up_generates_them(root: Path) -> None:
    (root / "Pulumi.sandbox.yaml").write_text("config: {maas:users: {a: {tier: free}}}")
    values, secrets = stack_config("sandbox", root)
    assert json.loads(values["maas:apiKeys"]) == {"a": placeholder("maas:apiKeys.a")}
    assert secrets == {"maas:apiKeys"}


def test_a_stack_without_a_file_is_a_usage_error_that_names_the_stacks_there_are(root: Path) -> None:
    (root / "Pulumi.dev.yaml").write_text("")
    with pytest.raises(MaasError, match=r"Pulumi\.prod\.yaml does not exist.*: dev") as caught:
        stack_config("prod", root)
    assert caught.value.code is Exit.USAGE


@pytest.mark.parametrize("content", ["config: [", "- a", "text"])
def test_a_stack_file_that_is_no_mapping_is_a_refused_configuration(root: Path, content: str) -> None:
    (root / "Pulumi.dev.yaml").write_text(content)
    with pytest.raises(MaasError) as caught:
        stack_config("dev", root)
    assert caught.value.code is Exit.CONFIG


def test_where_all_keys_are_one_encrypted_text_each_user_has_a_placeholder(root: Path) -> None:
    (root / "Pulumi.dev.yaml").write_text("config: {maas:users: {a: {}, b: {}}, maas:apiKeys: {secure: 'v1:x'}}")
    values, secrets = stack_config("dev", root)
    keys = json.loads(values["maas:apiKeys"])
    assert keys.keys() == {"a", "b"}
    assert keys["a"] != keys["b"]
    assert secrets == {"maas:apiKeys"}


def test_one_encrypted_text_and_no_user_is_no_key(root: Path) -> None:
    (root / "Pulumi.dev.yaml").write_text("config: {maas:apiKeys: {secure: 'v1:x'}}")
    assert stack_config("dev", root)[0]["maas:apiKeys"] == "{}"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"config: {maas:domain: \xe9}", "is not UTF-8 text"),
        (b"config: {maas:tiers: " + b"[" * 3000 + b"]" * 3000 + b"}", "nests too deep"),
        (b"config: {maas:tiers: &a [*a]}", "refers to itself"),
        (b"config: {maas:tiers: {free: !!set {a, b}}}", "config.maas:tiers.free' is a set"),
        (b"config: {maas:tiers: !!int x}", "not what its tag says"),
        (b"config: {maas:tiers: !!int }", "not what its tag says"),
        (b"config: {maas:tiers: !!timestamp x}", "not what its tag says"),
        (b"config: [maas:domain]", "config must be a mapping, not a list"),
        (b"config: \x00", "is not YAML"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_file_that_no_engine_could_read_is_refused_by_name(root: Path, content: bytes, says: str) -> None:
    (root / "Pulumi.dev.yaml").write_bytes(content)
    with pytest.raises(MaasError, match=r"Pulumi\.dev\.yaml") as refused:
        stack_config("dev", root)
    assert says in str(refused.value)
    assert refused.value.code is Exit.CONFIG


def test_words_and_keys_are_what_the_engines_yaml_takes_them_for(root: Path) -> None:
    text = "config: {maas:users: {on: {tier: no, team: 1:30}, 7: {tier: off}, true: {team: 2027-01-01}}, maas:n: 1e3}"
    (root / "Pulumi.dev.yaml").write_text(text)
    values, _ = stack_config("dev", root)
    assert json.loads(values["maas:users"]) == {
        "on": {"tier": "no", "team": "1:30"},
        "7": {"tier": "off"},
        "true": {"team": "2027-01-01"},
    }
    assert json.loads(values["maas:n"]) == 1000
