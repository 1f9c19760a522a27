"""Which changed fields cannot be changed in place: the API server refuses them, so the object has to be made anew."""

from collections.abc import Sequence
from typing import Any, Final, cast

from sandbox.kube import Object

Path = tuple[str | int, ...]

IDENTITY: Final = ("kind", "metadata.name", "metadata.namespace")

_CONFIG_MAP_DATA: Final = ("data", "binaryData")
_SECRET_DATA: Final = ("data", "stringData")

_POD_FIELDS: Final = (
    "affinity automountServiceAccountToken dnsConfig dnsPolicy enableServiceLinks hostAliases hostIPC hostNetwork "
    "hostPID hostname imagePullSecrets nodeName nodeSelector overhead preemptionPolicy priority priorityClassName "
    "readinessGates restartPolicy runtimeClassName schedulerName securityContext serviceAccount serviceAccountName "
    "shareProcessNamespace subdomain terminationGracePeriodSeconds volumes"
)
_CONTAINER_FIELDS: Final = (
    "args command env image imagePullPolicy lifecycle livenessProbe ports readinessProbe resources securityContext "
    "stdin stdinOnce terminationMessagePath terminationMessagePolicy tty volumeDevices volumeMounts workingDir"
)
_VOLUME_SOURCES: Final = (
    "awsElasticBlockStore azureDisk azureFile cephfs cinder csi fc flexVolume flocker gcePersistentDisk glusterfs "
    "hostPath iscsi local nfs photonPersistentDisk portworxVolume quobyte rbd scaleIO storageos vsphereVolume"
)


def _below(prefix: str, names: str) -> tuple[str, ...]:
    return tuple(f"{prefix}.{name}" for name in names.split())


# The official provider's table (provider/pkg/provider/diff.go), for the API versions that are still served.
_IMMUTABLE: Final[dict[tuple[str, str], tuple[str, ...]]] = {
    ("apps/v1", "DaemonSet"): ("spec.selector",),
    ("apps/v1", "Deployment"): ("spec.selector",),
    ("apps/v1", "StatefulSet"): (
        "spec.podManagementPolicy",
        "spec.revisionHistoryLimit",
        "spec.selector",
        "spec.serviceName",
        "spec.volumeClaimTemplates",
    ),
    ("batch/v1", "Job"): ("spec.completions", "spec.parallelism", "spec.selector", "spec.template"),
    ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding"): ("roleRef",),
    ("rbac.authorization.k8s.io/v1", "RoleBinding"): ("roleRef",),
    ("storage.k8s.io/v1", "StorageClass"): ("parameters", "provisioner"),
    ("v1", "PersistentVolume"): _below("spec", _VOLUME_SOURCES),
    ("v1", "PersistentVolumeClaim"): ("spec",),
    ("v1", "Pod"): (
        *_below("spec", _POD_FIELDS),
        *_below("spec.containers", _CONTAINER_FIELDS),
        *_below("spec.initContainers", _CONTAINER_FIELDS),
    ),
    ("v1", "ResourceQuota"): ("spec.scopes",),
    ("v1", "Service"): ("spec.clusterIP",),
}


def immutable_fields(
    old: Object, new: Object, *, config_map_mutable: bool, secret_mutable: bool, patch: bool
) -> tuple[str, ...]:
    """Dotted paths (indexes left out) whose change replaces the object.

    Args:
        old: The object's declared fields until now.
        new: Those from now on.
        config_map_mutable: Change a ConfigMap's data in place, unless it says `immutable: true`.
        secret_mutable: The same for Secrets.
        patch: It is a Patch resource, which never owns more than some fields.
    """
    if patch:
        return IDENTITY
    key = (str(new.get("apiVersion")), str(new.get("kind")))
    sealed = old.get("immutable") is True
    if key == ("v1", "ConfigMap"):
        return IDENTITY + _data_fields(_CONFIG_MAP_DATA, mutable=config_map_mutable, sealed=sealed)
    if key == ("v1", "Secret"):
        return (*IDENTITY, "type", *_data_fields(_SECRET_DATA, mutable=secret_mutable, sealed=sealed))
    return IDENTITY + _IMMUTABLE.get(key, ())


def forces_replacement(path: Path, value: Any, immutable: Sequence[str]) -> bool:  # noqa: ANN401  (any JSON value)
    """Whether a change of `path` to `value` touches an immutable field: it, a part of it, or what is around it."""
    steps = [step for step in path if isinstance(step, str)]
    return any(_touches(steps, value, field.split(".")) for field in immutable)


def _data_fields(fields: tuple[str, ...], *, mutable: bool, sealed: bool) -> tuple[str, ...]:
    if sealed:
        return (*fields, "immutable")
    return () if mutable else fields


def _touches(steps: list[str], value: Any, field: list[str]) -> bool:  # noqa: ANN401
    if len(steps) >= len(field):
        return steps[: len(field)] == field
    return field[: len(steps)] == steps and _contains(value, field[len(steps) :])


def _contains(value: Any, field: list[str]) -> bool:  # noqa: ANN401
    if not field:
        return True
    if isinstance(value, list):
        return any(_contains(item, field) for item in cast("list[Any]", value))
    return isinstance(value, dict) and field[0] in value and _contains(cast("Object", value)[field[0]], field[1:])
