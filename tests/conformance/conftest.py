"""One control plane with real operators, for all tests here: each takes some two gigabytes."""

import os
from collections.abc import Generator

import pytest

from cli.project.build_operators import CONFORMANCE_TOOLS
from sandbox.toolbox import cached_path
from sandbox.tools.declarations import TOOLS
from tests.conformance.stack import new_tree
from tests.tree import Tree


@pytest.fixture(scope="session")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Generator[Tree]:
    """A copy of this tree with such a control plane, and nothing on it that a test before has not left."""
    missing = [tool for tool in CONFORMANCE_TOOLS if not cached_path(TOOLS[tool]).exists()]
    if missing:
        pytest.skip(f"not built yet: {', '.join(missing)}; ./maas test --tier conformance builds them")
    tree = new_tree(tmp_path_factory.mktemp("real"))
    code, out, err = tree.run("sandbox", "up", "--operators", "real")
    if code != 0:  # it goes on where it was: a busy machine may need longer to serve every CRD than one `up` waits
        code, out, err = tree.run("sandbox", "up", "--operators", "real")
    assert code == 0, out + err
    yield tree
    if "MAAS_TEST_KEEP" not in os.environ:
        tree.run("down")
