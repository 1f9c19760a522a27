"""OpenShift's SecurityContextConstraints: what pods of an account may ask for."""

from typing import Any

import pulumi

API_VERSION = "security.openshift.io/v1"
KIND = "SecurityContextConstraints"


def original_constraints(account: str, namespace: str) -> dict[str, Any]:
    """What the original demonstration gave, to one account instead of every account of the namespace.

    Every field that the CRD demands is set, the empty ones too. There is no priority above that of `restricted-v2`:
    OpenShift takes the most restrictive constraints that a pod fits, so only a pod that needs these runs under them.
    """
    return {
        "users": [f"system:serviceaccount:{namespace}:{account}"],
        "groups": [],
        "priority": 0,
        "allowPrivilegedContainer": False,
        "allowPrivilegeEscalation": False,
        "allowHostDirVolumePlugin": False,
        "allowHostIPC": False,
        "allowHostNetwork": False,
        "allowHostPID": False,
        "allowHostPorts": False,
        "allowedCapabilities": ["NET_ADMIN", "NET_RAW"],
        "defaultAddCapabilities": [],
        "requiredDropCapabilities": ["KILL", "MKNOD", "SETGID", "SETUID"],
        "readOnlyRootFilesystem": False,
        "runAsUser": {"type": "RunAsAny"},
        "seLinuxContext": {"type": "MustRunAs"},
        "fsGroup": {"type": "RunAsAny"},
        "supplementalGroups": {"type": "RunAsAny"},
        "seccompProfiles": ["runtime/default"],
        "volumes": ["configMap", "downwardAPI", "emptyDir", "persistentVolumeClaim", "projected", "secret"],
    }


class SecurityContextConstraints(pulumi.CustomResource):
    """An object whose fields stand beside its metadata; the SDK's CustomResource knows only those in `spec`."""

    def __init__(
        self,
        resource_name: str,
        *,
        metadata: dict[str, Any],
        constraints: dict[str, Any],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        properties = {"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata, **constraints}
        super().__init__(f"kubernetes:{API_VERSION}:{KIND}", resource_name, properties, opts)
