"""Twelve entries of the catalogue, as users write them: one for each way to serve a model."""

import json
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from cli.program.recorder import Object, Recording, record, stack_config

STACK = "sandbox"
_TOKEN = "not-a-real-token"  # noqa: S105 - for tests


@dataclass(frozen=True)
class Entry:
    """What stands in the stack file for one model."""

    model: dict[str, Any]
    serving: dict[str, Any] = field(default_factory=dict[str, Any])
    secrets: dict[str, dict[str, str]] = field(default_factory=dict[str, dict[str, str]])
    nodes: tuple[str, ...] = ()
    """Nodes of the sandbox, by the beginning of their names, that a pod of the model may be placed on."""


ENTRIES: dict[str, Entry] = {
    "simulator": Entry({"profile": "simulator"}, nodes=("cpu-",)),
    "qwen3": Entry({"source": "hf://Qwen/Qwen3-0.6B", "profile": "small-gpu"}, nodes=("gpu-1", "gpu-2", "gpu-large-1")),
    "qwen3-cpu": Entry({"source": "hf://Qwen/Qwen3-0.6B", "profile": "cpu"}, nodes=("cpu-",)),
    "eight-billion": Entry(
        {
            "source": "hf://Qwen/Qwen3-8B:b968826d9c46dd6066d109eabc6255188de91218",
            "profile": "large-gpu",
            "gpu": {"product": "NVIDIA-L40S"},
        },
        nodes=("gpu-1", "gpu-2"),
    ),
    "seventy-billion": Entry(
        {
            "source": "hf://RedHatAI/Llama-3.3-70B-Instruct-FP8-dynamic",
            "profile": "multi-gpu",
            "gpu": {"memory": "80G"},
            "args": ["--kv-cache-dtype=fp8", "--enable-prefix-caching"],
            "replicas": 2,
            "drain": "5m",
        },
        nodes=("gpu-large-1",),
    ),
    "modelcar": Entry(
        {"source": "oci://quay.io/redhat-ai-services/modelcar-catalog:granite-3.1-8b-instruct", "profile": "modelcar"},
        nodes=("gpu-1", "gpu-2", "gpu-large-1"),
    ),
    "volume": Entry(
        {
            "source": "pvc://models/qwen3-4b",
            "profile": "mig",
            "gpu": {"resource": "nvidia.com/mig-3g.40gb"},
            "tiers": ["premium"],
        },
        nodes=("gpu-mig-1",),
    ),
    "bucket": Entry(
        {"source": "s3://models/qwen3-14b", "profile": "amd-gpu", "secret": "bucket", "priceFactor": 1.5},
        secrets={
            "bucket": {
                "AWS_ACCESS_KEY_ID": _TOKEN,
                "AWS_SECRET_ACCESS_KEY": _TOKEN,
                "serving.kserve.io/s3-endpoint": "minio.storage.svc:9000",
                "serving.kserve.io/s3-usehttps": "0",
            }
        },
        nodes=("gpu-amd-1",),
    ),
    "gated": Entry(
        {
            "source": "hf://google/gemma-3-4b-it",
            "profile": "small-gpu",
            "secret": "hugging-face",
            "cache": {"size": "40Gi", "ephemeral": True},
        },
        secrets={"hugging-face": {"HF_TOKEN": _TOKEN}},
        nodes=("gpu-1", "gpu-2", "gpu-large-1"),
    ),
    "external": Entry(
        {
            "source": "https://api.openai.com/v1",
            "profile": "external",
            "servedName": "gpt-4o-mini",
            "secret": "openai",
            "priceFactor": 3,
        },
        secrets={"openai": {"api_key": _TOKEN}},
    ),
    "scale-to-zero": Entry(
        {"source": "hf://Qwen/Qwen3-4B", "profile": "small-gpu", "autoscaling": {"min": 0, "max": 3}},
        serving={"autoscaler": "keda"},
        nodes=("gpu-1", "gpu-2", "gpu-large-1"),
    ),
    "llm-inference-service": Entry(
        {"source": "hf://Qwen/Qwen3-1.7B", "profile": "small-gpu", "api": "llmInferenceService", "replicas": 2},
        nodes=("gpu-1", "gpu-2", "gpu-large-1"),
    ),
}


def configured(*names: str) -> dict[str, Any]:
    """The sections of a stack with those entries and no other model."""
    chosen = {name: ENTRIES[name] for name in names}
    sections: dict[str, Any] = {"models": {name: each.model for name, each in chosen.items()}}
    sections["serving"] = {key: value for each in chosen.values() for key, value in each.serving.items()}
    sections["modelSecrets"] = {key: value for each in chosen.values() for key, value in each.secrets.items()}
    return sections


def given(*names: str) -> tuple[dict[str, str], list[str]]:
    """What the program is given for the sandbox's stack with those models alone, and which keys are secret."""
    config, secrets = stack_config(STACK)
    sections = {f"maas:{key}": json.dumps(value) for key, value in configured(*names).items()}
    # KEDA is installed for good: whether a model uses it is the entry's.
    sections["maas:serving"] = json.dumps({"autoscaler": "keda"})
    return config | sections, [*secrets, "maas:modelSecrets"]


@cache
def recorded(*names: str) -> Recording:
    """The sandbox's stack with those models alone; frozen, so that tests may share it."""
    return record(STACK, *given(*names))


def objects_of(name: str) -> dict[tuple[str, str, str], Object]:
    """The objects that an entry adds to a stack without models, and those that it changes, by kind and name.

    Policies and rules name every model; they have goldens of their own.
    """
    before = {_key(each): each for each in recorded().objects}
    return {
        _key(each): each
        for each in recorded(name).objects
        if before.get(_key(each)) != each and not each.kind.endswith(("Policy", "PrometheusRule"))
    }


def _key(each: Object) -> tuple[str, str, str]:
    return each.kind, each.namespace, each.metadata_name
