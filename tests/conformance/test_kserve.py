"""What KServe's own controller makes of each entry of the catalogue, and where the scheduler puts it."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from typing import Any, cast

import pytest

from sandbox.kube import Kube
from tests.catalogue import ENTRIES, objects_of
from tests.conformance.stack import deploy
from tests.merging import pod_template
from tests.tree import UP_SECONDS, Tree

pytestmark = [pytest.mark.sandbox, pytest.mark.timeout(UP_SECONDS)]

Body = dict[str, Any]

MANAGER = "conformance"
NAMESPACE = "llm"
CLAIM = {
    "apiVersion": "v1",
    "kind": "PersistentVolumeClaim",
    "metadata": {"name": "models", "namespace": NAMESPACE},
    "spec": {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Ti"}}},
}
"""What one of the entries takes its weights from; somebody else's."""
PATIENCE = 90.0
"""Seconds within which KServe has made what it makes, and the scheduler has looked at it."""
SERVED = [
    name
    for name, entry in ENTRIES.items()
    if entry.nodes and entry.model.get("api", "inferenceService") == "inferenceService"
]
"""Those that this KServe serves: LLMInferenceServices are of a later release."""
CHOOSY = [name for name in SERVED if len(ENTRIES[name].nodes) == 1]
"""Those that one kind of node will do for, such as what needs four cards in one."""
APPLIED = ("Secret", "ConfigMap", "ServingRuntime", "ScaledObject", "InferenceService")
"""Kinds of an entry that its pods need, in order; where it is reached is another matter."""
SEEN = (
    ("apps/v1", "Deployment"),
    ("v1", "Service"),
    ("v1", "Pod"),
    ("serving.kserve.io/v1beta1", "InferenceService"),
    ("gateway.networking.k8s.io/v1", "HTTPRoute"),
    ("autoscaling/v2", "HorizontalPodAutoscaler"),
)


@pytest.fixture(scope="module")
def made(tree: Tree) -> Iterator[dict[str, Body]]:
    """Everything that KServe made, by kind and name, beside a stack that has set it up."""
    deploy(tree, {"maas:models": {"another": {"profile": "simulator"}}})
    yield asyncio.run(_make(tree))
    tree.json("destroy", "--yes")


async def _make(tree: Tree) -> dict[str, Body]:
    async with Kube.connect(tree.sandbox.kubeconfig) as kube:
        await kube.apply(CLAIM, field_manager=MANAGER)
        # Those that only one kind of node will do for come first: the others find room elsewhere.
        for names in (CHOOSY, [name for name in SERVED if name not in CHOOSY]):
            bodies = [dict(each.body) for name in names for each in objects_of(name).values() if each.kind in APPLIED]
            for body in sorted(bodies, key=lambda body: APPLIED.index(body["kind"])):
                await kube.apply(body, field_manager=MANAGER, force=True)
            await _placed(kube, names)
        return await _found(kube)


async def _placed(kube: Kube, names: Sequence[str]) -> None:
    """Wait until the scheduler has looked at every pod of these entries."""
    deadline = time.monotonic() + PATIENCE
    while True:
        found = await _found(kube)
        late = {name: _pods(found, name) for name in names if not _looked_at(found, name)}
        if not late:
            return
        assert time.monotonic() < deadline, late
        await asyncio.sleep(0.5)


async def _found(kube: Kube) -> dict[str, Body]:
    bodies = [each for kind in SEEN for each in await kube.list(*kind, NAMESPACE)]
    return {f"{each['kind']}/{each['metadata']['name']}": each for each in bodies}


def _pods(found: dict[str, Body], name: str) -> list[Body]:
    label = "serving.kserve.io/inferenceservice"
    return [
        body
        for body in found.values()
        if body["kind"] == "Pod" and body["metadata"].get("labels", {}).get(label) == name
    ]


