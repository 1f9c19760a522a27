"""Brings the real operators up in a sandbox, and says how they are."""

import asyncio
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from sandbox import processes, toolbox
from sandbox.contents import Played
from sandbox.crds import FIELD_MANAGER
from sandbox.instance import Sandbox, SandboxError
from sandbox.kube import Kube
from sandbox.progress import Reporter, Step
from sandbox.real import manifests
from sandbox.real.catalogue import NAMESPACES_REPLACED, PROGRAMS, STAGES_REPLACED
from sandbox.real.supervisor import State, folder_of, log_of, states

TOOLS = tuple(name for program in PROGRAMS for name in (program.tool, *program.extensions))
"""What has to be found before the real operators can be started, helm aside."""
PLAYED = Played(STAGES_REPLACED, NAMESPACES_REPLACED)
"""What is left for kwok to play."""
_MADE_LATER = {"authorino"}
"""Programs whose Deployments another operator makes, once there is a Kuadrant object."""
_READY_SECONDS = 90.0
_POLL_SECONDS = 0.2


def prepare(reporter: Reporter) -> None:
    """Find, or build, every program: some ten minutes from an empty cache.

    Raises:
        ToolError: One cannot be had.
    """
    toolbox.find_all((*TOOLS, "helm"), reporter)


async def install(kube: Kube, step: Step) -> None:
    """Apply what the charts put into the cluster."""
    step.update("rendering the operators' charts")
    found = await asyncio.to_thread(manifests.installed)
    for number, obj in enumerate(found):
        step.update(f"{obj['kind']} {obj['metadata']['name']}", number, len(found))
        await kube.apply(obj, field_manager=FIELD_MANAGER, force=True)


def supervise(sandbox: Sandbox, step: Step, *, timeout_seconds: float = _READY_SECONDS) -> None:
    """Have the supervisor running, and wait until all operators say that they are ready.

    Raises:
        SandboxError: One does not become ready; the message has what it said last.
    """
    if not _supervisor(sandbox):
        folder = folder_of(sandbox)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (folder / "state.json").unlink(missing_ok=True)
        with (folder / "supervisor.log").open("ab") as log:
            subprocess.Popen(  # noqa: S603 - our own arguments
                [sys.executable, "-m", "sandbox.real", sandbox.name, str(sandbox.folder.parent)],
                cwd=Path(__file__).parent.parent.parent,
                env={**os.environ, **processes.environment_of(sandbox.folder)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C in a terminal must not end what it starts
            )
    deadline = time.monotonic() + timeout_seconds
    while late := _not_ready(states(sandbox)):
        step.update(f"waiting for {', '.join(late)}")
        if time.monotonic() > deadline:
            raise SandboxError(_report(sandbox, late, timeout_seconds))
        time.sleep(_POLL_SECONDS)


def forget(sandbox: Sandbox) -> None:
    """Remove what is kept of the real operators: ports, logs, tokens, certificates."""
    shutil.rmtree(folder_of(sandbox), ignore_errors=True)


def _supervisor(sandbox: Sandbox) -> bool:
    return any(
        "sandbox.real" in process.cmdline() for process in processes.owned_by(sandbox.folder) if process.is_running()
    )


def _not_ready(known: Iterable[State]) -> list[str]:
    ready = {each.program for each in known if each.ready}
    return [each.tool for each in PROGRAMS if each.tool not in ready | _MADE_LATER]


def _report(sandbox: Sandbox, late: list[str], waited: float) -> str:
    notes = {each.program: each.note for each in states(sandbox)}
    lines = [f"sandbox {sandbox.name}: not ready after {waited:.0f} s: {', '.join(late)}"]
    lines += [f"  {name}: {notes.get(name, 'never started')}; all of it: {log_of(sandbox, name)}" for name in late]
    return "\n".join(lines)
