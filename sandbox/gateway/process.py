"""Starts the sandbox's gateway beside its control plane, and starts it anew when it is dead or out of date."""

import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import psutil

from sandbox import processes
from sandbox.control_plane import GATEWAY
from sandbox.instance import LOOPBACK, Sandbox, SandboxError
from sandbox.progress import Step

_ROOT = Path(__file__).parent.parent.parent
_CODE = ("enforcement", "sandbox/gateway", "sandbox/kube.py", "sandbox/kubeconfig.py", "simulator")
_START_SECONDS = 60.0
_POLL_SECONDS = 0.1
_ASK_SECONDS = 2.0
_GRACE_SECONDS = 7.0
_LOG_LINES = 8


def url(sandbox: Sandbox, host: str = LOOPBACK) -> str:
    """Where the gateway answers."""
    return f"http://{host}:{sandbox.ports.gateway}"


def admin_url(sandbox: Sandbox) -> str:
    """Where it tells of itself."""
    return f"http://{LOOPBACK}:{sandbox.ports.gateway_admin}"


def log_file(sandbox: Sandbox) -> Path:
    """What it writes, beside the logs of the control plane."""
    return sandbox.cluster_folder / "logs" / "gateway.log"


def health(sandbox: Sandbox) -> dict[str, Any] | None:
    """What the gateway says of itself; None when there is none that answers."""
    try:
        answer = httpx.get(f"{admin_url(sandbox)}/healthz", timeout=_ASK_SECONDS, trust_env=False)
        return dict(answer.raise_for_status().json())
    except (httpx.HTTPError, ValueError):
        return None


def start(sandbox: Sandbox) -> None:
    """Start the gateway, unless the one that this code and this control plane need is there already."""
    wanted = _fingerprint(sandbox)
    present = health(sandbox)
    if present is not None and present.get("fingerprint") == wanted:
        return
    processes.end(running(sandbox), grace_seconds=_GRACE_SECONDS)
    log = log_file(sandbox)
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as out:
        subprocess.Popen(  # noqa: S603  (our own module)
            [
                sys.executable,
                "-m",
                GATEWAY[0],
                f"--kubeconfig={sandbox.kubeconfig}",
                f"--port={sandbox.ports.gateway}",
                f"--admin-port={sandbox.ports.gateway_admin}",
                f"--fingerprint={wanted}",
            ],
            cwd=_ROOT,
            env={**_environment(), **processes.environment_of(sandbox.folder)},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )


def wait(sandbox: Sandbox, step: Step) -> None:
    """Wait until the gateway has taken over what is on the API server.

    Raises:
        SandboxError: It ended, or does not get ready in time; the message has what it logged last.
    """
    deadline = time.monotonic() + _START_SECONDS
    while True:
        said = health(sandbox)
        if said is not None and said["synced"]:
            return
        alive = running(sandbox)
        if not alive or time.monotonic() > deadline:
            why = "does not get ready" if alive else "ended right after its start"
            raise SandboxError(f"the gateway of sandbox {sandbox.name} {why}.{_last_words(sandbox)}")
        step.update("the gateway starts" if said is None else "the gateway reads the cluster's objects")
        time.sleep(_POLL_SECONDS)


def running(sandbox: Sandbox) -> list[psutil.Process]:
    """The gateway and its simulators, when they are alive."""
    return [each for each in processes.owned_by(sandbox.folder) if processes.name_of(each) in GATEWAY]


def _fingerprint(sandbox: Sandbox) -> str:
    """Changes with the code and with the control plane that it is to follow."""
    digest = hashlib.sha256(sandbox.kubeconfig.read_bytes())
    for part in _CODE:
        path = _ROOT / part
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def _environment() -> dict[str, str]:
    """Ours, without what points a program at another cluster, a proxy or a simulator's options."""
    mine = ("KUBECONFIG", "SIM_", "PULUMI_")
    return {name: value for name, value in os.environ.items() if not name.startswith(mine)}


def _last_words(sandbox: Sandbox) -> str:
    try:
        lines = log_file(sandbox).read_text(encoding="utf-8", errors="replace").splitlines()[-_LOG_LINES:]
    except OSError:
        return ""
    return "".join(f"\n  {line}" for line in [f"{log_file(sandbox)} ends with:", *lines])
