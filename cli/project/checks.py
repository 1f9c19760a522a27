"""`./maas test`: linters, type checker and tests.

What takes long runs side by side. One program at a time has the terminal; what the others say is kept, and told whole
when that one has ended.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import IO

from cli.console import Console
from cli.exits import Exit
from cli.paths import ROOT
from cli.project.build_operators import CONFORMANCE_TOOLS
from cli.project.unchanged import fingerprint, has_passed, remember
from sandbox.toolbox import cached_path
from sandbox.tools.declarations import TOOLS

SHELL_SCRIPTS = ("maas", ".ci/run")
YAML_PLACES = (
    "Pulumi.yaml",
    ".pre-commit-config.yaml",
    ".yamllint.yaml",
    "sandbox",
    "rules",
    ".github",
    "docs/examples",
    "docs/reference/examples",
    "mkdocs.yml",
    "policy/PulumiPolicy.yaml",
)
_PYTHON = (sys.executable, "-m")
_WORKERS = str(min(max(os.cpu_count() or 1, 2), 8))
"""Each takes five seconds to collect the tests, so many more would not be quicker."""
_BY_FILE = ("--dist", "loadfile", "--no-loadscope-reorder")


@dataclass(frozen=True)
class Check:
    """One program to run; it fails by its exit code."""

    title: str
    command: tuple[str, ...]
    shows_output: bool = False
    """Whether its output belongs on the terminal also when all is well, as it comes."""
    by_sources: bool = False
    """Whether our sources and their settings alone decide: it is not run again on those that it has passed on."""


@dataclass(frozen=True)
class Group:
    """Checks that run side by side, of which at most one shows its output."""

    checks: tuple[Check, ...]
    usually_seconds: float

    @property
    def title(self) -> str:
        """What runs."""
        return ", ".join(check.title for check in self.checks)


class Tier(StrEnum):
    """A part of the tests that can be run alone."""

    FAST = "fast"
    """What needs no control plane, with linters and types."""
    SANDBOX = "sandbox"
    """A real engine and a real API server, with played operators."""
    CONFORMANCE = "conformance"
    """The operators' own programs, which are built first where they are missing."""
    FAULTS = "faults"
    """Everything that goes wrong; the sandbox tier has a part of it."""


_TESTS = (*_PYTHON, "pytest", "-m", "sandbox")
_SANDBOX = Group(
    (Check("pytest: sandbox", (*_TESTS, "--ignore", "tests/conformance", "tests"), shows_output=True),), 1900
)
_CONFORMANCE = Group((Check("pytest: conformance", (*_TESTS, "-rs", "tests/conformance"), shows_output=True),), 480)
_BUILDING_SECONDS = 800
"""On two cores, beside the programs of the sandbox: those take 700 more where they are missing too."""


def run(arguments: Sequence[str], *, fast: bool, console: Console, tier: Tier | None = None) -> Exit:
    """Run every check, also after one has failed.

    Args:
        arguments: For pytest. When there are any, only pytest runs, with exactly these.
        fast: Leave out what needs a control plane.
        console: Where to say what runs.
        tier: Run this tier only.

    Returns:
        OK when all is well, FAILED otherwise.
    """
    if tier is not None:
        groups = of_tier(tier)
    elif arguments:
        groups = [_only(arguments, fast=fast)]
    else:
        operators = operators_built() or bool(os.environ.get("CI"))
        groups = plan(fast=fast, operators=operators)
        if not fast and not operators:
            console.note(
                "The conformance tier is left out until its programs are built: ./maas test --tier conformance"
            )
    expected = sum(group.usually_seconds for group in groups)
    console.note(f"{sum(len(group.checks) for group in groups)} checks, usually {expected:.0f} s on two cores.")
    failed = [title for group in groups for title in failures(group, console)]
    if failed:
        console.error(f"Failed: {', '.join(failed)}.")
        return Exit.FAILED
    console.note("All checks passed.")
    return Exit.OK


def operators_built() -> bool:
    """Whether the programs of the conformance tier are in the tool cache."""
    return all(cached_path(TOOLS[name]).exists() for name in CONFORMANCE_TOOLS)


