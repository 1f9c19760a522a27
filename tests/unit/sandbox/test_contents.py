"""What is put into a new control plane."""

import asyncio
from typing import Any

import httpx
import pytest

from sandbox import contents, operators
from sandbox.crds import SOURCES
from sandbox.kube import Kube
from sandbox.kubeconfig import Connection

STAGES = contents.stages()


def test_stages_have_names_of_their_own() -> None:
    names = [stage["metadata"]["name"] for stage in STAGES]
    assert len(names) == len(set(names)), "the later one would replace the earlier"


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: str(stage["metadata"]["name"]))
def test_a_stage_stops_to_match_and_takes_its_time(stage: dict[str, Any]) -> None:
    assert stage["kind"] == "Stage"
    spec = stage["spec"]
    assert spec["selector"]["matchExpressions"], "without a condition it would fire again and again"
    if spec["resourceRef"]["kind"] != "Node":
        assert spec["delay"]["jitterDurationMilliseconds"] > spec["delay"]["durationMilliseconds"] > 0
        keys = [expression["jq"]["key"] for expression in spec["selector"]["matchExpressions"]]
        assert ".metadata.deletionTimestamp" in keys, "what is being deleted is treated differently"


def test_there_are_nodes_with_and_without_accelerators() -> None:
    capacity = {node["metadata"]["name"]: node["status"]["capacity"] for node in contents.nodes()}
    assert {name: resources.get("nvidia.com/gpu") for name, resources in capacity.items()} == {
        "cpu-1": None,
        "cpu-2": None,
        "gpu-1": "4",
        "gpu-2": "4",
        "gpu-amd-1": None,
        "gpu-large-1": "8",
        "gpu-mig-1": "0",
    }
    for node in contents.nodes():
        tainted = [taint["key"] for taint in node.get("spec", {}).get("taints", [])] == ["nvidia.com/gpu"]
        assert tainted == ("nvidia.com/gpu" in node["status"]["allocatable"])
        assert (node["metadata"]["labels"].get("nvidia.com/gpu.present") == "true") == tainted
        assert node["metadata"]["annotations"]["kwok.x-k8s.io/node"] == "fake"
        assert node["metadata"]["labels"]["kubernetes.io/hostname"] == node["metadata"]["name"]


def test_everything_of_the_operators_is_labelled_and_no_namespace_asks_for_sidecars() -> None:
    objects = operators.objects()
    for obj in objects:
        assert obj["metadata"]["labels"]["maas.sandbox/owned"] == "true", obj["metadata"]["name"]
    labels = {label for obj in objects if obj["kind"] == "Namespace" for label in obj["metadata"]["labels"]}
    assert not {label for label in labels if "istio" in label}


def test_namespaces_come_before_what_is_in_them() -> None:
    seen: set[str] = set()
    for obj in operators.objects():
        if obj["kind"] == "Namespace":
            seen.add(obj["metadata"]["name"])
        elif namespace := obj["metadata"].get("namespace"):
            assert namespace in seen


def test_the_fingerprint_is_the_same_each_time_and_changes_with_an_object(monkeypatch: pytest.MonkeyPatch) -> None:
    before = contents.fingerprint()
    assert contents.fingerprint() == before
    monkeypatch.setattr(operators, "objects", list[dict[str, Any]])
    assert contents.fingerprint() != before


def test_the_versions_of_kserve_agree() -> None:
    kserve, _ = (source.module for source in SOURCES if "kserve" in source.module)  # the second has other kinds
    version = kserve.rpartition("@")[2]
    (settings,) = (obj for obj in operators.objects() if obj["kind"] == "ConfigMap")
    assert f"storage-initializer:{version}" in settings["data"]["storageInitializer"]


class Publishing:
    """An API server that serves two kinds of a group at once, and publishes one more of them at each question."""

    def __init__(self, *, at_most: int) -> None:
        self.at_most = at_most
        self.asked = 0

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/apis/kuadrant.io/v1":
            kinds = {"authpolicies": "AuthPolicy", "ratelimitpolicies": "RateLimitPolicy"}
            return httpx.Response(
                200, json={"resources": [{"name": name, "kind": kinds[name], "namespaced": True} for name in kinds]}
            )
        assert request.url.path == "/openapi/v3/apis/kuadrant.io/v1"
        self.asked += 1
        if self.asked == 1:
            return httpx.Response(404, json={"kind": "Status", "code": 404, "reason": "NotFound"})
        names = ("ratelimitpolicies", "authpolicies")[: min(self.asked - 2, self.at_most)]
        collection = "/apis/kuadrant.io/v1/namespaces/{namespace}"
        return httpx.Response(200, json={"paths": {f"{collection}/{name}/{{name}}": {} for name in names}})


def wait_for(server: Publishing, *, seconds: float) -> None:
    policies = [stage for stage in STAGES if stage["spec"]["resourceRef"]["apiGroup"] in {"kuadrant.io/v1", "v1"}]

    async def wait() -> None:
        async with Kube(Connection("http://api"), transport=httpx.MockTransport(server)) as kube:
            await contents.wait_until_published(kube, policies, seconds)

    asyncio.run(wait())


def test_stages_wait_until_the_schema_of_each_of_their_kinds_is_published() -> None:
    server = Publishing(at_most=2)
    wait_for(server, seconds=20)
    assert server.asked >= 4


def test_kinds_whose_schema_does_not_come_are_named() -> None:
    with pytest.raises(TimeoutError, match=r"/openapi/v3 still lacks AuthPolicy \(kuadrant.io/v1\)\.$"):
        wait_for(Publishing(at_most=1), seconds=0.5)
