from collections.abc import Generator
from pathlib import Path

import pytest

from tests.unit.provider.fake_api import FakeApi, running


@pytest.fixture
def fake(tmp_path: Path) -> Generator[tuple[FakeApi, Path]]:
    """A fake API server and a kubeconfig for it."""
    with running(tmp_path) as pair:
        yield pair


@pytest.fixture
def api(fake: tuple[FakeApi, Path]) -> FakeApi:
    return fake[0]


@pytest.fixture
def fake_kubeconfig(fake: tuple[FakeApi, Path]) -> Path:
    return fake[1]
