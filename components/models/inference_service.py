"""InferenceServices: a model of the catalogue as KServe's v1beta1 API takes it."""

from typing import Any

from components.models import pods
from components.models.runtimes import runtime_name
from components.models.runtimes.container import PORT, startup_probe
from config.mirror import Mirror
from config.models import Model, Rollout
from config.platform import Profile

LABEL = "serving.kserve.io/inferenceservice"
"""The label of a model's pods; its value is the model's name."""


def inference_service_spec(
    model: Model,
    served_name: str,
    mirror: Mirror = Mirror(),  # noqa: B008 - frozen
    *,
    name: str = "",
    profile: Profile = Profile.KUBERNETES,
) -> dict[str, Any]:
    """Body of an InferenceService (serving.kserve.io/v1beta1).

    Args:
        model: its settings.
        served_name: what callers put into `model`.
        mirror: where images come from.
        name: the model's; default: the served name.
        profile: the platform's.
    """
    name = name or served_name
    serving: dict[str, Any] = {
        "modelFormat": {"name": model.runtime.value, "version": "1"},
        "runtime": runtime_name(model.runtime),
        "args": pods.model_args(model, served_name),
        "resources": pods.resources(model),
        **pods.container(model, PORT),
    }
    if model.runtime.loads_weights:
        serving["startupProbe"] = startup_probe(model.startup_seconds)
    # With a cache, vLLM itself downloads the weights.
    if model.source is not None and model.cache is None:
        serving["storageUri"] = pods.address(model, mirror)
    if own := pods.image(model, mirror):
        serving["image"] = own
    return {
        "predictor": {
            "minReplicas": model.least_replicas,
            "maxReplicas": model.most_replicas,
            "deploymentStrategy": _strategy(model.rollout),
            **pods.pod(name, model, {LABEL: name}, mirror, profile),
            "model": serving,
        }
    }


def autoscaler_class(model: Model) -> str:
    """Who sets the Deployment's replicas (KServe's annotation `autoscalerClass`).

    `none`: KServe, to what we say; its own default would be a HorizontalPodAutoscaler on processors. `external`: not
    KServe.
    """
    return "external" if model.autoscaling is not None else "none"


def _strategy(rollout: Rollout) -> dict[str, Any]:
    new, gone = (1, 0) if rollout is Rollout.SURGE else (0, 1)
    return {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": new, "maxUnavailable": gone}}


def predictor_service(model: str) -> str:
    """Name of the Service, and of the Deployment, that KServe makes for a model in raw deployment mode."""
    return f"{model}-predictor"
