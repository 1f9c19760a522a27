"""The waitFor annotation and built-in readiness."""

from typing import Any

import pytest

from sandbox.provider import readiness
from sandbox.provider.wait_for import WaitForError, parse


def obj(*conditions: dict[str, Any], generation: int = 1, **status: Any) -> dict[str, Any]:  # noqa: ANN401
    return {
        "apiVersion": "x/v1",
        "kind": "X",
        "metadata": {"name": "x", "generation": generation},
        "status": {"conditions": list(conditions), **status},
    }


READY = {"type": "Ready", "status": "True"}
ROUTE = {
    "status": {
        "parents": [
            {"conditions": [{"type": "Accepted", "status": "False"}]},
            {"conditions": [{"type": "Accepted", "status": "True"}]},
        ],
        "count": 2,
        "on": True,
    },
    "metadata": {"name": "r"},
}


@pytest.mark.parametrize(
    ("annotation", "subject", "ready"),
    [
        ("condition=Ready", obj(READY), True),
        ("condition=ready", obj(READY), True),
        ("condition=Ready=false", obj({"type": "Ready", "status": "False"}), True),
        ("condition=Ready", obj({"type": "Ready", "status": "Unknown"}), False),
        ("condition=Ready", obj(), False),
        ("condition=Ready", {"metadata": {"name": "x"}}, False),
        ("condition=Ready", obj(READY | {"observedGeneration": 1}, generation=2), False),
        ("condition=Ready", obj(READY | {"observedGeneration": 2}, generation=2), True),
        ("condition=Ready", obj(READY, generation=2, observedGeneration=1), False),
        ("condition=Ready", obj(READY | {"observedGeneration": 2}, generation=2, observedGeneration=1), True),
        ("jsonpath={.status.count}", ROUTE, True),
        ("jsonpath={.status.count}=2", ROUTE, True),
        ("jsonpath={.status.on}=true", ROUTE, True),
        ("jsonpath={.status.none}", ROUTE, False),
        ("jsonpath={$.status.count}=3", ROUTE, False),
        ("jsonpath={.status.parents}", ROUTE, True),
        ("jsonpath={.status.parents[*].conditions[?(@.type=='Accepted')].status}=True", ROUTE, False),
        ("jsonpath={.status.parents[1].conditions[?(@.type=='Accepted')].status}=True", ROUTE, True),
        ("jsonpath={.status.parents[?(@.conditions[0].status != 'False')].conditions[0].type}=Accepted", ROUTE, True),
    ],
)
def test_an_object_satisfies_an_expression_or_not(annotation: str, subject: dict[str, Any], *, ready: bool) -> None:
    (check,) = parse(annotation)
    verdict = check(subject)
    assert verdict.ready is ready, verdict.message


def test_all_expressions_of_an_array_are_awaited() -> None:
    accepted, enforced = parse('["condition=Accepted", "condition=Enforced"]')
    subject = obj(
        {"type": "Accepted", "status": "True"}, {"type": "Enforced", "status": "False", "reason": "Overridden"}
    )
    assert accepted(subject).ready
    assert not enforced(subject).ready


@pytest.mark.parametrize(
    ("annotation", "complaint"),
    [
        ("Ready", 'expected a "jsonpath=" or "condition=" prefix'),
        ("condition=", 'expected a "jsonpath=" or "condition=" prefix'),
        ("[]", "empty array"),
        ("[1]", "not a string"),
        ("jsonpath=.status.x", "wrapped in braces"),
        ("jsonpath='{.status.x}'", "wrapped in braces"),
        ("jsonpath={.status.x}=", "should be"),
        ("jsonpath={.status.x}=a=b", "not a plain value"),
        ("jsonpath={.status.x}={.status.y}", "not a plain value"),
        ("jsonpath={.items[].x}", "RFC 9535"),
    ],
)
def test_a_malformed_annotation_says_what_is_wrong(annotation: str, complaint: str) -> None:
    with pytest.raises(WaitForError, match=complaint.replace("[", r"\[")):
        parse(annotation)


def test_the_message_carries_status_reason_and_message_of_the_condition() -> None:
    (check,) = parse("condition=Ready")
    subject = obj({"type": "Ready", "status": "False", "reason": "NoGpu", "message": "0/2 nodes fit"})
    assert check(subject).message == "condition Ready=True: Ready=False, reason NoGpu: 0/2 nodes fit"


def built_in(api_version: str, kind: str, spec: dict[str, Any], status: dict[str, Any]) -> bool:
    subject = {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {"name": "x", "generation": 2},
        "spec": spec,
        "status": status,
    }
    return all(check(subject).ready for check in readiness.checks(subject))


DONE = {"observedGeneration": 2}


