"""What a model's memory depends on: parameters, layers, heads. Of some models known, of others in their config.json."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from cli.exits import Exit, MaasError


@dataclass(frozen=True)
class Shape:
    """The figures of a model's config.json that its memory follows from."""

    parameters: int
    """All of them, of a mixture of experts those of every expert."""
    embeddings: int
    """Those of the vocabulary (input, and output where it has its own): quantisation leaves them in half precision."""
    layers: int
    heads: int
    """Attention heads: vLLM divides them among its workers, so a number of GPUs must divide them."""
    kv_heads: int
    head_size: int
    hidden_size: int
    dtype: str = "bf16"
    """Of the weights as they are published."""


def _known(  # noqa: PLR0913, PLR0917 - a row of a table
    parameters: int, vocabulary: int, layers: int, heads: int, kv_heads: int, head_size: int, hidden_size: int
) -> Shape:
    return Shape(parameters, vocabulary * hidden_size, layers, heads, kv_heads, head_size, hidden_size)


_LLAMA, _QWEN = 128_256, 151_936
KNOWN: Mapping[str, Shape] = {
    # parameters, rows of embeddings, layers, heads, KV heads, head size, hidden size
    "granite-3.3-8b": _known(8_170_864_640, 49_159, 40, 32, 8, 128, 4096),
    "llama-3.1-70b": _known(70_553_706_496, 2 * _LLAMA, 80, 64, 8, 128, 8192),
    "llama-3.1-8b": _known(8_030_261_248, 2 * _LLAMA, 32, 32, 8, 128, 4096),
    "llama-3.2-1b": _known(1_235_814_400, _LLAMA, 16, 32, 8, 64, 2048),
    "llama-3.2-3b": _known(3_212_749_824, _LLAMA, 28, 24, 8, 128, 3072),
    "llama-3.3-70b": _known(70_553_706_496, 2 * _LLAMA, 80, 64, 8, 128, 8192),
    "mistral-7b-v0.3": _known(7_248_023_552, 2 * 32_768, 32, 32, 8, 128, 4096),
    "mistral-small-24b-2501": _known(23_572_403_200, 2 * 131_072, 40, 32, 8, 128, 5120),
    "qwen2.5-72b": _known(72_706_203_648, 2 * 152_064, 80, 64, 8, 128, 8192),
    "qwen2.5-7b": _known(7_615_616_512, 2 * 152_064, 28, 28, 4, 128, 3584),
    "qwen3-0.6b": _known(596_049_920, _QWEN, 28, 16, 8, 128, 1024),
    "qwen3-1.7b": _known(1_720_574_976, _QWEN, 28, 16, 8, 128, 2048),
    "qwen3-14b": _known(14_768_307_200, 2 * _QWEN, 40, 40, 8, 128, 5120),
    "qwen3-32b": _known(32_762_123_264, 2 * _QWEN, 64, 64, 8, 128, 5120),
    "qwen3-4b": _known(4_022_468_096, _QWEN, 36, 32, 8, 128, 2560),
    "qwen3-8b": _known(8_190_735_360, 2 * _QWEN, 36, 32, 8, 128, 4096),
}
"""Published models by name, without organisation and variant."""

_VARIANT = re.compile(
    r"-(instruct|chat|it|base|hf|fp8|fp8-dynamic|awq|awq-int4|gptq|gptq-int4|gptq-int8|int4|int8|w4a16|w8a8|quantized.*)$"
)
_DTYPES = {"fp8": "fp8", "awq": "int4", "int4": "int4", "w4a16": "int4", "gptq": "int4", "int8": "int8", "w8a8": "int8"}
_TORCH = {"bfloat16": "bf16", "float16": "fp16", "float32": "fp32"}


def known(source: str) -> Shape | None:
    """The shape of a published model, by the name at the end of its address; None for others."""
    name = re.split(r"[:@]", source.split("://", 1)[-1].rstrip("/").rsplit("/", 1)[-1])[0].lower()
    name = re.sub(r"^meta-", "", name)
    words = set(re.split(r"[-.]", name))
    dtype = next((_DTYPES[each] for each in ("int8", "w8a8", *_DTYPES) if each in words), "bf16")
    while name not in KNOWN and (variant := _VARIANT.search(name)):
        name = name[: variant.start()]
    name = name if name in KNOWN else re.sub(r"-instruct(?=-)", "", name)
    found = KNOWN.get(name)
    return None if found is None else replace(found, dtype=dtype)


def of_config(path: Path, parameters: int | None) -> Shape:
    """The shape that a model's config.json says.

    Args:
        path: The file.
        parameters: How many parameters the model has; counted from the file when None.

    Raises:
        MaasError: The file cannot be read, or says too little.
    """
    try:
        content = cast("object", json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise MaasError(f"{path} cannot be read as config.json: {error}", code=Exit.USAGE) from error
    if not isinstance(content, dict):
        raise MaasError(f"{path} is no config.json: it is not a mapping.", code=Exit.USAGE)
    whole = cast("dict[str, Any]", content)
    config: dict[str, Any] = {**whole, **(text if isinstance(text := whole.get("text_config"), dict) else {})}
    if "kv_lora_rank" in config:
        message = f"{path}: this model keeps a compressed cache (kv_lora_rank), which the formula does not know."
        raise MaasError(message, code=Exit.USAGE)

    def figure(key: str) -> int:
        value = config.get(key)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            message = f"{path} does not say {key}: a whole number above 0, and there is {json.dumps(value)}."
            raise MaasError(message, code=Exit.USAGE)
        return value

    layers, heads, hidden = (figure(key) for key in ("num_hidden_layers", "num_attention_heads", "hidden_size"))
    kv_heads = figure("num_key_value_heads") if config.get("num_key_value_heads") else heads
    head_size = figure("head_dim") if config.get("head_dim") else hidden // heads
    vocabulary = figure("vocab_size") * (1 if config.get("tie_word_embeddings") else 2)
    if parameters is None:
        if any(key in config for key in ("num_experts", "num_local_experts", "n_routed_experts")):
            message = f"{path}: say --parameters too; those of experts are not counted from config.json."
            raise MaasError(message, code=Exit.USAGE)
        attention = hidden * head_size * (2 * heads + 2 * kv_heads)
        each = attention + 3 * hidden * figure("intermediate_size") + 2 * hidden
        parameters = vocabulary * hidden + layers * each + hidden
    return Shape(parameters, vocabulary * hidden, layers, heads, kv_heads, head_size, hidden, _dtype(config))


def _dtype(config: Mapping[str, Any]) -> str:
    quantisation = config.get("quantization_config")
    if isinstance(quantisation, dict):
        settings = cast("dict[str, Any]", quantisation)
        method = str(settings.get("quant_method", "")).lower()
        bits = settings.get("bits") or (4 if "awq" in method else None)
        return method if method in {"fp8", "mxfp4"} else f"int{bits}" if bits else "fp8"
    return _TORCH.get(str(config.get("torch_dtype") or config.get("dtype")), "bf16")
