"""What is compared: the same objects, brought to one API server in different ways."""

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import yaml

from benchmarks.measure import Measured, run
from benchmarks.tree import Tree
from cli.console import Console
from cli.deploy.target import of_sandbox
from sandbox.instance import Sandbox
from sandbox.toolbox import find
from sandbox.tools.declarations import TOOLS

OPERATIONS = {
    "preview, all new": "nothing is on the cluster",
    "first up": "everything is made, and waited for",
    "preview, no change": "what CI does on most pull requests",
    "up, no change": "",
    "up, one field": "the limit of one tier",
    "refresh": "what is really there",
    "destroy": "",
}
"""In the order of a round, and what each is."""


class Side(Protocol):
    """One way."""

    name: str

    def operations(self) -> Mapping[str, Callable[[], Measured]]:
        """What it can do, by the names of OPERATIONS."""
        ...


@dataclass
class Ours:
    """`./maas`, whole: its checks, its summary, and the two requests that it tries the service with."""

    tree: Tree
    name: str = "maas"

    def operations(self) -> Mapping[str, Callable[[], Measured]]:
        """Everything."""

        def maas(*words: str, **changed: Any) -> Measured:  # noqa: ANN401 - sections of a stack file
            self.tree.settings(**changed)
            return run([self.tree.maas, *words, "--json"], self.tree.environment)

        return {
            "preview, all new": lambda: maas("preview"),
            "first up": lambda: maas("up"),
            "preview, no change": lambda: maas("preview"),
            "up, no change": lambda: maas("up"),
            "up, one field": lambda: maas("up", tiers=self.tree.one_field()),
            "refresh": lambda: maas("refresh"),
            "destroy": lambda: maas("destroy"),
        }


@dataclass
class Floor:
    """A bare program that registers the same objects on the same engine and provider; see benchmarks/bare.py."""

    tree: Tree
    folder: Path
    name: str = "bare program"

    def __post_init__(self) -> None:
        """Have the objects recorded, as they are and with one field changed."""
        self.folder.mkdir()
        target = of_sandbox(Sandbox.open("sandbox", self.tree.home))
        environment = {**target.environment, "PULUMI_PROGRAM": str(find("pulumi", Console()))}
        (self.folder / "environment.json").write_text(json.dumps(environment), encoding="utf-8")
        cases: dict[str, Any] = {"usual": {}, "changed": {"tiers": self.tree.one_field()}}
        for name, changed in cases.items():
            self.tree.settings(**changed)
            run([self.tree.python, "-m", "benchmarks.bare", "record", str(self._objects(name))], {}, self.tree.root)
        self.tree.settings()

    def operations(self) -> Mapping[str, Callable[[], Measured]]:
        """Everything."""

        def bare(operation: str, objects: str = "usual") -> Measured:
            words = ("-m", "benchmarks.bare", operation, str(self._objects(objects)), str(self.folder))
            return run([self.tree.python, *words], {}, self.tree.root)

        return {
            "preview, all new": lambda: bare("preview"),
            "first up": lambda: bare("up"),
            "preview, no change": lambda: bare("preview"),
            "up, no change": lambda: bare("up"),
            "up, one field": lambda: bare("up", "changed"),
            "refresh": lambda: bare("refresh", "changed"),
            "destroy": lambda: bare("destroy", "changed"),
        }

    def _objects(self, name: str) -> Path:
        return self.folder / f"{name}.json"


def manifests(recorded: Path) -> list[dict[str, Any]]:
    """The recorded objects as plain tools take them: no patches of what others own, namespaces first."""
    objects = [
        each["inputs"]
        for each in json.loads(recorded.read_text(encoding="utf-8"))
        if each["type"].startswith("kubernetes:") and not each["type"].endswith("Patch")
    ]
    return sorted(objects, key=lambda each: str(each["kind"]) != "Namespace")


@dataclass
class Kubectl:
    """`kubectl diff` and `kubectl apply`: no state, no order but that of the file, nothing is waited for."""

    floor: Floor
    program: Path
    name: str = "kubectl"

    def __post_init__(self) -> None:
        """Write the objects into two files."""
        for name in ("usual", "changed"):
            text = yaml.safe_dump_all(manifests(self.floor.folder / f"{name}.json"))
            self._file(name).write_text(text, encoding="utf-8")

    def operations(self) -> Mapping[str, Callable[[], Measured]]:
        """All but refresh, which it has no need of."""

        def kubectl(*words: str, name: str = "usual") -> Measured:
            kubeconfig = str(self.floor.tree.kubeconfig)
            # `diff` ends with 1 where something differs.
            command = [str(self.program), "--kubeconfig", kubeconfig, *words, "-f", str(self._file(name))]
            script = 'before=$1; shift; "$@"; code=$?; [ "$code" -le "$before" ]'
            return run(["sh", "-c", script, "sh", "1" if words[0] == "diff" else "0", *command], {})

        return {
            "first up": lambda: kubectl("apply", "--server-side"),
            "preview, no change": lambda: kubectl("diff", "--server-side"),
            "up, no change": lambda: kubectl("apply", "--server-side"),
            "up, one field": lambda: kubectl("apply", "--server-side", name="changed"),
            "destroy": lambda: kubectl("delete", "--ignore-not-found", name="changed"),
        }

    def _file(self, name: str) -> Path:
        return self.floor.folder / f"{name}.yaml"


@dataclass
class Helm:
    """One chart with all objects: its state is a Secret on the cluster, nothing is waited for."""

    floor: Floor
    program: Path
    name: str = "Helm"

    def __post_init__(self) -> None:
        """Write the objects into two charts."""
        for name in ("usual", "changed"):
            chart = self._chart(name)
            (chart / "templates").mkdir(parents=True)
            (chart / "Chart.yaml").write_text("apiVersion: v2\nname: bench\nversion: 0.1.0\n", encoding="utf-8")
            text = yaml.safe_dump_all(manifests(self.floor.folder / f"{name}.json"))
            text = text.replace("{{", "{{ `{{` }}")
            (chart / "templates" / "all.yaml").write_text(text, encoding="utf-8")

    def operations(self) -> Mapping[str, Callable[[], Measured]]:
        """All but refresh, which it has not."""

        def helm(*words: str) -> Measured:
            kubeconfig = str(self.floor.tree.kubeconfig)
            return run([str(self.program), "--kubeconfig", kubeconfig, "--namespace", "default", *words], {})

        def upgrade(name: str = "usual", *more: str) -> Measured:
            return helm("upgrade", "--install", "bench", str(self._chart(name)), *more)

        return {
            "preview, all new": lambda: upgrade("usual", "--dry-run=server"),
            "first up": upgrade,
            "preview, no change": lambda: upgrade("usual", "--dry-run=server"),
            "up, no change": upgrade,
            "up, one field": lambda: upgrade("changed"),
            "destroy": lambda: helm("uninstall", "bench", "--wait"),
        }

    def _chart(self, name: str) -> Path:
        return self.floor.folder / f"chart-{name}"


def sides(tree: Tree, folder: Path) -> list[Side]:
    """The ways that can be had here: kubectl only where it is installed, as nothing else of the project needs it."""
    floor = Floor(tree, folder / "bare")
    found: list[Side] = [Ours(tree), floor, Helm(floor, find("helm", Console()))]
    kubectl = shutil.which("kubectl")
    return [*found, Kubectl(floor, Path(kubectl))] if kubectl else found


def versions() -> dict[str, str]:
    """Of what is compared."""
    return {name: TOOLS[name].version for name in ("pulumi", "kube-apiserver", "helm")}
