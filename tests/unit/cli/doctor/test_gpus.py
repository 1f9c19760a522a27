"""What the doctor says of a cluster whose GPUs are not offered: the part that is missing, and nothing that follows."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from cli.doctor.case import CLUSTER_POLICY, DEVICE_CONFIG, Case, listings
from cli.doctor.checks.gpus import gpus
from cli.doctor.checks.models import models
from cli.doctor.findings import Finding, Level
from cli.doctor.snapshot import Kind, Snapshot
from config.settings import Settings
from sandbox.contents import nodes
from tests.unit.cli.doctor.healthy import GENERATION, false, true
from tests.unit.config.bad import GOOD

Manifest = dict[str, Any]
WANTED: dict[str, Manifest] = {
    "nvidia": {"source": "hf://Qwen/Qwen3-0.6B", "profile": "small-gpu"},
    "slices": {"source": "hf://Qwen/Qwen3-0.6B", "profile": "mig", "gpu": {"resource": "nvidia.com/mig-3g.40gb"}},
    "amd": {"source": "hf://Qwen/Qwen3-0.6B", "profile": "amd-gpu"},
}
FEATURE = "feature.node.kubernetes.io/"


class Hardware:
    """The sandbox's nodes with both operators on them, and a stack with one model."""

    def __init__(self, model: str, profile: str = "kubernetes") -> None:
        values = GOOD | {"models": {model: WANTED[model]}, "platform": {"profile": profile}}
        self.settings = Settings.load("test", values)
        self.nodes: list[Manifest] = copy.deepcopy(list(nodes()))
        for each in self.nodes:
            each["status"]["conditions"] = true("Ready")
            each["metadata"]["generation"] = GENERATION
        policy = {"metadata": {"name": "cluster-policy"}, "status": {"state": "ready"}}
        plugin = {"availableNumber": 1, "desiredNumber": 1}
        config = {
            "metadata": {"name": "amd", "namespace": "kube-amd-gpu"},
            "status": {"driver": plugin, "devicePlugin": plugin},
        }
        self.objects: dict[Kind, list[Manifest]] = {
            CLUSTER_POLICY: [{"kind": "ClusterPolicy", **copy.deepcopy(policy)}],
            DEVICE_CONFIG: [{"kind": "DeviceConfig", **copy.deepcopy(config)}],
        }
        self.not_served: dict[Kind, tuple[str, ...]] = {}

    def policy(self) -> Manifest:
        return self.objects[CLUSTER_POLICY][0]

    def amd(self) -> Manifest:
        return self.objects[DEVICE_CONFIG][0]

    def without_operators(self, *, served: bool) -> None:
        if served:
            self.objects = {CLUSTER_POLICY: [], DEVICE_CONFIG: []}
        else:
            self.objects, self.not_served = {}, {CLUSTER_POLICY: (), DEVICE_CONFIG: ()}

    def offer_nothing(self, name: str = "") -> None:
        for each in self.nodes:
            if each["metadata"]["name"].startswith(name or "gpu"):
                kept = {key: value for key, value in each["status"]["allocatable"].items() if "/" not in key}
                each["status"]["allocatable"] = kept

    def unlabel(self, *beginnings: str) -> None:
        for each in self.nodes:
            labels = each["metadata"]["labels"]
            each["metadata"]["labels"] = {key: labels[key] for key in labels if not key.startswith(beginnings)}

    def label(self, **labels: str) -> None:
        for each in self.nodes:
            if "nvidia.com/mig.capable" in each["metadata"]["labels"]:
                each["metadata"]["labels"] |= {f"nvidia.com/mig.{key}": value for key, value in labels.items()}

    def case(self) -> Case:
        found = {("v1", "Node"): tuple(self.nodes)} | {kind: tuple(each) for kind, each in self.objects.items()}
        return Case("test", self.settings, (), Snapshot("v1.33.2", found, self.not_served))

    def bad(self) -> list[Finding]:
        said = [*gpus(self.case()), *models(self.case())]
        return [each for each in said if each.level in (Level.PROBLEM, Level.WARNING)]


def _never_looked(it: Hardware) -> None:
    it.unlabel(FEATURE, "nvidia.com", "amd.com")
    it.offer_nothing()


def _no_card(it: Hardware) -> None:
    _never_looked(it)
    for each in it.nodes:
        each["metadata"]["labels"][f"{FEATURE}cpu-cpuid.AVX512F"] = "true"


def _no_operator(it: Hardware) -> None:
    it.offer_nothing()
    it.without_operators(served=False)


def _no_cluster_policy(it: Hardware) -> None:
    it.offer_nothing()
    it.without_operators(served=True)


def _not_ready(it: Hardware) -> None:
    it.offer_nothing()
    bad = false("Ready", "OperandNotReady", "nvidia-driver-daemonset")
    it.policy()["status"] = {"state": "notReady", "conditions": [bad]}


def _not_ready_meanwhile(it: Hardware) -> None:
    it.policy()["status"]["state"] = "notReady"


def _second_policy(it: Hardware) -> None:
    second = {"kind": "ClusterPolicy", "metadata": {"name": "second"}, "status": {"state": "ignored"}}
    it.objects[CLUSTER_POLICY].append(second)


def _amd_driver(it: Hardware) -> None:
    it.offer_nothing()
    it.amd()["status"]["driver"] = {"availableNumber": 0, "desiredNumber": 1}


def _uncut(it: Hardware) -> None:
    it.offer_nothing("gpu-mig")
    it.unlabel("nvidia.com/mig.strategy")


