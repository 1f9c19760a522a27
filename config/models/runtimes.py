"""The programs that serve models."""

from enum import StrEnum


class Runtime(StrEnum):
    """The program that serves a model."""

    SIMULATOR = "simulator"
    LLM_D_SIMULATOR = "llm-d-inference-sim"
    """llm-d's simulator: closer to vLLM in its metrics, but it cannot be made to report usage in every stream."""
    VLLM = "vllm"
    VLLM_CPU = "vllm-cpu"
    EXTERNAL = "external"
    """Nothing of ours: an endpoint outside of the cluster."""

    @property
    def simulates(self) -> bool:
        """Whether it answers without a model."""
        return self in {Runtime.SIMULATOR, Runtime.LLM_D_SIMULATOR}

    @property
    def loads_weights(self) -> bool:
        """Whether it needs a model to load."""
        return self in {Runtime.VLLM, Runtime.VLLM_CPU}


class Api(StrEnum):
    """The kind of KServe's object that a model becomes."""

    INFERENCE_SERVICE = "inferenceService"
    """serving.kserve.io/v1beta1, every KServe."""
    LLM_INFERENCE_SERVICE = "llmInferenceService"
    """serving.kserve.io/v1alpha1, from KServe 0.16 on, with its llmisvc charts."""
