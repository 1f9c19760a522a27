"""What Istio is told about the objects that it makes for a Gateway.

A ConfigMap that the Gateway names as its parameters (Istio 1.26 and newer). Each key is a strategic merge patch, in
YAML, for one object: `deployment`, `service`, `horizontalPodAutoscaler`, `podDisruptionBudget`. Any other key makes
Istio refuse the whole. The last two objects exist only where their key does.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from config.gateway import Expose, Gateway, GatewayResources, Replicas, TlsMode

_PROXY = "istio-proxy"
"""The one container of a gateway pod."""
SERVING_CERT = "service.beta.openshift.io/serving-cert-secret-name"
"""OpenShift's service CA puts a certificate for the annotated Service into the Secret of this name."""


def gateway_options(
    gateway: Gateway, exposure: Expose, *, https: bool, environment: Sequence[Mapping[str, Any]] = ()
) -> dict[str, str]:
    """Data of the ConfigMap; empty when Istio's defaults will do.

    Args:
        gateway: the stack's settings.
        exposure: what holds on this platform.
        https: whether this gateway's listener is the one with TLS.
        environment: variables of the proxy, as a container has them.
    """
    patches = {
        "deployment": _deployment(gateway.resources, gateway.replicas, environment),
        "horizontalPodAutoscaler": _autoscaler(gateway.replicas),
        "podDisruptionBudget": _disruption_budget(gateway.replicas),
        "service": _service(gateway, exposure, https=https),
    }
    return {key: yaml.safe_dump(patch, sort_keys=True) for key, patch in patches.items() if patch}


def _deployment(
    resources: GatewayResources | None, replicas: Replicas | None, environment: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    spec: dict[str, Any] = {}
    proxy: dict[str, Any] = {}
    if replicas is not None and not replicas.scaled:
        spec["replicas"] = replicas.min
    if resources is not None:
        amounts = {
            "requests": {"cpu": resources.cpu, "memory": resources.memory},
            "limits": {"cpu": resources.cpu_limit, "memory": resources.memory},
        }
        proxy["resources"] = amounts
    if environment:
        proxy["env"] = [dict(each) for each in environment]
    if proxy:
        spec["template"] = {"spec": {"containers": [{"name": _PROXY, **proxy}]}}
    return {"spec": spec} if spec else {}


def _autoscaler(replicas: Replicas | None) -> dict[str, Any]:
    if replicas is None or not replicas.scaled:
        return {}
    target = {"type": "Utilization", "averageUtilization": replicas.cpu}
    return {
        "spec": {
            "minReplicas": replicas.min,
            "maxReplicas": replicas.max,
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
        }
    }


def _disruption_budget(replicas: Replicas | None) -> dict[str, Any]:
    # For a single pod a budget would only keep nodes from being drained.
    return {"spec": {"maxUnavailable": 1}} if replicas is not None and replicas.min > 1 else {}


def _service(gateway: Gateway, exposure: Expose, *, https: bool) -> dict[str, Any]:
    annotations = dict(gateway.service.annotations)
    if https and gateway.tls.mode is TlsMode.SERVICE_CA:
        annotations[SERVING_CERT] = gateway.certificate_secret
    spec: dict[str, Any] = {}
    if gateway.service.external_traffic_policy is not None:
        spec["externalTrafficPolicy"] = gateway.service.external_traffic_policy
    if gateway.service.load_balancer_source_ranges:
        spec["loadBalancerSourceRanges"] = list(gateway.service.load_balancer_source_ranges)
    node_port = gateway.node_ports.of(https=https)
    if exposure is Expose.NODE_PORT and node_port is not None:
        # Ports of a Service are merged by `port`.
        spec["ports"] = [{"port": 443 if https else 80, "nodePort": node_port}]
    return {**({"metadata": {"annotations": annotations}} if annotations else {}), **({"spec": spec} if spec else {})}
