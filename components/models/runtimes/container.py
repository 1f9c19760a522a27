"""What the containers of all runtimes have in common."""

from typing import Any

from config.platform import Profile

PORT = 8080
PORT_NAME = "http"
PROBE: dict[str, Any] = {
    # Said although it is the default: a template of KServe's that stands below may say HTTPS, and would keep it.
    "httpGet": {"path": "/health", "port": PORT, "scheme": "HTTP"},
    "periodSeconds": 10,
    "timeoutSeconds": 5,
}
USER_ID = 1000
"""The user of all containers where the platform picks none."""


def probe(port: int = PORT, **settings: int) -> dict[str, Any]:
    """A probe of the server's health on a port."""
    return {**PROBE, "httpGet": {**PROBE["httpGet"], "port": port}, **settings}


def startup_probe(seconds: int, port: int = PORT) -> dict[str, Any]:
    """The probe that gives a model so long to load; readiness and liveness count from then on."""
    return probe(port, failureThreshold=max(1, -(-seconds // PROBE["periodSeconds"])))


def security_context(profile: Profile) -> dict[str, Any]:
    """What the pod security standard `restricted` asks for.

    The images start as root unless told otherwise. OpenShift gives each namespace its own user ids and refuses others.
    """
    user = {} if profile is Profile.OPENSHIFT else {"runAsUser": USER_ID}
    return {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
        **user,
    }


def pod_security_context(profile: Profile) -> dict[str, Any]:
    """What holds for the containers that others put into a model's pod: KServe's own say too little of it."""
    user = {} if profile is Profile.OPENSHIFT else {"runAsUser": USER_ID}
    return {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}, **user}