def plan(*, fast: bool, operators: bool) -> list[Group]:
    """What runs, in order: the quick ones first.

    Args:
        fast: Leave out what needs a control plane.
        operators: Run the operators' own programs, too, which are built where they are missing.
    """
    groups = [
        Group(
            (
                Check("ruff check", (*_PYTHON, "ruff", "check", ".")),
                Check("ruff format", (*_PYTHON, "ruff", "format", "--check", ".")),
                Check("shellcheck", (_beside_python("shellcheck"), *SHELL_SCRIPTS)),
                Check("yamllint", (*_PYTHON, "yamllint", "--strict", *yaml_files())),
                # Workflows, and the shell in them, which actionlint gives to shellcheck.
                Check(
                    "actionlint",
                    (
                        *_PYTHON,
                        "cli.project.run_tool",
                        "actionlint",
                        "-shellcheck",
                        _beside_python("shellcheck"),
                        "-pyflakes=",
                    ),
                ),
                Check(
                    "zizmor", (_beside_python("zizmor"), "--offline", "--no-progress", "--quiet", ".github/workflows")
                ),
            ),
            2,
        ),
        Group(
            (
                Check("basedpyright", (*_PYTHON, "basedpyright"), by_sources=True),
                Check(
                    "pytest: unit and program",
                    # A file's tests share what they record: they stay together. In the order of the files, which begins
                    # with the slow ones; by itself xdist would leave those with few tests for the end.
                    (*_PYTHON, "pytest", "-m", "not sandbox", "-n", _WORKERS, *_BY_FILE, "tests"),
                    shows_output=True,
                ),
            ),
            110,
        ),
    ]
    if not fast:
        # One after the other: each test brings its own control plane, and two of them share two cores badly.
        groups += [_SANDBOX, *(of_tier(Tier.CONFORMANCE) if operators else [])]
    return groups


def of_tier(tier: Tier) -> list[Group]:
    """What one tier runs, in order."""
    match tier:
        case Tier.FAST:
            return plan(fast=True, operators=False)
        case Tier.SANDBOX:
            return [_SANDBOX]
        case Tier.CONFORMANCE:
            programs = Check("the operators' programs", (*_PYTHON, "cli.project.build_operators"), shows_output=True)
            return [Group((programs,), 5 if operators_built() else _BUILDING_SECONDS), _CONFORMANCE]
        case Tier.FAULTS:
            command = ("env", "MAAS_TEST_FAULTS=all", *_TESTS, "tests/faults")
            return [Group((Check("pytest: faults", command, shows_output=True),), 2400)]


def failures(group: Group, console: Console) -> list[str]:
    """Run the checks of a group side by side; returns the titles of those that failed, and says why they did."""
    console.note(f"{group.title} (usually {group.usually_seconds:.0f} s)")
    failed: list[str] = []
    fingerprints = {check.title: fingerprint(check.command) for check in group.checks if check.by_sources}
    done = {title for title, found in fingerprints.items() if has_passed(title, found)}
    for title in sorted(done):
        console.note(f"{title} has passed on exactly these sources.")
    due = [check for check in group.checks if check.title not in done]
    with ExitStack() as stack:
        quiet = [(check, *stack.enter_context(_started(check))) for check in due if not check.shows_output]
        failed += [
            check.title
            for check in due
            if check.shows_output and subprocess.run(check.command, cwd=ROOT, check=False).returncode != 0  # noqa: S603 - our own words
        ]
        for check, process, output in quiet:
            if len(quiet) < len(due) and process.poll() is None:
                console.note(f"{check.title} is still at work ...")
            if process.wait() != 0:
                failed.append(check.title)
                output.seek(0)
                console.error(f"{output.read().rstrip()}\n{check.title} failed.")
            elif check.by_sources and fingerprint(check.command) == fingerprints[check.title]:
                remember(check.title, fingerprints[check.title])
    return failed


def yaml_files(root: Path = ROOT) -> list[str]:
    """The YAML that people write, relative to the root."""
    stacks = sorted(path.name for path in root.glob("Pulumi.*.yaml"))
    return stacks + [place for place in YAML_PLACES if (root / place).exists()]


def _only(arguments: Sequence[str], *, fast: bool) -> Group:
    selected = ("-m", "not sandbox") if fast else ()
    return Group((Check("pytest", (*_PYTHON, "pytest", *selected, *arguments), shows_output=True),), 60)


def _beside_python(tool: str) -> str:
    """A program that a package put beside the interpreter of .venv."""
    return str(Path(sys.executable).with_name(tool))


@contextmanager
def _started(check: Check) -> Generator[tuple[subprocess.Popen[str], IO[str]]]:
    """A check at work, and the file of what it says: a pipe that nobody reads would hold it up."""
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as output:
        process = subprocess.Popen(  # noqa: S603 - our own words
            check.command, cwd=ROOT, text=True, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        )
        try:
            yield process, output
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()
