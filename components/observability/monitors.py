"""What Prometheus scrapes: bodies of ServiceMonitors and PodMonitors."""

from typing import Any

from components.models.llm_inference_service import PODS as LLM_PODS
from components.models.runtimes.container import PORT_NAME

_MODEL_LABEL = "serving.kserve.io/inferenceservice"
_FORK_COUNTERS = ("token_usage", "authorized_calls", "limited_calls")


def endpoint(port: str, path: str, interval: str) -> dict[str, Any]:
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


def gateway_monitor_spec(gateway: str, interval: str, *, counts: bool = False) -> dict[str, Any]:
    """The gateway's Envoy: requests, latencies, Kuadrant's own filter.

    Args:
        gateway: Name of the Gateway.
        interval: How often it is scraped.
        counts: The filter is that of the original demonstration, which counts by user and group. It cannot set labels,
            so it writes them into the names of its counters, and they are taken out again here.
    """
    target = endpoint("http-envoy-prom", "/stats/prometheus", interval)
    if counts:
        target["metricRelabelings"] = fork_relabelings()
    return {
        "selector": {"matchLabels": {"gateway.networking.k8s.io/gateway-name": gateway}},
        "podMetricsEndpoints": [target],
    }


def fork_relabelings() -> list[dict[str, Any]]:
    """Make `token_usage_with_user_and_group{user="a",group="b"}` of what the filter of the demonstration writes.

    That is `token_usage_with_user_and_group__user___a___group___b___namespace__llm`, with or without the prefix that
    Envoy gives to counters of a filter. The namespace is left out: it is the target's own.
    """
    counters = "|".join(_FORK_COUNTERS)
    pattern = f"(?:wasmcustom_)?({counters})_with_user_and_group__user___(.+)___group___(.+)___namespace__.+"
    return [
        {"sourceLabels": ["__name__"], "regex": pattern, "targetLabel": label, "replacement": replacement}
        for label, replacement in (("user", "$2"), ("group", "$3"), ("__name__", "${1}_with_user_and_group"))
    ]


def models_monitor_spec(interval: str) -> dict[str, Any]:
    """The models: vLLM and the simulator speak the same metrics, here with the name of the InferenceService."""
    return {
        "selector": {"matchExpressions": [{"key": _MODEL_LABEL, "operator": "Exists"}]},
        "podMetricsEndpoints": [_of_model("serving_kserve_io_inferenceservice", interval)],
    }


def _of_model(pod_label: str, interval: str) -> dict[str, Any]:
    """A model's metrics; rules know a model by `inference_service`, whatever kind of object it is."""
    relabeling = {
        "sourceLabels": [f"__meta_kubernetes_pod_label_{pod_label}"],
        "targetLabel": "inference_service",
    }
    return {**endpoint(PORT_NAME, "/metrics", interval), "relabelings": [relabeling]}


def llm_models_monitor_spec(interval: str) -> dict[str, Any]:
    """The models that are LLMInferenceServices."""
    return {
        "selector": {"matchLabels": LLM_PODS},
        "podMetricsEndpoints": [_of_model("app_kubernetes_io_name", interval)],
    }


def cert_manager_monitor_spec(interval: str) -> dict[str, Any]:
    """cert-manager: until when each certificate is valid."""
    labels = {"app.kubernetes.io/name": "cert-manager", "app.kubernetes.io/component": "controller"}
    return {
        "selector": {"matchLabels": labels},
        "podMetricsEndpoints": [endpoint("http-metrics", "/metrics", interval)],
    }
