"""Who may reach whom on the cluster's network, besides what the service itself needs."""

import ipaddress
from typing import Annotated, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from config.model import Model
from config.problems import RefusalError
from config.values import DnsLabel, Port


def _cidr(value: str) -> str:
    try:
        return str(ipaddress.ip_network(value))
    except ValueError:
        host = value.partition("/")[0]
        try:
            fix = str(ipaddress.ip_network(value, strict=False))
        except ValueError:
            fix = f"{host}/32" if host.replace(".", "").isdigit() else "10.0.0.0/8"
        raise RefusalError("not a range of addresses", allowed="CIDR, such as 10.20.0.0/16", fix=fix) from None


Cidr = Annotated[str, AfterValidator(_cidr)]


class Destination(Model):
    """Where models may open connections to, besides DNS: addresses, or the pods of a namespace."""

    cidr: Cidr | None = None
    """The addresses."""
    namespace: DnsLabel | None = None
    """Instead of addresses: a namespace of the cluster, such as that of a MinIO. Network plugins differ in whether a
    range of addresses means pods."""
    exclude: tuple[Cidr, ...] = ()
    """Parts of `cidr` that they may not."""
    ports: Annotated[tuple[Port, ...], Field(min_length=1)] = (443,)
    """TCP ports; those of the pods, where a Service has others."""

    @model_validator(mode="after")
    def _within(self) -> Self:
        if (self.cidr is None) == (self.namespace is None):
            why = "says neither addresses nor a namespace" if self.cidr is None else "says addresses and a namespace"
            raise RefusalError(why, allowed="cidr: <addresses>, or namespace: <name>", fix="{cidr: 10.20.0.0/16}")
        if self.cidr is None:
            if self.exclude:
                raise RefusalError("exclude is a part of cidr, and there is none", allowed="exclude with cidr")
            return self
        whole = ipaddress.ip_network(self.cidr)
        for each in self.exclude:
            part = ipaddress.ip_network(each)
            if part.version != whole.version or not part.subnet_of(whole):  # type: ignore[arg-type]
                raise RefusalError(f"{each} is no part of {self.cidr}", allowed="ranges within cidr")
        return self


_PRIVATE = ("10.0.0.0/8", "100.64.0.0/10", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16")
_PRIVATE_6 = ("fc00::/7", "fe80::/10")
INTERNET = (
    Destination(cidr="0.0.0.0/0", exclude=_PRIVATE),
    Destination(cidr="::/0", exclude=_PRIVATE_6),
)
"""HTTPS to public addresses: where weights come from. Not the cluster, its nodes, or a cloud's metadata service."""


def _written(value: object) -> object:
    return {"enabled": value} if isinstance(value, bool) else value


class Isolation(Model):
    """NetworkPolicies. They do nothing where the cluster's network plugin knows none."""

    enabled: bool = True
    """Off: whatever runs on the cluster can call models without a key, and read and reset counters."""
    scrapers: tuple[DnsLabel, ...] | None = None
    """Namespaces of what scrapes metrics; default: `monitoring`, and on OpenShift those of its own monitoring."""
    downloads: tuple[Destination, ...] | None = None
    """Where the pods of models that have a `source` may open connections to; `[]` for nowhere. Default: HTTPS on the
    internet."""


NetworkPolicies = Annotated[Isolation, BeforeValidator(_written)]
"""The settings, or only whether there are any policies: `networkPolicies: false`."""
