"""Keeps a simulator running for each model, as the cluster keeps pods."""

import asyncio
import itertools
import json
import logging
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sandbox.gateway.models import Model

log = logging.getLogger("maas.gateway")

_DRAIN_SECONDS = 25.0
_START_SECONDS = 20.0
_AGAIN_SECONDS = 0.5


@dataclass
class Backend:
    """One model and the server that plays it."""

    model: Model
    id: str
    port: int | None = None
    error: str = ""


class Backends:
    """The models' servers. A changed model gets another server first; the old one ends when its requests have."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._by_service: dict[tuple[str, str], Backend] = {}
        self._answers: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._process: Process | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._turn = asyncio.Lock()
        self._leaving: set[asyncio.Task[None]] = set()

    def find(self, namespace: str, service: str) -> Backend | None:
        """Who stands behind a Service; None when there is no such model."""
        return self._by_service.get((namespace, service))

    def all(self) -> list[Backend]:
        """Every model's, in order."""
        return [self._by_service[key] for key in sorted(self._by_service)]

    async def follow(self, models: Iterable[Model]) -> None:
        """Have exactly these models."""
        async with self._turn:
            wanted = {model.service: model for model in models}
            for service in self._by_service.keys() - wanted.keys():
                self._leave(self._by_service.pop(service))
            for service, model in wanted.items():
                present = self._by_service.get(service)
                if present is None or present.model.taught != model.taught or present.error:
                    started = await self._start(model)
                    self._by_service[service] = started
                    if present is not None:
                        self._leave(present)
                else:
                    present.model = model

    async def close(self) -> None:
        """End every server."""
        if self._watcher is not None:
            self._watcher.cancel()
        process = self._process
        if process is not None and process.stdin is not None:
            process.stdin.close()
            try:
                await asyncio.wait_for(process.wait(), 2)
            except TimeoutError:
                process.kill()

    async def _start(self, model: Model) -> Backend:
        backend = Backend(model, str(next(self._numbers)))
        start: Mapping[str, object] = {"arguments": list(model.arguments), "environment": dict(model.environment)}
        answer = await self._order({"id": backend.id, "start": start}, _START_SECONDS)
        backend.port, backend.error = answer.get("port"), str(answer.get("error", ""))
        if backend.error:
            log.error("model %s/%s does not start: %s", model.namespace, model.name, backend.error)
        return backend

    def _leave(self, backend: Backend) -> None:
        task = asyncio.create_task(self._stop(backend))
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)

    async def _stop(self, backend: Backend) -> None:
        await self._order({"id": backend.id, "stop": {"drain": _DRAIN_SECONDS}}, _DRAIN_SECONDS + 5)

    async def _order(self, order: dict[str, object], seconds: float) -> dict[str, Any]:
        if self._process is None:
            await self._launch()
        process = self._process
        if process is None or process.stdin is None:
            return {"error": "the simulators' process does not start"}
        known = str(order["id"])
        answer = self._answers[known] = asyncio.get_running_loop().create_future()
        try:
            process.stdin.write(json.dumps(order).encode() + b"\n")
            await process.stdin.drain()
            return await asyncio.wait_for(answer, seconds)
        except (TimeoutError, ConnectionError) as error:
            return {"error": f"the simulators' process does not answer: {type(error).__name__}"}
        finally:
            self._answers.pop(known, None)

    async def _launch(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "sandbox.gateway.simulators", stdin=PIPE, stdout=PIPE
        )
        self._watcher = asyncio.create_task(self._attend(self._process))

    async def _attend(self, process: Process) -> None:
        """Hand answers to whoever waits; when the process has died, start another with every model."""
        assert process.stdout is not None  # noqa: S101 - asked for above
        while line := await process.stdout.readline():
            answer = json.loads(line)
            waiting = self._answers.get(str(answer["id"]))
            if waiting is not None and not waiting.done():
                waiting.set_result(answer)
        await process.wait()
        log.error("the simulators' process ended with %s; another is started", process.returncode)
        for waiting in self._answers.values():
            if not waiting.done():
                waiting.set_result({"error": "the simulators' process ended"})
        await asyncio.sleep(_AGAIN_SECONDS)
        async with self._turn:
            self._process = None
            for service, backend in list(self._by_service.items()):
                self._by_service[service] = await self._start(backend.model)
