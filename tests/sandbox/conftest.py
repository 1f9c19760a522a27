"""One sandbox for all tests of this folder that only need a cluster."""

from collections.abc import Generator
from pathlib import Path

import pytest

from sandbox import lifecycle
from sandbox.instance import Sandbox
from sandbox.progress import Silent


@pytest.fixture(scope="session")
def sandbox_instance(tmp_path_factory: pytest.TempPathFactory) -> Generator[Sandbox]:
    """A running sandbox with everything in it; its state is temporary, the tools come from the ordinary cache."""
    sandbox = lifecycle.up(Sandbox.open("shared", tmp_path_factory.mktemp("home")), Silent())
    try:
        yield sandbox
    finally:
        lifecycle.down(sandbox, Silent())


@pytest.fixture(scope="session")
def kubeconfig(sandbox_instance: Sandbox) -> Path:
    """How to reach that sandbox's API server."""
    return sandbox_instance.kubeconfig
