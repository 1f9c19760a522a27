"""What the charts of the real operators put into the cluster."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sandbox.charts import CHARTS, objects, render, unpacked
from sandbox.operators import OWNED
from sandbox.real.catalogue import INSTALLATIONS, NAMESPACES_REPLACED, Installation

Object = dict[str, Any]


def installed() -> list[Object]:
    """Every object of every chart, namespaces first, without CRDs: the sandbox has those of the same modules.

    Raises:
        ToolError: Helm refuses a chart, or a module that has one cannot be had.
    """
    namespaces = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": OWNED}}
        for name in sorted(NAMESPACES_REPLACED)
    ]
    with tempfile.TemporaryDirectory() as folder:
        return namespaces + [obj for each in INSTALLATIONS for obj in _rendered(each, Path(folder))]


def _rendered(installation: Installation, folder: Path) -> Iterator[Object]:
    chart = unpacked(CHARTS[installation.chart], folder / installation.chart)
    text = render(chart, installation.release, installation.namespace, installation.values, include_crds=False)
    for obj in objects(text):
        if obj["kind"] not in {"CustomResourceDefinition", "Namespace"}:
            yield _namespaced(obj, installation.namespace)


def _namespaced(obj: Object, namespace: str) -> Object:
    """An object with its namespace said, as Helm would send it; those of the cluster are known by their kind."""
    if obj["kind"].startswith("Cluster") or obj["metadata"].get("namespace"):
        return obj
    return obj | {"metadata": obj["metadata"] | {"namespace": namespace}}
