"""Brings the real operators up in a sandbox, and says how they are."""

import asyncio
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from sandbox import processes, toolbox
from sandbox.contents import Played
from sandbox.crds import FIELD_MANAGER
from sandbox.instance import Sandbox, SandboxError
from sandbox.kube import ApiError, Kube, Retry
from sandbox.progress import Reporter, Step
from sandbox.real import manifests
from sandbox.real.catalogue import NAMESPACES_REPLACED, PROGRAMS, STAGES_REPLACED
from sandbox.real.places import SOCKETS, addresses_of, extension_of, folder_of, log_of
from sandbox.real.supervisor import State, states

Object = dict[str, Any]

TOOLS = tuple(dict.fromkeys(name for program in PROGRAMS for name in (program.tool, *program.extensions)))
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


async def install(sandbox: Sandbox, step: Step, *, timeout_seconds: float = _READY_SECONDS) -> None:
    """Apply what the charts put into the cluster, and have the programs running that stand in for its pods.

    Args:
        sandbox: Which one.
        step: Hears of it.
        timeout_seconds: How long the programs have until all are ready.

    Raises:
        SandboxError: A program does not become ready, or refuses what its own chart brings; the message has what was
            said last.
    """
    step.update("rendering the operators' charts")
    addresses = {each.name: addresses_of(sandbox, each) for each in PROGRAMS}
    found = await asyncio.to_thread(manifests.installed, addresses)
    async with Kube.connect(sandbox.kubeconfig) as kube:
        for number, obj in enumerate(found.first):
            step.update(f"{obj['kind']} {obj['metadata']['name']}", number, len(found.first))
            await _apply(kube, obj)
    _supervise(sandbox)
    deadline = time.monotonic() + timeout_seconds
    later: list[Object] = list(found.later)
    # What a webhook does not answer for yet is asked for again here, as a whole.
    async with Kube.connect(sandbox.kubeconfig, retry=Retry(attempts=1)) as kube:
        while True:
            later, refusal = await _applied(kube, later)
            late = _not_ready(states(sandbox))
            if not late and not later:
                return
            step.update(f"waiting for {', '.join(late) or later[0]['metadata']['name']}")
            if time.monotonic() > deadline:
                raise SandboxError(_report(sandbox, late, refusal, timeout_seconds))
            await asyncio.sleep(_POLL_SECONDS)


async def _applied(kube: Kube, objects: Sequence[Object]) -> tuple[list[Object], str]:
    """Apply what is taken now; gives what is not, with the last refusal. Each may wait for another one's webhook."""
    answers = await asyncio.gather(*(_apply(kube, obj) for obj in objects), return_exceptions=True)
    left: list[Object] = []
    refusal = ""
    for obj, answer in zip(objects, answers, strict=True):
        if isinstance(answer, ApiError):
            left.append(obj)
            refusal = str(answer)
        elif answer is not None:
            raise answer
    return left, refusal


async def _apply(kube: Kube, obj: Object) -> None:
    """Apply one object. What somebody has changed since stays as they want it."""
    try:
        await kube.apply(obj, field_manager=FIELD_MANAGER)
    except ApiError as error:
        if not error.conflict:
            raise


def _supervise(sandbox: Sandbox) -> None:
    """Have the supervisor running."""
    if _supervisor(sandbox):
        return
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


def forget(sandbox: Sandbox) -> None:
    """Remove what is kept of the real operators: ports, logs, tokens, certificates, sockets."""
    shutil.rmtree(folder_of(sandbox), ignore_errors=True)
    for extension in (each for program in PROGRAMS for each in program.extensions):
        shutil.rmtree(SOCKETS / extension_of(sandbox, extension), ignore_errors=True)


def _supervisor(sandbox: Sandbox) -> bool:
    return any(
        "sandbox.real" in process.cmdline() for process in processes.owned_by(sandbox.folder) if process.is_running()
    )


def _not_ready(known: Iterable[State]) -> list[str]:
    ready = {each.program for each in known if each.ready or each.unwanted}
    return [each.name for each in PROGRAMS if each.name not in ready | _MADE_LATER]


def _report(sandbox: Sandbox, late: list[str], refusal: str, waited: float) -> str:
    notes = {each.program: each.note for each in states(sandbox)}
    lines = [f"sandbox {sandbox.name}: not ready after {waited:.0f} s: {', '.join(late) or 'what the charts bring'}"]
    lines += [f"  {name}: {notes.get(name, 'never started')}; all of it: {log_of(sandbox, name)}" for name in late]
    lines += [f"  refused last: {refusal}"] if refusal else []
    return "\n".join(lines)
