"""Runs the provider on a port of the loopback interface, in a thread of its own or in the foreground."""

import asyncio
import threading
from collections.abc import Callable, Generator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path

import grpc.aio
from pulumi.runtime.proto import provider_pb2_grpc

from sandbox.provider.server import KubernetesProvider

_GRACE = 5.0
"""Seconds that operations have to end after a stop."""
_ANY_SIZE = (("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1))
"""CRDs make messages larger than gRPC's 4 MiB."""


@contextmanager
def serve(kubeconfig: Path) -> Generator[int]:
    """Run the provider in a thread; yields its port, for `PULUMI_DEBUG_PROVIDERS=kubernetes:PORT`.

    Args:
        kubeconfig: The cluster to use unless the program's provider resource names another kubeconfig.

    Raises:
        OSError: No port could be had.
    """
    started: Future[tuple[int, Callable[[], None]]] = Future()

    async def main() -> None:
        stopping = asyncio.Event()
        loop = asyncio.get_running_loop()

        def stop() -> None:
            loop.call_soon_threadsafe(stopping.set)

        await run(kubeconfig, lambda port: started.set_result((port, stop)), stopping)

    def target() -> None:
        try:
            asyncio.run(main())
        except BaseException as error:  # noqa: BLE001  (handed over to the thread that waits)
            if not started.done():
                started.set_exception(error)

    thread = threading.Thread(target=target, name="kubernetes provider", daemon=True)
    thread.start()
    port, stop = started.result()
    try:
        yield port
    finally:
        stop()
        thread.join()


async def run(kubeconfig: Path, started: Callable[[int], None], stopping: asyncio.Event) -> None:
    """Run the provider in this event loop until `stopping` is set.

    Args:
        kubeconfig: As for `serve`.
        started: Is told the port.
        stopping: Ends the run.
    """
    provider = KubernetesProvider(kubeconfig)
    server = grpc.aio.server(options=_ANY_SIZE)  # pyright: ignore[reportUnknownMemberType]  (partly typed stub)
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(provider, server)
    port = server.add_insecure_port("127.0.0.1:0")
    if not port:
        raise OSError("the provider found no free port on 127.0.0.1")
    await server.start()
    started(port)
    try:
        await stopping.wait()
    finally:
        await provider.aclose()
        await server.stop(_GRACE)
