"""`./maas test`: linters, type checker and tests, one after the other, so that their output stays readable."""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cli.console import Console
from cli.exits import Exit
from cli.paths import ROOT

SHELL_SCRIPTS = ("maas", ".ci/run")
YAML_PLACES = ("Pulumi.yaml", ".pre-commit-config.yaml", ".yamllint.yaml", "sandbox", "rules", ".github")
_PYTHON = (sys.executable, "-m")
_WORKERS = "2"


@dataclass(frozen=True)
class Check:
    """One program to run; it fails by its exit code."""

    title: str
    command: tuple[str, ...]
    usually_seconds: float
    shows_output: bool = False
    """Whether its output belongs on the terminal also when all is well."""


def run(arguments: Sequence[str], *, fast: bool, console: Console) -> Exit:
    """Run every check, also after one has failed.

    Args:
        arguments: For pytest. When there are any, only pytest runs, with exactly these.
        fast: Leave the sandbox tier out.
        console: Where to say what runs.

    Returns:
        OK when all is well, FAILED otherwise.
    """
    checks = [_only(arguments, fast=fast)] if arguments else plan(fast=fast)
    expected = sum(check.usually_seconds for check in checks)
    console.note(f"{len(checks)} checks, usually {expected:.0f} s on two cores.")
    failed: list[str] = []
    for number, check in enumerate(checks, start=1):
        console.note(f"[{number}/{len(checks)}] {check.title} (usually {check.usually_seconds:.0f} s)")
        began = time.monotonic()
        if not _passes(check, console):
            failed.append(check.title)
            console.error(f"{check.title}: failed after {time.monotonic() - began:.1f} s")
    if failed:
        console.error(f"Failed: {', '.join(failed)}.")
        return Exit.FAILED
    console.note("All checks passed.")
    return Exit.OK


def plan(*, fast: bool) -> list[Check]:
    """What runs, in order: the quick ones first."""
    checks = [
        Check("ruff check", (*_PYTHON, "ruff", "check", "."), 1),
        Check("ruff format", (*_PYTHON, "ruff", "format", "--check", "."), 1),
        Check("shellcheck", (_beside_python("shellcheck"), *SHELL_SCRIPTS), 1),
        Check("yamllint", (*_PYTHON, "yamllint", "--strict", *yaml_files()), 2),
        Check("basedpyright", (*_PYTHON, "basedpyright"), 15),
        Check(
            "pytest: unit and program",
            (*_PYTHON, "pytest", "-m", "not sandbox", "-n", _WORKERS, "tests"),
            30,
            shows_output=True,
        ),
    ]
    if not fast:
        # One after the other: each test brings its own control plane, and two of them share two cores badly.
        checks.append(Check("pytest: sandbox", (*_PYTHON, "pytest", "-m", "sandbox", "tests"), 800, shows_output=True))
    return checks


def yaml_files(root: Path = ROOT) -> list[str]:
    """The YAML that people write, relative to the root."""
    stacks = sorted(path.name for path in root.glob("Pulumi.*.yaml"))
    return stacks + [place for place in YAML_PLACES if (root / place).exists()]


def _only(arguments: Sequence[str], *, fast: bool) -> Check:
    selected = ("-m", "not sandbox") if fast else ()
    return Check("pytest", (*_PYTHON, "pytest", *selected, *arguments), 60, shows_output=True)


def _beside_python(tool: str) -> str:
    """A program that a package put beside the interpreter of .venv."""
    return str(Path(sys.executable).with_name(tool))


def _passes(check: Check, console: Console) -> bool:
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    if check.shows_output:
        return subprocess.run(check.command, cwd=ROOT, env=environment, check=False).returncode == 0  # noqa: S603 - our own words
    done = subprocess.run(  # noqa: S603 - our own words
        check.command, cwd=ROOT, env=environment, check=False, capture_output=True, text=True
    )
    if done.returncode != 0:
        console.error((done.stdout + done.stderr).rstrip())
    return done.returncode == 0
