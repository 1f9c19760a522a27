"""A gateway over objects at hand, such as those that the program records: everything but an API server."""

import socket
from collections.abc import Callable, Iterable, Sequence
from ssl import SSLContext
from typing import Any

from aiohttp import web

from enforcement.counters import Counters
from enforcement.objects import Object
from sandbox.gateway.admin import admin_application
from sandbox.gateway.gates import Gates
from sandbox.gateway.models import MODEL_KINDS, models_of
from sandbox.gateway.proxy import Proxy, data_runner

_LOOPBACK = "127.0.0.1"
_BACKLOG = 1024
_READY = {"conditions": [{"type": "Ready", "status": "True"}]}


def ready(objects: Iterable[Object]) -> list[dict[str, Any]]:
    """The objects as a cluster would have them whose controllers are done: without it no model is ready."""
    return [{**each, "status": _READY} for each in objects]


class OfflineGateway:
    """Serves on two free ports of loopback, and tells of itself as a sandbox's gateway does."""

    def __init__(self, proxy: Proxy, gates: Callable[[Sequence[Object], Counters], Gates] = Gates) -> None:
        """Get one ready that does not listen yet.

        Args:
            proxy: the data path.
            gates: makes of a cluster's objects what decides.
        """
        self.proxy = proxy
        self.port = self.admin_port = 0
        self._gates = gates
        self._runners: list[web.BaseRunner] = []

    async def open(self, objects: Sequence[Object], tls: SSLContext | None = None) -> None:
        """Listen, with these objects in force; the data path speaks TLS where that is given."""
        await self.proxy.open()
        await self.change(objects)
        self.port = await self._listen(lambda _: data_runner(self.proxy), tls)
        self.admin_port = await self._listen(
            lambda port: web.AppRunner(admin_application(self.proxy, self.health, port), access_log=None)
        )

    async def change(self, objects: Sequence[Object]) -> None:
        """Have exactly these objects in force, and servers for their models."""
        self.proxy.gates = self._gates(objects, self.proxy.counters)
        self.proxy.telemetry.configured()
        models = models_of(*([each for each in objects if each["kind"] == kind] for kind in MODEL_KINDS))
        await self.proxy.backends.follow(models)

    async def close(self) -> None:
        """Stop listening, and end the models' servers."""
        for runner in self._runners:
            await runner.cleanup()
        await self.proxy.backends.close()
        await self.proxy.close()

    def health(self) -> dict[str, Any]:
        """What `/healthz` says."""
        return {"gateways": self.proxy.gates.names if self.proxy.gates else []}

    async def _listen(self, runner: Callable[[int], web.BaseRunner], tls: SSLContext | None = None) -> int:
        listening = socket.create_server((_LOOPBACK, 0))
        port = int(listening.getsockname()[1])
        made = runner(port)
        await made.setup()
        await web.SockSite(made, listening, backlog=_BACKLOG, ssl_context=tls).start()
        self._runners.append(made)
        return port
