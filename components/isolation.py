"""The isolation layer: NetworkPolicies, so that the only way to a model is through the gateway.

Each selects the pods of one service, so that what others run in these namespaces, and the operators' webhooks, are left
as they are. What the kubelet and the node itself do is allowed whatever the policies say (probes, port-forward).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi

from components.kuadrant import AUTHORINO_PODS, LIMITADOR_PODS
from components.layer import Layer, Site
from components.models.llm_inference_service import PODS as LLM_PODS
from components.models.llm_inference_service import PORT as LLM_PORT
from components.models.runtimes.container import PORT as MODEL_PORT
from components.objects import NetworkPolicy
from components.redis import PODS as REDIS_PODS
from components.redis import REDIS_PORT
from config.isolation import INTERNET, Destination
from config.platform import Profile
from config.settings import Settings
from config.versions import KUADRANT_VERSION

Spec = dict[str, Any]

GATEWAY_LABEL = "gateway.networking.k8s.io/gateway-name"
MODEL_LABEL = "serving.kserve.io/inferenceservice"
_KUADRANT_OPERATOR = {"app": "kuadrant", "control-plane": "controller-manager"}
_NAMESPACE_NAME = "kubernetes.io/metadata.name"

LIMITADOR_HTTP, LIMITADOR_GRPC = 8080, 8081
AUTHORINO_GRPC, AUTHORINO_METRICS = 50051, 8080
_OPERATOR_GATEWAY = (8082, 50051)
"""From Kuadrant 1.5 on the gateway fetches its filter from the operator (8082), and asks its extensions (50051)."""
_OPERATOR_METRICS, _WEBHOOK = 8080, 9443
_DNS = (53, 5353)
"""CoreDNS listens on 53, OpenShift's DNS on 5353: policies are looked at after a Service's port was translated."""
_DNS_NAMESPACES = {Profile.KUBERNETES: "kube-system", Profile.OPENSHIFT: "openshift-dns"}
_NODE_DNS = "169.254.20.10/32"
"""NodeLocal DNSCache, which is no pod with an address of its own."""
_SCRAPERS = {
    Profile.KUBERNETES: ("monitoring",),
    Profile.OPENSHIFT: ("openshift-user-workload-monitoring", "openshift-monitoring"),
}


def scrapers(settings: Settings) -> tuple[str, ...]:
    """Namespaces of what scrapes metrics."""
    chosen = settings.platform.network_policies.scrapers
    return _SCRAPERS[settings.platform.profile] if chosen is None else chosen


def models_policy(settings: Settings) -> Spec:
    """Models are called by the gateway and scraped; they ask DNS, and nothing else."""
    return {
        "podSelector": {"matchExpressions": [{"key": MODEL_LABEL, "operator": "Exists"}]},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [
            _from([_gateway(settings, own_namespace=True)], MODEL_PORT),
            *_scraped(settings, MODEL_PORT),
        ],
        "egress": [_dns(settings)],
    }


def llm_models_policy(settings: Settings) -> Spec:
    """The same for pods of LLMInferenceServices, which have other labels and another port, and all load weights."""
    chosen = settings.platform.network_policies.downloads
    return {
        "podSelector": {"matchLabels": LLM_PODS},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [_from([_gateway(settings, own_namespace=True)], LLM_PORT), *_scraped(settings, LLM_PORT)],
        "egress": [_dns(settings), *(_download(each) for each in (INTERNET if chosen is None else chosen))],
    }


def downloads_policy(settings: Settings) -> Spec:
    """Pods of models that have a source may fetch their weights."""
    loading = sorted(name for name, model in settings.models.items() if model.source is not None and not model.external)
    chosen = settings.platform.network_policies.downloads
    destinations = INTERNET if chosen is None else chosen
    # A list must not be empty: no model has the empty name.
    selected = {"key": MODEL_LABEL, "operator": "In", "values": loading or [""]}
    return {
        "podSelector": {"matchExpressions": [selected]},
        "policyTypes": ["Egress"],
        "egress": [_download(each) for each in destinations],
    }


def authorino_policy(settings: Settings) -> Spec:
    """Authorino is asked by the gateway and scraped. It calls the API server and identity providers."""
    return _ingress(
        AUTHORINO_PODS, [_from([_gateway(settings)], AUTHORINO_GRPC), *_scraped(settings, AUTHORINO_METRICS)]
    )


def limitador_policy(settings: Settings) -> Spec:
    """Limitador is asked by the gateway and scraped. On its HTTP port counters can be read, so nobody else may."""
    return _ingress(LIMITADOR_PODS, [_from([_gateway(settings)], LIMITADOR_GRPC), *_scraped(settings, LIMITADOR_HTTP)])


def redis_policy() -> Spec:
    """Redis is asked by Limitador alone, and itself asks nobody."""
    return {
        **_ingress(REDIS_PODS, [_from([{"podSelector": {"matchLabels": dict(LIMITADOR_PODS)}}], REDIS_PORT)]),
        "policyTypes": ["Ingress", "Egress"],
        "egress": [],
    }


def keycloak_policy(settings: Settings, pods: Mapping[str, str], port: int) -> Spec:
    """Keycloak is asked by Authorino for its keys, and itself asks nobody. People reach it by port-forward."""
    authorino = _in(settings.platform.kuadrant.namespace) | {"podSelector": {"matchLabels": dict(AUTHORINO_PODS)}}
    return {**_ingress(pods, [_from([authorino], port)]), "policyTypes": ["Ingress", "Egress"], "egress": []}


def operator_policy(settings: Settings) -> Spec | None:
    """Kuadrant's operator serves the gateway its filter from 1.5 on, and denies it by a policy of its own (1.5.3).

    Whoever selects a pod closes it for all else, so what it serves to others is said too: webhooks to the API server,
    whose address nobody knows, and metrics.
    """
    if not _serves_filter(settings.platform.kuadrant.version or KUADRANT_VERSION):
        return None
    rules = [
        _from([_gateway(settings)], *_OPERATOR_GATEWAY),
        *_scraped(settings, _OPERATOR_METRICS),
        {"ports": _ports([_WEBHOOK])},
    ]
    return _ingress(_KUADRANT_OPERATOR, rules)


def _serves_filter(version: str) -> bool:
    numbers = version.removeprefix("v").split(".")
    return [int(each) for each in numbers[:2] if each.isdigit()] >= [1, 5]


def _ingress(pods: Mapping[str, str], rules: Sequence[Spec]) -> Spec:
    return {"podSelector": {"matchLabels": dict(pods)}, "policyTypes": ["Ingress"], "ingress": list(rules)}


def _gateway(settings: Settings, *, own_namespace: bool = False) -> Spec:
    """The pods of the gateway, which the mesh makes in the Gateway's namespace."""
    pods: Spec = {"podSelector": {"matchLabels": {GATEWAY_LABEL: settings.gateway.name}}}
    return pods if own_namespace else _in(settings.platform.namespace) | pods


