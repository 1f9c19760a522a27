"""Objects on the cluster, registered as pulumi_kubernetes' classes of the same names register them.

To load those takes a third of a second at every command, as they come with some twelve hundred others for the fields of
every kind; then the SDK looks up the types of all that they are given, which takes as long again. Bodies are written as
Kubernetes has them anyway. These have no outputs but `id` and `urn`.
"""

import copy
import importlib.metadata
from collections.abc import Mapping
from functools import cache
from typing import Any, ClassVar

import pulumi
from pydantic.alias_generators import to_camel

_RBAC = "rbac.authorization.k8s.io"
_PATCH = "Patch"


@cache
def sdk_version() -> str:
    """The SDK's version, which is that of the provider plugin that the engine is to use."""
    return importlib.metadata.version("pulumi_kubernetes")


def role_ref(kind: str, name: str) -> dict[str, str]:
    """What a binding says of its Role or ClusterRole."""
    return {"apiGroup": _RBAC, "kind": kind, "name": name}


def account_subject(name: str, namespace: str) -> dict[str, str]:
    """What a binding says of a ServiceAccount."""
    return {"kind": "ServiceAccount", "name": name, "namespace": namespace}


class _Registered(pulumi.CustomResource):
    """An object by its type token, such as `kubernetes:core/v1:Secret`."""

    def __init__(self, token: str, name: str, fields: Mapping[str, Any], opts: pulumi.ResourceOptions | None) -> None:
        properties = {to_camel(key): value for key, value in fields.items()}
        own = copy.copy(opts) if opts else pulumi.ResourceOptions()
        own.version = sdk_version()
        super().__init__(token, name, properties, own)


class CustomResource(_Registered):
    """An object of a kind that a CustomResourceDefinition brings, or of any other by its own name."""

    def __init__(  # noqa: PLR0913 - what such an object is made of
        self,
        resource_name: str,
        *,
        api_version: str,
        kind: str,
        metadata: Mapping[str, Any],
        spec: Mapping[str, Any] | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Register it.

        Args:
            resource_name: logical name.
            api_version: group and version, such as `kuadrant.io/v1`.
            kind: kind of the object.
            metadata: the object's metadata.
            spec: the object's spec, where it has one.
            opts: options of the resource.
        """
        suffix = _PATCH if isinstance(self, CustomResourcePatch) else ""
        fields = {"api_version": api_version, "kind": kind, "metadata": metadata, "spec": spec}
        super().__init__(f"kubernetes:{api_version}:{kind}{suffix}", resource_name, fields, opts)


class CustomResourcePatch(CustomResource):
    """Fields of such an object that others own."""


class BuiltIn(_Registered):
    """An object of a kind that Kubernetes itself has: the name of the class, below `api`."""

    api: ClassVar[str]
    """Group and version, such as `apps/v1`, as type tokens have them: what has no group is of `core`."""

    def __init__(
        self,
        resource_name: str,
        *,
        metadata: Mapping[str, Any],
        opts: pulumi.ResourceOptions | None = None,
        **fields: Any,  # noqa: ANN401 - as different as kinds are
    ) -> None:
        """Register it.

        Args:
            resource_name: logical name.
            metadata: the object's metadata.
            opts: options of the resource.
            fields: what else it has at its top, such as `spec`, or `string_data` for stringData. None leaves one out.
        """
        name = type(self).__name__
        identity = {"api_version": self.api.removeprefix("core/"), "kind": name.removesuffix(_PATCH)}
        super().__init__(
            f"kubernetes:{self.api}:{name}", resource_name, {**identity, "metadata": metadata, **fields}, opts
        )


class ClusterRole(BuiltIn):
    """Rights on what is cluster-scoped, or in every namespace."""

    api = f"{_RBAC}/v1"


class ClusterRoleBinding(BuiltIn):
    """Who has the rights of a ClusterRole, everywhere."""

    api = f"{_RBAC}/v1"


class ConfigMap(BuiltIn):
    """Settings or files."""

    api = "core/v1"


class ConfigMapPatch(BuiltIn):
    """Keys of a ConfigMap that others own."""

    api = "core/v1"


class CronJob(BuiltIn):
    """Work to do again and again."""

    api = "batch/v1"


class Deployment(BuiltIn):
    """Pods that are all alike."""

    api = "apps/v1"


class DeploymentPatch(BuiltIn):
    """Fields of a Deployment that others own."""

    api = "apps/v1"


class Job(BuiltIn):
    """Work to do once."""

    api = "batch/v1"


class Namespace(BuiltIn):
    """Where objects live."""

    api = "core/v1"


class NetworkPolicy(BuiltIn):
    """Who may reach pods, and whom they may reach."""

    api = "networking.k8s.io/v1"


class PersistentVolumeClaim(BuiltIn):
    """Storage that outlives a pod."""

    api = "core/v1"


class PodDisruptionBudget(BuiltIn):
    """How many pods may be away at a time on purpose."""

    api = "policy/v1"


class Role(BuiltIn):
    """Rights in one namespace."""

    api = f"{_RBAC}/v1"


class RoleBinding(BuiltIn):
    """Who has the rights of a Role."""

    api = f"{_RBAC}/v1"


class Secret(BuiltIn):
    """Values that nobody else may see: they stay secret in the state as well."""

    api = "core/v1"

    def __init__(self, resource_name: str, *, opts: pulumi.ResourceOptions | None = None, **fields: Any) -> None:  # noqa: ANN401 - see BuiltIn
        for key in ("data", "string_data"):
            if fields.get(key) is not None:
                fields[key] = pulumi.Output.secret(fields[key])
        own = copy.copy(opts) if opts else pulumi.ResourceOptions()
        own.additional_secret_outputs = ["data", "stringData"]
        super().__init__(resource_name, opts=own, **fields)


class Service(BuiltIn):
    """One address for several pods."""

    api = "core/v1"


class ServiceAccount(BuiltIn):
    """Who a pod is to the API server."""

    api = "core/v1"


class StatefulSet(BuiltIn):
    """Pods that have names and storage of their own."""

    api = "apps/v1"
