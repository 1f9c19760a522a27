"""One stack on one control plane, on which everything goes wrong that the tests think of.

The stack is that of a cluster, not the sandbox's: `./maas up --stack faults` with a kubeconfig that leads through the
proxy. It is small, so that a run takes seconds.
"""

import base64
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Coroutine, Generator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import yaml

from cli.deploy.recovery import Backend
from sandbox import lifecycle, processes
from sandbox.instance import Sandbox
from sandbox.kube import Kube, Object
from sandbox.kubeconfig import Connection
from sandbox.progress import Silent
from tests.faults.identities import client_certificate
from tests.faults.proxy import Proxy, serve, write_kubeconfig
from tests.tree import Tree, with_kube

STACK = "faults"
POLICY = ("kuadrant.io/v1alpha1", "TokenRateLimitPolicy", "gateway-token-limits", "llm")
"""The object whose one field each fault's run changes."""
WRITES_POLICY = r"tokenratelimitpolicies/gateway-token-limits\?(?!.*dryRun)"
"""The request that changes it."""
WATCHES_POLICY = r"tokenratelimitpolicies\?.*watch=true"
"""The request that waits for what Kuadrant says of it."""
NAMESPACES = ("llm", "kuadrant-system", "kserve", "default")
COMMAND_SECONDS = 400
_FIRST_LIMIT = 1000
SETTINGS = f"""\
config:
  maas:domain: faults.localhost
  maas:platform: {{profile: kubernetes}}
  maas:gateway: {{expose: clusterIP}}
  maas:tiers:
    free: {{level: 0, requests: 5 per 2m, tokens: {_FIRST_LIMIT} per 1h}}
  maas:users: {{alice: {{tier: free}}}}
  maas:models:
    simulator: {{profile: simulator}}
  maas:observability: {{monitors: false, rules: false, dashboards: none}}
  maas:timeouts: {{gateway: 30s, kserve: 30s, kuadrant: 30s, model: 1m, route: 30s, policy: 15s, delete: 15s}}
  maas:policy: {{levels: {{tls: disabled}}}}
"""


@dataclass(frozen=True)
class Said:
    """How a command ended."""

    code: int
    text: str
    seconds: float


