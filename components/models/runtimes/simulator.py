"""The simulator: one file, mounted from a ConfigMap into a plain Python image."""

from pathlib import Path
from typing import Any

from components.layer import PREFIX
from components.models.runtimes.container import PORT, PORT_NAME, PROBE
from config.versions import SIMULATOR_IMAGE

SIMULATOR_FILE = Path(__file__).parent.parent.parent.parent / "simulator" / "maas_simulator.py"
SIMULATOR_SCRIPT = "maas-simulator"
"""ConfigMap with the simulator's one file."""


def simulator_runtime(security: dict[str, Any], script_hash: str) -> dict[str, Any]:
    """Containers and volumes of the simulator's pods."""
    return {
        # A changed script is a new hash, which rolls the pods.
        "annotations": {f"{PREFIX}/script-hash": script_hash},
        "containers": [
            {
                "name": "kserve-container",
                "image": SIMULATOR_IMAGE,
                "command": ["python3", "/simulator/maas_simulator.py"],
                "args": ["--host=0.0.0.0", f"--port={PORT}", "--enable-force-include-usage"],
                "env": [{"name": "PYTHONDONTWRITEBYTECODE", "value": "1"}],
                "ports": [{"containerPort": PORT, "name": PORT_NAME, "protocol": "TCP"}],
                "securityContext": {**security, "readOnlyRootFilesystem": True},
                "readinessProbe": PROBE,
                "livenessProbe": {**PROBE, "periodSeconds": 30},
                "volumeMounts": [{"name": "simulator", "mountPath": "/simulator", "readOnly": True}],
            }
        ],
        "volumes": [{"name": "simulator", "configMap": {"name": SIMULATOR_SCRIPT}}],
    }
