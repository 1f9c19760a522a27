"""The program of another tree of this repository, run by modules of this one, in a process of its own."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from cli.exits import MaasError
from cli.paths import ROOT


def run(module: str, tree: Path, *words: str, asked: str = "", seconds: float) -> subprocess.CompletedProcess[bytes]:
    """Run `python -m <module> <tree> <words>`, which begins with `step_into`.

    Args:
        module: one of `cli`.
        tree: whose program it runs.
        words: what else the module is told.
        asked: what it reads from stdin.
        seconds: how long it may take.

    Raises:
        MaasError: It was not through in time.
    """
    command = [sys.executable, "-m", module, str(tree), *words]
    # PYTHONSAFEPATH keeps the tree's own `cli` out, which may lack the module; the tree is the folder to stand in.
    python = {"PYTHONPATH": str(ROOT), "PYTHONSAFEPATH": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    environment = {**_quiet_environment(os.environ), **python}
    try:
        return subprocess.run(  # noqa: S603 - our own words
            command, cwd=tree, env=environment, input=asked.encode(), capture_output=True, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired:
        raise MaasError(f"The program of {tree} was not through after {seconds:.0f} s.") from None


def step_into(tree: Path) -> None:
    """What the program imports comes from its own tree from now on; `cli` and `sandbox`, loaded by now, stay ours."""
    sys.path[:] = [str(tree), *(path for path in sys.path if path and Path(path).resolve() not in {ROOT, tree})]


def _quiet_environment(given: Mapping[str, str]) -> dict[str, str]:
    """Nothing of the caller's that could let the program reach anything, or find another one's modules."""
    return {
        name: value
        for name, value in given.items()
        if not name.startswith(("PULUMI_", "KUBE", "AWS_", "AZURE_", "GOOGLE_", "PYTHON"))
    }
