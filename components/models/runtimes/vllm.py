"""vLLM, on GPUs and on processors."""

from typing import Any

from components.models.runtimes.container import PORT, PORT_NAME, probe
from config.versions import VLLM_CPU_IMAGE, VLLM_IMAGE

MODELS = "/mnt/models"
"""Where KServe puts the weights."""
CACHES = {
    "HOME": "home",
    "HF_HOME": "hf",
    "XDG_CACHE_HOME": "cache",
    "TRITON_CACHE_DIR": "triton",
    "TORCHINDUCTOR_CACHE_DIR": "inductor",
    "VLLM_CACHE_ROOT": "vllm",
}
"""What vLLM and its libraries write, by variable: folders of /tmp, as the image's own are root's."""
_ON_PROCESSORS = {"VLLM_CPU_KVCACHE_SPACE": "4"}
"""GiB of KV cache, which is part of the container's memory there."""


def vllm_runtime(security: dict[str, Any], *, processors: bool = False, port: int = PORT) -> dict[str, Any]:
    """Containers and volumes of vLLM's pods.

    Args:
        security: the containers' security context.
        processors: the build for processors, in place of that for GPUs.
        port: where it listens.
    """
    return {
        "containers": [
            {
                "name": "kserve-container",
                "image": VLLM_CPU_IMAGE if processors else VLLM_IMAGE,
                "command": ["python3", "-m", "vllm.entrypoints.openai.api_server"],
                # Streamed answers carry usage only when forced to; without it, streamed tokens are not counted.
                "args": [f"--model={MODELS}", f"--port={port}", "--enable-force-include-usage"],
                "env": [
                    # The image's home is not writable for every user id, and one without a name has no getpwuid().
                    {"name": "USER", "value": "vllm"},
                    *(
                        {"name": name, "value": f"/tmp/{folder}"}  # noqa: S108 - inside the container
                        for name, folder in CACHES.items()
                    ),
                    *({"name": name, "value": value} for name, value in _ON_PROCESSORS.items() if processors),
                ],
                "ports": [{"containerPort": port, "name": PORT_NAME, "protocol": "TCP"}],
                # All that vLLM writes is below /tmp and /dev/shm.
                "securityContext": {**security, "readOnlyRootFilesystem": True},
                "startupProbe": probe(port, failureThreshold=180),  # each model has its own; this is the longest
                "readinessProbe": probe(port),
                "livenessProbe": probe(port, periodSeconds=30, failureThreshold=5),
                "volumeMounts": [
                    {"name": "shm", "mountPath": "/dev/shm"},  # noqa: S108 - inside the container
                    {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - inside the container
                ],
            }
        ],
        "volumes": [
            # Tensor parallel workers talk through shared memory; the container default of 64 MiB is too little.
            {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "2Gi"}},
            {"name": "tmp", "emptyDir": {}},
        ],
    }