def _looked_at(found: dict[str, Body], name: str) -> bool:
    deployment = found.get(f"Deployment/{name}-predictor")
    pods = _pods(found, name)
    return (
        deployment is not None
        and len(pods) == deployment["spec"]["replicas"]
        and all(
            any(each["type"] == "PodScheduled" for each in pod.get("status", {}).get("conditions", [])) for pod in pods
        )
    )


@pytest.mark.parametrize("name", SERVED)
def test_the_pods_that_kserve_makes_land_on_the_kind_of_node_that_was_asked_for(
    made: dict[str, Body], name: str
) -> None:
    pods = _pods(made, name)
    assert pods
    for pod in pods:
        assert pod["spec"].get("nodeName", "nowhere").startswith(ENTRIES[name].nodes), pod["status"]


@pytest.mark.parametrize("name", SERVED)
def test_kserve_merges_runtime_and_model_as_we_say_it_does(made: dict[str, Body], name: str) -> None:
    ours = pod_template(name)["spec"]
    theirs = made[f"Deployment/{name}-predictor"]["spec"]["template"]["spec"]
    (container,) = (each for each in theirs["containers"] if each["name"] == "kserve-container")
    (wanted,) = ours["containers"]
    for key in ("image", "args", "command", "resources", "securityContext", "startupProbe", "readinessProbe"):
        assert _without_defaults(container.get(key), wanted.get(key)) == wanted.get(key), key
    assert {each["name"]: each for each in wanted.get("env", [])}.items() <= {
        each["name"]: each for each in container.get("env", [])
    }.items()
    for key in ("nodeSelector", "tolerations", "affinity", "serviceAccountName", "terminationGracePeriodSeconds"):
        assert _without_defaults(theirs.get(key), ours.get(key)) == ours.get(key), key


def _without_defaults(real: object, wanted: object) -> object:
    """What is there, as far as somebody asked for it: the API server fills in the rest."""
    if isinstance(real, dict) and isinstance(wanted, dict):
        fields, asked = cast("Body", real), cast("Body", wanted)
        return {key: _without_defaults(value, asked[key]) for key, value in fields.items() if key in asked}
    if isinstance(real, list) and isinstance(wanted, list):
        items, others = cast("list[object]", real), cast("list[object]", wanted)
        if len(items) == len(others):
            return [_without_defaults(one, other) for one, other in zip(items, others, strict=True)]
    return cast("object", real)


def test_kserve_makes_no_routes_and_no_autoscalers_of_its_own(made: dict[str, Body]) -> None:
    own = [
        name
        for name, body in made.items()
        if body["kind"] in {"HTTPRoute", "HorizontalPodAutoscaler"}
        and any(each["kind"] == "InferenceService" for each in body["metadata"].get("ownerReferences", []))
    ]
    assert own == []


def test_kserves_own_container_gets_the_credentials_that_the_entry_names(made: dict[str, Body]) -> None:
    (pod,) = _pods(made, "bucket")
    (initializer,) = (each for each in pod["spec"]["initContainers"] if each["name"] == "storage-initializer")
    read = {each["name"]: each["valueFrom"]["secretKeyRef"] for each in initializer["env"] if "valueFrom" in each}
    assert {name: each["name"] for name, each in read.items()} == {
        "AWS_ACCESS_KEY_ID": "bucket",
        "AWS_SECRET_ACCESS_KEY": "bucket",
    }


@pytest.mark.parametrize("name", ["qwen3", "bucket", "modelcar"])
def test_containers_that_kserve_adds_run_without_root_and_under_the_usual_filter(
    made: dict[str, Body], name: str
) -> None:
    (pod,) = _pods(made, name)
    asked = pod["spec"]["securityContext"]
    assert asked["runAsNonRoot"]
    assert asked["seccompProfile"] == {"type": "RuntimeDefault"}
    added = [*pod["spec"]["initContainers"], *pod["spec"]["containers"]]
    assert len(added) > 1
    for each in added:
        # A modelcar's files are read through /proc, which takes one user and one group for both.
        assert each.get("securityContext", {}).get("runAsUser", asked["runAsUser"]) == asked["runAsUser"], each["name"]
