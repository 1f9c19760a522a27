"""What the real operators say: of themselves, and of every object that they look after."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, cast

import psutil

from sandbox.instance import Sandbox
from sandbox.kube import Kube, NoMatchError
from sandbox.real.catalogue import PROGRAMS
from sandbox.real.supervisor import states
from sandbox.tools.declarations import TOOLS

Object = dict[str, Any]

KINDS: tuple[tuple[str, str], ...] = (
    ("gateway.networking.k8s.io/v1", "GatewayClass"),
    ("gateway.networking.k8s.io/v1", "Gateway"),
    ("gateway.networking.k8s.io/v1", "HTTPRoute"),
    ("kuadrant.io/v1beta1", "Kuadrant"),
    ("operator.authorino.kuadrant.io/v1beta1", "Authorino"),
    ("limitador.kuadrant.io/v1alpha1", "Limitador"),
    ("kuadrant.io/v1", "AuthPolicy"),
    ("kuadrant.io/v1", "RateLimitPolicy"),
    ("kuadrant.io/v1alpha1", "TokenRateLimitPolicy"),
    ("extensions.kuadrant.io/v1alpha1", "TelemetryPolicy"),
    ("authorino.kuadrant.io/v1beta3", "AuthConfig"),
    ("serving.kserve.io/v1beta1", "InferenceService"),
    ("cert-manager.io/v1", "Issuer"),
    ("cert-manager.io/v1", "Certificate"),
)
"""The kinds whose conditions come from a real operator."""


@dataclass(frozen=True)
class Running:
    """One program.

    Attributes:
        program: Its name.
        version: Of the release that it was built from.
        ready: Whether it answers that it is.
        starts: How often it was started.
        memory: Resident memory in bytes; 0 when it does not run.
        note: What happened to it last.
    """

    program: str
    version: str
    ready: bool
    starts: int
    memory: int
    note: str


@dataclass(frozen=True)
class Said:
    """One condition of one object.

    Attributes:
        kind: Of the object.
        name: With its namespace before it, where it has one.
        about: Which parent or listener it is about; empty for the object itself.
        type: Of the condition.
        status: True, False or Unknown.
        reason: In one word.
        message: In a sentence.
        current: Whether it is about the object as it is now.
    """

    kind: str
    name: str
    about: str
    type: str
    status: str
    reason: str
    message: str
    current: bool


@dataclass(frozen=True)
class Report:
    """All of it."""

    programs: Sequence[Running]
    conditions: Sequence[Said]

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return asdict(self)


def report(sandbox: Sandbox) -> Report:
    """Ask everybody.

    Raises:
        ApiError: The API server does not answer.
    """
    return Report(programs(sandbox), asyncio.run(_conditions(sandbox)))


def programs(sandbox: Sandbox) -> list[Running]:
    """How each program is."""
    versions = {each.name: TOOLS[each.tool].version for each in PROGRAMS}
    return [
        Running(each.program, versions[each.program], each.ready, each.starts, _memory(each.pid), each.note)
        for each in states(sandbox)
    ]


def said_of(obj: Object) -> Iterator[Said]:
    """Every condition of an object, those of its listeners and parents too."""
    metadata, status = obj["metadata"], cast("Object", obj.get("status") or {})
    name = "/".join(filter(None, (metadata.get("namespace"), metadata["name"])))
    groups = [("", status)]
    groups += [(f"listener {each['name']}", each) for each in _list(status, "listeners")]
    groups += [(f"parent {each['parentRef']['name']}", each) for each in _list(status, "parents")]
    for about, holder in groups:
        for each in _list(holder, "conditions"):
            yield Said(
                obj["kind"],
                name,
                about,
                each["type"],
                each["status"],
                each.get("reason", ""),
                each.get("message", ""),
                each.get("observedGeneration", metadata.get("generation")) == metadata.get("generation"),
            )


def _list(holder: Object, key: str) -> list[Object]:
    return cast("list[Object]", holder.get(key) or [])


async def _conditions(sandbox: Sandbox) -> list[Said]:
    async def of(kube: Kube, kind: tuple[str, str]) -> list[Said]:
        try:
            return [said for obj in await kube.list(*kind) for said in said_of(obj)]
        except NoMatchError:
            return []

    async with Kube.connect(sandbox.kubeconfig) as kube:
        found = await asyncio.gather(*(of(kube, kind) for kind in KINDS))
    return [said for each in found for said in each]


def _memory(pid: int | None) -> int:
    try:
        return psutil.Process(pid).memory_info().rss if pid is not None else 0
    except psutil.Error:
        return 0
