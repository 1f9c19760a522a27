"""Starting points for models, so that an entry can be short."""

from collections.abc import Mapping
from typing import Any

PROFILES: Mapping[str, Mapping[str, Any]] = {
    "simulator": {
        "runtime": "simulator",
        "resources": {"cpu": "100m", "memory": "128Mi"},
    },
    "llm-d-simulator": {
        "runtime": "llm-d-inference-sim",
        "resources": {"cpu": "100m", "memory": "256Mi"},
    },
    "cpu": {
        "runtime": "vllm-cpu",
        "resources": {"cpu": "8", "memory": "16Gi"},
        "maxLength": 4096,
        "maxSequences": 8,
    },
    "small-gpu": {
        "runtime": "vllm",
        "resources": {"cpu": "4", "memory": "12Gi"},
        "gpu": {"count": 1},
        "maxLength": 6144,
        "memoryUtilisation": 0.8,
        "maxSequences": 32,
    },
    "gpu": {
        "runtime": "vllm",
        "resources": {"cpu": "8", "memory": "32Gi"},
    },
    "large-gpu": {
        "runtime": "vllm",
        "resources": {"cpu": "8", "memory": "48Gi"},
        "gpu": {"count": 1},
        "maxLength": 16384,
        "memoryUtilisation": 0.9,
        "maxSequences": 128,
    },
    "multi-gpu": {
        "runtime": "vllm",
        "resources": {"cpu": "32", "memory": "192Gi"},
        "gpu": {"count": 4},
        "maxLength": 16384,
        "memoryUtilisation": 0.9,
        "maxSequences": 256,
    },
    "mig": {
        "runtime": "vllm",
        "resources": {"cpu": "4", "memory": "12Gi"},
        "gpu": {"count": 1, "resource": "nvidia.com/mig-1g.10gb"},
        "maxLength": 4096,
        "memoryUtilisation": 0.8,
        "maxSequences": 16,
    },
    "amd-gpu": {
        "runtime": "vllm",
        "resources": {"cpu": "8", "memory": "48Gi"},
        "gpu": {"count": 1, "vendor": "amd"},
        "maxLength": 16384,
        "memoryUtilisation": 0.9,
        "maxSequences": 128,
    },
    "modelcar": {
        "runtime": "vllm",
        "resources": {"cpu": "8", "memory": "32Gi"},
        "gpu": {"count": 1},
        "maxLength": 8192,
        "memoryUtilisation": 0.9,
        "maxSequences": 64,
    },
    "external": {
        "runtime": "external",
    },
}
"""Starting points; whatever an entry says itself wins over its profile."""
