"""A gateway of a test's own, in a thread: right, or with one known fault."""

import asyncio
import threading
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from ssl import SSLContext
from typing import Any

from enforcement.counters import Counters
from enforcement.objects import Object, name_of, namespace_of
from sandbox.gateway.backends import Backends
from sandbox.gateway.gates import Gates
from sandbox.gateway.journal import Journal
from sandbox.gateway.offline import OfflineGateway, ready
from simulator import maas_simulator
from tests.misbehaviour.faults import FAULTS, RIGHT, Fault, Parts
from tests.threads import in_thread, wait

LOOPBACK = "127.0.0.1"
_POLL_SECONDS = 0.02


@dataclass(frozen=True)
class Received:
    """The head of a request that a model got."""

    model: str
    path: str
    headers: dict[str, str]
    """By name in lower case."""


@dataclass
class Double:
    """A gateway that answers on loopback, and what a test may do to it."""

    gateway: OfflineGateway
    parts: Parts
    loop: asyncio.AbstractEventLoop
    scheme: str
    objects: Sequence[Object]
    """What is on its cluster."""
    received: list[Received] = field(default_factory=list[Received])
    """What the models got, in order."""
    limiter_answers: bool = True

    @property
    def url(self) -> str:
        """Where requests go, whatever their Host."""
        return f"{self.scheme}://{LOOPBACK}:{self.gateway.port}"

    @property
    def admin_url(self) -> str:
        """Where it tells of itself, as a sandbox's gateway does: /targets, /decisions, /counters, /trace, metrics."""
        return f"http://{LOOPBACK}:{self.gateway.admin_port}"

    @property
    def direct(self) -> dict[str, str]:
        """The models' own addresses by name: what nobody but the gateway should reach."""
        return {each.model.name: f"http://{LOOPBACK}:{each.port}" for each in self.gateway.proxy.backends.all()}

    def change(self, objects: Iterable[Object]) -> None:
        """Have other objects on the cluster; they are in force when this returns."""
        self.objects = ready(objects)
        wait(self.loop, self.gateway.change(self.objects))

    def put(self, *objects: Object) -> None:
        """Add objects, or replace those of the same kind, namespace and name."""
        new = {_identity(each) for each in objects}
        self.change([*(each for each in self.objects if _identity(each) not in new), *objects])

    def delete(self, kind: str, namespace: str, name: str) -> None:
        """Take an object away.

        Raises:
            LookupError: There is none.
        """
        kept = [each for each in self.objects if _identity(each) != (kind, namespace, name)]
        if len(kept) == len(self.objects):
            raise LookupError(f"no {kind} {namespace}/{name}")
        self.change(kept)

    def set_limiter(self, *, answers: bool) -> None:
        """Let the limiter stop answering, or answer again."""
        self.limiter_answers = answers
        self.change(self.objects)

    def pass_time(self, seconds: float) -> None:
        """Let the clock that windows and expiries go by jump ahead."""
        before = self.gateway.proxy.clock
        self.gateway.proxy.clock = lambda: before() + seconds


@contextmanager
def serving(
    objects: Sequence[Object], fault: Fault | None = None, *, tls: SSLContext | None = None
) -> Generator[Double]:
    """A gateway that enforces these objects, with simulators for models, until the end of the block.

    It works beside a test's own event loop as well as without one.

    Args:
        objects: as the program records them; models need not be ready.
        fault: what is wrong with it; None: nothing.
        tls: has the data path speak TLS.
    """
    parts = FAULTS[fault] if fault else RIGHT
    transform = parts.objects()
    with in_thread() as loop:
        received: list[Received] = []
        proxy = parts.proxy(InProcess(parts, received), parts.telemetry(), Journal())
        proxy.counters = parts.counters()

        def gates(made: Sequence[Object], counters: Counters) -> Gates:
            return parts.gates(transform(made), counters, limiter_answers=double.limiter_answers)

        gateway = OfflineGateway(proxy, gates)
        double = Double(gateway, parts, loop, "https" if tls else "http", ready(objects), received)
        wait(loop, gateway.open(double.objects, tls))
        try:
            yield double
        finally:
            wait(loop, gateway.close())


class InProcess(Backends):
    """Models' servers as threads of this process: they are there at once, and a test may change how they answer."""

    def __init__(self, parts: Parts, received: list[Received]) -> None:
        super().__init__()
        self._parts, self._received = parts, received
        self._running: dict[str, maas_simulator.Server] = {}

    async def close(self) -> None:
        """End every server."""
        for known in list(self._running):
            self._end(known)

    async def _order(self, order: dict[str, Any], seconds: float) -> dict[str, Any]:
        del seconds
        known = str(order["id"])
        if "start" not in order:
            self._end(known)
            return {}
        wanted = order["start"]
        arguments = [*wanted["arguments"], f"--host={LOOPBACK}", "--port=0"]
        server = maas_simulator.Server(maas_simulator.parse_options(arguments, wanted["environment"]))
        server.RequestHandlerClass = noting(self._parts.handler, self._received)
        threading.Thread(target=server.serve_forever, args=(_POLL_SECONDS,), daemon=True).start()
        self._running[known] = server
        return {"port": server.server_port}

    def _end(self, known: str) -> None:
        server = self._running.pop(known)
        server.shutdown()
        server.server_close()


def noting(handler: type[maas_simulator.Handler], received: list[Received]) -> type[maas_simulator.Handler]:
    """A handler that also takes note of what it gets."""

    class Noting(handler):
        def answer(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            received.append(Received(self.server.options.model[0], self.path, headers))
            super().answer()

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_OPTIONS = answer  # noqa: N815

    return Noting


def _identity(item: Object) -> tuple[str, str, str]:
    return str(item["kind"]), namespace_of(item), name_of(item)
