"""What the provider tells the engine's user: progress beside a resource, and warnings. Never waits for an answer."""

import asyncio
from collections.abc import Awaitable
from contextlib import suppress
from typing import cast

import grpc
import grpc.aio
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc


class EngineLog:
    """Sends messages to the engine that has attached last; silent until one has."""

    def __init__(self) -> None:
        self._channel: grpc.aio.Channel | None = None
        self._stub: engine_pb2_grpc.EngineStub | None = None
        self._sending: set[asyncio.Task[None]] = set()

    async def attach(self, address: str) -> None:
        """Talk to this engine from now on."""
        await self.aclose()
        self._channel = grpc.aio.insecure_channel(address)
        self._stub = engine_pb2_grpc.EngineStub(self._channel)

    async def aclose(self) -> None:
        """Let pending messages out, for a moment, and close the connection."""
        if self._sending:
            await asyncio.wait(self._sending, timeout=1)
        if self._channel is not None:
            await self._channel.close(None)
        self._channel = self._stub = None

    def status(self, urn: str, text: str) -> None:
        """Show beside the resource what is going on; the next status replaces it."""
        self._send(engine_pb2.LogRequest(severity=engine_pb2.INFO, message=text, urn=urn, ephemeral=True))

    def warn(self, urn: str, text: str) -> None:
        """Show a warning that stays."""
        self._send(engine_pb2.LogRequest(severity=engine_pb2.WARNING, message=text, urn=urn))

    def _send(self, request: engine_pb2.LogRequest) -> None:
        if self._stub is None:
            return
        task = asyncio.ensure_future(_deliver(self._stub, request))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)


async def _deliver(stub: engine_pb2_grpc.EngineStub, request: engine_pb2.LogRequest) -> None:
    # A message that the engine no longer wants is no reason to fail an operation.
    with suppress(grpc.RpcError):
        await cast("Awaitable[object]", stub.Log(request))  # pyright: ignore[reportUnknownMemberType]  (untyped stub)
