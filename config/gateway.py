"""The gateway: class, exposure, TLS, size."""

import re
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from config.model import Model
from config.platform import Profile
from config.problems import RefusalError
from config.values import DnsLabel, Port, Quantity

NodePort = Annotated[int, Field(strict=True, ge=30000, le=32767)]
"""A port of every node; Kubernetes' default range."""


class Expose(StrEnum):
    """How callers outside the cluster reach the gateway."""

    LOAD_BALANCER = "loadBalancer"
    CLUSTER_IP = "clusterIP"
    NODE_PORT = "nodePort"
    ROUTE = "route"


class TlsMode(StrEnum):
    """Where the certificate of the gateway's listener comes from."""

    NONE = "none"
    """No certificate: plain HTTP at the listener (an edge Route or a load balancer in front may end TLS)."""
    SELF_SIGNED = "self-signed"
    """cert-manager makes one that nobody trusts by itself: for development."""
    CERT_MANAGER = "cert-manager"
    """An Issuer or ClusterIssuer that is there already signs one, by ACME or with a CA of its own."""
    SECRET = "secret"  # noqa: S105 - a mode's name
    """An existing Secret of type kubernetes.io/tls."""
    SERVICE_CA = "service-ca"
    """OpenShift's service CA signs one for the gateway's Service, which only the router trusts."""


ISSUED = frozenset({TlsMode.SELF_SIGNED, TlsMode.CERT_MANAGER})
"""The modes in which cert-manager makes the certificate."""


class Tls(Model):
    """TLS at the gateway's listener."""

    mode: TlsMode = TlsMode.NONE
    """Where the certificate comes from."""
    secret_name: DnsLabel | None = None
    """Secret of type kubernetes.io/tls in the platform's namespace, for `*.<domain>`. With `secret` it is there
    already; otherwise it is made, and called `<gateway>-tls` unless this says otherwise."""
    issuer: DnsLabel | None = None
    """With `cert-manager`: who signs. `*.<domain>` from ACME needs an issuer that solves DNS-01."""
    issuer_kind: Literal["ClusterIssuer", "Issuer"] = "ClusterIssuer"
    """An `Issuer` has to be in the platform's namespace."""
    redirect: bool = False
    """Answer plain HTTP with 301 to HTTPS, from a gateway of its own. Off: a client that is redirected has already sent
    its key in plain text."""

    @model_validator(mode="after")
    def _what_belongs_together(self) -> Self:
        if self.mode is TlsMode.SECRET and self.secret_name is None:
            raise RefusalError(
                "mode and secretName belong together",
                allowed="{mode: secret, secretName: <name>}",
                fix="{mode: secret, secretName: wildcard-tls}",
            )
        if self.mode is TlsMode.NONE and self.secret_name is not None:
            raise RefusalError(
                "mode and secretName belong together",
                allowed="{mode: none}, or another mode with the certificate in secretName",
                fix=f"{{mode: secret, secretName: {self.secret_name}}}",
            )
        if (self.mode is TlsMode.CERT_MANAGER) != (self.issuer is not None):
            raise RefusalError(
                "mode cert-manager and issuer belong together",
                allowed="{mode: cert-manager, issuer: <name>, issuerKind: ClusterIssuer or Issuer}",
                fix=f"{{mode: cert-manager, issuer: {self.issuer or 'letsencrypt-prod'}}}",
            )
        if self.mode is TlsMode.NONE and self.redirect:
            raise RefusalError(
                "there is no HTTPS to redirect to",
                allowed="redirect with a mode other than none",
                fix="{mode: self-signed, redirect: true}",
            )
        return self

    @property
    def https(self) -> bool:
        """Whether the gateway's own listener speaks TLS."""
        return self.mode is not TlsMode.NONE


class Termination(StrEnum):
    """Who ends TLS of an OpenShift Route."""

    EDGE = "edge"
    """The router; it speaks plain HTTP to the gateway."""
    REENCRYPT = "reencrypt"
    """The router, which opens a TLS connection of its own to the gateway."""
    PASSTHROUGH = "passthrough"
    """The gateway; the router only looks at the host that the client names (SNI)."""


_CERTIFICATES = re.compile(r"\A(-----BEGIN CERTIFICATE-----\s[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----\s*)+\Z")


def _certificates(value: str) -> str:
    if not _CERTIFICATES.match(value):
        raise RefusalError(
            "not PEM certificates",
            allowed="one or more blocks of -----BEGIN CERTIFICATE-----, and nothing else",
            fix="the CA's ca.crt, as a block of text (destinationCaCertificate: |)",
        )
    return value


class Route(Model):
    """The OpenShift Routes, one for each model's host."""

    termination: Termination = Termination.EDGE
    """Who ends TLS."""
    destination_ca_certificate: Annotated[str, AfterValidator(_certificates)] | None = None
    """With `reencrypt`: PEM of the CA that the router checks the gateway's certificate against. With `service-ca` it is
    the router's own and is left out."""


