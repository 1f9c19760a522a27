"""The observability layer: what Prometheus scrapes."""

from typing import Any

import pulumi
from pulumi_kubernetes.apiextensions import CustomResource

from components.layer import Layer, Site
from components.models.runtimes.container import PORT_NAME

_MONITORING = "monitoring.coreos.com/v1"


def endpoint(port: str, path: str, interval: str) -> dict[str, str]:
    """One scrape target of a monitor."""
    return {"port": port, "path": path, "interval": interval}


def limitador_monitor_spec(interval: str) -> dict[str, Any]:
    """Limitador: requests and tokens, allowed and limited, by the labels of the TelemetryPolicy."""
    return {
        "selector": {"matchLabels": {"app": "limitador"}},
        "endpoints": [endpoint("http", "/metrics", interval)],
    }


def authorino_monitor_spec(interval: str) -> dict[str, Any]:
    """Authorino: its controller on /metrics, its authorisation server on /server-metrics."""
    return {
        "selector": {"matchLabels": {"authorino-resource": "authorino", "control-plane": "controller-manager"}},
        "endpoints": [endpoint("http", path, interval) for path in ("/metrics", "/server-metrics")],
    }


def gateway_monitor_spec(gateway: str, interval: str) -> dict[str, Any]:
    """The gateway's Envoy: requests, latencies, Kuadrant's own filter."""
    return {
        "selector": {"matchLabels": {"gateway.networking.k8s.io/gateway-name": gateway}},
        "podMetricsEndpoints": [endpoint("http-envoy-prom", "/stats/prometheus", interval)],
    }


def models_monitor_spec(interval: str) -> dict[str, Any]:
    """The models: vLLM and the simulator speak the same metrics."""
    return {
        "selector": {"matchExpressions": [{"key": "serving.kserve.io/inferenceservice", "operator": "Exists"}]},
        "podMetricsEndpoints": [endpoint(PORT_NAME, "/metrics", interval)],
    }


class Observability(Layer):
    """Monitors. Each stands in the namespace of its target: OpenShift's user-workload monitoring looks nowhere else."""

    def __init__(self, site: Site, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("observability", site, opts)
        settings = site.settings
        interval = settings.observability.interval
        kuadrant = settings.platform.kuadrant.namespace
        if settings.observability.monitors:
            self._monitor("ServiceMonitor", "maas-limitador", kuadrant, limitador_monitor_spec(interval))
            self._monitor("ServiceMonitor", "maas-authorino", kuadrant, authorino_monitor_spec(interval))
            self._monitor(
                "PodMonitor", "maas-gateway", self.namespace, gateway_monitor_spec(settings.gateway.name, interval)
            )
            self._monitor("PodMonitor", "maas-models", self.namespace, models_monitor_spec(interval))
        self.register_outputs({})

    def _monitor(self, kind: str, name: str, namespace: str, spec: dict[str, Any]) -> None:
        CustomResource(
            name,
            api_version=_MONITORING,
            kind=kind,
            metadata=self.metadata(name, namespace, labels_too=self.settings.observability.monitor_labels),
            spec=spec,
            opts=self.options(),
        )
