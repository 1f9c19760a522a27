"""The gateway layer: one Gateway for all models, its certificate, and its way out of the cluster."""

from typing import Any

import pulumi

from components.certificates import CERT_MANAGER, SELF_SIGNED_ISSUER, certificate_spec, self_signed_issuer_spec
from components.endpoints import gateway_environment
from components.gateway_options import gateway_options
from components.layer import Layer, Site, wait_for
from components.objects import ConfigMap, CustomResource
from components.routes import ACCEPTED, fallback_route_spec, redirect_route_spec
from config.gateway import ISSUED, Expose, GatewayResources, Replicas, Route, Termination, TlsMode
from config.gateway import Gateway as GatewaySettings
from config.settings import Settings

GATEWAY_API = "gateway.networking.k8s.io/v1"
GATEWAY_GROUP = "gateway.networking.k8s.io"
LISTENER = "models"
FALLBACK = "no-such-model"
REDIRECT = "redirect-to-https"
HTTP, HTTPS = 80, 443

_REDIRECTS = GatewayResources.model_validate({"cpu": "100m", "cpuLimit": "1", "memory": "256Mi"})
"""The redirecting gateway has none of Kuadrant's configuration to hold."""
_SERVICE_TYPES = {Expose.CLUSTER_IP: "ClusterIP", Expose.ROUTE: "ClusterIP", Expose.NODE_PORT: "NodePort"}


def gateway_spec(settings: Settings) -> dict[str, Any]:
    """Body of the Gateway: one listener for `*.<domain>`, routes from its own namespace only.

    There is one listener on purpose: two with the same hostname make Kuadrant rebuild its configuration in a loop.
    """
    listener = _listener(settings)
    if settings.gateway.tls.https:
        certificate = {"group": "", "kind": "Secret", "name": settings.gateway.certificate_secret}
        tls = {"mode": "Terminate", "certificateRefs": [certificate]}
        listener |= {"port": HTTPS, "protocol": "HTTPS", "tls": tls}
        if _reencrypts(settings):
            # The router names no host (SNI) when it opens its connection, and a listener with one would not answer.
            del listener["hostname"]
    return _gateway(settings, settings.gateway, listener)


def redirect_gateway_spec(settings: Settings) -> dict[str, Any]:
    """Body of the Gateway that only redirects to HTTPS: a plain listener, apart from the one that Kuadrant looks at."""
    return _gateway(settings, redirecting(settings.gateway), _listener(settings))


def _listener(settings: Settings) -> dict[str, Any]:
    return {
        "name": LISTENER,
        "hostname": f"*.{settings.domain}",
        "allowedRoutes": {"namespaces": {"from": "Same"}},
        "port": HTTP,
        "protocol": "HTTP",
    }


def _gateway(settings: Settings, gateway: GatewaySettings, listener: dict[str, Any]) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "gatewayClassName": gateway.class_on(settings.platform.profile),
        "listeners": [listener],
    }
    if options_of(settings, gateway):
        options = {"group": "", "kind": "ConfigMap", "name": options_name(gateway)}
        spec["infrastructure"] = {"parametersRef": options}
    return spec


def redirecting(gateway: GatewaySettings) -> GatewaySettings:
    """The settings of the gateway that redirects: like those of the one beside it, but smaller and of a fixed size."""
    replicas = gateway.replicas and Replicas(min=gateway.replicas.min, max=gateway.replicas.min)
    return gateway.model_copy(
        update={
            "name": f"{gateway.name}-redirect",
            "resources": gateway.resources and _REDIRECTS,
            "replicas": replicas,
        }
    )


def options_name(gateway: GatewaySettings) -> str:
    """Name of the ConfigMap with what Istio is told about a Gateway's Deployment and Service."""
    return f"{gateway.name}-options"


def options_of(settings: Settings, gateway: GatewaySettings) -> dict[str, str]:
    """Data of that ConfigMap, for the stack's gateway or for the one that redirects."""
    https = gateway.tls.https and gateway.name == settings.gateway.name
    exposure = settings.gateway.exposure_on(settings.platform.profile)
    # The gateway that redirects sends nothing on.
    environment = gateway_environment(settings) if gateway.name == settings.gateway.name else ()
    return gateway_options(gateway, exposure, https=https, environment=environment)


def gateway_annotations(settings: Settings) -> dict[str, str]:
    """Annotations of the Gateway: what its Service is, where it is not a load balancer."""
    service_type = _SERVICE_TYPES.get(settings.gateway.exposure_on(settings.platform.profile))
    return {"networking.istio.io/service-type": service_type} if service_type else {}


def gateway_service(gateway: GatewaySettings, class_name: str) -> str:
    """Name of the Service that Istio makes for a Gateway."""
    return f"{gateway.name}-{class_name}"


def route_spec(host: str, service: str, route: Route) -> dict[str, Any]:
    """Body of an OpenShift Route that leads one host to the gateway's Service."""
    tls: dict[str, Any] = {"termination": route.termination.value, "insecureEdgeTerminationPolicy": "Redirect"}
    if route.destination_ca_certificate is not None:
        tls["destinationCACertificate"] = route.destination_ca_certificate
    return {
        "host": host,
        "to": {"kind": "Service", "name": service, "weight": 100},
        "port": {"targetPort": HTTP if route.termination is Termination.EDGE else HTTPS},
        "tls": tls,
        "wildcardPolicy": "None",
    }


def parent_ref(settings: Settings) -> dict[str, str]:
    """How a route names the gateway."""
    return _parent_ref(settings.gateway)


