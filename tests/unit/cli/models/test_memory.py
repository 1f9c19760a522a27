"""The estimate against figures that others have published."""

import json
from pathlib import Path

import pytest

from cli.exits import MaasError
from cli.models.memory import GIB, cache_per_token, divides, need, weights
from cli.models.shapes import KNOWN, Shape, known, of_config

LLAMA_8B, LLAMA_70B = KNOWN["llama-3.1-8b"], KNOWN["llama-3.1-70b"]

# Rows of config.json that the table does not hold: vocabulary, tied embeddings, size of the feed-forward layers, and
# what the architecture adds in each layer (norms of queries and keys, biases) besides two norms.
COUNTED = {
    "llama-3.1-8b": (128_256, False, 14_336, 0),
    "llama-3.1-70b": (128_256, False, 28_672, 0),
    "llama-3.3-70b": (128_256, False, 28_672, 0),
    "llama-3.2-1b": (128_256, True, 8192, 0),
    "llama-3.2-3b": (128_256, True, 8192, 0),
    "mistral-7b-v0.3": (32_768, False, 14_336, 0),
    "mistral-small-24b-2501": (131_072, False, 32_768, 0),
    "qwen3-0.6b": (151_936, True, 3072, 256),
    "qwen3-1.7b": (151_936, True, 6144, 256),
    "qwen3-4b": (151_936, True, 9728, 256),
    "qwen3-8b": (151_936, False, 12_288, 256),
    "qwen3-14b": (151_936, False, 17_408, 256),
    "qwen3-32b": (151_936, False, 25_600, 256),
    "qwen2.5-7b": (152_064, False, 18_944, 3584 + 2 * 512),
    "qwen2.5-72b": (152_064, False, 29_568, 8192 + 2 * 1024),
    "granite-3.3-8b": (49_159, True, 12_800, 0),
}


@pytest.mark.parametrize("name", KNOWN)
def test_the_table_agrees_with_itself(name: str) -> None:
    shape = KNOWN[name]
    vocabulary, tied, feed_forward, extra = COUNTED[name]
    hidden = shape.hidden_size
    attention = hidden * shape.head_size * (2 * shape.heads + 2 * shape.kv_heads)
    embeddings = vocabulary * hidden * (1 if tied else 2)
    counted = embeddings + shape.layers * (attention + 3 * hidden * feed_forward + 2 * hidden + extra) + hidden
    assert shape.parameters == counted
    assert shape.embeddings == embeddings


@pytest.mark.parametrize(
    ("shape", "tokens", "published"),
    # "Inference memory requirements" of https://huggingface.co/blog/llama31, in units of 2^30 bytes
    [
        (LLAMA_8B, 1024, 0.125),
        (LLAMA_8B, 16_000, 1.95),
        (LLAMA_8B, 128_000, 15.62),
        (LLAMA_70B, 1024, 0.313),
        (LLAMA_70B, 16_000, 4.88),
        (LLAMA_70B, 128_000, 39.06),
    ],
)
def test_the_cache_is_as_large_as_hugging_face_says(shape: Shape, tokens: int, published: float) -> None:
    assert tokens * cache_per_token(shape, "bf16") / GIB == pytest.approx(published, abs=0.006)


def test_the_cache_of_a_token_is_as_large_as_the_paper_on_vllm_says() -> None:
    # Kwon et al., https://arxiv.org/abs/2309.06180: "the KV cache of a single token demands 800 KB" for OPT-13B
    opt = Shape(12_853_473_280, 50_272 * 5120, layers=40, heads=40, kv_heads=40, head_size=128, hidden_size=5120)
    assert cache_per_token(opt, "fp16") == 800 * 1024


@pytest.mark.parametrize(
    ("name", "gpus", "published"),
    # What vLLM logged: "model weights take" of vllm pull request 10511, "Model loading took" of pull request 17122
    [("llama-3.1-8b", 1, 14.96), ("llama-3.1-8b", 2, 7.48), ("llama-3.1-8b", 1, 14.9889)],
)
def test_weights_take_what_vllm_says_that_they_take(name: str, gpus: int, published: float) -> None:
    assert weights(KNOWN[name], "bf16") / gpus / GIB == pytest.approx(published, rel=0.005)


@pytest.mark.parametrize(
    ("name", "dtype", "published"),
    # Sizes of the files of RedHatAI/Meta-Llama-3.1-8B-Instruct-FP8 and
    # hugging-quants/Meta-Llama-3.1-{8B,70B}-Instruct-AWQ-INT4, in units of 10^9 bytes
    [("llama-3.1-8b", "fp8", 9.08), ("llama-3.1-8b", "int4", 5.74), ("llama-3.1-70b", "int4", 39.8)],
)
def test_quantised_weights_are_as_large_as_their_files(name: str, dtype: str, published: float) -> None:
    assert weights(KNOWN[name], dtype) / 1e9 == pytest.approx(published, rel=0.01)


