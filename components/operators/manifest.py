"""Install what is released as one file of objects: the CRDs of the Gateway API."""

import pulumi
from pulumi_kubernetes.yaml.v2 import ConfigFile

from components.layer import Site
from components.operators.installation import Installation
from config.platform import GatewayApi
from config.versions import GATEWAY_API_MANIFEST, GATEWAY_API_VERSION

GATEWAY_API = "gateway-api"
GATEWAY_API_GROUPS = ("gateway.networking.k8s.io",)


def gateway_api_source(settings: GatewayApi) -> str:
    """Address or path of the file with the CRDs."""
    return settings.source or GATEWAY_API_MANIFEST.format(version=settings.version or GATEWAY_API_VERSION)


class GatewayApiCrds(Installation):
    """The CRDs of the Gateway API, standard channel; nothing where the cluster has them."""

    def __init__(self, site: Site, opts: pulumi.ResourceOptions) -> None:
        super().__init__(GATEWAY_API, site, opts)
        settings = site.settings.platform.gateway_api
        if settings.install == "manifest":
            # The engine hands `retain` on to the CRDs: with them would go every Gateway and route, those of others too.
            opts = pulumi.ResourceOptions(parent=self, retain_on_delete=True)
            ConfigFile(GATEWAY_API, file=gateway_api_source(settings), opts=opts)
        self.register_outputs({})
