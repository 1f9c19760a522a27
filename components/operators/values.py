"""The values that we give to each chart: what the service needs, and the mirror where there is one."""

from typing import Any

from components.kserve import inferenceservice_settings, settings_hash
from components.layer import PREFIX
from config.mirror import Mirror
from config.settings import Settings
from config.versions import ISTIO_HUB, ISTIO_VERSION, KUBE_RBAC_PROXY_IMAGE

_JETSTACK = "quay.io/jetstack/cert-manager-"
_ISTIO_NAMESPACE = "istio-system"


def cert_manager(settings: Settings) -> dict[str, Any]:
    """cert-manager with its CRDs. They stay when the release goes, or every certificate would go with them.

    The chart's own `startupapicheck` proves the webhook by a dry run before the release counts as installed.
    """
    parts = {"": "controller", "webhook": "webhook", "cainjector": "cainjector"} | {
        name: name for name in ("acmesolver", "startupapicheck")
    }
    values: dict[str, Any] = {
        "crds": {"enabled": True, "keep": True},
        "startupapicheck": {"enabled": True},
        **_pull_secrets("global", settings.mirror),
    }
    for key, image in parts.items():
        value = _image({"repository": f"{_JETSTACK}{image}"}, settings.mirror)
        if value:
            place = values.setdefault(key, {}) if key else values
            place["image"] = value
    return values


def istio_base(settings: Settings) -> dict[str, Any]:
    """Istio's CRDs."""
    del settings
    return {"defaultRevision": "default", "global": {"istioNamespace": _ISTIO_NAMESPACE}}


def istiod(settings: Settings) -> dict[str, Any]:
    """Istio's control plane: gateways only. No namespace is labelled, so no pod gets a sidecar."""
    secret = settings.mirror.pull_secret
    return {
        "global": {
            "istioNamespace": _ISTIO_NAMESPACE,
            "hub": settings.mirror.image(ISTIO_HUB),
            "tag": settings.platform.service_mesh.version or ISTIO_VERSION,
            **({"imagePullSecrets": [secret]} if secret else {}),
        },
    }


def kserve_crd(settings: Settings) -> dict[str, Any]:
    """KServe's CRDs take no values."""
    del settings
    return {}


def kserve(settings: Settings) -> dict[str, Any]:
    """KServe for raw deployments behind our Gateway; its controller restarts when, and only when, that changes."""
    gateway = f"{settings.platform.namespace}/{settings.gateway.name}"
    mirror = settings.mirror
    controller: dict[str, Any] = {
        "deploymentMode": "RawDeployment",
        "gateway": {
            "domain": settings.domain,
            # Serverless only, but the controller turns to it unless told otherwise.
            "disableIstioVirtualHost": True,
            "ingressGateway": {"enableGatewayApi": True, "kserveGateway": gateway, "createGateway": False},
        },
        "podAnnotations": {f"{PREFIX}/settings-hash": settings_hash(inferenceservice_settings(settings))},
        **_image({"image": "kserve/kserve-controller", "rbacProxyImage": KUBE_RBAC_PROXY_IMAGE}, mirror),
        **({"imagePullSecrets": [{"name": mirror.pull_secret}]} if mirror.pull_secret else {}),
    }
    values: dict[str, Any] = {"controller": controller}
    for part, image in (("agent", "agent"), ("router", "router"), ("storage", "storage-initializer")):
        values |= _if_any(part, _image({"image": f"kserve/{image}"}, mirror))
    return {"kserve": values}


def kuadrant(settings: Settings) -> dict[str, Any]:
    """Kuadrant's chart takes no values: its environment is patched in (components/operators/environment.py)."""
    del settings
    return {}


def prometheus_stack(settings: Settings) -> dict[str, Any]:
    """The Prometheus operator and a Prometheus that takes monitors of every namespace, whatever their labels.

    Kuadrant's own monitors carry no `release` label, so the chart's usual selector would miss them.
    """
    everything = {
        f"{kind}SelectorNilUsesHelmValues": False for kind in ("serviceMonitor", "podMonitor", "rule", "probe")
    }
    values: dict[str, Any] = {
        "prometheus": {"prometheusSpec": everything},
        # Dashboards are objects of the Grafana operator.
        "grafana": {"enabled": False},
        **_pull_secrets("global", settings.mirror),
    }
    quay, kubernetes = ("quay.io", "registry.k8s.io")
    operator = _if_any("image", _registry(quay, settings.mirror))
    operator |= _if_any("prometheusConfigReloader", _if_any("image", _registry(quay, settings.mirror)))
    operator |= _if_any("admissionWebhooks", _if_any("patch", _if_any("image", _registry(kubernetes, settings.mirror))))
    values |= _if_any("prometheusOperator", operator)
    values["prometheus"]["prometheusSpec"] |= _if_any("image", _registry(quay, settings.mirror))
    alertmanager = _if_any("alertmanagerSpec", _if_any("image", _registry(quay, settings.mirror)))
    values |= _if_any("alertmanager", alertmanager)
    values |= _if_any("kube-state-metrics", _if_any("image", _registry(kubernetes, settings.mirror)))
    values |= _if_any("prometheus-node-exporter", _if_any("image", _registry(quay, settings.mirror)))
    return values


def grafana(settings: Settings) -> dict[str, Any]:
    """The Grafana operator, for Grafana objects of every namespace."""
    secret = settings.mirror.pull_secret
    return {
        "namespaceScope": False,
        **_if_any("image", _image({"repository": "ghcr.io/grafana/grafana-operator"}, settings.mirror)),
        **({"imagePullSecrets": [{"name": secret}]} if secret else {}),
    }


def _image(images: dict[str, str], mirror: Mirror) -> dict[str, Any]:
    """Those of the images that the mirror has elsewhere; the chart's own default stands for the others."""
    return {key: mirror.image(image) for key, image in images.items() if mirror.image(image) != image}


def _registry(registry: str, mirror: Mirror) -> dict[str, Any]:
    """The registry of images whose names the chart keeps to itself."""
    probe = f"{registry}/image"
    replaced = mirror.image(probe)
    return {} if replaced == probe else {"registry": replaced.removesuffix("/image")}


def _pull_secrets(key: str, mirror: Mirror) -> dict[str, Any]:
    return {key: {"imagePullSecrets": [{"name": mirror.pull_secret}]}} if mirror.pull_secret else {}


def _if_any(key: str, value: dict[str, Any]) -> dict[str, Any]:
    return {key: value} if value else {}
