"""The gateway layer: one Gateway for all models, and on OpenShift a Route for each model's host."""

from typing import Any

import pulumi
from pulumi_kubernetes.apiextensions import CustomResource

from components.layer import Layer, Site, wait_for
from components.routes import ACCEPTED, fallback_route_spec
from config.gateway import Expose
from config.gateway import Gateway as GatewaySettings
from config.settings import Settings

GATEWAY_API = "gateway.networking.k8s.io/v1"
GATEWAY_GROUP = "gateway.networking.k8s.io"
LISTENER = "models"
FALLBACK = "no-such-model"


def gateway_spec(settings: Settings) -> dict[str, Any]:
    """Body of the Gateway: one listener for `*.<domain>`, routes from its own namespace only.

    There is one listener on purpose: two with the same hostname make Kuadrant rebuild its configuration in a loop.
    """
    gateway = settings.gateway
    listener: dict[str, Any] = {
        "name": LISTENER,
        "hostname": f"*.{settings.domain}",
        "allowedRoutes": {"namespaces": {"from": "Same"}},
    }
    if gateway.tls.mode == "secret":
        certificate = {"group": "", "kind": "Secret", "name": gateway.tls.secret_name}
        listener |= {"port": 443, "protocol": "HTTPS", "tls": {"mode": "Terminate", "certificateRefs": [certificate]}}
    else:
        listener |= {"port": 80, "protocol": "HTTP"}
    return {"gatewayClassName": gateway.class_on(settings.platform.profile), "listeners": [listener]}


def gateway_annotations(settings: Settings) -> dict[str, str]:
    """Annotations of the Gateway: what its Service is, where it is not a load balancer."""
    if settings.gateway.exposure_on(settings.platform.profile) is Expose.LOAD_BALANCER:
        return {}
    return {"networking.istio.io/service-type": "ClusterIP"}


def gateway_service(gateway: GatewaySettings, class_name: str) -> str:
    """Name of the Service that Istio makes for a Gateway."""
    return f"{gateway.name}-{class_name}"


def route_spec(host: str, service: str) -> dict[str, Any]:
    """Body of an OpenShift Route that ends TLS for one host and hands it to the gateway's Service."""
    return {
        "host": host,
        "to": {"kind": "Service", "name": service, "weight": 100},
        "port": {"targetPort": 80},
        "tls": {"termination": "edge", "insecureEdgeTerminationPolicy": "Redirect"},
        "wildcardPolicy": "None",
    }


def parent_ref(settings: Settings) -> dict[str, str]:
    """How a route names the gateway."""
    return {"group": GATEWAY_GROUP, "kind": "Gateway", "name": settings.gateway.name}


def model_url(settings: Settings, model: str) -> str:
    """Where callers reach a model: the start of its OpenAI-compatible address."""
    route = settings.gateway.exposure_on(settings.platform.profile) is Expose.ROUTE
    scheme = "https" if route or settings.gateway.tls.mode == "secret" else "http"
    return f"{scheme}://{settings.host(model)}"


class Gateway(Layer):
    """The Gateway, programmed, and its way out of the cluster."""

    gateway: CustomResource

    def __init__(self, site: Site, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("gateway", site, opts)
        settings = site.settings
        name = settings.gateway.name
        self.gateway = CustomResource(
            name,
            api_version=GATEWAY_API,
            kind="Gateway",
            metadata=self.metadata(
                name,
                self.namespace,
                annotations={**gateway_annotations(settings), **wait_for("condition=Programmed")},
            ),
            spec=gateway_spec(settings),
            opts=self.options(ready_within=settings.timeouts.gateway),
        )
        CustomResource(
            FALLBACK,
            api_version=GATEWAY_API,
            kind="HTTPRoute",
            metadata=self.metadata(FALLBACK, self.namespace, annotations=wait_for(ACCEPTED)),
            spec=fallback_route_spec(parent_ref(settings), settings.domain),
            opts=self.options(depends_on=[self.gateway], ready_within=settings.timeouts.route),
        )
        if settings.gateway.exposure_on(settings.platform.profile) is Expose.ROUTE:
            service = gateway_service(settings.gateway, settings.gateway.class_on(settings.platform.profile))
            for model in sorted(settings.models):
                CustomResource(
                    f"route-{model}",
                    api_version="route.openshift.io/v1",
                    kind="Route",
                    metadata=self.metadata(
                        model,
                        self.namespace,
                        annotations=wait_for(
                            "jsonpath={.status.ingress[*].conditions[?(@.type=='Admitted')].status}=True"
                        ),
                    ),
                    spec=route_spec(settings.host(model), service),
                    opts=self.options(depends_on=[self.gateway], ready_within=settings.timeouts.route),
                )
        self.register_outputs({})
