"""The gateway's process: `python -m sandbox.gateway --kubeconfig FILE --port N --admin-port N`."""

import argparse
import asyncio
import logging
import signal
from pathlib import Path
from typing import Any

from aiohttp import web

from enforcement.counters import Counters
from sandbox.gateway.admin import admin_application
from sandbox.gateway.backends import Backends
from sandbox.gateway.gates import Gates
from sandbox.gateway.journal import Journal
from sandbox.gateway.models import MODEL_KINDS, Model, models_of
from sandbox.gateway.proxy import Proxy, data_runner
from sandbox.gateway.state import State
from sandbox.gateway.storage import RedisCounters, is_loopback
from sandbox.gateway.telemetry import Telemetry
from sandbox.kube import ApiError, Kube

log = logging.getLogger("maas.gateway")
_LOOPBACK = "127.0.0.1"
_DRAIN_SECONDS = 5.0
_BACKLOG = 1024


class Gateway:
    """Brings the watched objects into force."""

    def __init__(self, fingerprint: str) -> None:
        self._fingerprint = fingerprint
        self.backends, self.telemetry, self.journal = Backends(), Telemetry(), Journal()
        self.proxy = Proxy(self.backends, self.telemetry, self.journal)
        self._storage = ""
        self._state: State | None = None
        self._models: asyncio.Task[None] | None = None

    async def serve(self, kubeconfig: Path, port: int, admin_port: int) -> None:
        """Serve until SIGTERM or SIGINT."""
        over = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, over.set)
        await self.proxy.open()
        data = data_runner(self.proxy, _DRAIN_SECONDS)
        admin = web.AppRunner(admin_application(self.proxy, self.health, admin_port), access_log=None)
        async with Kube.connect(kubeconfig) as kube:
            self._state = State(kube, self._changed)
            watching = asyncio.create_task(self._state.run())
            for runner, where in ((data, port), (admin, admin_port)):
                await runner.setup()
                await web.TCPSite(runner, _LOOPBACK, where, backlog=_BACKLOG).start()
            log.info("listening on http://%s:%d, admin on http://%s:%d", _LOOPBACK, port, _LOOPBACK, admin_port)
            await over.wait()
            watching.cancel()
            for runner in (data, admin):
                await runner.cleanup()
        await self.backends.close()
        await self.proxy.close()

    def health(self) -> dict[str, Any]:
        """What `/healthz` says."""
        gates, state = self.proxy.gates, self._state
        return {
            "fingerprint": self._fingerprint,
            "synced": state is not None and state.synced.is_set(),
            "gateways": gates.names if gates else [],
            "storage": "redis" if isinstance(self.proxy.counters, RedisCounters) else "memory",
            "models": [
                {
                    "name": f"{each.model.namespace}/{each.model.name}",
                    "ready": each.model.ready and each.port is not None,
                    "port": each.port,
                    **({"error": each.error} if each.error else {}),
                }
                for each in self.backends.all()
            ],
        }

    async def _changed(self, state: State) -> None:
        objects = list(state.all())
        gates = Gates(objects, self.proxy.counters)
        await self._choose_storage(state, gates)
        self.proxy.gates = gates if self.proxy.counters is gates.counters else Gates(objects, self.proxy.counters)
        self.telemetry.configured()
        # Starting a model's server must not hold a policy back.
        models = models_of(*(state.of(kind) for kind in MODEL_KINDS))
        self._models = asyncio.create_task(self._follow(self._models, models))

    async def _follow(self, before: "asyncio.Task[None] | None", models: list[Model]) -> None:
        """One after the other, in the order of the changes."""
        if before is not None:
            await asyncio.wait([before])
        await self.backends.follow(models)

    async def _choose_storage(self, state: State, gates: Gates) -> None:
        """Counters live as long as the storage that the Limitador object names."""
        url = ""
        if secret := gates.limiter.redis_secret:
            try:
                url = await state.secret_value(gates.kuadrant_namespace, secret, "URL") or ""
            except ApiError as error:
                log.warning("the limiter's Redis is not known: %s", error)
        if url and not is_loopback(url):
            log.warning("the limiter's Redis is not on loopback, and is not connected to: counting in memory")
            url = ""
        if url != self._storage:
            self.proxy.counters = RedisCounters(url) if url else Counters()
            self._storage = url


def main() -> None:
    """Run the gateway."""
    parser = argparse.ArgumentParser(prog="sandbox.gateway", description="The gateway of a sandbox.")
    parser.add_argument("--kubeconfig", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--admin-port", type=int, required=True)
    parser.add_argument("--fingerprint", default="")
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    log.setLevel(logging.INFO)
    asyncio.run(Gateway(options.fingerprint).serve(options.kubeconfig, options.port, options.admin_port))


if __name__ == "__main__":
    main()
