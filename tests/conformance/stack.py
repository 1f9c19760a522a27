"""A stack on the real operators, and what is on the cluster once it is up."""

import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import yaml

from cli.paths import ROOT
from sandbox.instance import LOOPBACK
from sandbox.kube import Kube, NoMatchError
from sandbox.real.catalogue import Program
from sandbox.real.report import KINDS
from sandbox.real.supervisor import State, states
from tests.tree import Tree, in_cluster

Object = dict[str, Any]

GATEWAY = "llm/inference-gateway"
PATIENCE = 60.0
"""Seconds within which what an operator does is seen."""
POLICIES = ("AuthPolicy", "RateLimitPolicy", "TokenRateLimitPolicy", "TelemetryPolicy")
SEEN: tuple[tuple[str, str], ...] = (
    *KINDS,
    ("v1", "Secret"),
    ("v1", "ConfigMap"),
    ("v1", "Service"),
    ("apps/v1", "Deployment"),
    ("autoscaling/v2", "HorizontalPodAutoscaler"),
    ("extensions.istio.io/v1alpha1", "WasmPlugin"),
    ("networking.istio.io/v1alpha3", "EnvoyFilter"),
)


@dataclass(frozen=True)
class Cluster:
    """What is on the cluster once the stack is up."""

    objects: list[Object]
    authorino: str
    """Address of the authorisation server."""

    def of(self, kind: str) -> list[Object]:
        return [each for each in self.objects if each["kind"] == kind]

    def one(self, kind: str) -> Object:
        (found,) = self.of(kind)
        return found

    def named(self, kind: str, name: str, namespace: str = "llm") -> Object:
        (found,) = (
            each
            for each in self.of(kind)
            if (each["metadata"]["name"], each["metadata"]["namespace"]) == (name, namespace)
        )
        return found


def write(tree: Tree, settings: Mapping[str, object]) -> None:
    """Give the sandbox's stack other settings than it has in the repository."""
    content = yaml.safe_load((ROOT / tree.settings.name).read_text())
    content["config"] |= settings
    tree.settings.write_text(yaml.safe_dump(content))


def deploy(tree: Tree, settings: Mapping[str, object]) -> dict[str, Any]:
    """Bring the stack up as the settings say."""
    write(tree, settings)
    return tree.json("up")


def look(tree: Tree) -> Cluster:
    async def everything(kube: Kube) -> list[Object]:
        return [each for kind in SEEN for each in await _listed(kube, kind)]

    return Cluster(in_cluster(tree, everything), f"{LOOPBACK}:{state(tree, 'authorino').ports['service']}")


async def _listed(kube: Kube, kind: tuple[str, str]) -> list[Object]:
    """All of a kind; none of one that this cluster does not know (yet)."""
    try:
        return await kube.list(*kind)
    except NoMatchError:
        return []


def state(tree: Tree, program: str) -> State:
    """How a program is now."""
    return next(each for each in states(tree.sandbox) if each.program == program)


def await_ready(tree: Tree, programs: Iterable[Program]) -> None:
    """Wait until programs answer that they are ready."""
    _await(tree, programs, lambda each: each.ready)


def await_stopped(tree: Tree, programs: Iterable[Program]) -> None:
    """Wait until programs run no more."""
    _await(tree, programs, lambda each: each.pid is None)


def _await(tree: Tree, programs: Iterable[Program], holds: Callable[[State], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not all(holds(state(tree, each.name)) for each in programs):
        assert time.monotonic() < deadline, states(tree.sandbox)
        time.sleep(0.2)


def scale(tree: Tree, programs: Iterable[Program], replicas: int) -> None:
    """Have programs end, or begin again, as an administrator would."""

    async def work(kube: Kube) -> None:
        for each in programs:
            patch = {"spec": {"replicas": replicas}}
            await kube.patch("apps/v1", "Deployment", each.deployment, patch, each.namespace, field_manager="test")

    in_cluster(tree, work)


def conditions(obj: Object) -> dict[str, str]:
    """Status of every condition, by its type."""
    return {each["type"]: each["status"] for each in obj["status"]["conditions"]}


def enforced(tree: Tree, kinds: Iterable[str] = POLICIES, told: str = "") -> Cluster:
    """What is on the cluster once Kuadrant enforces the policies of these kinds, as it does in the end."""
    deadline = time.monotonic() + PATIENCE
    while True:
        cluster = look(tree)
        status = {kind: conditions(cluster.one(kind)).get("Enforced") for kind in kinds}
        if set(status.values()) == {"True"}:
            return cluster
        assert time.monotonic() < deadline, f"{status}\n{told}"
        time.sleep(1)


def parents(route: Object) -> Iterator[dict[str, str]]:
    """The conditions of a route for each of its parents, without those of Kuadrant's own controller."""
    for parent in route["status"]["parents"]:
        if parent["controllerName"].startswith("istio.io/"):
            yield {each["type"]: each["status"] for each in parent["conditions"]}


def new_tree(folder: Path) -> Tree:
    shutil.rmtree(folder, ignore_errors=True)
    return Tree(folder)


LEFT_OVER: tuple[tuple[str, str], ...] = (
    *KINDS,
    ("extensions.istio.io/v1alpha1", "WasmPlugin"),
    ("networking.istio.io/v1alpha3", "EnvoyFilter"),
    ("serving.kserve.io/v1alpha1", "ServingRuntime"),
)
"""What the program makes, and what operators make of that."""


def left_over(tree: Tree) -> list[str]:
    """What is still there of the stack, and of what operators made of it."""

    async def work(kube: Kube) -> list[str]:
        found = [
            f"{kind} {each['metadata']['name']}"
            for api_version, kind in LEFT_OVER
            for each in await kube.list(api_version, kind)
            if kind != "GatewayClass" and each["metadata"].get("namespace") != "kserve"
        ]
        if await kube.get("v1", "Namespace", "llm") is not None:
            found.append("Namespace llm")
        return found

    return cast("list[str]", in_cluster(tree, work))
