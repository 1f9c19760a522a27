"""Bring a sandbox up, take it down, say how it is. All of it can be repeated, and interrupted at any moment."""

import asyncio
import time
from collections.abc import Coroutine, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import psutil
from filelock import FileLock, Timeout

from sandbox import contents, control_plane, crds, processes, toolbox
from sandbox.gateway import process as gateway
from sandbox.instance import Operators, Sandbox, SandboxError
from sandbox.kube import ApiError, Kube
from sandbox.kubeconfig import Connection, KubeconfigError
from sandbox.progress import Reporter, Step
from sandbox.real import lifecycle as real
from sandbox.real.places import require_sockets

LOCK_SECONDS = 600.0
"""How long `up` and `down` wait for another `up` or `down` of the same sandbox."""
_COUNTED = {
    "nodes": ("v1", "Node"),
    "namespaces": ("v1", "Namespace"),
    "pods": ("v1", "Pod"),
    "gateways": ("gateway.networking.k8s.io/v1", "Gateway"),
    "routes": ("gateway.networking.k8s.io/v1", "HTTPRoute"),
    "models": ("serving.kserve.io/v1beta1", "InferenceService"),
}


@dataclass(frozen=True)
class ProcessStatus:
    """One process of a sandbox.

    Attributes:
        name: Such as `kube-apiserver`.
        pid: Its number.
        memory: Resident memory in bytes.
    """

    name: str
    pid: int
    memory: int


@dataclass(frozen=True)
class SandboxStatus:
    """How a sandbox is.

    Attributes:
        name: Its name.
        running: All parts are alive and the API server is ready.
        server: URL of the API server.
        kubeconfig: Path of the kubeconfig file, whether it is there or not.
        version: What the API server says of itself (v1.2.3); None when it does not answer.
        processes: What is alive.
        ports: The ports set aside, by what they are for.
        objects: How many objects of some kinds there are.
        gateway: URL of the stack's gateway, whether it is running or not.
        admin: URL where the gateway tells of itself.
        answers: Whether it does.
    """

    name: str
    running: bool
    server: str
    kubeconfig: str
    version: str | None
    processes: tuple[ProcessStatus, ...]
    ports: Mapping[str, int]
    objects: Mapping[str, int] = field(default_factory=dict[str, int])
    gateway: str = ""
    admin: str = ""
    answers: bool = False

    @property
    def memory(self) -> int:
        """Resident memory of all processes, in bytes."""
        return sum(process.memory for process in self.processes)


def up(sandbox: Sandbox, reporter: Reporter) -> Sandbox:
    """Bring a sandbox up with everything in it, from whatever state it is in.

    Returns:
        The sandbox, with other ports than before when somebody else had taken one of them meanwhile.

    Raises:
        SandboxError: The control plane does not start, or what belongs into it was refused.
        ToolError: A tool that is needed cannot be had.
    """
    with _locked(sandbox, reporter):
        bundle = crds.bundle(reporter)
        if sandbox.operators is Operators.REAL:
            require_sockets()
            real.prepare(reporter)
        if not control_plane.running(sandbox):
            tools = toolbox.find_all(control_plane.TOOLS, reporter)
            with reporter.step("Starting the control plane", usually_seconds=6) as step:
                sandbox = control_plane.start(sandbox, tools, step)
        gateway.start(sandbox)  # gets ready while the cluster is filled
        with reporter.step("Installing CRDs, nodes and operators", usually_seconds=8) as step:
            _fill(sandbox, bundle, step)
            gateway.wait(sandbox, step)
        if sandbox.operators is Operators.REAL:
            with reporter.step("Starting the real operators", usually_seconds=25) as step:
                _start_operators(sandbox, step)
    return sandbox


def with_operators(sandbox: Sandbox, operators: Operators) -> Sandbox:
    """Have a sandbox's operators be played or real from its next start on.

    Raises:
        SandboxError: It stands with the others: their objects would stay among the new ones.
    """
    if sandbox.operators is operators:
        return sandbox
    if sandbox.kwok_folder.exists():
        raise SandboxError(
            f"sandbox {sandbox.name} stands with {sandbox.operators} operators; take it down first: "
            f"./maas down --name {sandbox.name}"
        )
    return sandbox.with_operators(operators)


