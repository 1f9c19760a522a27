import asyncio
import re
from collections.abc import Awaitable, Callable, Generator
from pathlib import Path
from typing import Any, Protocol

import pytest

from sandbox.kube import Kube
from tests.unit.provider.client import Client, connected


class Cluster(Protocol):
    """Does something on the cluster behind the provider's back."""

    def __call__(self, work: Callable[[Kube], Awaitable[Any]]) -> Any:  # noqa: ANN401
        """Run `work` with a client and return what it returns."""
        ...


@pytest.fixture(scope="session")
def cluster(kubeconfig: Path) -> Cluster:
    def run(work: Callable[[Kube], Awaitable[Any]]) -> Any:  # noqa: ANN401
        async def main() -> Any:  # noqa: ANN401
            async with Kube.connect(kubeconfig) as kube:
                return await work(kube)

        return asyncio.run(main())

    return run


@pytest.fixture(scope="session")
def shared_client(kubeconfig: Path) -> Generator[Client]:
    with connected(kubeconfig) as connection:
        yield connection


@pytest.fixture
def client(shared_client: Client) -> Client:
    """A provider with the options of our program, configured anew for each test as for each run."""
    shared_client.configure()
    return shared_client


@pytest.fixture
def namespace(cluster: Cluster, request: pytest.FixtureRequest) -> Generator[str]:
    """A namespace of the test's own."""
    name = re.sub(r"[^a-z0-9]+", "-", str(request.node.name).lower())[:55].strip("-")
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    cluster(lambda kube: kube.apply(body, field_manager="test"))
    yield name
    cluster(lambda kube: kube.delete("v1", "Namespace", name))