def _in(*namespaces: str) -> Spec:
    if len(namespaces) == 1:
        return {"namespaceSelector": {"matchLabels": {_NAMESPACE_NAME: namespaces[0]}}}
    named = {"key": _NAMESPACE_NAME, "operator": "In", "values": sorted(namespaces)}
    return {"namespaceSelector": {"matchExpressions": [named]}}


def _scraped(settings: Settings, *ports: int) -> list[Spec]:
    namespaces = scrapers(settings)
    return [_from([_in(*namespaces)], *ports)] if namespaces else []


def _from(peers: Sequence[Spec], *ports: int) -> Spec:
    return {"from": list(peers), "ports": _ports(ports)}


def _ports(ports: Sequence[int], protocols: Sequence[str] = ("TCP",)) -> list[Spec]:
    return [{"port": port, "protocol": protocol} for port in ports for protocol in protocols]


def _dns(settings: Settings) -> Spec:
    peers = [_in(_DNS_NAMESPACES[settings.platform.profile]), {"ipBlock": {"cidr": _NODE_DNS}}]
    return {"to": peers, "ports": _ports(_DNS, ("UDP", "TCP"))}


def _download(destination: Destination) -> Spec:
    if destination.namespace is not None:
        return {"to": [_in(destination.namespace)], "ports": _ports(destination.ports)}
    block: Spec = {"cidr": destination.cidr}
    if destination.exclude:
        block["except"] = list(destination.exclude)
    return {"to": [{"ipBlock": block}], "ports": _ports(destination.ports)}


class Isolation(Layer):
    """The NetworkPolicies of the models' namespace and of Kuadrant's."""

    def __init__(self, site: Site, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("isolation", site, opts)
        settings, kuadrant = site.settings, site.settings.platform.kuadrant.namespace
        if settings.platform.network_policies.enabled:
            self._policy("maas-models", self.namespace, models_policy(settings))
            self._policy("maas-models-downloads", self.namespace, downloads_policy(settings))
            if settings.has_llm_inference_services:
                self._policy("maas-llm-models", self.namespace, llm_models_policy(settings))
            self._policy("maas-authorino", kuadrant, authorino_policy(settings))
            self._policy("maas-limitador", kuadrant, limitador_policy(settings))
            if settings.limiter.redis:
                self._policy("maas-redis", kuadrant, redis_policy())
            self._policy("maas-kuadrant-operator", kuadrant, operator_policy(settings))
        self.register_outputs({})

    def _policy(self, name: str, namespace: str, spec: Spec | None) -> None:
        if spec is not None:
            NetworkPolicy(
                name,
                metadata=self.metadata(name, namespace),
                spec=spec,
                opts=self.options(),
            )
