"""Keeps one process running for each Deployment of a real operator.

A Deployment that is there, with replicas, has its process; one that goes, or is scaled to none, loses it; one whose pod
template changes gets a new one, as by a rollout. A process that dies is started again, later each time, and the
supervisor's log says which, with what code, and what it said last.
"""

import asyncio
import base64
import hashlib
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
import yaml

from sandbox.crds import FIELD_MANAGER
from sandbox.instance import LOOPBACK, Sandbox
from sandbox.kube import ApiError, Kube
from sandbox.real.catalogue import PROGRAMS, Addresses, Program
from sandbox.real.manifests import LABEL, READY
from sandbox.real.places import addresses_of, extension_of, folder_of, log_of
from sandbox.tools.files import last_lines, write_whole

Object = dict[str, Any]

_POLL_SECONDS = 0.5
_FIRST_PAUSE_SECONDS = 1.0
_LONGEST_PAUSE_SECONDS = 30.0
_STEADY_SECONDS = 60.0
"""A process that has run for this long is forgiven its earlier deaths."""
_GRACE_SECONDS = 5.0
_TOKEN_SECONDS = 24 * 3600
_LAST_LINES = 4
_HEALTH_SECONDS = 2.0


@dataclass(frozen=True)
class State:
    """How one program is.

    Attributes:
        program: Its name.
        pid: Its process; None when it does not run.
        ready: Whether it answers that it is ready.
        starts: How often it was started.
        ports: Where it listens, by what for.
        note: What happened last, in words.
        unwanted: Somebody has scaled its Deployment to none.
    """

    program: str
    pid: int | None
    ready: bool
    starts: int
    ports: Mapping[str, int]
    note: str = ""
    unwanted: bool = False


@dataclass
class _Running:
    """One program, whether it runs or not."""

    program: Program
    addresses: Addresses
    process: subprocess.Popen[bytes] | None = None
    template: str = ""
    starts: int = 0
    started: float = 0.0
    pause: float = _FIRST_PAUSE_SECONDS
    not_before: float = 0.0
    note: str = "its Deployment is not there yet"
    unwanted: bool = False
    children: list[psutil.Process] = field(default_factory=list[psutil.Process])


