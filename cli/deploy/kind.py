"""A kind cluster for the dev stack: Kubernetes in a container, with the gateway's ports on loopback.

Everything of it is in one folder of ours (`.maas/kind/<name>/`): kind's configuration, the kubeconfig, and the project
folder of a stack that is `Pulumi.dev.yaml` plus what is different on kind. No tracked file is changed, and neither is
the user's own kubeconfig.
"""

import os
import re
import shutil
import socket
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import yaml

from cli.deploy import composed
from cli.deploy.target import Target, project_name
from cli.exits import Exit, MaasError
from cli.files import passphrase_file, private_folder, write_private
from cli.paths import home
from sandbox.progress import Reporter

STACK = "dev"
DOMAIN = "maas.localhost"
LOOPBACK = "127.0.0.1"
_NODE_PORTS = {"http": 30080, "https": 30443}
_DEFAULT_PORTS = {"http": 80, "https": 443}
_CREATE_SECONDS, _READY_SECONDS, _ASK_SECONDS = 900.0, 300, 30.0
_LAST_LINES = 6
_NAME = re.compile(r"^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$")


@dataclass(frozen=True)
class Ports:
    """The ports of this machine, on loopback, that lead to the gateway."""

    http: int
    https: int


def cluster_config(ports: Ports) -> dict[str, Any]:
    """What kind is told: one node, whose node ports are ports of this machine."""
    mappings = [
        {"containerPort": node, "hostPort": host, "listenAddress": LOOPBACK, "protocol": "TCP"}
        for node, host in ((_NODE_PORTS["http"], ports.http), (_NODE_PORTS["https"], ports.https))
    ]
    node = {"role": "control-plane", "labels": {"ingress-ready": "true"}, "extraPortMappings": mappings}
    return {"kind": "Cluster", "apiVersion": "kind.x-k8s.io/v1alpha4", "nodes": [node]}


def overlay(name: str, ports: Ports) -> dict[str, Any]:
    """What the dev stack has different on kind, by full key."""
    return {
        # Encrypted for another state: what this one needs is generated.
        "maas:apiKeys": None,
        "maas:domain": DOMAIN,
        "maas:cluster": {"context": f"kind-{name}"},
        "maas:gateway": {
            # Nothing gives out addresses for load balancers here.
            "expose": "nodePort",
            "nodePorts": dict(_NODE_PORTS),
            "publicPorts": {"http": ports.http, "https": ports.https},
            "resources": {"cpu": "100m", "memory": "1Gi"},
        },
    }


@dataclass(frozen=True)
class Status:
    """What there is of a cluster."""

    name: str
    running: bool
    context: str
    kubeconfig: str
    http_port: int
    https_port: int


class KindCluster:
    """One kind cluster and the folder that is kept about it."""

    def __init__(self, name: str, ports: Ports, folder: Path) -> None:
        self.name, self.ports, self.folder = name, ports, folder

    @classmethod
    def open(cls, name: str, http_port: int | None = None, https_port: int | None = None) -> "KindCluster":
        """A cluster by name, whether it is there or not; ports that are not given are as they were, or 80 and 443.

        Raises:
            MaasError: The name is none that kind would take, or that could be a folder; or one port is for both.
        """
        if not _NAME.match(name):
            raise MaasError(f"{name!r} is no name for a kind cluster: a-z, 0-9 and '-' make one.", code=Exit.USAGE)
        folder = home() / "kind" / name
        known = _known_ports(folder / "kind.yaml")
        ports = Ports(http_port or known["http"], https_port or known["https"])
        if ports.http == ports.https:
            message = f"HTTP and HTTPS need a port each, and both are {ports.http}: say --http-port or --https-port."
            raise MaasError(message, code=Exit.USAGE)
        return cls(name, ports, folder)

    @property
    def config(self) -> Path:
        """What kind was told."""
        return self.folder / "kind.yaml"

    @property
    def kubeconfig(self) -> Path:
        """How to reach the cluster."""
        return self.folder / "kubeconfig.yaml"

    @property
    def project(self) -> Path:
        """The folder of the composed stack file."""
        return self.folder / "project"

    def compose(self) -> list[str]:
        """Bring the stack file in line with the tracked one; returns the users that have no API key yet."""
        private_folder(self.folder)
        return composed.compose(self.project, stack=STACK, overlay=overlay(self.name, self.ports))

    def target(self) -> Target:
        """The stack on this cluster. Its state goes with the cluster, so it is kept beside it, and nowhere else."""
        folder = private_folder(self.folder)
        return Target(
            stack=STACK,
            project=project_name(),
            work_dir=private_folder(self.project),
            environment={
                "PULUMI_SKIP_UPDATE_CHECK": "true",
                "PULUMI_BACKEND_URL": f"file://{private_folder(folder / 'state')}",
                "PULUMI_CONFIG_PASSPHRASE_FILE": str(passphrase_file(folder / "passphrase")),
                "KUBECONFIG": str(self.kubeconfig),
            },
            # The user's own Pulumi keeps its plugins, and has no other say.
            without=frozenset(name for name in os.environ if name.startswith("PULUMI_") and name != "PULUMI_HOME"),
            kubeconfig=self.kubeconfig,
            sandbox=None,
            lock=private_folder(folder.parent) / f".{self.name}.lock",
            backups=folder / "backups",
            words=f" --kind {self.name}",
        )

    def running(self) -> bool:
        """Whether kind knows the cluster."""
        return self.name in _kind("get", "clusters", seconds=_ASK_SECONDS).splitlines()

    def create(self, reporter: Reporter) -> None:
        """Make the cluster, unless it is there.

        Raises:
            MaasError: kind or the container engine is missing or fails; a port is taken; the cluster that is there has
                other ports.
        """
        require_engine()
        wanted = yaml.safe_dump(cluster_config(self.ports), sort_keys=False)
        if self.running():
            self._require_same(wanted)
            if not self.kubeconfig.is_file():
                _kind("export", "kubeconfig", *self._named(), seconds=_ASK_SECONDS)
            return
        _require_free(self.ports)
        private_folder(self.folder)
        write_private(self.config, wanted)
        with reporter.step(f"kind cluster {self.name}", usually_seconds=90):
            _kind(
                "create", "cluster", *self._named(), "--config", str(self.config), "--wait", f"{_READY_SECONDS}s",
                seconds=_CREATE_SECONDS,
            )  # fmt: skip

    def delete(self, reporter: Reporter) -> None:
        """Delete the cluster with all that is on it, and forget it."""
        require_engine()
        if not self.running():
            shutil.rmtree(self.folder, ignore_errors=True)
            return
        self._require_ours()
        with reporter.step(f"Deleting kind cluster {self.name}", usually_seconds=10):
            _kind("delete", "cluster", *self._named(), seconds=_CREATE_SECONDS)
        shutil.rmtree(self.folder, ignore_errors=True)

    def status(self) -> Status:
        """What there is."""
        require_engine()
        return Status(
            self.name,
            self.running(),
            f"kind-{self.name}",
            str(self.kubeconfig),
            self.ports.http,
            self.ports.https,
        )

    def _named(self) -> tuple[str, ...]:
        return ("--name", self.name, "--kubeconfig", str(self.kubeconfig))

    def _require_same(self, wanted: str) -> None:
        self._require_ours()
        if self.config.read_text(encoding="utf-8") != wanted:
            raise MaasError(
                f"kind cluster {self.name} was made with other ports, which cannot be changed. Leave the ports out, or "
                f"make it anew: ./maas kind down --name {self.name}",
                code=Exit.USAGE,
            )

    def _require_ours(self) -> None:
        if not self.config.is_file():
            raise MaasError(
                f"There is a kind cluster {self.name} that was not made from here, and is left alone. Say --name for "
                f"another one, or delete it: kind delete cluster --name {self.name}"
            )


