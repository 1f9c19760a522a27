"""The catalogue on a cluster: its objects are taken as they are, its pods go to the nodes that were asked for."""

import asyncio
import copy
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.doctor.case import Case, listings
from cli.doctor.checks.models import models as doctor_of_models
from cli.doctor.findings import Level
from cli.doctor.snapshot import fetch
from cli.program.recorder import Object, record, stack_config
from config.settings import SECRET_KEYS, Settings
from config.source import parsed
from sandbox.kube import ApiError, Kube
from tests.catalogue import ENTRIES, STACK, objects_of
from tests.merging import pod_template
from tests.namespaces import namespaces_present

pytestmark = pytest.mark.sandbox

MANAGER = "catalogue-check"
NAMESPACE = "llm"
PATIENCE = 60.0
"""Seconds within which the scheduler has looked at a pod."""
Body = dict[str, Any]
ACCOUNT = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "models", "namespace": NAMESPACE}}


@pytest.fixture(scope="module")
def namespace(kubeconfig: Path) -> Iterator[None]:
    with namespaces_present(kubeconfig, [NAMESPACE, "kuadrant-system"]):
        yield


@pytest.mark.usefixtures("namespace")
@pytest.mark.parametrize("name", ENTRIES)
def test_every_object_of_an_entry_passes_strict_validation(name: str, kubeconfig: Path) -> None:
    async def refusals() -> dict[str, str]:
        found: dict[str, str] = {}
        async with Kube.connect(kubeconfig) as kube:
            for each in objects_of(name).values():
                body = copy.deepcopy(dict(each.body))
                try:
                    await kube.apply(body, field_manager=MANAGER, force=True, dry_run=True, strict=True)
                except ApiError as error:
                    found[f"{each.kind} {each.metadata_name}"] = str(error)
        return found

    assert asyncio.run(refusals()) == {}


def deployment(name: str, template: Body) -> Body:
    """What KServe makes of a model, by another name, so that no sandbox's stage sees to it."""
    labels = {"app": name, **template["metadata"]["labels"]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {"app": name}},
            "template": {**template, "metadata": {"labels": labels}},
        },
    }


async def scheduled(kube: Kube, names: list[str]) -> dict[str, Body]:
    """The pod of each Deployment, once the scheduler has placed it, or has said why it cannot."""
    deadline = time.monotonic() + PATIENCE
    while True:
        pods = {str(each["metadata"]["labels"].get("app")): each for each in await kube.list("v1", "Pod", NAMESPACE)}
        seen = {name: pods[name] for name in names if name in pods and _looked_at(pods[name])}
        if len(seen) == len(names):
            return seen
        assert time.monotonic() < deadline, f"not scheduled: {sorted(set(names) - seen.keys())}"
        await asyncio.sleep(0.5)


def _looked_at(pod: Body) -> bool:
    conditions = pod.get("status", {}).get("conditions", [])
    return bool(pod["spec"].get("nodeName")) or any(each["type"] == "PodScheduled" for each in conditions)


@pytest.fixture(scope="module")
def placed(kubeconfig: Path, namespace: None) -> Iterator[dict[str, Body]]:
    """A pod of every entry with pods, scheduled."""
    del namespace
    bodies = {name: deployment(f"place-{name}", pod_template(name)) for name in ENTRIES if ENTRIES[name].nodes}

    async def place() -> dict[str, Body]:
        async with Kube.connect(kubeconfig) as kube:
            await kube.apply(ACCOUNT, field_manager=MANAGER)
            for body in bodies.values():
                await kube.apply(body, field_manager=MANAGER, strict=True)
            found = await scheduled(kube, [str(body["metadata"]["name"]) for body in bodies.values()])
            return {name.removeprefix("place-"): pod for name, pod in found.items()}

    async def remove() -> None:
        async with Kube.connect(kubeconfig) as kube:
            for body in bodies.values():
                await kube.delete("apps/v1", "Deployment", str(body["metadata"]["name"]), NAMESPACE)

    try:
        yield asyncio.run(place())
    finally:
        asyncio.run(remove())


@pytest.mark.parametrize("name", [name for name, entry in ENTRIES.items() if entry.nodes])
def test_a_pod_of_an_entry_lands_on_the_kind_of_node_that_was_asked_for(name: str, placed: dict[str, Body]) -> None:
    node = str(placed[name]["spec"].get("nodeName"))
    assert node.startswith(ENTRIES[name].nodes), f"{node}: {placed[name].get('status')}"


@pytest.mark.parametrize(
    ("name", "gpu", "said"),
    [
        ("lost", {"product": "NVIDIA-B200"}, "no node has the label"),
        (
            "untolerated",
            {"tolerations": []},
            "tainted with what the model does not tolerate, nvidia.com/gpu:NoSchedule",
        ),
        ("too-large", {"count": 16}, "16 x nvidia.com/gpu wanted, but a node has 8 at most"),
        ("too-small", {"memory": "141G"}, "GPUs of 141G wanted"),
    ],
)
@pytest.mark.usefixtures("namespace")
def test_a_pod_that_finds_no_node_is_explained_by_the_doctor_in_plain_words(
    name: str, gpu: Body, said: str, kubeconfig: Path
) -> None:
    settings, wanted = stack_with(name, {"source": "hf://Qwen/Qwen3-0.6B", "profile": "small-gpu", "gpu": gpu})
    service = next(each for each in wanted if each.kind == "InferenceService")

    async def pending() -> tuple[Body, Case]:
        """The sandbox's KServe makes the pod."""
        async with Kube.connect(kubeconfig) as kube:
            await kube.apply(ACCOUNT, field_manager=MANAGER)
            await kube.apply(copy.deepcopy(dict(service.body)), field_manager=MANAGER)
            pod = (await scheduled(kube, [f"isvc.{name}-predictor"]))[f"isvc.{name}-predictor"]
            return pod, Case(STACK, settings, wanted, await fetch(kube, listings(settings, wanted)))

    async def remove() -> None:
        async with Kube.connect(kubeconfig) as kube:
            await kube.delete("serving.kserve.io/v1beta1", "InferenceService", name, NAMESPACE)

    try:
        pod, case = asyncio.run(pending())
    finally:
        asyncio.run(remove())
    assert not pod["spec"].get("nodeName")
    condition = next(each for each in pod["status"]["conditions"] if each["type"] == "PodScheduled")
    assert condition["reason"] == "Unschedulable"
    findings = [each for each in doctor_of_models(case) if each.level is Level.PROBLEM]
    assert [each.object for each in findings] == [f"InferenceService {NAMESPACE}/{name}"]
    assert f"finds no node: {said}" in findings[0].message
    assert condition["message"] in findings[0].message, "the scheduler's own words"
    assert f"maas:models.{name}.gpu" in str(findings[0].fix)


def stack_with(name: str, model: Body) -> tuple[Settings, tuple[Object, ...]]:
    """The sandbox's stack with that model alone, and no word on its nodes: those would have it refused."""
    config, secrets = stack_config(STACK)
    config |= {"maas:models": json.dumps({name: model}), "maas:nodes": "{}"}
    return Settings.load(STACK, parsed(config), SECRET_KEYS), record(STACK, config, secrets).objects
