"""Each entry of the catalogue becomes objects of its own, which go with it."""

import copy
from pathlib import Path
from typing import Any

import pytest

from cli.program.recorder import Object
from tests.catalogue import ENTRIES, objects_of, recorded
from tests.golden import check_golden

GOLDENS = Path(__file__).parent / "goldens" / "models"


def shown(each: Object) -> dict[str, Any]:
    """The body, with what is secret taken out."""
    body = copy.deepcopy(dict(each.body))
    if each.kind == "Secret":
        body["stringData"] = dict.fromkeys(body["stringData"], "[secret]")
    if each.kind == "ConfigMap" and "maas_simulator.py" in body.get("data", {}):
        body["data"] = "[the simulator's file]"
    if "annotations" in str(body.get("spec", {})) and "script-hash" in str(body):
        body["spec"]["annotations"] = "[hash of the simulator's file]"
    return body


@pytest.mark.parametrize("name", ENTRIES)
def test_an_entry_becomes_the_objects_that_were_reviewed(name: str) -> None:
    bodies = [shown(each) for _, each in sorted(objects_of(name).items())]
    check_golden(GOLDENS / f"{name}.yaml", bodies)


def test_no_reviewed_entry_is_left_over() -> None:
    assert {path.stem for path in GOLDENS.glob("*.yaml")} == set(ENTRIES)


@pytest.mark.parametrize("name", ENTRIES)
def test_taking_an_entry_out_takes_out_exactly_its_objects(name: str) -> None:
    def keys(*names: str) -> set[tuple[str, str, str]]:
        return {(each.kind, each.namespace, each.metadata_name) for each in recorded(*names).objects}

    every = keys(*ENTRIES)
    without = keys(*(each for each in ENTRIES if each != name))
    gone = every - without
    assert without <= every
    assert gone, "an entry without an object"
    shared = {("ServingRuntime", "llm", "maas-vllm"), ("PrometheusRule", "llm", "maas-catalogue")}
    assert gone == keys(name) - keys() - shared, "what it alone brought"


def test_the_secrets_of_sources_are_kept_out_of_everything_but_their_secret() -> None:
    for each in recorded(*ENTRIES).objects:
        if each.kind != "Secret":
            assert "not-a-real-token" not in str(each.body), f"{each.kind} {each.metadata_name}"
        elif each.metadata_name in {"openai", "bucket", "hugging-face"}:
            assert each.secrets, "its values are not marked as secret"


def test_the_key_of_an_endpoint_gets_from_its_secret_to_the_route_by_a_variable_of_the_gateway() -> None:
    objects = {(each.kind, each.metadata_name): each.body for each in recorded("external").objects}
    options = objects["ConfigMap", "inference-gateway-options"]["data"]["deployment"]
    route = objects["HTTPRoute", "external"]["spec"]
    variable = next(line.split("name: ")[1] for line in options.splitlines() if "name: MAAS_" in line)
    for rule in route["rules"]:
        header = rule["filters"][0]["requestHeaderModifier"]["set"]
        assert header == [{"name": "authorization", "value": f"Bearer %ENVIRONMENT({variable})%"}]
    assert "name: openai" in options
    assert "optional: true" in options, "a missing Secret must not keep the gateway from starting"


def test_nobody_but_us_sets_the_replicas_of_a_model_that_is_not_scaled() -> None:
    for each in recorded(*ENTRIES).objects:
        if each.kind == "InferenceService":
            scaled = each.metadata_name == "scale-to-zero"
            annotation = each.metadata["annotations"]["serving.kserve.io/autoscalerClass"]
            assert annotation == ("external" if scaled else "none")
