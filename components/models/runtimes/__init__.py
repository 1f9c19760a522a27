"""ServingRuntimes: one module for each program that serves models."""

from typing import Any

from components.models.runtimes.container import security_context
from components.models.runtimes.llm_d_simulator import llm_d_simulator_runtime
from components.models.runtimes.simulator import simulator_runtime
from components.models.runtimes.vllm import vllm_runtime
from config.mirror import Mirror
from config.models import Runtime
from config.platform import Profile


def runtime_name(runtime: Runtime) -> str:
    """Name of the ServingRuntime for a runtime."""
    return f"maas-{runtime.value}"


def serving_runtime_spec(runtime: Runtime, profile: Profile, script_hash: str) -> dict[str, Any]:
    """Body of a ServingRuntime (serving.kserve.io/v1alpha1)."""
    security = security_context(profile)
    match runtime:
        case Runtime.SIMULATOR:
            spec = simulator_runtime(security, script_hash)
        case Runtime.LLM_D_SIMULATOR:
            spec = llm_d_simulator_runtime(security)
        case _:
            spec = vllm_runtime(security, processors=runtime is Runtime.VLLM_CPU)
    spec["supportedModelFormats"] = [{"name": runtime.value, "version": "1"}]
    return spec


def pulled(spec: dict[str, Any], mirror: Mirror) -> dict[str, Any]:
    """A pod's or ServingRuntime's body with images and pull secret as the cluster's mirror wants them."""
    containers = [{**each, "image": mirror.image(each["image"])} for each in spec["containers"]]
    secrets = {"imagePullSecrets": [{"name": mirror.pull_secret}]} if mirror.pull_secret else {}
    return {**spec, "containers": containers, **secrets}
