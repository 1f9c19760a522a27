"""What pods and accounts of ours may do, on every kind of cluster and with everything turned on."""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import pytest

from cli.program.recorder import Object
from tests.variants import changed

EVERYTHING: dict[str, dict[str, Any]] = {
    "limiter": {"storage": "redis", "redis": {}},
    "identity": {"keycloak": {"users": {"alice": {"tier": "free"}}}},
}
STACKS = ("sandbox", "dev", "ocp")
SPEAKING = {"housekeeping", "observability"}
"""The layers with pods that speak to the API server; their own tests say with which rights."""


@cache
def objects(stack: str) -> tuple[Object, ...]:
    return changed(stack, EVERYTHING).objects


def pods(stack: str) -> Iterator[tuple[Object, Mapping[str, Any]]]:
    """The pods of our own workloads, and those that KServe makes for us."""
    for each in objects(stack):
        spec = each.body.get("spec", {})
        if each.kind in {"Deployment", "StatefulSet", "Job"} and not each.is_patch:
            yield each, spec["template"]["spec"]
        elif each.kind == "ServingRuntime":
            yield each, spec


@pytest.mark.parametrize("stack", STACKS)
def test_every_container_of_ours_fits_the_pod_security_standard_restricted(stack: str) -> None:
    seen: set[str] = set()
    for each, pod in pods(stack):
        seen.add(each.kind)
        assert not [each for each in ("hostNetwork", "hostPID", "hostIPC") if pod.get(each)]
        assert not any("hostPath" in volume for volume in pod.get("volumes", [])), each.metadata_name
        for container in [*pod["containers"], *pod.get("initContainers", [])]:
            security = container["securityContext"]
            assert security["allowPrivilegeEscalation"] is False, each.metadata_name
            assert security["capabilities"] == {"drop": ["ALL"]}, each.metadata_name
            assert security["runAsNonRoot"] is True, each.metadata_name
            assert security["seccompProfile"] == {"type": "RuntimeDefault"}, each.metadata_name
            assert ("runAsUser" in security) == (stack != "ocp"), "OpenShift gives each namespace its own"
    assert {"Deployment", "ServingRuntime", "StatefulSet"} <= seen


@pytest.mark.parametrize("stack", STACKS)
def test_no_pod_and_no_account_of_ours_has_a_token(stack: str) -> None:
    for each in objects(stack):
        if each.kind == "ServiceAccount" and each.layer not in SPEAKING:
            assert each.body["automountServiceAccountToken"] is False, each.metadata_name
        if each.kind == "InferenceService":
            assert each.body["spec"]["predictor"]["automountServiceAccountToken"] is False, each.metadata_name
    accounts = {each.metadata_name for each in objects(stack) if each.kind == "ServiceAccount"}
    for each, pod in pods(stack):
        # A runtime's pods are InferenceServices'.
        if each.kind != "ServingRuntime" and each.layer not in SPEAKING:
            assert pod["automountServiceAccountToken"] is False, each.metadata_name
            assert pod["serviceAccountName"] in accounts, "not the namespace's default one"


@pytest.mark.parametrize("stack", STACKS)
def test_no_role_is_bound_but_where_pods_speak_to_the_api_server_and_never_to_an_account_of_models(stack: str) -> None:
    for each in objects(stack):
        if each.kind in {"RoleBinding", "ClusterRoleBinding"}:
            assert each.layer in SPEAKING, each.metadata_name
            assert all(subject["name"] != "models" for subject in each.body["subjects"]), each.metadata_name


@pytest.mark.parametrize("stack", STACKS)
def test_namespaces_with_pods_of_ours_alone_say_what_pods_may_do_there(stack: str) -> None:
    layers = {"platform", "keycloak"}
    found = [each for each in objects(stack) if each.kind == "Namespace" and each.layer in layers]
    assert {each.layer for each in found} == layers
    for each in found:
        assert each.metadata["labels"]["pod-security.kubernetes.io/enforce"] in {"baseline", "restricted"}
        assert each.metadata["labels"]["pod-security.kubernetes.io/warn"] == "restricted"
