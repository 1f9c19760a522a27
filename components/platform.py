"""The platform layer: the namespace that the service lives in."""

import pulumi

from components.layer import Layer, Site
from components.objects import Namespace, ServiceAccount
from components.security_constraints import SecurityContextConstraints, original_constraints
from config.platform import Platform as PlatformSettings
from config.platform import Profile, Scc

MODEL_ACCOUNT = "models"
"""ServiceAccount of all model pods; bound to nothing unless the stack asks for more than `restricted-v2`."""


def constraints_name(namespace: str) -> str:
    """Name of the SecurityContextConstraints, which are cluster-scoped: one for each stack's namespace."""
    return f"maas-{namespace}-{MODEL_ACCOUNT}"


def namespace_labels(platform: PlatformSettings) -> dict[str, str]:
    """Labels of the service's namespace.

    Pods of gateway and models run without privileges, so `baseline` is enforced and anything short of `restricted` is
    reported; only the original's security constraints, which allow NET_ADMIN, are more than `baseline` would let pass.
    There is no sidecar label: the gateway is the only proxy, and model pods need no mesh.
    """
    result = {
        "pod-security.kubernetes.io/enforce": "privileged" if platform.scc is Scc.ORIGINAL else "baseline",
        "pod-security.kubernetes.io/warn": "restricted",
        "pod-security.kubernetes.io/audit": "restricted",
    }
    if platform.profile is Profile.OPENSHIFT:
        result["openshift.io/user-monitoring"] = "true"
    return result


class Platform(Layer):
    """The namespace for gateway, models and policies, and the account that model pods run as."""

    target: Namespace
    model_account: ServiceAccount

    def __init__(self, site: Site, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("platform", site, opts)
        self.target = Namespace(
            self.namespace,
            metadata=self.metadata(self.namespace, labels_too=namespace_labels(site.settings.platform)),
            opts=self.options(),
        )
        self.model_account = ServiceAccount(
            MODEL_ACCOUNT,
            metadata=self.metadata(MODEL_ACCOUNT, self.namespace),
            # Models talk to callers, never to the API server.
            automount_service_account_token=False,
            opts=self.options(depends_on=[self.target]),
        )
        if site.settings.platform.scc is Scc.ORIGINAL:
            name = constraints_name(self.namespace)
            SecurityContextConstraints(
                name,
                metadata=self.metadata(name),
                constraints=original_constraints(MODEL_ACCOUNT, self.namespace),
                opts=self.options(),
            )
        self.register_outputs({})
