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
class Webhooks:
    """What of a program the API server asks.

    Attributes:
        service: The Service that its chart puts before it, in the Deployment's namespace.
        port: Which of its addresses answers: the name of a field of `Addresses`.
    """

    service: str
    port: str


@dataclass(frozen=True)
class Program:
    """A program that stands in for the pods of one Deployment.

    Attributes:
        tool: Its name in `sandbox.tools.declarations.TOOLS`.
        namespace: Of the Deployment.
        deployment: Name of the Deployment.
        arguments: Makes the command line from the addresses and the Deployment's own arguments.
        environment: Variables over those that the Deployment says.
        ready: Path that its health port answers with 200; empty: it has none that says more than that it runs.
        extensions: Tools that it starts by itself, which have to be in its folder.
        part: Which part of the tool it is, where one tool has several.
        container: Which container of the pod it is, where there are several.
        webhooks: What the API server asks of it.
        mounts: Secrets, by the folder below its own where it looks for their files. It waits for them, as a pod would.
    """

    tool: str
    namespace: str
    deployment: str
    arguments: Callable[[Addresses, list[str]], list[str]]
    environment: Callable[[Addresses], dict[str, str]] = lambda _: {}
    ready: str = ""
    extensions: tuple[str, ...] = ()
    part: str = ""
    container: str = ""
    webhooks: Webhooks | None = None
    mounts: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def name(self) -> str:
        """What it is called in states, logs and folders."""
        return f"{self.tool}-{self.part}" if self.part else self.tool


CERT_MANAGER, ISTIO, KSERVE, KUADRANT = "cert-manager", "istio-system", "kserve", "kuadrant-system"

INSTALLATIONS: tuple[Installation, ...] = (
    Installation("cert-manager", "cert-manager", CERT_MANAGER, {"startupapicheck": {"enabled": False}}),
    Installation("base", "istio-base", ISTIO),
    # Without metrics of pods there is nothing to scale it by.
    Installation("istiod", "istiod", ISTIO, {"autoscaleEnabled": False}),
    Installation("kserve", "kserve", KSERVE),
    Installation("kuadrant-operator", "kuadrant-operator", KUADRANT),
)
"""The charts, in an order in which they can be applied."""


def _manager(addresses: Addresses, _: list[str]) -> list[str]:
    """Arguments that the operators made with controller-runtime share; no other replica contends for the lead."""
    return [
        f"--metrics-bind-address={addresses.at(addresses.metrics)}",
        f"--health-probe-bind-address={addresses.at(addresses.health)}",
    ]


def _authorino_operator(addresses: Addresses, own: list[str]) -> list[str]:
    """Its profiler would be on port 8084 of every address."""
    return [*_manager(addresses, own), "--pprof-bind-address=0"]


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


def _istiod(addresses: Addresses, own: list[str]) -> list[str]:
    """What its chart says, and then our ports. Nobody connects with certificates of the mesh here."""
    return [
        *own,
        f"--grpcAddr={addresses.at(addresses.service)}",
        f"--httpAddr={addresses.at(addresses.health)}",
        f"--httpsAddr={addresses.at(addresses.other)}",
        f"--monitoringAddr={addresses.at(addresses.metrics)}",
        "--secureGRPCAddr=",
        "--ctrlz_port=0",
    ]


def _kserve(addresses: Addresses, _: list[str]) -> list[str]:
    return [
        f"--metrics-addr={addresses.at(addresses.metrics)}",
        f"--health-probe-addr={addresses.at(addresses.health)}",
        f"--webhook-port={addresses.service}",
    ]


def _cert_manager(part: str) -> Callable[[Addresses, list[str]], list[str]]:
    service = f"{CERT_MANAGER}-webhook"
    names = (service, f"{service}.{CERT_MANAGER}", f"{service}.{CERT_MANAGER}.svc")

    def arguments(addresses: Addresses, _: list[str]) -> list[str]:
        return [
            f"--namespace={CERT_MANAGER}",
            f"--health={addresses.at(addresses.health)}",
            f"--port={addresses.service}",
            f"--dns-names={','.join(names)}",
            part,
        ]

    return arguments


PROGRAMS: tuple[Program, ...] = (
    *(
        Program(
            "cert-manager",
            CERT_MANAGER,
            deployment,
            _cert_manager(part),
            ready="/readyz",
            part=part,
            webhooks=Webhooks("cert-manager-webhook", "service") if part == "webhook" else None,
        )
        for part, deployment in (
            ("controller", "cert-manager"),
            ("cainjector", "cert-manager-cainjector"),
            ("webhook", "cert-manager-webhook"),
        )
    ),
    Program("istiod", ISTIO, "istiod", _istiod, ready="/ready", webhooks=Webhooks("istiod", "other")),
    Program(
        "kserve-controller",
        KSERVE,
        "kserve-controller-manager",
        _kserve,
        lambda addresses: {"TMPDIR": addresses.folder},
        ready="/readyz",
        container="manager",
        webhooks=Webhooks("kserve-webhook-server-service", "service"),
        mounts={"k8s-webhook-server/serving-certs": "kserve-webhook-server-cert"},
    ),
    Program("limitador-operator", KUADRANT, "limitador-operator-controller-manager", _manager, ready="/readyz"),
    Program("authorino-operator", KUADRANT, "authorino-operator", _authorino_operator, ready="/readyz"),
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

STAGES_REPLACED = frozenset({"cert-manager.yaml", "gateway-api.yaml", "kserve.yaml", "kuadrant.yaml", "policies.yaml"})
"""Files of kwok's stages that play what these programs do."""
NAMESPACES_REPLACED = frozenset({CERT_MANAGER, ISTIO, KSERVE, KUADRANT})
"""Namespaces whose played operators make way."""