def _parent_ref(gateway: GatewaySettings) -> dict[str, str]:
    return {"group": GATEWAY_GROUP, "kind": "Gateway", "name": gateway.name}


def model_url(settings: Settings, model: str) -> str:
    """Where callers reach a model: the start of its OpenAI-compatible address."""
    gateway = settings.gateway
    https = gateway.tls.https or gateway.exposure_on(settings.platform.profile) is Expose.ROUTE
    port = gateway.public_ports.of(https=https)
    suffix = "" if port in {None, HTTPS if https else HTTP} else f":{port}"
    return f"{'https' if https else 'http'}://{settings.host(model)}{suffix}{settings.prefix(model)}"


def name_of_route(settings: Settings, model: str) -> str:
    """Name of the Route for a model's host, which may be every model's."""
    return settings.routing.host if settings.routing.by_path else model


def _reencrypts(settings: Settings) -> bool:
    gateway = settings.gateway
    routed = gateway.exposure_on(settings.platform.profile) is Expose.ROUTE
    return routed and gateway.route.termination is Termination.REENCRYPT


class Gateway(Layer):
    """The Gateway, programmed, and its way out of the cluster."""

    gateway: CustomResource

    def __init__(
        self, site: Site, *, certificates_after: pulumi.Resource, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        """Create the gateway.

        Args:
            site: the stack.
            certificates_after: what serves Certificates, should there be one: cert-manager.
            opts: options of the layer.
        """
        super().__init__("gateway", site, opts)
        settings = site.settings
        issued = settings.gateway.tls.mode in ISSUED
        certificate = [self._certificate(certificates_after)] if issued else []
        self.gateway = self._programmed(settings.gateway, gateway_spec(settings), *certificate)
        self._route(FALLBACK, fallback_route_spec(parent_ref(settings), settings.domain), self.gateway)
        if settings.gateway.tls.redirect:
            self._redirect()
        if settings.gateway.exposure_on(settings.platform.profile) is Expose.ROUTE:
            hosts = {settings.host(model): name_of_route(settings, model) for model in sorted(settings.models)}
            for host, name in hosts.items():
                self._openshift_route(name, host)
        self.register_outputs({})

    def _certificate(self, after: pulumi.Resource) -> CustomResource:
        gateway, timeouts = self.settings.gateway, self.settings.timeouts
        issuer: list[pulumi.Resource] = []
        if gateway.tls.mode is TlsMode.SELF_SIGNED:
            issuer.append(
                CustomResource(
                    SELF_SIGNED_ISSUER,
                    api_version=f"{CERT_MANAGER}/v1",
                    kind="Issuer",
                    metadata=self.metadata(SELF_SIGNED_ISSUER, self.namespace, annotations=wait_for("condition=Ready")),
                    spec=self_signed_issuer_spec(),
                    opts=self.options(depends_on=[after], ready_within=timeouts.certificate),
                )
            )
        return CustomResource(
            gateway.certificate_secret,
            api_version=f"{CERT_MANAGER}/v1",
            kind="Certificate",
            metadata=self.metadata(gateway.certificate_secret, self.namespace, annotations=wait_for("condition=Ready")),
            spec=certificate_spec(gateway.tls, self.settings.domain, gateway.certificate_secret),
            opts=self.options(depends_on=[after, *issuer], ready_within=timeouts.certificate),
        )

    def _programmed(self, gateway: GatewaySettings, spec: dict[str, Any], *after: pulumi.Resource) -> CustomResource:
        """A Gateway, and before it what Istio is told about its Deployment and Service."""
        needed = [*after]
        if data := options_of(self.settings, gateway):
            name = options_name(gateway)
            needed.append(ConfigMap(name, metadata=self.metadata(name, self.namespace), data=data, opts=self.options()))
        return CustomResource(
            gateway.name,
            api_version=GATEWAY_API,
            kind="Gateway",
            metadata=self.metadata(
                gateway.name,
                self.namespace,
                annotations={**gateway_annotations(self.settings), **wait_for("condition=Programmed")},
            ),
            spec=spec,
            opts=self.options(depends_on=needed, ready_within=self.settings.timeouts.gateway),
        )

    def _route(self, name: str, spec: dict[str, Any], gateway: CustomResource) -> None:
        CustomResource(
            name,
            api_version=GATEWAY_API,
            kind="HTTPRoute",
            metadata=self.metadata(name, self.namespace, annotations=wait_for(ACCEPTED)),
            spec=spec,
            opts=self.options(depends_on=[gateway], ready_within=self.settings.timeouts.route),
        )

    def _redirect(self) -> None:
        settings = self.settings
        gateway = redirecting(settings.gateway)
        programmed = self._programmed(gateway, redirect_gateway_spec(settings))
        port = settings.gateway.public_ports.https
        self._route(REDIRECT, redirect_route_spec(_parent_ref(gateway), settings.domain, port), programmed)

    def _openshift_route(self, name: str, host: str) -> None:
        settings = self.settings
        service = gateway_service(settings.gateway, settings.gateway.class_on(settings.platform.profile))
        CustomResource(
            f"route-{name}",
            api_version="route.openshift.io/v1",
            kind="Route",
            metadata=self.metadata(
                name,
                self.namespace,
                annotations=wait_for("jsonpath={.status.ingress[*].conditions[?(@.type=='Admitted')].status}=True"),
            ),
            spec=route_spec(host, service, settings.gateway.route),
            opts=self.options(depends_on=[self.gateway], ready_within=settings.timeouts.route),
        )
