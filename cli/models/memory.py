"""How much memory of a GPU a model takes under vLLM. The formula, with its sources, is in docs/gpu.md."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil

from cli.models.shapes import Shape

GIB = 2**30
BYTES: Mapping[str, float] = {
    "fp32": 4,
    "bf16": 2,
    "fp16": 2,
    "fp8": 1,
    "int8": 1,
    # Four bits, and for each group of 128 weights a scale of 16 bits and a zero point of 4.
    "int4": 0.5 + 20 / 8 / 128,
    # Four bits, and for each block of 32 weights a scale of 8 bits.
    "mxfp4": 0.5 + 1 / 32,
}
"""Of one weight, by type."""
CACHE_BYTES: Mapping[str, int] = {"bf16": 2, "fp16": 2, "fp8": 1}
"""Of one number in the KV cache, by type."""
_HALF = 2
_BLOCK = 16
"""vLLM hands out its cache in blocks of so many tokens."""
_OF_ONE = 1 * GIB
_OF_SEVERAL = 3 * GIB
"""CUDA's own, and what workers that talk to one another keep for it."""
_ACTIVATION = 40
"""Bytes for each number of the hidden state of each token of a batch, at the peak."""
_LARGE_GPU, _LARGE_BATCH, _SMALL_BATCH = 70 * GIB, 8192, 2048
"""vLLM's own choice of how many tokens it works on at once, by the GPU's memory."""


@dataclass(frozen=True)
class Need:
    """What each of the GPUs of a replica has to have, in bytes."""

    gpus: int
    weights: float
    cache: float
    """For all sequences at full length."""
    cache_per_token: float
    working: float
    """Activations of a batch, CUDA, and the workers' talk."""

    @property
    def total(self) -> float:
        """All of it."""
        return self.weights + self.cache + self.working


def weights(shape: Shape, dtype: str) -> float:
    """Bytes of all weights. Embeddings stay in half precision where the others are quantised."""
    if BYTES[dtype] >= _HALF:
        return shape.parameters * BYTES[dtype]
    return (shape.parameters - shape.embeddings) * BYTES[dtype] + shape.embeddings * _HALF


def cache_per_token(shape: Shape, cache_dtype: str, gpus: int = 1) -> float:
    """Bytes of one token's keys and values on each GPU. Heads that are fewer than GPUs are kept several times."""
    heads = max(1, ceil(shape.kv_heads / gpus))
    return 2 * shape.layers * heads * shape.head_size * CACHE_BYTES[cache_dtype]


def working(shape: Shape, gpus: int, gpu_memory: float) -> float:
    """Bytes that vLLM needs on each GPU besides weights and cache."""
    batch = _LARGE_BATCH if gpu_memory >= _LARGE_GPU else _SMALL_BATCH
    return (_OF_ONE if gpus == 1 else _OF_SEVERAL) + batch * shape.hidden_size * _ACTIVATION


def need(  # noqa: PLR0913 - the terms of the formula
    shape: Shape, *, dtype: str, cache_dtype: str, context: int, sequences: int, gpus: int, gpu_memory: float
) -> Need:
    """What each of so many GPUs has to have, for so many sequences of full length at once."""
    tokens = sequences * ceil(context / _BLOCK) * _BLOCK
    per_token = cache_per_token(shape, cache_dtype, gpus)
    return Need(gpus, weights(shape, dtype) / gpus, tokens * per_token, per_token, working(shape, gpus, gpu_memory))


def divides(shape: Shape, gpus: int) -> bool:
    """Whether vLLM can share the model out to so many GPUs (tensor parallelism)."""
    return shape.heads % gpus == 0 and (shape.kv_heads % gpus == 0 or gpus % shape.kv_heads == 0)
