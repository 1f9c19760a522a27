"""Pages that come out of the program are as the program is."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest
import typer
import yaml

from cli.app import app
from cli.docs import configuration
from cli.docs.generated import makers
from cli.paths import ROOT
from cli.stacks.stackfile import without_secrets
from config.platform import Operator, Platform
from config.problems import ConfigError
from config.settings import SECRET_KEYS, Settings

KEYS = {key.path: key for key in configuration.every_key()}
FILES = sorted(configuration.EXAMPLES.glob("*.yaml"))
MAKERS = makers(typer.main.get_command(app))
BASE: Mapping[str, Any] = {
    "domain": "apps.example.com",
    "tiers": {"free": {"level": 0, "requests": "5 per 2m", "tokens": "100 per 1m"}},
}


@pytest.mark.parametrize("name", MAKERS)
def test_what_is_generated_is_as_the_program_is(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8") if (ROOT / name).is_file() else ""
    assert MAKERS[name]() == text, f"{name} is out of date. Write it anew: ./maas docs --write"


def test_every_key_says_what_it_means() -> None:
    silent = [path for path, key in KEYS.items() if not key.meaning]
    assert silent == [], "write a docstring below the field in config/; it is the key's meaning in the reference"


def test_types_defaults_and_bounds_are_those_of_the_models() -> None:
    assert KEYS["domain"].default == "**required**"
    assert KEYS["gateway.className"].default == "`istio`, on OpenShift `openshift-default`"
    assert KEYS["gateway.replicas.cpu"].type == "whole number, at least 1, at most 100"
    assert KEYS["tiers.<name>.requests"].type == "allowance"
    assert KEYS["tiers.<name>.requests"].default == "**required**"
    assert KEYS["tiers.<name>.models"].default == "none"
    assert KEYS["platform.kuadrant.authTimeout"].default == "`2s`"
    assert KEYS["gateway.tls.mode"].type.startswith("`none`, `self-signed`, `cert-manager`")
    assert "`secret`: An existing Secret" in KEYS["gateway.tls.mode"].meaning
    assert KEYS["observability.grafana.selector"].default == "`{dashboards: maas}`"
    assert KEYS["apiKeys.<name>[].key"].type == "secret text"


def written(value: object, path: str = "") -> set[str]:
    """The paths of every key in an example, with the reference's placeholders where users choose names."""
    found = {path} if path in KEYS else set[str]()
    if isinstance(value, dict):
        for key, each in cast("dict[str, object]", value).items():
            plain = f"{path}.{key}".strip(".")
            known = any(each == plain or each.startswith((f"{plain}.", f"{plain}[")) for each in KEYS)
            found |= written(each, plain if known else f"{path}.<name>")
    elif isinstance(value, list):
        for each in cast("list[object]", value):
            found |= written(each, f"{path}[]")
    return found


def of_any_operator(paths: set[str]) -> set[str]:
    """What all operators have in common needs an example at one of them."""
    operators = [field.alias or name for name, field in Platform.model_fields.items() if field.annotation is not str]
    common = "|".join(Operator.model_fields)
    return {
        re.sub(rf"^platform\.({'|'.join(operators)})\.({common})$", r"platform.<operator>.\2", path) for path in paths
    }


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_each_example_of_the_reference_is_accepted(file: Path) -> None:
    for number, document in enumerate(yaml.safe_load_all(file.read_text(encoding="utf-8"))):
        values = {key.removeprefix("maas:"): without_secrets(value, key) for key, value in document.items()}
        try:
            Settings.load(f"{file.name}[{number}]", {**BASE, **values}, SECRET_KEYS)
        except ConfigError as error:
            pytest.fail(str(error))


def test_every_key_has_an_example_in_its_section() -> None:
    for section in sorted({re.split(r"[.\[]", path)[0] for path in KEYS}):
        file = configuration.EXAMPLES / f"{section}.yaml"
        assert file.is_file(), f"{section}: an example is missing"
        documents = list(yaml.safe_load_all(file.read_text(encoding="utf-8")))
        found = {
            path
            for document in documents
            for path in written({k.removeprefix("maas:"): v for k, v in document.items()}, "")
        }
        wanted = {path for path in KEYS if re.split(r"[.\[]", path)[0] == section}
        missing = sorted(of_any_operator(wanted) - of_any_operator(found))
        assert missing == [], f"{file.name} has no example of {missing}"