class GatewayResources(Model):
    """What one gateway pod may use."""

    cpu: Quantity = "500m"
    """What is set aside for it."""
    cpu_limit: Quantity = "2"
    """What it can have at most; Envoy starts one worker thread for each core of it."""
    memory: Quantity = "2Gi"
    """Set aside and limit in one. Envoy holds Kuadrant's WebAssembly module once for each worker: with less than 1Gi it
    is killed while a new configuration comes in."""

    @model_validator(mode="after")
    def _request_within_limit(self) -> Self:
        if _cores(self.cpu) > _cores(self.cpu_limit):
            raise RefusalError(
                f"cpu is more than cpuLimit, which is {self.cpu_limit}",
                allowed="cpu up to cpuLimit",
                fix=f"{{cpu: {self.cpu}, cpuLimit: {self.cpu}}}",
            )
        return self


def _cores(quantity: str) -> float:
    """A quantity of CPU in cores; units that make no sense for it are left to the API server."""
    return float(quantity.removesuffix("m")) / 1000 if quantity.endswith("m") else float(quantity.rstrip("kKMGTi"))


class Replicas(Model):
    """How many gateway pods: always the same number, or as many as the load asks for."""

    min: Annotated[int, Field(strict=True, ge=1)] = 1
    """So many at least."""
    max: Annotated[int, Field(strict=True, ge=1)]
    """So many at most. A number alone in place of the mapping stands for both."""
    cpu: Annotated[int, Field(strict=True, ge=1, le=100)] = 70
    """Share of the CPU that is set aside, in percent, above which pods are added."""

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: object) -> object:
        """Read `3` as `{min: 3, max: 3}`."""
        return {"min": value, "max": value} if isinstance(value, int) and not isinstance(value, bool) else value

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.max < self.min:
            raise RefusalError(
                "max is less than min", allowed="min up to max", fix=f"{{min: {self.max}, max: {self.min}}}"
            )
        return self

    @property
    def scaled(self) -> bool:
        """Whether the number follows the load."""
        return self.max > self.min


class Ports(Model):
    """A port for plain HTTP and one for HTTPS."""

    http: Port | None = None
    """For plain HTTP."""
    https: Port | None = None
    """For HTTPS."""

    def of(self, *, https: bool) -> int | None:
        """The one of the two that is asked for."""
        return self.https if https else self.http


class NodePorts(Ports):
    """Ports of every node."""

    http: NodePort | None = None
    """For plain HTTP."""
    https: NodePort | None = None
    """For HTTPS."""


class Service(Model):
    """The gateway's Service, which Istio makes."""

    annotations: dict[str, str] = Field(default_factory=dict)
    """What the cluster's load balancer is told by, such as `metallb.io/allow-shared-ip`."""
    external_traffic_policy: Literal["Cluster", "Local"] | None = None
    """`Local` keeps the caller's address, and takes callers only to nodes that have a gateway pod."""
    load_balancer_source_ranges: tuple[str, ...] = ()
    """Networks that may call, such as `10.0.0.0/8`; empty for all. Where the load balancer can do that."""


class Guard(Model):
    """What the gateway's Envoy is told beyond Kuadrant's filter. Needs Istio: it is an EnvoyFilter."""

    lower_case_host: bool = True
    """Write the host of each request in lower case. Off, a host in other case passes **without any policy** with
    Kuadrant up to 1.5.2."""
    error_bodies: bool = True
    """Give what the gateway answers by itself (429, 404, 500, 503, 504) the shape of OpenAI's errors, and a 429 a
    `Retry-After` where it is known. Otherwise a 429 is plain text."""


class Gateway(Model):
    """The one gateway that all models are called through. What is not set depends on the platform's profile."""

    name: DnsLabel = "inference-gateway"
    """Name of the Gateway."""
    class_name: DnsLabel | None = None
    """GatewayClass; default `istio`, on OpenShift `openshift-default`."""
    expose: Expose | None = None
    """Default `loadBalancer`, on OpenShift `route`."""
    tls: Tls = Tls()
    """TLS at its listener."""
    route: Route = Route()
    """The OpenShift Routes, one for each model's host; with `expose: route`."""
    resources: GatewayResources | None = GatewayResources()
    """What one gateway pod may use; `null` leaves that to Istio's own settings."""
    replicas: Replicas | None = None
    """How many pods; default one. `min` and `max`: pods are added where more than `cpu` percent of what is set aside is
    used. From two on, a PodDisruptionBudget lets no more than one go at a time."""
    service: Service = Service()
    """The Service that Istio makes for it."""
    guard: Guard = Guard()
    """What its Envoy is told beyond Kuadrant's filter, by an EnvoyFilter: needs Istio."""
    node_ports: NodePorts = NodePorts()
    """With `nodePort`: which; Kubernetes picks those that are not given."""
    public_ports: Ports = Ports()
    """The ports that callers use, where something in front maps them to others; default 80 and 443."""

    def class_on(self, profile: Profile) -> str:
        """The GatewayClass that holds on a platform."""
        return self.class_name or ("openshift-default" if profile is Profile.OPENSHIFT else "istio")

    def exposure_on(self, profile: Profile) -> Expose:
        """The exposure that holds on a platform."""
        return self.expose or (Expose.ROUTE if profile is Profile.OPENSHIFT else Expose.LOAD_BALANCER)

    @property
    def certificate_secret(self) -> str:
        """The Secret that the listener's certificate is in."""
        return self.tls.secret_name or f"{self.name}-tls"
