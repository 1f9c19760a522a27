"""What a cluster with preinstalled operators has, as objects: namespaces, the operators' Deployments, their settings.

The Deployments run a pause image: kwok's stages do the operators' work. Names are those of real installations, since
programs look for them. What only KServe's or Kuadrant's own controllers create (Limitador, Authorino) comes from
stages/kuadrant.yaml.
"""

import json
from collections.abc import Collection
from typing import Any

Object = dict[str, Any]

OWNED = {"maas.sandbox/owned": "true"}
"""The label of everything that the sandbox itself puts into a cluster."""
PAUSE_IMAGE = "registry.k8s.io/pause:3.10"

_DEPLOYMENTS: dict[str, tuple[str, ...]] = {
    "istio-system": ("istiod",),
    "cert-manager": ("cert-manager", "cert-manager-cainjector", "cert-manager-webhook"),
    "kserve": ("kserve-controller-manager",),
    "kuadrant-system": (
        "kuadrant-operator-controller-manager",
        "authorino-operator",
        "limitador-operator-controller-manager",
    ),
    "monitoring": ("prometheus-operator", "grafana-operator-controller-manager"),
}
"""Deployments by namespace. No namespace asks for sidecars: an operator behind one cannot reach the API server at its
start."""

_KSERVE_SETTINGS: dict[str, Object] = {
    "deploy": {"defaultDeploymentMode": "Serverless"},
    "ingress": {
        "enableGatewayApi": False,
        "kserveIngressGateway": "kserve/kserve-ingress-gateway",
        "ingressGateway": "knative-serving/knative-ingress-gateway",
        "localGateway": "knative-serving/knative-local-gateway",
        "localGatewayService": "knative-local-gateway.istio-system.svc.cluster.local",
        "ingressDomain": "example.com",
        "ingressClassName": "istio",
        "domainTemplate": "{{ .Name }}-{{ .Namespace }}.{{ .IngressDomain }}",
        "urlScheme": "http",
        "disableIstioVirtualHost": False,
        "disableIngressCreation": False,
    },
    "storageInitializer": {
        "image": "kserve/storage-initializer:v0.15.2",
        "memoryRequest": "100Mi",
        "memoryLimit": "1Gi",
        "cpuRequest": "100m",
        "cpuLimit": "1",
        "enableModelcar": True,
    },
    "logger": {"image": "kserve/agent:v0.15.2", "memoryRequest": "100Mi", "memoryLimit": "1Gi"},
    "batcher": {"image": "kserve/agent:v0.15.2", "memoryRequest": "1Gi", "memoryLimit": "1Gi"},
    "agent": {"image": "kserve/agent:v0.15.2", "memoryRequest": "100Mi", "memoryLimit": "1Gi"},
    "router": {"image": "kserve/router:v0.15.2", "memoryRequest": "100Mi", "memoryLimit": "1Gi"},
    "metricsAggregator": {"enableMetricAggregation": "false", "enablePrometheusScraping": "false"},
    "autoscaler": {"scaleUpStabilizationWindowSeconds": "0", "scaleDownStabilizationWindowSeconds": "300"},
    "security": {"autoMountServiceAccountToken": True},
}
"""KServe's settings as its chart leaves them: what a program that wants another mode has to change."""


def objects(without: Collection[str] = ()) -> list[Object]:
    """Every object, in an order in which they can be applied one after the other.

    Args:
        without: Namespaces whose operators are real ones: nothing is said of them here.
    """
    played = {namespace: names for namespace, names in _DEPLOYMENTS.items() if namespace not in without}
    return [
        *(_namespace(name) for name in played),
        *([_kserve_settings()] if "kserve" in played else []),
        *([_gateway_class()] if "istio-system" in played else []),
        *(_deployment(namespace, name) for namespace, names in played.items() for name in names),
    ]


def _namespace(name: str) -> Object:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": OWNED}}


def _kserve_settings() -> Object:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "inferenceservice-config", "namespace": "kserve", "labels": OWNED},
        "data": {key: json.dumps(value, indent=2) for key, value in _KSERVE_SETTINGS.items()},
    }


def _gateway_class() -> Object:
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "GatewayClass",
        "metadata": {"name": "istio", "labels": OWNED},
        "spec": {"controllerName": "istio.io/gateway-controller", "description": "Istio, as the sandbox plays it"},
    }


def _deployment(namespace: str, name: str) -> Object:
    selector = {"app.kubernetes.io/name": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace, "labels": OWNED | selector},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": selector},
            "template": {
                "metadata": {"labels": OWNED | selector},
                "spec": {"containers": [{"name": "manager", "image": PAUSE_IMAGE}]},
            },
        },
    }
