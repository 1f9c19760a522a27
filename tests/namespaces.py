"""Namespaces that a test needs and a cluster may lack."""

import asyncio
import time
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from pathlib import Path

from sandbox.kube import Kube

_PATIENCE = 60.0


@contextmanager
def namespaces_present(kubeconfig: Path, names: Iterable[str]) -> Generator[None]:
    """Have the namespaces for as long as the context lasts; those that were not there are gone afterwards."""
    made = asyncio.run(_make(kubeconfig, sorted(set(names))))
    try:
        yield
    finally:
        asyncio.run(_remove(kubeconfig, made))


async def _make(kubeconfig: Path, names: list[str]) -> list[str]:
    async with Kube.connect(kubeconfig) as kube:
        missing = [name for name in names if await kube.get("v1", "Namespace", name) is None]
        for name in missing:
            body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
            await kube.apply(body, field_manager="test")
        return missing


async def _remove(kubeconfig: Path, names: list[str]) -> None:
    async with Kube.connect(kubeconfig) as kube:
        for name in names:
            await kube.delete("v1", "Namespace", name)
        deadline = time.monotonic() + _PATIENCE
        for name in names:  # the next test would find one that is about to go, and be refused
            while await kube.get("v1", "Namespace", name) is not None:
                assert time.monotonic() < deadline, f"namespace {name} is not gone after {_PATIENCE:.0f} s"
                await asyncio.sleep(0.2)
