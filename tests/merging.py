"""The pods that KServe makes of an entry: its ServingRuntime and its InferenceService merged, or its template.

As KServe 0.15 does it in raw deployments (pkg/controller/v1beta1/inferenceservice/utils, MergeRuntimeContainers and
MergePodSpec): the model's container over the runtime's by strategic merge, lists with a key entry by entry, but
arguments one after the other. What its webhook adds, the weights' volume and init container, has no say in where a pod
goes, and is left out.
"""

import copy
from typing import Any, cast

from tests.catalogue import recorded

Body = dict[str, Any]
_KEYS = {"env": "name", "ports": "containerPort", "volumeMounts": "mountPath", "volumes": "name", "containers": "name"}
_MODEL_ONLY = {"modelFormat", "runtime", "storageUri", "storage", "protocolVersion"}
_PREDICTOR_ONLY = {"model", "minReplicas", "maxReplicas", "deploymentStrategy"}
_RUNTIME_ONLY = {"supportedModelFormats", "annotations"}


def pod_template(name: str) -> Body:
    """The pod template of an entry's Deployment.

    Args:
        name: of the entry; it is recorded alone.
    """
    objects = {(each.kind, each.metadata_name): each.body for each in recorded(name).objects}
    other = objects.get(("LLMInferenceService", name))
    if other is not None:
        return {"metadata": {"labels": {}}, "spec": copy.deepcopy(dict(other["spec"]["template"]))}
    predictor = cast("Body", objects["InferenceService", name]["spec"]["predictor"])
    model = cast("Body", predictor["model"])
    runtime = cast("Body", objects["ServingRuntime", str(model["runtime"])]["spec"])
    container = merged(runtime["containers"][0], {k: v for k, v in model.items() if k not in _MODEL_ONLY})
    container["args"] = [*runtime["containers"][0].get("args", []), *model.get("args", [])]
    spec = merged(
        {key: value for key, value in runtime.items() if key not in _RUNTIME_ONLY},
        {key: value for key, value in predictor.items() if key not in _PREDICTOR_ONLY},
    )
    spec["containers"] = [container]
    return {"metadata": {"labels": {"serving.kserve.io/inferenceservice": name}}, "spec": spec}


def merged(below: Body, above: Body) -> Body:
    """A strategic merge, as far as pods need one."""
    result = copy.deepcopy(below)
    for key, value in above.items():
        old = result.get(key)
        if isinstance(old, dict) and isinstance(value, dict):
            result[key] = merged(cast("Body", old), cast("Body", value))
        elif isinstance(old, list) and key in _KEYS:
            by = _KEYS[key]
            entries = {each[by]: each for each in cast("list[Body]", old)}
            for each in cast("list[Body]", value):
                entries[each[by]] = merged(entries.get(each[by], {}), each)
            result[key] = list(entries.values())
        else:
            result[key] = copy.deepcopy(value)
    return result
