"""Which operators there are: the chart that installs each, the program that stands in for its pods."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sandbox.instance import LOOPBACK


@dataclass(frozen=True)
class Installation:
    """One chart, as an administrator would install it.

    Attributes:
        chart: Its key in `sandbox.charts.CHARTS`.
        release: Name of the release.
        namespace: Of the release.
        values: Over the chart's own.
    """

    chart: str
    release: str
    namespace: str
    values: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True)
class Addresses:
    """What a program is told about where to listen; every port is its own."""

    metrics: int
    health: int
    service: int
    other: int
    folder: str
    """A folder of its own, for certificates and extensions."""

    def at(self, port: int) -> str:
        """An address on loopback."""
        return f"{LOOPBACK}:{port}"


@dataclass(frozen=True)
class Program:
    """A program that stands in for the pods of one Deployment.

    Attributes:
        tool: Its name in `sandbox.tools.declarations.TOOLS`.
        namespace: Of the Deployment.
        deployment: Name of the Deployment.
        arguments: Makes the command line from the addresses and the Deployment's own arguments.
        environment: Variables that a pod would have by other ways than by value.
        ready: Path that its health port answers with 200; empty: it has none that says more than that it runs.
        extensions: Tools that it starts by itself, which have to be in its folder.
    """

    tool: str
    namespace: str
    deployment: str
    arguments: Callable[[Addresses, list[str]], list[str]]
    environment: Callable[[Addresses], dict[str, str]] = lambda _: {}
    ready: str = ""
    extensions: tuple[str, ...] = ()


KUADRANT = "kuadrant-system"

INSTALLATIONS: tuple[Installation, ...] = (Installation("kuadrant-operator", "kuadrant-operator", KUADRANT),)
"""The charts, in an order in which they can be applied."""


def _manager(addresses: Addresses, _: list[str]) -> list[str]:
    """Arguments that the operators made with controller-runtime share; no other replica contends for the lead."""
    return [
        f"--metrics-bind-address={addresses.at(addresses.metrics)}",
        f"--health-probe-bind-address={addresses.at(addresses.health)}",
    ]


def _authorino(addresses: Addresses, own: list[str]) -> list[str]:
    """What the operator gave the pod, and then our ports: of two flags, the last one counts."""
    return [
        *([] if "server" in own else ["server"]),
        *own,
        f"--ext-auth-grpc-port={addresses.service}",
        f"--ext-auth-http-port={addresses.other}",
        "--oidc-http-port=0",
        f"--metrics-addr={addresses.at(addresses.metrics)}",
        f"--health-probe-addr={addresses.at(addresses.health)}",
        "--enable-leader-election=false",
    ]


PROGRAMS: tuple[Program, ...] = (
    Program("limitador-operator", KUADRANT, "limitador-operator-controller-manager", _manager, ready="/readyz"),
    Program("authorino-operator", KUADRANT, "authorino-operator", _manager, ready="/readyz"),
    Program(
        "kuadrant-operator",
        KUADRANT,
        "kuadrant-operator-controller-manager",
        _manager,
        lambda addresses: {"OPERATOR_NAMESPACE": KUADRANT, "EXTENSIONS_DIR": addresses.folder},
        ready="/readyz",
        extensions=("telemetry-policy",),
    ),
    Program("authorino", KUADRANT, "authorino", _authorino, ready="/readyz"),
)
"""Every program. Limitador's server is in no registry: its pods are pretended, and its settings are real."""

STAGES_REPLACED = frozenset({"kuadrant.yaml", "policies.yaml"})
"""Files of kwok's stages that play what these programs do. The mesh, KServe and cert-manager are still played."""
NAMESPACES_REPLACED = frozenset({KUADRANT})
"""Namespaces whose played operators make way."""
