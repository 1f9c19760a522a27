"""Starting points for models, so that an entry can be short."""

from collections.abc import Mapping
from typing import Any

PROFILES: Mapping[str, Mapping[str, Any]] = {
    "simulator": {
        "runtime": "simulator",
        "resources": {"cpu": "100m", "memory": "128Mi"},
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
}
"""Starting points; whatever an entry says itself wins over its profile."""
