"""Namespaces that are on their way out, or gone, when `up` begins.

Nothing can be made in a namespace that is being deleted, and an engine that believes its state does not see that one
has gone with all that was in it. A `destroy` that was cut off leaves both behind, and so does `kubectl delete
namespace`. So `up` waits until such a namespace is gone, and then looks at what is really there before it makes
anything.
"""

import asyncio
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from cli.console import Console
from cli.deploy.same_cluster import Way
from cli.deploy.unsaved import Ref
from cli.exits import MaasError
from cli.program.recorder import Recording
from config.values import window_seconds
from sandbox.kube import ApiError, Kube, Retry
from sandbox.kubeconfig import KubeconfigError

_ONCE = Retry(attempts=1, seconds=5)
_KIND = ("v1", "Namespace")
_USUALLY_SECONDS = 5


def settle(way: Way, recording: Recording, known: Callable[[], Iterable[Ref]], console: Console) -> bool:
    """Wait until the program's namespaces that are being deleted are gone. What cannot be asked is left to the run.

    Args:
        way: Gives the kubeconfig and the context of the stack's cluster.
        recording: The program, with the namespaces that it makes or uses.
        known: Gives the objects in the state; asked only where a namespace is not there.
        console: Is told what is waited for.

    Returns:
        Whether the state is behind: a namespace that it has is gone, or went just now.

    Raises:
        MaasError: One is not gone in the time that the stack's settings give to what is deleted.
    """

    async def look(kubeconfig: Path, context: str | None) -> bool:
        async with Kube.connect(kubeconfig, context, retry=_ONCE) as kube:
            names = sorted(used(recording))
            found = dict(zip(names, await asyncio.gather(*(kube.get(*_KIND, name) for name in names)), strict=True))
            going = [each for each in found.values() if each and "deletionTimestamp" in each["metadata"]]
            if going:
                await _wait(kube, going, patience(recording), console)
                return True
            absent = {name for name, each in found.items() if each is None}
            return bool(absent) and any(each.kind == "Namespace" and each.name in absent for each in known())

    try:
        kubeconfig, context = way()
    except (KubeconfigError, MaasError):
        return False
    try:
        return asyncio.run(look(kubeconfig, context))
    except (ApiError, KubeconfigError):
        return False


def used(recording: Recording) -> set[str]:
    """The namespaces that a program makes or has objects in."""
    objects = recording.objects
    made = {each.metadata_name for each in objects if each.kind == "Namespace"}
    return (made | {each.namespace for each in objects}) - {""}


def patience(recording: Recording) -> float:
    """How long the stack's settings wait for what is deleted, in seconds: `timeouts.delete`."""
    return max((window_seconds(each.request.customTimeouts.delete) for each in recording.objects), default=0)


async def _wait(kube: Kube, going: list[dict[str, Any]], seconds: float, console: Console) -> None:
    from sandbox.provider import waiting  # noqa: PLC0415 - for the few runs that wait, not for the start of every one

    names = ", ".join(str(each["metadata"]["name"]) for each in going)
    never = asyncio.Event()
    with console.step(f"Waiting until namespace {names} is gone, at most {seconds:.0f} s", _USUALLY_SECONDS):
        try:
            await asyncio.gather(*(waiting.until_gone(kube, each, seconds=seconds, cancelled=never) for each in going))
        except waiting.NotReadyError as error:
            raise MaasError(f"Nothing can be made in a namespace that is being deleted. {error}") from error