def down(sandbox: Sandbox, reporter: Reporter, *, keep_state: bool = False) -> None:
    """Stop a sandbox: no process and no port of it is in use afterwards.

    Args:
        sandbox: Which one.
        reporter: Hears of it.
        keep_state: Keep the cluster's data, so that the next `up` goes on where it was.
    """
    with _locked(sandbox, reporter), reporter.step("Stopping the control plane", usually_seconds=2):
        control_plane.stop(sandbox, keep_state=keep_state)
        if not keep_state:
            real.forget(sandbox)


def status(sandbox: Sandbox) -> SandboxStatus:
    """Say how a sandbox is; changes nothing, and does not wait for a running `up` or `down`."""
    alive = processes.owned_by(sandbox.folder)
    running = control_plane.running(sandbox)
    return SandboxStatus(
        name=sandbox.name,
        running=running,
        server=sandbox.server,
        kubeconfig=str(sandbox.kubeconfig),
        version=_version(sandbox) if running else None,
        processes=tuple(_describe(alive)),
        ports=sandbox.ports.by_name(),
        objects=asyncio.run(_count(sandbox)) if running else {},
        gateway=gateway.url(sandbox),
        admin=gateway.admin_url(sandbox),
        answers=running and gateway.health(sandbox) is not None,
    )


def _fill(sandbox: Sandbox, bundle: crds.Bundle, step: Step) -> None:
    async def fill() -> None:
        async with Kube.connect(sandbox.kubeconfig) as kube:
            kwok = control_plane.identity_of_kwok(sandbox)
            if sandbox.operators is Operators.REAL:
                await contents.install(kube, bundle, kwok, step, real.PLAYED)
            else:
                await contents.install(kube, bundle, kwok, step)

    _run(sandbox, fill())


def _start_operators(sandbox: Sandbox, step: Step) -> None:
    _run(sandbox, real.install(sandbox, step))


def _run(sandbox: Sandbox, work: Coroutine[Any, Any, None]) -> None:
    try:
        asyncio.run(work)
    except* ApiError as errors:
        raise SandboxError(f"sandbox {sandbox.name}: {errors.exceptions[0]}") from errors.exceptions[0]
    except* TimeoutError as errors:
        raise SandboxError(f"sandbox {sandbox.name}: {errors.exceptions[0]}") from errors.exceptions[0]


def _describe(alive: list[psutil.Process]) -> Generator[ProcessStatus]:
    for process in alive:
        try:
            yield ProcessStatus(processes.name_of(process), process.pid, process.memory_info().rss)
        except psutil.Error:
            continue  # gone meanwhile


def _version(sandbox: Sandbox) -> str | None:
    try:
        connection = Connection.read(sandbox.kubeconfig)
        answer = httpx.get(f"{connection.server}/version", verify=connection.tls, timeout=5, trust_env=False)
        return str(answer.json()["gitVersion"])
    except (KubeconfigError, httpx.HTTPError, ValueError, KeyError):
        return None


async def _count(sandbox: Sandbox) -> dict[str, int]:
    async def count(kube: Kube, api_version: str, kind: str) -> int:
        try:
            return len(await kube.list(api_version, kind))
        except ApiError:
            return 0  # the kind is not served yet

    async with Kube.connect(sandbox.kubeconfig) as kube:
        counts = await asyncio.gather(*(count(kube, *kind) for kind in _COUNTED.values()))
    return dict(zip(_COUNTED, counts, strict=True))


@contextmanager
def _locked(sandbox: Sandbox, reporter: Reporter) -> Generator[None]:
    """One `up` or `down` of a sandbox at a time. The lock ends with the process that holds it."""
    sandbox.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = FileLock(sandbox.lock)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        with reporter.step(f"Waiting for another run that changes sandbox {sandbox.name}"):
            started = time.monotonic()
            try:
                lock.acquire(timeout=LOCK_SECONDS)
            except Timeout as error:
                waited = time.monotonic() - started
                raise SandboxError(
                    f"sandbox {sandbox.name}: another run holds {sandbox.lock} for {waited:.0f} s"
                ) from error
    try:
        yield
    finally:
        lock.release()
