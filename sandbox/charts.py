"""The operators' charts, from the Go modules that carry them, rendered by a real Helm."""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from sandbox.crds import SOURCES, module_folders
from sandbox.progress import Silent
from sandbox.toolbox import find
from sandbox.tools.errors import ToolError

Object = dict[str, Any]
_ROOT = Path(__file__).parent.parent
_HELM_SECONDS = 120.0


@dataclass(frozen=True)
class Chart:
    """Where a chart is.

    Attributes:
        module: Path of the Go module, in the version of sandbox/crds.py.
        path: Folder in the module.
        needs: The charts that it depends on, which a released chart has inside.
    """

    module: str
    path: str
    needs: tuple["Chart", ...] = ()


CHARTS = {
    "cert-manager": Chart("github.com/cert-manager/cert-manager", "deploy/charts/cert-manager"),
    "base": Chart("istio.io/istio", "manifests/charts/base"),
    "istiod": Chart("istio.io/istio", "manifests/charts/istio-control/istio-discovery"),
    "kserve-crd": Chart("github.com/kserve/kserve", "charts/kserve-crd"),
    "kserve": Chart("github.com/kserve/kserve", "charts/kserve-resources"),
    "kuadrant-operator": Chart(
        "github.com/kuadrant/kuadrant-operator",
        "charts/kuadrant-operator",
        needs=(
            Chart("github.com/kuadrant/authorino-operator", "charts/authorino-operator"),
            Chart("github.com/kuadrant/limitador-operator", "charts/limitador-operator"),
            Chart("github.com/kuadrant/dns-operator", "charts/dns-operator"),
        ),
    ),
    "grafana-operator": Chart("github.com/grafana/grafana-operator/v5", "deploy/helm/grafana-operator"),
}
"""By the name that each has in its repository. No Go module carries kube-prometheus-stack."""


def version(chart: Chart) -> str:
    """The version of the module that the chart is taken from."""
    return next(source.module.rpartition("@")[2] for source in SOURCES if source.module.startswith(f"{chart.module}@"))


def module(chart: Chart) -> Path:
    """The folder of the module that carries the chart."""
    return _modules()[f"{chart.module}@{version(chart)}"]


def unpacked(chart: Chart, folder: Path) -> Path:
    """A copy of the chart that Helm takes: a repository has it unfinished, the release makes it whole."""
    shutil.copytree(module(chart) / chart.path, folder, copy_function=shutil.copyfile)
    for part in (folder, *folder.rglob("*")):
        if part.is_dir():
            part.chmod(0o755)
    template = folder / "Chart.template.yaml"
    if template.exists():
        template.rename(folder / "Chart.yaml")
    for needed in chart.needs:
        unpacked(needed, folder / "charts" / Path(needed.path).name)
    if chart.needs:
        description = yaml.safe_load((folder / "Chart.yaml").read_text(encoding="utf-8"))
        for dependency in description["dependencies"]:
            dependency["version"] = ">=0.0.0-0"  # what the modules have
        (folder / "Chart.yaml").write_text(yaml.safe_dump(description), encoding="utf-8")
    return folder


def render(  # noqa: PLR0913 - what Helm needs to know
    chart: Path,
    name: str,
    namespace: str,
    values: Mapping[str, Any],
    *,
    postrender: str | None = None,
    include_crds: bool = True,
) -> str:
    """What Helm makes of a chart, hooks included.

    Args:
        chart: the unpacked chart.
        name: of the release.
        namespace: of the release.
        values: over the chart's own.
        postrender: program that what the chart renders is sent through.
        include_crds: with what is in the chart's folder `crds`.

    Raises:
        ToolError: Helm refuses the chart or the values; has what it said.
    """
    home = chart.parent / "helm"
    environment = {**os.environ, **dict.fromkeys(("HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"), str(home))}
    command = [str(find("helm", Silent())), "template", name, str(chart), "--namespace", namespace, "--values", "-"]
    command += ["--include-crds"] if include_crds else []
    command += ["--post-renderer", postrender] if postrender else []
    done = subprocess.run(  # noqa: S603 - our own arguments
        command,
        input=yaml.safe_dump(dict(values)),
        cwd=_ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=_HELM_SECONDS,
    )
    if done.returncode:
        raise ToolError(f"helm template {name}: {done.stderr.strip()}")
    return done.stdout


def objects(rendered: str) -> list[Object]:
    """The objects in what Helm printed."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return [document for document in yaml.load_all(rendered, Loader=loader) if document]


def images(rendered: Sequence[Object]) -> set[str]:
    """The images of all containers of Deployments, Jobs and the like."""
    pods = [obj["spec"]["template"]["spec"] for obj in rendered if obj["kind"] in {"DaemonSet", "Deployment", "Job"}]
    return {c["image"] for pod in pods for c in (*pod.get("initContainers", ()), *pod["containers"])}


@cache
def _modules() -> dict[str, Path]:
    names = {chart.module for top in CHARTS.values() for chart in (top, *top.needs)}
    sources = [source for source in SOURCES if source.module.rpartition("@")[0] in names]
    with Silent().step("") as step:
        return module_folders(sources, Silent(), step)
