"""Who may reach whom: the NetworkPolicies of whole stacks, against the pods that there are on a cluster."""

from functools import cache
from typing import Any

import pytest

from cli.program.recorder import Recording
from tests.catalogue import recorded
from tests.program.graph import reaches
from tests.unit.components.network import Pod, allowed
from tests.variants import changed

MODEL = {"serving.kserve.io/inferenceservice": "simulator", "component": "predictor"}
PODS = {
    "gateway": Pod("llm", {"gateway.networking.k8s.io/gateway-name": "inference-gateway"}),
    "redirect": Pod("llm", {"gateway.networking.k8s.io/gateway-name": "inference-gateway-redirect"}),
    "simulator": Pod("llm", MODEL),
    "qwen3": Pod("llm", MODEL | {"serving.kserve.io/inferenceservice": "qwen3"}),
    "other in llm": Pod("llm", {"app": "curl"}),
    "limitador": Pod("kuadrant-system", {"app": "limitador", "limitador-resource": "limitador"}),
    "authorino": Pod("kuadrant-system", {"authorino-resource": "authorino", "control-plane": "controller-manager"}),
    "authorino's webhook": Pod("kuadrant-system", {"authorino-resource": "authorino-webhooks", "app": "authorino"}),
    "limitador's operator": Pod(
        "kuadrant-system", {"app": "limitador-operator", "control-plane": "controller-manager"}
    ),
    "kuadrant's operator": Pod("kuadrant-system", {"app": "kuadrant", "control-plane": "controller-manager"}),
    "keycloak": Pod("keycloak", {"app.kubernetes.io/name": "keycloak"}),
    "redis": Pod("kuadrant-system", {"app.kubernetes.io/name": "maas-redis"}),
    "other in kuadrant": Pod("kuadrant-system", {"app": "curl"}),
    "prometheus": Pod("monitoring", {"app.kubernetes.io/name": "prometheus"}),
    "user workload prometheus": Pod("openshift-user-workload-monitoring", {"app.kubernetes.io/name": "prometheus"}),
    "router": Pod("openshift-ingress", {"ingresscontroller.operator.openshift.io/deployment-ingresscontroller": "x"}),
    "dns": Pod("kube-system", {"k8s-app": "kube-dns"}),
    "openshift dns": Pod("openshift-dns", {"dns.operator.openshift.io/daemonset-dns": "default"}),
    "a team's pod": Pod("team-a", {"app": "curl", "app.kubernetes.io/name": "prometheus"}),
    # Whoever names labels freely cannot pass for the gateway from another namespace.
    "a false gateway": Pod("team-a", {"gateway.networking.k8s.io/gateway-name": "inference-gateway"}),
    "node's dns": Pod("", {}, "169.254.20.10"),
    "metadata service": Pod("", {}, "169.254.169.254"),
    "a node": Pod("", {}, "10.0.3.4"),
    "huggingface": Pod("", {}, "18.244.202.68"),
    "the API server": Pod("", {}, "172.18.0.2"),
    "the internet, v6": Pod("", {}, "2600:9000:2490:ba00::1"),
}
# Each target and port, and all who may: whoever is not named may not.
REACHES: dict[tuple[str, int], set[str]] = {
    ("simulator", 8080): {"gateway", "prometheus"},
    ("qwen3", 8080): {"gateway", "prometheus"},
    ("simulator", 22): set(),
    ("limitador", 8081): {"gateway"},
    ("limitador", 8080): {"prometheus"},
    ("authorino", 50051): {"gateway"},
    ("authorino", 5001): set(),
    ("authorino", 8080): {"prometheus"},
    ("redis", 6379): {"limitador"},
    ("keycloak", 8080): {"authorino"},
}
MODELS = {"simulator", "qwen3"}
CLOSED = {*MODELS, "redis", "keycloak"}
"""Pods that may open next to nothing themselves."""
EVERYBODY = PODS.keys() - CLOSED

Policies = list[dict[str, Any]]


def policies(recording: Recording) -> Policies:
    return [dict(each.body) for each in recording.objects if each.kind == "NetworkPolicy"]


@cache
def of(stack: str, **platform: object) -> tuple[dict[str, Any], ...]:
    limiter: dict[str, Any] = {"replicas": 2, "storage": "redis", "redis": {}}
    platform_ = {"profile": "openshift" if stack == "ocp" else "kubernetes", **platform}
    identity = {"keycloak": {"users": {"alice": {"tier": "free"}}}}
    return tuple(policies(changed(stack, {"limiter": limiter, "platform": platform_, "identity": identity})))


def who(found: tuple[dict[str, Any], ...], target: str, port: int, protocol: str = "TCP") -> set[str]:
    return {name for name, pod in PODS.items() if name != target and allowed(found, pod, PODS[target], port, protocol)}


@pytest.mark.parametrize(("target", "port"), REACHES, ids=str)
def test_a_service_is_reached_by_those_who_need_it_and_by_nobody_else(target: str, port: int) -> None:
    assert who(of("sandbox"), target, port) == REACHES[target, port]


@pytest.mark.parametrize(("target", "port"), REACHES, ids=str)
def test_on_openshift_its_own_monitoring_scrapes(target: str, port: int) -> None:
    expected = {"user workload prometheus" if name == "prometheus" else name for name in REACHES[target, port]}
    assert who(of("ocp"), target, port) == expected


