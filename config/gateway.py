"""The gateway: class, exposure, TLS."""

from enum import StrEnum
from typing import Literal, Self

from pydantic import model_validator

from config.model import Model
from config.platform import Profile
from config.problems import RefusalError
from config.values import DnsLabel


class Expose(StrEnum):
    """How callers outside the cluster reach the gateway."""

    LOAD_BALANCER = "loadBalancer"
    CLUSTER_IP = "clusterIP"
    ROUTE = "route"


class Tls(Model):
    """Who ends TLS at the gateway's listener."""

    mode: Literal["none", "secret"] = "none"
    """`none`: plain HTTP at the listener (an OpenShift Route or a load balancer in front may end TLS).
    `secret`: HTTPS with the certificate of an existing Secret."""
    secret_name: DnsLabel | None = None
    """Secret of type kubernetes.io/tls in the platform's namespace, for `*.<domain>`."""

    @model_validator(mode="after")
    def _secret_is_named(self) -> Self:
        if (self.mode == "secret") != (self.secret_name is not None):
            raise RefusalError(
                "mode and secretName belong together",
                allowed="{mode: none} or {mode: secret, secretName: <name>}",
                fix="{mode: secret, secretName: wildcard-tls}" if self.mode == "secret" else "{mode: none}",
            )
        return self


class Gateway(Model):
    """The one gateway that all models are called through. What is not set depends on the platform's profile."""

    name: DnsLabel = "inference-gateway"
    class_name: DnsLabel | None = None
    """GatewayClass; default `istio`, on OpenShift `openshift-default`."""
    expose: Expose | None = None
    """Default `loadBalancer`, on OpenShift `route`."""
    tls: Tls = Tls()

    def class_on(self, profile: Profile) -> str:
        """The GatewayClass that holds on a platform."""
        return self.class_name or ("openshift-default" if profile is Profile.OPENSHIFT else "istio")

    def exposure_on(self, profile: Profile) -> Expose:
        """The exposure that holds on a platform."""
        return self.expose or (Expose.ROUTE if profile is Profile.OPENSHIFT else Expose.LOAD_BALANCER)
