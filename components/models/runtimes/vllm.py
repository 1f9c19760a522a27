"""vLLM, on GPUs."""

from typing import Any

from components.models.runtimes.container import PORT, PORT_NAME, PROBE
from config.versions import VLLM_IMAGE


def vllm_runtime(security: dict[str, Any]) -> dict[str, Any]:
    """Containers and volumes of vLLM's pods."""
    return {
        "containers": [
            {
                "name": "kserve-container",
                "image": VLLM_IMAGE,
                "command": ["python3", "-m", "vllm.entrypoints.openai.api_server"],
                # Streamed answers carry usage only when forced to; without it, streamed tokens are not counted.
                "args": ["--model=/mnt/models", f"--port={PORT}", "--enable-force-include-usage"],
                "env": [
                    # The image's home is not writable for every user id, and one without a name has no getpwuid().
                    {"name": "USER", "value": "vllm"},
                    *(
                        {"name": name, "value": f"/tmp/{folder}"}  # noqa: S108 - inside the container
                        for name, folder in (
                            ("HOME", "home"),
                            ("HF_HOME", "hf"),
                            ("XDG_CACHE_HOME", "cache"),
                            ("TRITON_CACHE_DIR", "triton"),
                            ("TORCHINDUCTOR_CACHE_DIR", "inductor"),
                            ("VLLM_CACHE_ROOT", "vllm"),
                        )
                    ),
                ],
                "ports": [{"containerPort": PORT, "name": PORT_NAME, "protocol": "TCP"}],
                "securityContext": security,
                "startupProbe": {**PROBE, "failureThreshold": 180},  # half an hour to load the weights
                "readinessProbe": PROBE,
                "livenessProbe": {**PROBE, "periodSeconds": 30, "failureThreshold": 5},
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
