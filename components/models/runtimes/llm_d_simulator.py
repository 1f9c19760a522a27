"""llm-d's simulator: vLLM's API and metrics without a model, in Go.

Token limits do not see its streamed answers unless callers ask for usage: it has no --enable-force-include-usage.
"""

from typing import Any

from components.models.runtimes.container import PORT, PORT_NAME, PROBE
from config.versions import LLM_D_SIMULATOR_IMAGE


def llm_d_simulator_runtime(security: dict[str, Any]) -> dict[str, Any]:
    """Containers and volumes of its pods."""
    return {
        "containers": [
            {
                "name": "kserve-container",
                "image": LLM_D_SIMULATOR_IMAGE,
                # It listens on every address, and refuses to start without a model's name.
                "args": ["--model=simulator", f"--port={PORT}", "--mode=random"],
                "ports": [{"containerPort": PORT, "name": PORT_NAME, "protocol": "TCP"}],
                "securityContext": {**security, "readOnlyRootFilesystem": True},
                "readinessProbe": PROBE,
                "livenessProbe": {**PROBE, "periodSeconds": 30},
                "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108 - inside the container
            }
        ],
        "volumes": [{"name": "tmp", "emptyDir": {}}],
    }
