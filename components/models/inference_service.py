"""InferenceServices: a model of the catalogue as KServe's v1beta1 API takes it."""

from typing import Any

from components.models.runtimes import runtime_name
from components.platform import MODEL_ACCOUNT
from config.mirror import Mirror
from config.models import Model


def inference_service_spec(model: Model, served_name: str, mirror: Mirror = Mirror()) -> dict[str, Any]:  # noqa: B008 - frozen
    """Body of an InferenceService (serving.kserve.io/v1beta1)."""
    amounts: dict[str, str] = {"cpu": model.resources.cpu, "memory": model.resources.memory}
    if model.gpu is not None:
        amounts[model.gpu.resource] = str(model.gpu.count)
    serving: dict[str, Any] = {
        "modelFormat": {"name": model.runtime.value, "version": "1"},
        "runtime": runtime_name(model.runtime),
        "args": model_args(model, served_name),
        "resources": {"requests": amounts, "limits": amounts},
    }
    if model.source is not None:
        serving["storageUri"] = model.source
    if model.image is not None:
        serving["image"] = mirror.image(model.image)
    predictor: dict[str, Any] = {
        "minReplicas": model.replicas,
        "maxReplicas": model.replicas,
        "serviceAccountName": MODEL_ACCOUNT,
        "automountServiceAccountToken": False,
        "model": serving,
    }
    if model.gpu is not None:
        predictor["nodeSelector"] = dict(model.gpu.node_selector)
        predictor["tolerations"] = [each.model_dump(exclude_none=True) for each in model.gpu.tolerations]
    return {"predictor": predictor}


def model_args(model: Model, served_name: str) -> list[str]:
    """The runtime's arguments for one model; the user's own come last, so that they win."""
    args = [f"--served-model-name={served_name}"]
    if model.max_length is not None:
        args.append(f"--max-model-len={model.max_length}")
    if model.memory_utilisation is not None:
        args.append(f"--gpu-memory-utilization={model.memory_utilisation}")
    if model.max_sequences is not None:
        args.append(f"--max-num-seqs={model.max_sequences}")
    if model.gpu is not None and model.gpu.count > 1:
        args.append(f"--tensor-parallel-size={model.gpu.count}")
    return [*args, *model.args]


def predictor_service(model: str) -> str:
    """Name of the Service that KServe makes for a model in raw deployment mode."""
    return f"{model}-predictor"
