"""The real engine on a program of a test, with the stand-in provider attached."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pulumi import automation as auto

from sandbox import toolbox
from sandbox.progress import Silent
from sandbox.provider import serve


@contextmanager
def engine_stack(
    name: str, program: Callable[[], None], kubeconfig: Path, state: Path, monkeypatch: pytest.MonkeyPatch
) -> Generator[auto.Stack]:
    """A stack of the program on a cluster, its state in a folder; destroyed in the end."""
    engine = toolbox.find("pulumi", Silent())
    monkeypatch.setenv("PATH", str(engine.parent), prepend=":")
    with serve(kubeconfig) as port:
        environment = {
            "PULUMI_BACKEND_URL": f"file://{state}",
            "PULUMI_HOME": str(state / "home"),
            "PULUMI_CONFIG_PASSPHRASE": "only-a-test",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_DEBUG_PROVIDERS": f"kubernetes:{port}",
        }
        options = auto.LocalWorkspaceOptions(env_vars=environment)
        stack = auto.create_or_select_stack(name, "tests", program, opts=options)
        yield stack
        stack.destroy()