def test_operators_webhooks_and_the_gateway_stay_open_to_all_who_could_reach_them() -> None:
    for target, port in (
        ("authorino's webhook", 9443),
        ("limitador's operator", 9443),
        ("kuadrant's operator", 8082),
        ("gateway", 443),
        ("other in llm", 80),
    ):
        assert who(of("sandbox"), target, port) == EVERYBODY - {target}, target


def test_models_may_ask_dns_on_both_ports_and_load_weights_and_nothing_else() -> None:
    found = of("sandbox")
    for model, weights in (("simulator", False), ("qwen3", True)):
        pod = PODS[model]
        for port, protocol in ((53, "UDP"), (53, "TCP"), (5353, "UDP"), (5353, "TCP")):
            reached = {name for name, other in PODS.items() if allowed(found, pod, other, port, protocol)}
            assert reached == {"dns", "node's dns"}, (model, port, protocol)
        reached = {name for name, other in PODS.items() if allowed(found, pod, other, 443)}
        assert reached == ({"huggingface", "the internet, v6"} if weights else set()), model
        assert not {name for name, other in PODS.items() if allowed(found, pod, other, 6443)}


def test_on_openshift_models_ask_its_own_dns() -> None:
    reached = {name for name, other in PODS.items() if allowed(of("ocp"), PODS["simulator"], other, 5353, "UDP")}
    assert reached == {"openshift dns", "node's dns"}


def test_pods_of_llm_inference_services_are_guarded_as_other_models_are() -> None:
    found = tuple(policies(recorded("llm-inference-service")))
    labels = {
        "app.kubernetes.io/name": "qwen3",
        "app.kubernetes.io/part-of": "llminferenceservice",
        "app.kubernetes.io/component": "llminferenceservice-workload",
        "kserve.io/component": "workload",
        "llm-d.ai/role": "both",
    }
    pod = Pod("llm", labels)
    for port, who_may in ((8000, {"gateway", "prometheus"}), (8080, set[str]()), (22, set[str]())):
        assert {name for name, other in PODS.items() if allowed(found, other, pod, port)} == who_may, port
    for port, reaches_ in ((443, {"huggingface", "the internet, v6"}), (53, {"dns", "node's dns"}), (80, set[str]())):
        assert {name for name, other in PODS.items() if allowed(found, pod, other, port)} == reaches_, port


def test_weights_can_come_from_a_mirror_alone_or_from_nowhere() -> None:
    mirror = of("sandbox", networkPolicies=Frozen({"downloads": [{"cidr": "10.0.3.0/24", "ports": [8443]}]}))
    assert allowed(mirror, PODS["qwen3"], PODS["a node"], 8443)
    assert not allowed(mirror, PODS["qwen3"], PODS["a node"], 443)
    assert not allowed(mirror, PODS["qwen3"], PODS["huggingface"], 443)
    inside = of("sandbox", networkPolicies=Frozen({"downloads": [{"namespace": "team-a", "ports": [9000]}]}))
    reached = {name for name, other in PODS.items() if allowed(inside, PODS["qwen3"], other, 9000)}
    assert reached == {"a team's pod", "a false gateway"}, "all pods of that namespace, and no address"
    assert not allowed(inside, PODS["simulator"], PODS["a team's pod"], 9000), "it has no weights to load"
    nowhere = of("sandbox", networkPolicies=Frozen({"downloads": []}))
    assert not allowed(nowhere, PODS["qwen3"], PODS["huggingface"], 443)


def test_another_namespace_can_be_the_one_that_scrapes_or_none() -> None:
    assert who(of("sandbox", networkPolicies=Frozen({"scrapers": ["team-a"]})), "simulator", 8080) == {
        "gateway",
        "a team's pod",
        "a false gateway",
    }
    assert who(of("sandbox", networkPolicies=Frozen({"scrapers": []})), "simulator", 8080) == {"gateway"}


def test_a_kuadrant_that_serves_its_filter_is_reached_by_the_gateway_and_by_the_api_server() -> None:
    found = of("sandbox", kuadrant=Frozen({"install": "helm", "version": "1.5.3"}))
    assert who(found, "kuadrant's operator", 8082) == {"gateway"}
    assert who(found, "kuadrant's operator", 50051) == {"gateway"}
    assert "the API server" in who(found, "kuadrant's operator", 9443), "it has no address that a policy could name"
    assert who(found, "authorino's webhook", 9443) == EVERYBODY - {"authorino's webhook"}


def test_without_policies_there_are_none() -> None:
    assert of("sandbox", networkPolicies=False) == ()


@pytest.mark.parametrize("stack", ["sandbox", "dev", "ocp"])
def test_a_stack_has_policies_unless_it_says_otherwise_and_they_stand_before_its_models(stack: str) -> None:
    recording = changed(stack, {})
    found = [each for each in recording.objects if each.kind == "NetworkPolicy"]
    assert {"maas-models", "maas-authorino", "maas-limitador"} <= {each.metadata_name for each in found}
    for each in recording.objects:
        if each.kind == "InferenceService":
            assert {policy.urn for policy in found} <= reaches(recording, each)


class Frozen(dict[str, Any]):
    """A mapping that a cache can hold."""

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(repr(self))