@pytest.mark.parametrize(("gpus", "published"), [(1, 53.29), (2, 58.97)])
def test_what_is_left_for_the_cache_is_what_vllm_measured(gpus: int, published: float) -> None:
    # vllm pull request 10511: Meta-Llama-3-8B on an H100 of 79.22 GiB, of which vLLM takes 0.90. For two GPUs the log
    # is cut off: 71.29 less weights 7.48, non_torch_memory 3.58, activation peak 1.26.
    total = 79.22 * GIB
    found = need(LLAMA_8B, dtype="bf16", cache_dtype="bf16", context=1, sequences=0, gpus=gpus, gpu_memory=total)
    assert (total * 0.9 - found.total) / GIB == pytest.approx(published, rel=0.02)


def test_the_cache_of_a_mixture_of_experts_is_what_vllm_says() -> None:
    # vllm issue 21348: Qwen3-235B-A22B on four GPUs, 8.11 GiB are 178,880 tokens
    moe = Shape(235_093_634_560, 0, layers=94, heads=64, kv_heads=4, head_size=128, hidden_size=4096)
    assert 178_880 * cache_per_token(moe, "bf16", 4) / GIB == pytest.approx(8.11, rel=0.02)


def test_key_value_heads_that_are_fewer_than_gpus_are_kept_on_each() -> None:
    few = KNOWN["qwen2.5-7b"]
    assert cache_per_token(few, "bf16", 4) == cache_per_token(few, "bf16", 1) / 4
    assert cache_per_token(few, "bf16", 8) == cache_per_token(few, "bf16", 4)


def test_a_cache_of_eight_bits_is_half_as_large() -> None:
    assert cache_per_token(LLAMA_8B, "fp8") == cache_per_token(LLAMA_8B, "bf16") / 2


def test_only_gpus_that_divide_the_heads_share_a_model() -> None:
    assert [each for each in range(1, 9) if divides(KNOWN["qwen3-0.6b"], each)] == [1, 2, 4, 8]
    assert [each for each in range(1, 9) if divides(KNOWN["qwen2.5-7b"], each)] == [1, 2, 4]


@pytest.mark.parametrize(
    ("source", "shape", "dtype"),
    [
        ("hf://Qwen/Qwen3-0.6B", "qwen3-0.6b", "bf16"),
        ("hf://meta-llama/Llama-3.1-8B-Instruct", "llama-3.1-8b", "bf16"),
        ("hf://RedHatAI/Meta-Llama-3.1-8B-Instruct-FP8", "llama-3.1-8b", "fp8"),
        ("hf://RedHatAI/Meta-Llama-3.1-8B-Instruct-quantized.w4a16", "llama-3.1-8b", "int4"),
        ("hf://hugging-quants/Meta-Llama-3.1-70B-Instruct-AWQ-INT4", "llama-3.1-70b", "int4"),
        ("hf://Qwen/Qwen2.5-7B-Instruct-GPTQ-Int8", "qwen2.5-7b", "int8"),
        ("hf://mistralai/Mistral-7B-Instruct-v0.3", "mistral-7b-v0.3", "bf16"),
        ("oci://registry.example.com/models/qwen3-8b:1.0", "qwen3-8b", "bf16"),
        ("s3://bucket/models/Qwen3-8B/", "qwen3-8b", "bf16"),
        ("pvc://models/Qwen3-8B", "qwen3-8b", "bf16"),
    ],
)
def test_published_models_are_known_by_their_address(source: str, shape: str, dtype: str) -> None:
    found = known(source)
    assert found is not None
    assert (found.parameters, found.dtype) == (KNOWN[shape].parameters, dtype)


@pytest.mark.parametrize("source", ["hf://example/Llama-3.1-8B-extended", "hf://Qwen/Qwen3-8", "", "pvc://models"])
def test_other_models_are_not_taken_for_known_ones(source: str) -> None:
    assert known(source) is None


CONFIG = {
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "hidden_size": 4096,
    "intermediate_size": 14_336,
    "vocab_size": 128_256,
    "torch_dtype": "bfloat16",
}


def _config(folder: Path, **changes: object) -> Path:
    path = folder / "config.json"
    path.write_text(json.dumps({key: value for key, value in {**CONFIG, **changes}.items() if value is not None}))
    return path


def test_a_config_file_says_the_same_as_the_table(tmp_path: Path) -> None:
    assert of_config(_config(tmp_path), None) == LLAMA_8B


def test_a_config_file_says_how_it_is_quantised(tmp_path: Path) -> None:
    for settings, dtype in (
        ({"quant_method": "fp8"}, "fp8"),
        ({"quant_method": "awq", "bits": 4}, "int4"),
        ({"quant_method": "gptq", "bits": 8}, "int8"),
        ({"quant_method": "mxfp4"}, "mxfp4"),
    ):
        assert of_config(_config(tmp_path, quantization_config=settings), None).dtype == dtype


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"num_hidden_layers": None}, "num_hidden_layers"),
        ({"kv_lora_rank": 512}, "compressed"),
        ({"num_experts": 128}, "--parameters"),
        ({"hidden_size": "large"}, "large"),
    ],
)
def test_a_config_file_that_says_too_little_is_refused(tmp_path: Path, changes: dict[str, object], says: str) -> None:
    with pytest.raises(MaasError, match=says):
        of_config(_config(tmp_path, **changes), None)
