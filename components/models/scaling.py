"""Autoscaling by vLLM's own metrics, and disruption budgets."""

from typing import Any

from config.models import Autoscaling
from config.platform import Profile
from config.serving import Serving
from config.values import window_seconds

WAITING = "vllm:num_requests_waiting"
CACHE_USE = "vllm:kv_cache_usage_perc"
"""A share, from 0 to 1, of the KV cache; vLLM before 0.9.2 calls it gpu_cache_usage_perc."""
_PROMETHEUS = {
    Profile.KUBERNETES: "http://prometheus-operated.monitoring.svc:9090",
    Profile.OPENSHIFT: "https://thanos-querier.openshift-monitoring.svc:9091",
}
_WAKE_WINDOW = "2m"
_NEVER = "1000000000"
"""The target of a trigger that is to wake a model, and not to scale it further."""


def prometheus_address(serving: Serving, profile: Profile) -> str:
    """Where KEDA asks."""
    return serving.prometheus or _PROMETHEUS[profile]


def scaled_object_spec(  # noqa: PLR0913 - what its queries and its target are made of
    name: str,
    served_name: str,
    scaling: Autoscaling,
    *,
    namespace: str,
    deployment: str,
    service: str,
    serving: Serving,
    profile: Profile,
) -> dict[str, Any]:
    """Body of a ScaledObject (keda.sh/v1alpha1).

    Args:
        name: the model's, which its HTTPRoute has too.
        served_name: as vLLM has it in the label `model_name`.
        scaling: from how many to how many, and when.
        namespace: the model's.
        deployment: what is scaled.
        service: the Service behind the model's route.
        serving: the stack's settings.
        profile: the platform's.
    """
    of_model = f'{{namespace="{namespace}",model_name="{served_name}"}}'

    def trigger(query: str, threshold: str, **more: str) -> dict[str, Any]:
        metadata = {"serverAddress": prometheus_address(serving, profile), "query": query, "threshold": threshold}
        result: dict[str, Any] = {"type": "prometheus", "metadata": {**metadata, **more}}
        if (proof := serving.trigger_authentication) is not None:
            result["metadata"]["authModes"] = proof.modes
            result["authenticationRef"] = {"name": proof.name, "kind": proof.kind}
        return result

    triggers = [
        trigger(f"sum({WAITING}{of_model})", str(scaling.waiting)),
        {**trigger(f"100 * avg({CACHE_USE}{of_model})", str(scaling.cache_use)), "metricType": "Value"},
    ]
    if scaling.min == 0:
        # Without a pod there are no metrics of vLLM: what the gateway and the limiter saw wakes the model.
        seen = (
            f'istio_requests_total{{destination_service_name="{service}",destination_service_namespace="{namespace}"}}'
        )
        counted = f'authorized_calls{{limitador_namespace="{namespace}/{name}"}}'
        calls = " + ".join(f"(sum(increase({each}[{_WAKE_WINDOW}])) or vector(0))" for each in (seen, counted))
        triggers.append(trigger(calls, _NEVER, activationThreshold="0"))
    cooldown = window_seconds(scaling.cooldown)
    return {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": deployment},
        "minReplicaCount": scaling.min,
        "maxReplicaCount": scaling.max,
        "pollingInterval": 15,
        "cooldownPeriod": cooldown,
        "advanced": {
            "restoreToOriginalReplicaCount": False,
            "horizontalPodAutoscalerConfig": {"behavior": _behaviour(cooldown)},
        },
        "triggers": triggers,
    }


def autoscaler_spec(scaling: Autoscaling, *, deployment: str) -> dict[str, Any]:
    """Body of a HorizontalPodAutoscaler (autoscaling/v2), by metrics of pods that an adapter serves."""
    targets = {WAITING: str(scaling.waiting), CACHE_USE: f"{scaling.cache_use * 10}m"}
    return {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": deployment},
        "minReplicas": scaling.min,
        "maxReplicas": scaling.max,
        "behavior": _behaviour(window_seconds(scaling.cooldown)),
        "metrics": [
            {
                "type": "Pods",
                # Adapters cannot serve a name with a colon (docs/models.md has their rule).
                "pods": {
                    "metric": {"name": metric.replace(":", "_")},
                    "target": {"type": "AverageValue", "averageValue": target},
                },
            }
            for metric, target in targets.items()
        ],
    }


def _behaviour(cooldown: int) -> dict[str, Any]:
    """One replica at a time, down only after the cooldown: a GPU pod takes minutes to come back."""
    return {
        "scaleUp": {"policies": [{"type": "Pods", "value": 1, "periodSeconds": 60}]},
        "scaleDown": {
            "stabilizationWindowSeconds": cooldown,
            "policies": [{"type": "Pods", "value": 1, "periodSeconds": 60}],
        },
    }


def disruption_budget_spec(labels: dict[str, str]) -> dict[str, Any]:
    """Body of a PodDisruptionBudget (policy/v1): nodes are drained one replica at a time.

    A pod that is not ready may always go, so that a model that does not start holds up no node.
    """
    return {
        "maxUnavailable": 1,
        "selector": {"matchLabels": labels},
        "unhealthyPodEvictionPolicy": "AlwaysAllow",
    }
