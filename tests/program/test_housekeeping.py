"""The one-time steps: off unless asked for, before what needs them, with no right too many, and run by a hash."""

import json
from functools import cache
from typing import Any

import pytest

from cli.program.recorder import Object, Recording, record, stack_config
from components import housekeeping
from tests.program.graph import reaches

STEPS = {
    "sail-operator": "GatewayClass",
    "odh-webhook": "InferenceService",
    "user-workload-monitoring": "PodMonitor",
}
"""Each step, and what it has to come before."""


@cache
def recorded(**changes: str) -> Recording:
    """The stack `ocp` with every step, and some sections changed (as JSON)."""
    config, secrets = stack_config("ocp")
    platform = json.loads(config["maas:platform"])
    platform["cleanUp"] = {"odhWebhook": True, "sailOperator": True}
    sections = {f"maas:{name}": value for name, value in changes.items()}
    return record("ocp", config | {"maas:platform": json.dumps(platform)} | sections, secrets)


def job(recording: Recording, step: str) -> Object:
    [found] = [each for each in recording.objects if each.kind == "Job" and f"-{step}-" in each.metadata_name]
    return found


def names(recording: Recording) -> set[str]:
    return {job(recording, step).metadata_name for step in STEPS}


@pytest.mark.parametrize(("step", "kind"), STEPS.items())
def test_a_step_is_done_before_what_it_is_for(step: str, kind: str) -> None:
    recording = recorded()
    standing = [each for each in recording.objects if each.kind == kind]
    assert standing
    for each in standing:
        assert job(recording, step).urn in reaches(recording, each)


@pytest.mark.parametrize("step", STEPS)
def test_a_step_starts_when_its_script_its_account_and_its_rights_are_there(step: str) -> None:
    recording = recorded()
    waits_for = reaches(recording, job(recording, step))
    for each in recording.objects:
        if each.layer == "housekeeping" and each.kind != "Job" and each.metadata_name.endswith((step, "housekeeping")):
            assert each.urn in waits_for, f"{each.kind} {each.metadata_name}"
    account = job(recording, step).body["spec"]["template"]["spec"]["serviceAccountName"]
    assert f"maas-housekeeping-{step}" == account


def rules(recording: Recording, step: str) -> set[tuple[str, str, str, str]]:
    """What the account of a step may do: verb, resource, name (`*`: any), and in which namespace."""
    found: set[tuple[str, str, str, str]] = set()
    for each in recording.objects:
        if each.kind in ("Role", "ClusterRole") and each.metadata_name.endswith(step):
            for rule in each.body["rules"]:
                for name in rule.get("resourceNames", ["*"]):
                    found |= {(verb, rule["resources"][0], name, each.namespace) for verb in rule["verbs"]}
    return found


def test_a_step_may_touch_its_own_objects_and_no_others() -> None:
    recording = recorded()
    assert rules(recording, "odh-webhook") == {
        ("delete", "mutatingwebhookconfigurations", "mutating.odh-model-controller.opendatahub.io", "")
    }
    settings, place = "cluster-monitoring-config", "openshift-monitoring"
    assert rules(recording, "user-workload-monitoring") == {
        ("get", "configmaps", settings, place),
        ("patch", "configmaps", settings, place),
        ("create", "configmaps", "*", place),
    }
    assert rules(recording, "sail-operator") == {
        ("delete", "subscriptions", "sailoperator", "gateway-system"),
        ("list", "clusterserviceversions", "*", "gateway-system"),
        ("delete", "clusterserviceversions", "*", "gateway-system"),
        ("delete", "deployments", "sail-operator", "gateway-system"),
        ("delete", "deployments", "istiod", "gateway-system"),
        ("delete", "configmaps", "istio-ca-root-cert", "llm"),
        ("list", "replicasets", "*", "llm"),
        ("delete", "replicasets", "*", "llm"),
        ("get", "deployments", "inference-gateway-openshift-default", "llm"),
        ("patch", "deployments", "inference-gateway-openshift-default", "llm"),
    }


def test_each_binding_gives_the_rights_of_a_step_to_its_account_alone() -> None:
    kinds = ("RoleBinding", "ClusterRoleBinding")
    bindings = [each for each in recorded().objects if each.layer == "housekeeping" and each.kind in kinds]
    assert len(bindings) == 4
    for each in bindings:
        role, [subject] = each.body["roleRef"]["name"], each.body["subjects"]
        assert role == each.metadata_name
        assert (subject["kind"], subject["namespace"]) == ("ServiceAccount", "llm")
        assert role.endswith(subject["name"])


def test_a_step_is_run_again_when_it_changes_and_only_then() -> None:
    before = names(recorded())
    assert names(recorded(timeouts=json.dumps({"model": "20m"}))) == before
    assert not names(recorded(mirror=json.dumps({"registries": {"docker.io": "mirror.example.com"}}))) & before
    other_gateway = names(recorded(gateway=json.dumps({"name": "other"})))
    assert [name.rpartition("-")[0] for name in before - other_gateway] == ["maas-housekeeping-sail-operator"]

    step = housekeeping.odh_webhook_step()
    spec: dict[str, Any] = {"one": 1}
    assert housekeeping.job_name(step, spec, "script") != housekeeping.job_name(step, spec, "another script")


def test_what_a_step_has_done_stays_and_a_done_step_is_not_tidied_away() -> None:
    for step in STEPS:
        assert "ttlSecondsAfterFinished" not in job(recorded(), step).body["spec"], "it would be run on each `up`"


def test_without_monitors_nobody_needs_user_workload_monitoring() -> None:
    config, secrets = stack_config("ocp")
    recording = record("ocp", config | {"maas:observability": json.dumps({"monitors": False})}, secrets)
    assert [each for each in recording.objects if each.layer == "housekeeping"] == []