@pytest.mark.parametrize(
    ("api_version", "kind", "spec", "status", "ready"),
    [
        (
            "apps/v1",
            "Deployment",
            {"replicas": 2},
            DONE | {"replicas": 2, "updatedReplicas": 2, "availableReplicas": 2},
            True,
        ),
        (
            "apps/v1",
            "Deployment",
            {"replicas": 2},
            DONE | {"replicas": 3, "updatedReplicas": 2, "availableReplicas": 2},
            False,
        ),
        (
            "apps/v1",
            "Deployment",
            {"replicas": 2},
            DONE | {"replicas": 2, "updatedReplicas": 2, "availableReplicas": 1},
            False,
        ),
        ("apps/v1", "Deployment", {"replicas": 0}, DONE, True),
        ("apps/v1", "Deployment", {"replicas": 0}, {"observedGeneration": 1}, False),
        ("apps/v1", "StatefulSet", {}, DONE | {"updatedReplicas": 1, "readyReplicas": 1}, True),
        ("apps/v1", "StatefulSet", {}, DONE | {"updatedReplicas": 0, "readyReplicas": 1}, False),
        ("apps/v1", "StatefulSet", {"updateStrategy": {"type": "OnDelete"}}, DONE | {"readyReplicas": 1}, True),
        (
            "apps/v1",
            "DaemonSet",
            {},
            DONE | {"desiredNumberScheduled": 2, "updatedNumberScheduled": 2, "numberAvailable": 2},
            True,
        ),
        (
            "apps/v1",
            "DaemonSet",
            {},
            DONE | {"desiredNumberScheduled": 2, "updatedNumberScheduled": 1, "numberAvailable": 2},
            False,
        ),
        ("batch/v1", "Job", {}, {"conditions": [{"type": "Complete", "status": "True"}]}, True),
        ("batch/v1", "Job", {}, {"active": 1}, False),
        ("batch/v1", "Job", {"suspend": True}, {}, True),
        ("v1", "Pod", {}, {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}, True),
        ("v1", "Pod", {}, {"phase": "Running", "conditions": [{"type": "Ready", "status": "False"}]}, False),
        ("v1", "Pod", {}, {"phase": "Succeeded"}, True),
        ("v1", "Service", {"type": "ClusterIP"}, {}, True),
        ("v1", "Service", {"type": "LoadBalancer"}, {}, False),
        ("v1", "Service", {"type": "LoadBalancer"}, {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}, True),
        ("v1", "PersistentVolumeClaim", {}, {"phase": "Pending"}, False),
        ("v1", "PersistentVolumeClaim", {}, {"phase": "Bound"}, True),
        ("networking.k8s.io/v1", "Ingress", {}, {}, False),
        (
            "apiextensions.k8s.io/v1",
            "CustomResourceDefinition",
            {},
            {"conditions": [{"type": "Established", "status": "True"}]},
            True,
        ),
        ("v1", "ConfigMap", {}, {}, True),
        ("example.com/v1", "Widget", {}, {}, True),
    ],
)
def test_built_in_kinds_are_ready_when_their_status_says_so(
    api_version: str, kind: str, spec: dict[str, Any], status: dict[str, Any], *, ready: bool
) -> None:
    assert built_in(api_version, kind, spec, status) is ready


def test_a_failed_job_is_not_waited_for() -> None:
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "j"},
        "status": {"conditions": [{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}]},
    }
    (check,) = readiness.checks(job)
    assert check(job).failed
    assert "BackoffLimitExceeded" in check(job).message


def annotated(kind: str, **annotations: str) -> dict[str, Any]:
    named = {f"pulumi.com/{name}": value for name, value in annotations.items()}
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": "x", "annotations": named}}


def test_skip_await_beats_wait_for_which_beats_the_built_in_checks() -> None:
    assert readiness.checks(annotated("Deployment", skipAwait="true", waitFor="condition=X")) == []
    assert len(readiness.checks(annotated("Deployment", waitFor='["condition=X", "condition=Y"]'))) == 2
    assert len(readiness.checks(annotated("Deployment"))) == 1


def test_skip_await_spares_the_wait_for_deletion_only_for_the_kinds_of_the_official_provider() -> None:
    assert readiness.skips_delete_await(annotated("Deployment", skipAwait="true"))
    assert not readiness.skips_delete_await(annotated("Gateway", skipAwait="true"))


def test_the_timeout_of_the_resource_beats_the_annotation_which_beats_ten_minutes() -> None:
    assert readiness.timeout(annotated("X", timeoutSeconds="30"), 5) == 5
    assert readiness.timeout(annotated("X", timeoutSeconds="30"), 0) == 30
    assert readiness.timeout(annotated("X", timeoutSeconds="soon"), 0) == 600
    assert readiness.timeout(annotated("X"), 0) == 600


def test_why_a_pod_does_not_run_is_found() -> None:
    waiting = {"name": "vllm", "state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}}
    assert readiness.pod_problem({"status": {"containerStatuses": [waiting]}}) == (
        "container vllm: ImagePullBackOff no such image"
    )
    unscheduled = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/2 nodes"}
    assert "Unschedulable: 0/2 nodes" in readiness.pod_problem({"status": {"conditions": [unscheduled]}})