@dataclass
class World:
    """The stack, its cluster, and what a fault may change of both."""

    tree: Tree
    sandbox: Sandbox
    proxy: Proxy
    environment: dict[str, str] = field(default_factory=dict[str, str])
    """What commands get beside what they always get."""
    prefix: tuple[str, ...] = ()
    """What commands are started with."""
    usual_seconds: float = 0
    """How long a run without a fault takes on this machine, as busy as it is."""
    limit: int = _FIRST_LIMIT
    """The token limit that the stack file asks for."""

    @property
    def home(self) -> Path:
        return self.tree.home

    @property
    def settings(self) -> Path:
        return self.tree.root / f"Pulumi.{STACK}.yaml"

    @property
    def state(self) -> Path:
        return self.home / "state"

    @property
    def backend(self) -> Backend:
        return Backend(f"file://{self.state}", self.state, "maas", STACK)

    # Commands.

    def start(self, *words: str) -> subprocess.Popen[str]:
        environment = {**self.tree.environment, "KUBECONFIG": str(self.home / "kubeconfig.yaml"), **self.environment}
        return subprocess.Popen(  # noqa: S603 - the script under test
            [*self.prefix, str(self.tree.root / "maas"), *words],
            env={key: value for key, value in environment.items() if not key.startswith("PULUMI_")} | self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *words: str) -> Said:
        began = time.monotonic()
        process = self.start(*words)
        text, _ = process.communicate(timeout=COMMAND_SECONDS)
        return Said(process.returncode, text, time.monotonic() - began)

    def up(self) -> Said:
        return self.run("up", "--stack", STACK, "--stand-in", "--yes")

    def change(self) -> int:
        """Ask for another limit in the stack file; returns it."""
        text = self.settings.read_text()
        self.limit += 1
        changed = re.sub(r"tokens: \d+ per", f"tokens: {self.limit} per", text)
        assert changed != text
        self.settings.write_text(changed)
        return self.limit

    @contextmanager
    def edited(self, old: str, new: str) -> Generator[None]:
        """Have other text in the stack file; it is put back in the end."""
        text = self.settings.read_text()
        assert text.count(old) == 1, f"{old!r} is in the stack file once"
        self.settings.write_text(text.replace(old, new))
        try:
            yield
        finally:
            self.settings.write_text(self.settings.read_text().replace(new, old))

    @contextmanager
    def with_environment(self, **variables: str) -> Generator[None]:
        before = dict(self.environment)
        self.environment |= variables
        try:
            yield
        finally:
            self.environment = before

    @contextmanager
    def with_kubeconfig(
        self, *, server: str = "", user: Mapping[str, str] | None = None, ca: bytes = b""
    ) -> Generator[None]:
        """Have commands use another kubeconfig: another server, user or CA than the sandbox's own."""
        config = yaml.safe_load(self.sandbox.kubeconfig.read_text())
        cluster = config["clusters"][0]["cluster"]
        if server:
            cluster["server"] = server
        if ca:
            cluster["certificate-authority-data"] = base64.b64encode(ca).decode()
        if user is not None:
            config["users"][0]["user"] = dict(user)
        path = self.home / "other-kubeconfig.yaml"
        path.write_text(yaml.safe_dump(config))
        with self.with_environment(KUBECONFIG=str(path)):
            yield

    def certificate(self, name: str, groups: tuple[str, ...] = (), *, days: int = 1) -> dict[str, str]:
        """A kubeconfig's user of this name, which the cluster's CA vouches for."""
        return client_certificate(self.sandbox.cluster_folder / "pki", name, groups, days=days)

    # The cluster.

    def cluster(self, work: Callable[[Kube], Coroutine[Any, Any, Any]]) -> Any:  # noqa: ANN401 - whatever it gives
        return with_kube(self.sandbox, work)

    def get(self, *where: str) -> Object | None:
        return self.cluster(lambda kube: kube.get(*where))

    def live_limit(self) -> int:
        policy = self.get(*POLICY)
        assert policy, "the policy is there"
        return policy["spec"]["limits"]["free"]["rates"][0]["limit"]

    def programs(self, *names: str) -> list[psutil.Process]:
        """The control plane's programs of these names."""
        found = [each for each in processes.owned_by(self.sandbox.folder) if processes.name_of(each) in names]
        assert found, f"{names} run"
        return found

    def kill(self, *names: str) -> None:
        """End programs of the control plane at once."""
        for each in self.programs(*names):
            each.kill()

    def mend_control_plane(self) -> None:
        lifecycle.up(self.sandbox, Silent())

    @contextmanager
    def stopped(self, *names: str) -> Generator[None]:
        """Have programs of the control plane stand still."""
        found = self.programs(*names)
        for each in found:
            each.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            for each in found:
                each.send_signal(signal.SIGCONT)

    @contextmanager
    def having(self, *objects: Object) -> Generator[None]:
        """Have objects of somebody else on the cluster."""

        async def make(kube: Kube) -> None:
            for each in objects:
                await kube.apply(each, field_manager="somebody-else")

        async def remove(kube: Kube) -> None:
            for each in objects:
                metadata = each["metadata"]
                await kube.delete(each["apiVersion"], each["kind"], metadata["name"], metadata.get("namespace"))

        self.cluster(make)
        try:
            yield
        finally:
            self.cluster(remove)

    def canaries(self) -> dict[str, tuple[str, str]]:
        """The objects of another owner, by place: which they are and of what version."""

        async def look(kube: Kube) -> dict[str, tuple[str, str]]:
            found: dict[str, tuple[str, str]] = {}
            for namespace in NAMESPACES:
                for kind in ("ConfigMap", "Secret"):
                    each = await kube.get("v1", kind, "canary", namespace)
                    metadata = each["metadata"] if each else {"uid": "", "resourceVersion": "gone"}
                    found[f"{kind} {namespace}"] = metadata["uid"], metadata["resourceVersion"]
            return found

        return self.cluster(look)

    def put_canaries(self) -> None:
        async def make(kube: Kube) -> None:
            for namespace in NAMESPACES:
                metadata = {"name": "canary", "namespace": namespace}
                config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"owner": "another"}}
                secret = {
                    "apiVersion": "v1",
                    "kind": "Secret",
                    "metadata": metadata,
                    "stringData": {"owner": "another"},
                }
                await kube.apply(config, field_manager="somebody-else")
                await kube.apply(secret, field_manager="somebody-else")

        self.cluster(make)

    def engines(self) -> list[psutil.Process]:
        """The engines at work on this stack."""
        return [psutil.Process(pid) for pid in self.tree.engines()]


