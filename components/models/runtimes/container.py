"""What the containers of all runtimes have in common."""

from typing import Any

from config.platform import Profile

PORT = 8080
PORT_NAME = "http"
PROBE: dict[str, Any] = {"httpGet": {"path": "/health", "port": PORT}, "periodSeconds": 10, "timeoutSeconds": 5}
_USER_ID = 1000


def security_context(profile: Profile) -> dict[str, Any]:
    """What the pod security standard `restricted` asks for.

    Both images start as root unless told otherwise. OpenShift gives each namespace its own user ids and refuses others.
    """
    user = {} if profile is Profile.OPENSHIFT else {"runAsUser": _USER_ID}
    return {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
        **user,
    }
