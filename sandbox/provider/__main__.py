"""Runs the provider for people who call the pulumi CLI themselves.

    python -m sandbox.provider --kubeconfig FILE &
    PULUMI_DEBUG_PROVIDERS=kubernetes:PORT pulumi up

The port is the only thing that is written to standard output.
"""

import argparse
import asyncio
import signal
import sys
from pathlib import Path

from sandbox.provider.serving import run


async def _main(kubeconfig: Path) -> None:
    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    await run(kubeconfig, _announce, stopping)


def _announce(port: int) -> None:
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m sandbox.provider", description="the stand-in kubernetes provider")
    parser.add_argument("--kubeconfig", type=Path, required=True, help="the cluster that the provider works on")
    asyncio.run(_main(parser.parse_args().kubeconfig))
