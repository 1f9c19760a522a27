"""What of a model's settings does not go together, and why."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from config.models.arguments import value_of
from config.models.runtimes import Api, Runtime
from config.models.scaling import Rollout
from config.models.sources import FOREIGN_FORMATS, GPU_FORMATS, Scheme, scheme_of, words_of
from config.problems import RefusalError

if TYPE_CHECKING:
    from config.models.catalogue import Model


def check(model: "Model") -> None:
    """Refuse the first thing that does not go together.

    Raises:
        RefusalError: With the reason, and what would.
    """
    for rule in _RULES:
        rule(model)


def _processors(model: "Model") -> None:
    if model.runtime is Runtime.VLLM and model.gpu is None:
        raise RefusalError(
            "a GPU model must say how many GPUs one replica has",
            allowed="gpu: {count: 1 or more}; on processors, profile: cpu",
            fix="gpu: {count: 1}, or profile: small-gpu",
        )
    if model.runtime is not Runtime.VLLM and model.gpu is not None:
        who = "the simulator" if model.runtime is Runtime.SIMULATOR else f"runtime {model.runtime}"
        raise RefusalError(f"{who} uses no GPU", allowed="no gpu", fix="runtime: vllm, or leave gpu out")
    if model.runtime is not Runtime.VLLM and model.memory_utilisation is not None:
        why = "a share of a GPU's memory, and there is no GPU"
        raise RefusalError(f"memoryUtilisation is {why}", allowed="no memoryUtilisation", fix="no memoryUtilisation")
    if not model.external and model.resources is None:
        allowed = "resources: {cpu, memory}, or a profile that has them"
        raise RefusalError("a replica's cpu and memory are not said", allowed=allowed, fix="profile: small-gpu")


def _place(model: "Model") -> None:
    if model.source is None:
        if model.runtime.loads_weights:
            raise RefusalError(
                "vLLM needs a model to load",
                allowed="source: hf://<organisation>/<model>",
                fix="source: hf://Qwen/Qwen3-0.6B",
            )
        if model.external:
            why = "an external model is an endpoint, and none is said"
            raise RefusalError(why, allowed="source: https://<host>/v1", fix="source: https://api.openai.com/v1")
        return
    scheme = scheme_of(model.source)
    if model.runtime.simulates:
        raise RefusalError("a simulator loads no model", allowed="no source", fix="no source, or profile: small-gpu")
    if model.external and scheme is not Scheme.HTTPS:
        raise RefusalError("an external model is an endpoint", allowed="source: https://<host>/v1", fix="profile: gpu")
    if not model.external and scheme is Scheme.HTTPS:
        why = f"{model.runtime} loads weights, and this is an endpoint"
        raise RefusalError(why, allowed="hf://, oci://, s3://, pvc://", fix="profile: external")


def _format(model: "Model") -> None:
    if model.source is None or not model.runtime.loads_weights:
        return
    unknown = FOREIGN_FORMATS | (GPU_FORMATS if model.runtime is Runtime.VLLM_CPU else {})
    for word, why in unknown.items():
        if word in words_of(model.source):
            fix = "the same model as safetensors, without quantisation"
            raise RefusalError(f"{model.runtime} cannot serve the format: {why}", allowed="safetensors", fix=fix)


def _parallel(model: "Model") -> None:
    tensor, pipeline = (
        value_of(model.args, option) for option in ("--tensor-parallel-size", "--pipeline-parallel-size")
    )
    if tensor is None and pipeline is None:
        return
    gpus = model.gpu.count if model.gpu else 0
    sizes = [int(each) if each and each.isdigit() else 0 for each in (tensor or str(gpus), pipeline or "1")]
    if sizes[0] * sizes[1] != gpus:
        why = f"tensor parallel size {sizes[0]} x pipeline parallel size {sizes[1]} is not gpu.count, {gpus}"
        allowed = "sizes whose product is gpu.count; without them, all GPUs are used with tensor parallelism"
        raise RefusalError(why, allowed=allowed, fix="neither argument")


def _replicas(model: "Model") -> None:
    if model.autoscaling is not None and "replicas" in model.model_fields_set:
        why = "replicas says how many there are, autoscaling from how many to how many"
        raise RefusalError(why, allowed="one of them", fix=f"autoscaling: {{min: {model.replicas}, max: ...}}")
    cache = model.cache
    if cache is None:
        return
    if model.scheme is not Scheme.HUGGING_FACE:
        why = "a cache is for what vLLM downloads; other sources are mounted, or copied by KServe"
        raise RefusalError(why, allowed="cache with source: hf://", fix="no cache")
    shared = cache.access_mode == "ReadWriteMany" or cache.ephemeral
    if not shared and (model.most_replicas > 1 or model.rollout != "replace"):
        raise RefusalError(
            "two pods may need the cache on two nodes, also while one takes the other's place",
            allowed="cache.accessMode: ReadWriteMany; or one replica and rollout: replace",
            fix="cache: {accessMode: ReadWriteMany}",
        )


def _outside(model: "Model") -> None:
    if not model.external:
        return
    for key in ("resources", "image", "api", "autoscaling", "cache", "startup", "max_length", "max_sequences"):
        if getattr(model, key) is not None:
            alias = type(model).model_fields[key].alias or key
            why = f"{alias} is of pods, and an external model has none here"
            raise RefusalError(why, allowed="source, servedName, secret, host, tiers, priceFactor", fix=f"no {alias}")
    if model.replicas != 1:
        raise RefusalError("an external model has no replicas here", allowed="no replicas", fix="no replicas")


def _api(model: "Model") -> None:
    if model.api is Api.LLM_INFERENCE_SERVICE and model.runtime.simulates:
        why = "LLMInferenceService asks for a model's address, and a simulator has none"
        raise RefusalError(why, allowed=f"api: {Api.INFERENCE_SERVICE}", fix=f"api: {Api.INFERENCE_SERVICE}")
    if model.api is Api.LLM_INFERENCE_SERVICE:
        refuse_for_llm_inference_service(model)


def refuse_for_llm_inference_service(model: "Model") -> None:
    """Refuse what an InferenceService can do and an LLMInferenceService (KServe 0.16) cannot.

    Raises:
        RefusalError: With the reason.
    """
    if model.cache is not None:
        why = "LLMInferenceService always has KServe fetch the weights"
        raise RefusalError(why, allowed="no cache, or source: pvc://", fix="no cache")
    if model.rollout is Rollout.REPLACE:
        why = "LLMInferenceService does not say how its pods are exchanged: a new one comes first"
        raise RefusalError(why, allowed=f"rollout: {Rollout.SURGE}", fix=f"rollout: {Rollout.SURGE}")


def _login(model: "Model") -> None:
    if model.secret is not None and (model.scheme is None or model.scheme is Scheme.PVC):
        what = "a volume" if model.scheme is Scheme.PVC else "a simulator"
        raise RefusalError(f"{what} asks for no secret", allowed="secret with hf, oci, s3, https", fix="no secret")


_RULES: tuple[Callable[["Model"], None], ...] = (
    _outside,
    _processors,
    _place,
    _format,
    _parallel,
    _replicas,
    _api,
    _login,
)
