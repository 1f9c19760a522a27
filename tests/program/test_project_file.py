import yaml

from cli.paths import ROOT
from config.migrations import FIRST, VERSION_KEY
from config.settings import NAMESPACE, SECRET_KEYS, Settings

PROJECT = yaml.safe_load((ROOT / "Pulumi.yaml").read_text(encoding="utf-8"))


def test_every_key_is_declared_with_type_and_description_and_with_a_default_unless_it_is_required() -> None:
    declared = {key.removeprefix(f"{NAMESPACE}:"): value for key, value in PROJECT["config"].items() if "maas:" in key}
    fields = {field.alias or name: field for name, field in Settings.model_fields.items()}
    assert declared.keys() == fields.keys()
    for key, field in fields.items():
        # One secret that holds all keys as text is neither a mapping nor only a text: the engine must not look.
        untyped = {*SECRET_KEYS, "extends"}
        types = {None} if key in untyped else {"integer"} if key == VERSION_KEY else {"string", "object"}
        assert declared[key].get("type") in types, key
        assert declared[key]["description"], key
        # The engine demands keys without a default of the stack file itself, and tiers may be shared.
        assert ("default" in declared[key]) != (field.is_required() and key != "tiers"), key


def test_a_file_that_says_no_version_is_one_of_the_first() -> None:
    assert PROJECT["config"][f"{NAMESPACE}:{VERSION_KEY}"]["default"] == FIRST


def test_the_engine_refuses_objects_without_a_name_or_outside_the_stacks_provider() -> None:
    assert PROJECT["config"]["pulumi:autonaming"]["value"] == {"mode": "disabled"}
    assert PROJECT["config"]["pulumi:disable-default-providers"]["value"] == ["kubernetes"]