def states(sandbox: Sandbox) -> list[State]:
    """How each program was when the supervisor last looked; empty before its first look."""
    try:
        found = json.loads(_state_file(sandbox).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    return [State(**each) for each in found]


class Supervisor:
    """The loop."""

    def __init__(self, sandbox: Sandbox, tools: Mapping[str, Path]) -> None:
        self._sandbox = sandbox
        self._tools = tools
        self._running = [_Running(each, addresses_of(sandbox, each)) for each in PROGRAMS]
        self._over = asyncio.Event()

    async def run(self) -> None:
        """Look, act and write down how all is, until told to stop."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._over.set)
        async with (
            Kube.connect(self._sandbox.kubeconfig) as kube,
            httpx.AsyncClient(timeout=_HEALTH_SECONDS, trust_env=False) as http,
        ):
            while not self._over.is_set():
                for each in self._running:
                    # An API server that is down for a moment is no reason to end what runs.
                    with suppress(ApiError, httpx.HTTPError):
                        await self._attend(kube, each)
                ready = await asyncio.gather(*(_ready(http, each) for each in self._running))
                self._write(ready)
                with suppress(ApiError, httpx.HTTPError):
                    await _tell_pods(
                        kube, [one for one, is_ready in zip(self._running, ready, strict=True) if is_ready]
                    )
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._over.wait(), _POLL_SECONDS)
        for each in self._running:
            _end(each)

    async def _attend(self, kube: Kube, one: _Running) -> None:
        deployment = await kube.get("apps/v1", "Deployment", one.program.deployment, one.program.namespace)
        one.unwanted = deployment is not None and deployment["spec"].get("replicas", 1) == 0
        if deployment is None or one.unwanted or deployment["metadata"].get("deletionTimestamp"):
            if one.process is not None:
                _say(one, "its Deployment wants none" if one.unwanted else "its Deployment is gone")
                _end(one)
            return
        template = _hash(deployment["spec"]["template"])
        if one.process is not None and one.process.poll() is None and one.template != template:
            _say(one, "its pod template changed: started anew")
            _end(one)
        if one.process is not None and one.process.poll() is not None:
            self._died(one)
        if one.process is None and time.monotonic() >= one.not_before:
            await self._start(kube, one, deployment, template)

    def _died(self, one: _Running) -> None:
        assert one.process is not None  # noqa: S101 - the caller looked
        lasted = time.monotonic() - one.started
        one.pause = _FIRST_PAUSE_SECONDS if lasted > _STEADY_SECONDS else min(one.pause * 2, _LONGEST_PAUSE_SECONDS)
        one.not_before = time.monotonic() + one.pause
        last = " | ".join(last_lines(log_of(self._sandbox, one.program.name), _LAST_LINES, 200))
        _say(
            one,
            f"ended with code {one.process.returncode} after {lasted:.0f} s, "
            f"is started again in {one.pause:.0f} s; said last: {last}",
        )
        _end(one)

    async def _start(self, kube: Kube, one: _Running, deployment: Object, template: str) -> None:
        pod = deployment["spec"]["template"]["spec"]
        container = next(each for each in pod["containers"] if one.program.container in {"", each["name"]})
        if missing := await _mount(kube, one):
            one.note = f"waits for Secret {missing}"
            return
        account = pod.get("serviceAccountName", "default")
        kubeconfig = await self._kubeconfig(kube, one.program, account)
        self._spawn(one, container, account, kubeconfig)
        one.template, one.started = template, time.monotonic()
        one.starts += 1
        _say(one, "started")

    def _spawn(self, one: _Running, container: Object, account: str, kubeconfig: Path) -> None:
        for extension in one.program.extensions:
            name = extension_of(self._sandbox, extension)
            place = Path(one.addresses.folder) / name / name
            place.parent.mkdir(exist_ok=True)
            shutil.copy2(self._tools[extension], place)
        environment = {
            **os.environ,
            **_environment(container, one.program, account),
            **one.program.environment(one.addresses),
            "KUBECONFIG": str(kubeconfig),
        }
        own = [*container.get("command", [])[1:], *container.get("args", [])]
        command = [str(self._tools[one.program.tool]), *one.program.arguments(one.addresses, own)]
        with log_of(self._sandbox, one.program.name).open("ab") as log:
            one.process = subprocess.Popen(  # noqa: S603 - our own arguments
                command,
                env=environment,
                cwd=one.addresses.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    async def _kubeconfig(self, kube: Kube, program: Program, account: str) -> Path:
        """A kubeconfig with a token of the Deployment's own service account: its own rights, and no more."""
        answer = await kube.token(program.namespace, account, _TOKEN_SECONDS)
        config = yaml.safe_load(self._sandbox.kubeconfig.read_text(encoding="utf-8"))
        config["users"] = [{"name": config["users"][0]["name"], "user": {"token": answer}}]
        config["contexts"][0]["context"]["namespace"] = program.namespace
        path = folder_of(self._sandbox) / f"{program.name}.kubeconfig"
        write_whole(path, yaml.safe_dump(config, sort_keys=False).encode(), mode=0o600)
        return path

    def _write(self, ready: Sequence[bool]) -> None:
        found = [
            State(
                each.program.name,
                each.process.pid if each.process is not None and each.process.poll() is None else None,
                is_ready,
                each.starts,
                _ports(each.addresses),
                each.note,
                each.unwanted,
            )
            for each, is_ready in zip(self._running, ready, strict=True)
        ]
        text = json.dumps([asdict(each) for each in found], indent=2)
        write_whole(_state_file(self._sandbox), text.encode())


async def _ready(http: httpx.AsyncClient, one: _Running) -> bool:
    if one.process is None or one.process.poll() is not None:
        return False
    one.children = _children(one.process.pid)
    try:
        answer = await http.get(f"http://{LOOPBACK}:{one.addresses.health}{one.program.ready}")
    except httpx.HTTPError:
        return False
    return answer.is_success


async def _mount(kube: Kube, one: _Running) -> str:
    """Write the files of the Secrets that a pod would have mounted; gives the first that is not there yet."""
    for folder, name in one.program.mounts.items():
        secret = await kube.get("v1", "Secret", name, one.program.namespace)
        if secret is None:
            return name
        place = Path(one.addresses.folder) / folder
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        for file, content in secret["data"].items():
            write_whole(place / file, base64.b64decode(content), mode=0o600)
    return ""


def _environment(container: Object, program: Program, account: str) -> dict[str, str]:
    """The variables of a container: those with a value, and what a pod knows of itself."""
    known = {
        "metadata.namespace": program.namespace,
        "metadata.name": program.deployment,
        "spec.serviceAccountName": account,
    }
    found: dict[str, str] = {}
    for each in container.get("env", []):
        path = each.get("valueFrom", {}).get("fieldRef", {}).get("fieldPath")
        if "value" in each:
            found[each["name"]] = each["value"]
        elif path in known:
            found[each["name"]] = known[path]
    return found


async def _tell_pods(kube: Kube, ready: Sequence[_Running]) -> None:
    """Let kwok make the pods ready whose program is: a rollout ends when the new program answers, and not before."""
    waiting = [
        each
        for each in await kube.list("v1", "Pod", None, LABEL)
        if READY not in (each["metadata"].get("annotations") or {}) and "deletionTimestamp" not in each["metadata"]
    ]
    for one in ready:
        pods = [each for each in waiting if each["metadata"]["labels"][LABEL] == one.program.name]
        if not pods:
            continue
        # Looked at after the pods: they are of this template or an older one.
        deployment = await kube.get("apps/v1", "Deployment", one.program.deployment, one.program.namespace)
        if deployment is None or _hash(deployment["spec"]["template"]) != one.template:
            continue
        for pod in pods:
            patch = {"metadata": {"annotations": {READY: "true"}}}
            await kube.patch(
                "v1", "Pod", pod["metadata"]["name"], patch, one.program.namespace, field_manager=FIELD_MANAGER
            )


def _children(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _end(one: _Running) -> None:
    """End a process, and what it started: an extension outlives its operator otherwise."""
    if one.process is None:
        return
    if one.process.poll() is None:
        one.children = _children(one.process.pid) or one.children
        one.process.terminate()
        with suppress(subprocess.TimeoutExpired):
            one.process.wait(_GRACE_SECONDS)
        one.process.kill()
        one.process.wait()
    for child in one.children:
        with suppress(psutil.NoSuchProcess):
            child.kill()
    one.process, one.children = None, []


def _say(one: _Running, what: str) -> None:
    one.note = what
    print(f"{time.strftime('%H:%M:%S')} {one.program.name}: {what}", flush=True)  # noqa: T201 - its log


def _hash(template: Object) -> str:
    return hashlib.sha256(json.dumps(template, sort_keys=True).encode()).hexdigest()[:16]


def _state_file(sandbox: Sandbox) -> Path:
    return folder_of(sandbox) / "state.json"


def _ports(addresses: Addresses) -> dict[str, int]:
    return {name: value for name, value in asdict(addresses).items() if isinstance(value, int)}
