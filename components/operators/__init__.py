"""The operators layer: how each operator gets onto the cluster.

One component for each way of installing (helm.py, olm.py, preinstalled.py, manifest.py); what is installed is data
(catalogue.py, values.py).
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import pulumi

from components.layer import Layer, Site, wait_for
from components.objects import CustomResource, Namespace
from components.operators.catalogue import DECLARATIONS, Declaration, package, releases
from components.operators.environment import (
    CONTROLLERS,
    boot_annotations,
    is_patched,
    kuadrant_environment,
    patch_operator,
)
from components.operators.helm import HelmRelease
from components.operators.installation import Installation
from components.operators.manifest import GATEWAY_API, GatewayApiCrds
from components.operators.olm import OLM_GROUPS, SHARED_NAMESPACES, TAKEN_OVER, OlmPackage, operator_group_spec
from components.operators.preinstalled import Preinstalled
from config.platform import Install, Profile

__all__ = ["INSTALLERS", "Operators", "Preinstalled", "gateway_class_spec"]

CERT_MANAGER = "cert-manager"
CERT_MANAGER_AVAILABLE = tuple(
    f"condition=cert-manager-{part}-deploymentAvailable" for part in ("controller", "webhook", "cainjector")
)
KUADRANT = "kuadrant"
SERVICE_MESH = "service-mesh"


class Installer(Protocol):
    """A way of installing: makes the component that stands for one operator."""

    def __call__(self, declaration: Declaration, site: Site, opts: pulumi.ResourceOptions) -> pulumi.Resource:
        """Install the operator."""
        ...


def _by_helm(declaration: Declaration, site: Site, opts: pulumi.ResourceOptions) -> pulumi.Resource:
    return HelmRelease(declaration.name, site, releases(declaration, site.settings), opts)


def _by_olm(declaration: Declaration, site: Site, opts: pulumi.ResourceOptions) -> pulumi.Resource:
    settings = site.settings
    is_kuadrant = declaration.name == KUADRANT
    ours = is_kuadrant and settings.platform.kuadrant.manages_environment
    environment = kuadrant_environment(settings) if ours else {}
    annotations = boot_annotations(settings) if is_kuadrant else {}
    return OlmPackage(declaration.name, site, package(declaration, settings, environment, annotations), opts)


INSTALLERS: dict[Install, Installer] = {
    Install.HELM: _by_helm,
    Install.OLM: _by_olm,
    Install.PREINSTALLED: Preinstalled,
}
"""The component for each way of installing; config.platform.AVAILABLE_INSTALLS says what is for which operator."""


def gateway_class_spec(controller: str) -> dict[str, Any]:
    """Body of a GatewayClass."""
    return {"controllerName": controller}


def is_built_in(namespace: str) -> bool:
    """Whether a namespace comes with the cluster, so that it is not ours to make."""
    return namespace == "default" or namespace.startswith(("kube-", "openshift-"))


class Operator(Installation):
    """One operator: its installation, and what completes it."""

    def __init__(self, declaration: Declaration, site: Site, opts: pulumi.ResourceOptions) -> None:
        super().__init__(declaration.name, site, opts)
        platform = site.settings.platform
        install = declaration.of(platform).install
        installed = INSTALLERS[install](declaration, site, pulumi.ResourceOptions(parent=self))
        if declaration.name == CERT_MANAGER and install is Install.OLM and platform.profile is Profile.OPENSHIFT:
            self._cert_manager(installed)
        if declaration.name == SERVICE_MESH and platform.service_mesh.class_managed_on(platform.profile):
            self._gateway_class(installed)
        if declaration.name == KUADRANT and is_patched(site.settings):
            patch_operator(self, site, installed)
        self.register_outputs({})

    def _cert_manager(self, installed: pulumi.Resource) -> None:
        """The object by which Red Hat's operator runs cert-manager itself, and says when its webhook answers.

        The operator makes it, so it is taken over; it stays when the stack goes, since certificates of others need it.
        """
        CustomResource(
            "cert-manager-cluster",
            api_version="operator.openshift.io/v1alpha1",
            kind="CertManager",
            metadata=self.metadata("cluster", annotations=wait_for(*CERT_MANAGER_AVAILABLE)),
            spec={"managementState": "Managed"},
            opts=self.options(depends_on=[installed], retain_on_delete=True),
        )

    def _gateway_class(self, installed: pulumi.Resource) -> None:
        """The class that the gateway names. It is taken over where it is there, and others may use it: it stays."""
        settings = self.site.settings
        name = settings.gateway.class_on(settings.platform.profile)
        CustomResource(
            name,
            api_version="gateway.networking.k8s.io/v1",
            kind="GatewayClass",
            metadata=self.metadata(name, annotations=wait_for("condition=Accepted")),
            spec=gateway_class_spec(CONTROLLERS[settings.platform.profile]),
            opts=self.options(depends_on=[installed], retain_on_delete=True),
        )


class Operators(Layer):
    """All operators that the service stands on; layers depend on those that serve their objects."""

    gateway_api: pulumi.Resource
    cert_manager: pulumi.Resource
    service_mesh: pulumi.Resource
    kserve: pulumi.Resource
    kuadrant: pulumi.Resource
    monitoring: pulumi.Resource
    grafana: pulumi.Resource

    def __init__(
        self, site: Site, *, mesh_after: Sequence[pulumi.Resource] = (), opts: pulumi.ResourceOptions | None = None
    ) -> None:
        """Install the operators.

        Args:
            site: the stack.
            mesh_after: what must be done before the mesh is looked for.
            opts: options of the layer.
        """
        super().__init__("operators", site, opts)
        places = self._places()
        there: dict[str, pulumi.Resource] = {
            GATEWAY_API: GatewayApiCrds(site, pulumi.ResourceOptions(parent=self)),
        }
        for declaration in DECLARATIONS:
            needed = [there[name] for name in declaration.after]
            if declaration.name == SERVICE_MESH:
                needed += mesh_after
            if declaration.of(site.settings.platform).install is not Install.PREINSTALLED:
                needed += places[declaration.namespace(site.settings.platform)]
            there[declaration.name] = Operator(
                declaration, site, pulumi.ResourceOptions(parent=self, depends_on=needed)
            )
        self.gateway_api = there[GATEWAY_API]
        self.cert_manager = there[CERT_MANAGER]
        self.service_mesh = there[SERVICE_MESH]
        self.kserve = there["kserve"]
        self.kuadrant = there[KUADRANT]
        self.monitoring = there["monitoring"]
        self.grafana = there["grafana"]
        self.register_outputs({})

    def _places(self) -> Mapping[str, list[pulumi.Resource]]:
        """What must be there before something is installed into a namespace: by namespace, each object once."""
        platform = self.settings.platform
        installs: dict[str, set[Install]] = {}
        for declaration in DECLARATIONS:
            install = declaration.of(platform).install
            if install is not Install.PREINSTALLED:
                installs.setdefault(declaration.namespace(platform), set()).add(install)
        return {name: self._place(name, how) for name, how in sorted(installs.items())}

    def _place(self, namespace: str, installs: set[Install]) -> list[pulumi.Resource]:
        within = self.settings.timeouts.operator
        place: list[pulumi.Resource] = []
        if not is_built_in(namespace):
            place.append(
                Namespace(namespace, metadata=self.metadata(namespace), opts=self.options(ready_within=within))
            )
        if Install.OLM in installs and namespace not in SHARED_NAMESPACES:
            name = f"{namespace}-operators"
            place.append(
                CustomResource(
                    name,
                    api_version=OLM_GROUPS,
                    kind="OperatorGroup",
                    metadata=self.metadata(name, namespace, annotations=TAKEN_OVER),
                    spec=operator_group_spec(),
                    opts=self.options(depends_on=place, ready_within=within),
                )
            )
        return place
