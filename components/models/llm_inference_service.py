"""LLMInferenceServices: a model of the catalogue as KServe's API for language models takes it (0.16, v1alpha1).

KServe merges its own template (LLMInferenceServiceConfig `kserve-config-llm-template`) below ours, container by name.
It makes no route, as ours has no `router`. Its Service says `https`, so that the route has one of our own.
"""

from typing import Any

from components.models import pods
from components.models.runtimes import pulled
from components.models.runtimes.container import PORT_NAME, security_context, startup_probe
from components.models.runtimes.vllm import vllm_runtime
from config.mirror import Mirror
from config.models import Model, Runtime
from config.platform import Profile

PORT = 8000
"""Where KServe expects the server."""
PODS = {"app.kubernetes.io/part-of": "llminferenceservice", "kserve.io/component": "workload"}
"""The labels of the pods of all LLMInferenceServices."""
_CONTAINER = "main"


def pod_labels(name: str) -> dict[str, str]:
    """The labels by which KServe itself finds a model's pods."""
    return {**PODS, "app.kubernetes.io/name": name}


def llm_inference_service_spec(
    name: str, model: Model, served_name: str, profile: Profile, mirror: Mirror
) -> dict[str, Any]:
    """Body of an LLMInferenceService."""
    processors = model.runtime is Runtime.VLLM_CPU
    runtime = pulled(vllm_runtime(security_context(profile), processors=processors, port=PORT), mirror)
    program = runtime["containers"][0]
    extra = pods.container(model, PORT)
    container = {
        **program,
        **extra,
        "name": _CONTAINER,
        "image": pods.image(model, mirror) or program["image"],
        "args": [*program["args"], *pods.model_args(model, served_name)],
        "resources": pods.resources(model),
        "startupProbe": startup_probe(model.startup_seconds, PORT),
    }
    spec: dict[str, Any] = {
        "model": {"uri": pods.address(model, mirror), "name": served_name},
        "template": {
            **{key: value for key, value in runtime.items() if key not in {"containers", "volumes"}},
            **pods.pod(name, model, pod_labels(name), mirror, profile),
            "containers": [container],
            "volumes": runtime["volumes"],
        },
    }
    if model.autoscaling is None:
        spec["replicas"] = model.replicas
    if model.gpu is not None and model.gpu.count > 1:
        spec["parallelism"] = {"tensor": model.gpu.count}
    return spec


def workload_service(model: str) -> str:
    """Name of our Service for a model's pods."""
    return f"{model}-llm"


def workload_service_spec(name: str) -> dict[str, Any]:
    """Body of that Service."""
    port = {"name": PORT_NAME, "port": 80, "protocol": "TCP", "targetPort": PORT}
    return {"selector": pod_labels(name), "ports": [port]}


def workload_deployment(model: str) -> str:
    """Name of the Deployment that KServe makes for a model."""
    return f"{model}-kserve"