@contextmanager
def standing(folder: Path) -> Generator[World]:
    """A world whose stack is deployed; it is gone afterwards.

    With MAAS_TEST_FAULTS_FOLDER it is made there, and stays: the next run has it at once.
    """
    kept = os.environ.get("MAAS_TEST_FAULTS_FOLDER")
    folder = Path(kept) if kept else folder
    shutil.rmtree(folder / "tree", ignore_errors=True)
    home = folder / "home"
    home.mkdir(mode=0o700, exist_ok=True)
    with ExitStack() as stack:
        sandbox = Sandbox.open("faults", home)
        if not kept:
            stack.callback(lifecycle.down, sandbox, Silent())
        sandbox = lifecycle.up(sandbox, Silent())
        world = stack.enter_context(stack_on(sandbox, folder, SETTINGS))
        first = world.up()
        assert first.code == 0, first.text
        world.usual_seconds = first.seconds
        world.put_canaries()
        yield world


@contextmanager
def stack_on(sandbox: Sandbox, folder: Path, settings: str, user: Mapping[str, str] | None = None) -> Generator[World]:
    """A stack with a key for alice, not deployed yet; its engines are gone afterwards.

    Args:
        sandbox: Its cluster.
        folder: Where its copy of the tree and its state are.
        settings: Its stack file.
        user: As whom the proxy speaks to the API server; the sandbox's administrator when None.
    """
    tree = Tree(folder)
    tree.home.mkdir(mode=0o700, exist_ok=True)
    with serve(connection(sandbox, user)) as proxy:
        world = World(tree, sandbox, proxy)
        write_kubeconfig(tree.home / "kubeconfig.yaml", proxy.url)
        with_keys = folder / world.settings.name
        if not with_keys.exists():
            world.settings.write_text(settings)
            made = world.run("keys", "create", "alice", "--stack", STACK)
            assert made.code == 0, made.text
            shutil.copy(world.settings, with_keys)
        shutil.copy(with_keys, world.settings)
        yield world
        for each in world.engines():
            each.kill()


def connection(sandbox: Sandbox, user: Mapping[str, str] | None = None) -> Connection:
    """The way to a sandbox's API server, as its administrator or as another user of a kubeconfig."""
    config = yaml.safe_load(sandbox.kubeconfig.read_text())
    if user is not None:
        config["users"][0]["user"] = dict(user)
    return Connection.parse(yaml.safe_dump(config))


def can_mount(folder: Path) -> bool:
    """Whether file systems can be mounted here: by root, where nothing forbids it."""
    if os.geteuid() != 0 or not shutil.which("mount"):
        return False
    folder.mkdir(exist_ok=True)
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)], check=False)  # noqa: S603, S607
    if done.returncode == 0:
        subprocess.run(["umount", str(folder)], check=True)  # noqa: S603, S607
    return done.returncode == 0