def _single(it: Hardware) -> None:
    it.offer_nothing("gpu-mig")
    it.label(strategy="single")


def _being_cut(it: Hardware) -> None:
    it.offer_nothing("gpu-mig")
    it.label(**{"config.state": "pending"})


def _not_to_be_cut(it: Hardware) -> None:
    it.offer_nothing("gpu-mig")
    it.unlabel("nvidia.com/mig")


def _other_sizes(it: Hardware) -> None:
    for each in it.nodes:
        each["status"]["allocatable"].pop("nvidia.com/mig-3g.40gb", None)


def _capacity(it: Hardware) -> None:
    it.offer_nothing()


def _one_node(it: Hardware) -> None:
    it.offer_nothing("gpu-1")


BREAKAGES: dict[str, tuple[str, Callable[[Hardware], None], str, str]] = {
    "nothing looked for cards": ("nvidia", _never_looked, "NodeFeatureDiscovery", "nothing has looked for cards"),
    "there is no card": ("nvidia", _no_card, "NodeFeatureDiscovery", "no card of it (PCI 10de)"),
    "no GPU operator": ("nvidia", _no_operator, "ClusterPolicy", "there is no ClusterPolicy"),
    "no ClusterPolicy": ("nvidia", _no_cluster_policy, "ClusterPolicy", "neither driver nor device plugin"),
    "a ClusterPolicy that is not ready": ("nvidia", _not_ready, "ClusterPolicy cluster-policy", "nvidia-driver"),
    "not ready, and nodes offer": ("nvidia", _not_ready_meanwhile, "ClusterPolicy cluster-policy", "state notReady"),
    "two ClusterPolicies": ("nvidia", _second_policy, "ClusterPolicy second", "there is another"),
    "no capacity": ("nvidia", _capacity, "ClusterPolicy cluster-policy", "no driver or device plugin has found"),
    "no capacity on one node": ("nvidia", _one_node, "Node gpu-1", "offers none of it"),
    "AMD: nothing looked for cards": ("amd", _never_looked, "NodeFeatureDiscovery", "GPU of AMD"),
    "AMD: there is no card": ("amd", _no_card, "NodeFeatureDiscovery", "no card of it (PCI 1002)"),
    "AMD: no GPU operator": ("amd", _no_operator, "DeviceConfig", "there is no DeviceConfig"),
    "AMD: no driver": ("amd", _amd_driver, "DeviceConfig kube-amd-gpu/amd", "the driver runs on 0 of 1 nodes"),
    "AMD: no capacity": ("amd", _capacity, "DeviceConfig kube-amd-gpu/amd", "no driver or device plugin has found"),
    "slices: no strategy": ("slices", _uncut, "ClusterPolicy cluster-policy", "no label nvidia.com/mig.strategy"),
    "slices: the other strategy": ("slices", _single, "ClusterPolicy cluster-policy", "are called nvidia.com/gpu"),
    "slices: being cut": ("slices", _being_cut, "ClusterPolicy cluster-policy", "cutting the cards is pending"),
    "slices: no card for it": ("slices", _not_to_be_cut, "ClusterPolicy cluster-policy", "no card of the cluster can"),
    "slices: other sizes": ("slices", _other_sizes, "ClusterPolicy cluster-policy", "nvidia.com/mig-1g.10gb"),
}


@pytest.mark.parametrize(("model", "breaks", "object_", "says"), BREAKAGES.values(), ids=BREAKAGES)
def test_the_part_that_is_missing_is_named_and_not_the_models_that_wait_for_it(
    model: str, breaks: Callable[[Hardware], None], object_: str, says: str
) -> None:
    it = Hardware(model)
    assert it.bad() == [], "well before"
    breaks(it)
    named = [each for each in it.bad() if each.object.startswith(object_)]
    assert len(named) == 1, it.bad()
    assert says in named[0].message
    assert named[0].fix, "a finding without a way out is half a finding"
    assert not [each for each in it.bad() if each.check == "models"], it.bad()
    if named[0].level is Level.PROBLEM:
        (waits,) = models(it.case())
        assert (waits.level, waits.message.startswith(f"waits for {named[0].object}: ")) == (Level.WAITS, True)


@pytest.mark.parametrize("model", WANTED)
def test_where_nodes_offer_gpus_by_other_means_nothing_is_missed(model: str) -> None:
    it = Hardware(model)
    it.unlabel(FEATURE + "pci")
    it.without_operators(served=False)
    assert it.bad() == []
    assert [each.level for each in gpus(it.case())] == [Level.OK]


def test_on_openshift_the_fix_is_in_operatorhub() -> None:
    it = Hardware("nvidia", profile="openshift")
    _no_operator(it)
    assert "OperatorHub: NVIDIA GPU Operator" in it.bad()[0].fix


def test_a_stack_without_gpus_has_nobody_look_for_them() -> None:
    settings = Settings.load("test", GOOD | {"models": {"simulator": {"profile": "simulator"}}})
    kinds = {(each.api_version, each.kind) for each in listings(settings, ())}
    assert not kinds & {CLUSTER_POLICY, DEVICE_CONFIG}
    asked = {(each.api_version, each.kind) for each in listings(Hardware("amd").settings, ())}
    assert asked & {CLUSTER_POLICY, DEVICE_CONFIG} == {DEVICE_CONFIG}
    it = Hardware("nvidia")
    _never_looked(it)
    it.settings = settings
    assert list(gpus(it.case())) == []