def require_engine() -> None:
    """Refuse when kind, or what it runs containers with, is not usable.

    Raises:
        MaasError: Says which, and what to do.
    """
    without = "The sandbox needs neither: ./maas up"
    if shutil.which("kind") is None:
        raise MaasError(f"kind is not installed (see https://kind.sigs.k8s.io). {without}")
    engine = os.environ.get("KIND_EXPERIMENTAL_PROVIDER") or "docker"
    if shutil.which(engine) is None:
        raise MaasError(f"kind needs {engine}, which is not installed. {without}")
    done = _run([engine, "info"], _ASK_SECONDS)
    if done.returncode:
        raise MaasError(
            f"{engine} is installed but does not answer: {_last(done)}. Start it, then try again. {without}"
        )


def _known_ports(config: Path) -> dict[str, int]:
    """The ports that an earlier run mapped, or the usual ones."""
    try:
        content = cast("Mapping[str, Any]", yaml.safe_load(config.read_text(encoding="utf-8")))
        mappings = {
            int(each["containerPort"]): int(each["hostPort"]) for each in content["nodes"][0]["extraPortMappings"]
        }
        return {kind: mappings[node] for kind, node in _NODE_PORTS.items()}
    except (FileNotFoundError, KeyError, IndexError, TypeError, ValueError, yaml.YAMLError):
        return dict(_DEFAULT_PORTS)


def _require_free(ports: Ports) -> None:
    """Whether somebody answers there already. Binding would be surer, but only the engine may bind to 80."""
    for option, port in (("--http-port", ports.http), ("--https-port", ports.https)):
        with socket.socket() as probe:
            probe.settimeout(1)
            if probe.connect_ex((LOOPBACK, port)) == 0:
                raise MaasError(
                    f"Port {port} of {LOOPBACK} is taken. Say another one: {option} <port>", code=Exit.USAGE
                )


def _kind(*words: str, seconds: float) -> str:
    """Run kind; returns what it printed."""
    done = _run(["kind", *words], seconds)
    if done.returncode:
        raise MaasError(
            f"kind {' '.join(words[:2])} failed: {_last(done)}. Look at the node's container: docker ps -a "
            "--filter label=io.x-k8s.kind.cluster"
        )
    return done.stdout


def _run(words: Sequence[str], seconds: float) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(  # noqa: S603 - our own words
            list(words), capture_output=True, text=True, timeout=seconds, check=False, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired:
        said = f"no answer within {seconds:.0f} s"
        return subprocess.CompletedProcess(list(words), returncode=124, stdout="", stderr=said)


def _last(done: subprocess.CompletedProcess[str]) -> str:
    lines = [line.strip() for line in (done.stderr or done.stdout).splitlines() if line.strip()]
    return " / ".join(lines[-_LAST_LINES:]) or f"exit code {done.returncode}"
