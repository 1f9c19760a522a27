"""Keeps a stack on the cluster that it was deployed on: a kubeconfig may lead somewhere else by mistake.

A cluster is known by the uid of its namespace kube-system, which nothing but a new cluster changes. It is noted beside
the copies of the state after an `up`, so only who has deployed from here is warned.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path

from cli.deploy.target import Target
from cli.exits import MaasError
from cli.files import write_private
from sandbox.kube import ApiError, Kube, Retry
from sandbox.kubeconfig import KubeconfigError

_QUICKLY = Retry(attempts=2, seconds=10)
_NOTE = "cluster-uid"


Way = Callable[[], tuple[Path, str | None]]
"""Gives the kubeconfig and the context of the stack's cluster."""


def require(target: Target, way: Way) -> None:
    """See that the kubeconfig leads to the cluster of the last `up`. What cannot be asked is left to the run itself.

    Raises:
        MaasError: It is another one.
    """
    known = _noted(target)
    if not known or target.backend is None or not target.backend.urns():
        return
    here, server = _uid(way)
    if here and here != known:
        raise MaasError(
            f"The kubeconfig leads to another cluster than the one that stack {target.stack} was deployed on: the "
            f"namespace kube-system at {server} has uid {here}, there it was {known}. Look at KUBECONFIG and at "
            f"maas:cluster.context. Was the cluster made anew? Then begin anew, too: ./maas state adopt{target.words}"
        )


def remember(target: Target, way: Way) -> None:
    """Note which cluster the stack is on now.

    Raises:
        OSError: It cannot be written.
    """
    here, _ = _uid(way)
    if here and here != _noted(target):
        write_private(target.backups / _NOTE, f"{here}\n")


def _noted(target: Target) -> str:
    try:
        return (target.backups / _NOTE).read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def _uid(way: Way) -> tuple[str, str]:
    async def ask() -> tuple[str, str]:
        kubeconfig, context = way()
        async with Kube.connect(kubeconfig, context, retry=_QUICKLY) as kube:
            found = await kube.get("v1", "Namespace", "kube-system")
            return str(found["metadata"]["uid"]) if found else "", kube.server

    try:
        return asyncio.run(ask())
    except (ApiError, KubeconfigError, MaasError):
        return "", ""
