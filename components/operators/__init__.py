"""The operators layer: how each operator gets onto the cluster. One component for each way of installing."""

from typing import Protocol

import pulumi

from components.layer import PART_OF, Layer, Site
from config.platform import Install, Operator


class Installer(Protocol):
    """A way of installing: makes the component that stands for one operator."""

    def __call__(self, name: str, opts: pulumi.ResourceOptions) -> pulumi.Resource:
        """Install the operator `name`."""
        ...


class Preinstalled(pulumi.ComponentResource):
    """An operator that the cluster's owner has installed: nothing to create, nothing to delete."""

    def __init__(self, name: str, opts: pulumi.ResourceOptions) -> None:
        super().__init__(f"{PART_OF}:operators:Preinstalled", name, None, opts)
        self.register_outputs({})


INSTALLERS: dict[Install, Installer] = {Install.PREINSTALLED: Preinstalled}
"""The component for each way of installing. A new way is added here and in config.platform.AVAILABLE_INSTALLS."""


class Operators(Layer):
    """All operators that the service stands on; layers depend on those that serve their objects."""

    cert_manager: pulumi.Resource
    service_mesh: pulumi.Resource
    kserve: pulumi.Resource
    kuadrant: pulumi.Resource
    monitoring: pulumi.Resource
    grafana: pulumi.Resource

    def __init__(self, site: Site, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("operators", site, opts)
        platform = site.settings.platform
        self.cert_manager = self._install("cert-manager", platform.cert_manager)
        self.monitoring = self._install("monitoring", platform.monitoring)
        # The mesh's and KServe's webhooks get their certificates from cert-manager.
        self.service_mesh = self._install("service-mesh", platform.service_mesh)
        self.kserve = self._install("kserve", platform.kserve, self.cert_manager)
        # Kuadrant looks once, when it starts, for the gateway provider and the Prometheus operator.
        self.kuadrant = self._install("kuadrant", platform.kuadrant, self.service_mesh, self.monitoring)
        self.grafana = self._install("grafana", platform.grafana)
        self.register_outputs({})

    def _install(self, name: str, operator: Operator, *after: pulumi.Resource) -> pulumi.Resource:
        installer = INSTALLERS[operator.install]
        return installer(name, pulumi.ResourceOptions(parent=self, depends_on=list(after)))
