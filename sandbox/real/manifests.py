"""What the charts of the real operators put into the cluster, with what has to differ where their pods are pretended.

- The API server asks a webhook where its program listens: its Service names loopback, and the port is the program's.
  Names and certificates stay as they are.
- A pod that a program stands in for says so, and becomes ready with it.
"""

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox.charts import CHARTS, objects, render, unpacked
from sandbox.operators import OWNED
from sandbox.real.catalogue import INSTALLATIONS, NAMESPACES_REPLACED, PROGRAMS, Addresses, Installation

Object = dict[str, Any]

LABEL = "maas.sandbox/program"
"""Label of a pod: the program that stands in for it."""
READY = "maas.sandbox/ready"
"""Annotation of such a pod: the program answers (see stages/nodes-and-pods.yaml)."""
_LOCALHOST = "localhost"
_CLUSTER_WIDE = frozenset({"MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"})
_SERVICES = frozenset(each.webhooks.service for each in PROGRAMS if each.webhooks is not None)
_NOT_INSTALLED = frozenset({"CustomResourceDefinition", "Namespace"})
"""The sandbox has the CRDs of the same modules."""


@dataclass(frozen=True)
class Manifests:
    """What is applied.

    Attributes:
        first: What needs nobody, namespaces first.
        later: What some webhook has to answer for: it is refused until the programs run.
    """

    first: tuple[Object, ...]
    later: tuple[Object, ...]


def installed(addresses: Mapping[str, Addresses]) -> Manifests:
    """Every object of every chart.

    Args:
        addresses: of every program, by its name.

    Raises:
        ToolError: Helm refuses a chart, or a module that has one cannot be had.
    """
    namespaces = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": OWNED}}
        for name in sorted(NAMESPACES_REPLACED)
    ]
    with tempfile.TemporaryDirectory() as folder:
        found = [obj for each in INSTALLATIONS for obj in _rendered(each, Path(folder))]
    for obj in found:
        adapt(obj, addresses)
    custom = [obj for obj in found if _is_custom(obj)]
    return Manifests((*namespaces, *(obj for obj in found if obj not in custom)), tuple(custom))


def adapt(obj: Object, addresses: Mapping[str, Addresses]) -> None:
    """Change in place what has to differ here."""
    match obj["kind"]:
        case "Service":
            if obj["metadata"]["name"] in _SERVICES:
                ports = [{"name": each.get("name", "webhook"), "port": each["port"]} for each in obj["spec"]["ports"]]
                obj["spec"] = {"type": "ExternalName", "externalName": _LOCALHOST, "ports": ports}
        case "MutatingWebhookConfiguration" | "ValidatingWebhookConfiguration":
            for webhook in obj["webhooks"]:
                service = webhook["clientConfig"]["service"]
                service["port"] = _port(service["namespace"], service["name"], addresses)
        case "Deployment":
            for program in PROGRAMS:
                if (program.namespace, program.deployment) == (obj["metadata"]["namespace"], obj["metadata"]["name"]):
                    obj["spec"]["template"]["metadata"].setdefault("labels", {})[LABEL] = program.name
        case _:
            pass


def _port(namespace: str, service: str, addresses: Mapping[str, Addresses]) -> int:
    for program in PROGRAMS:
        if program.namespace == namespace and program.webhooks is not None and program.webhooks.service == service:
            return int(getattr(addresses[program.name], program.webhooks.port))
    raise LookupError(f"no program answers for Service {namespace}/{service}: correct sandbox/real/catalogue.py")


def _rendered(installation: Installation, folder: Path) -> Iterator[Object]:
    chart = unpacked(CHARTS[installation.chart], folder / installation.chart)
    text = render(chart, installation.release, installation.namespace, installation.values, include_crds=False)
    for obj in objects(text):
        if obj["kind"] not in _NOT_INSTALLED:
            yield _namespaced(obj, installation.namespace)


def _namespaced(obj: Object, namespace: str) -> Object:
    """An object with its namespace said, as Helm would send it; those of the cluster are known by their kind."""
    if obj["kind"].startswith("Cluster") or obj["kind"] in _CLUSTER_WIDE or obj["metadata"].get("namespace"):
        return obj
    return obj | {"metadata": obj["metadata"] | {"namespace": namespace}}


def _is_custom(obj: Object) -> bool:
    group = obj["apiVersion"].partition("/")[0]
    return "." in group and not group.endswith(".k8s.io")
