"""The third way to a tool: a build from its pinned Go module."""

import os
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from sandbox.progress import Step
from sandbox.tools.declarations import TOOLS_FOLDER, Tool
from sandbox.tools.errors import UnavailableError
from sandbox.tools.toolchain import go_environment

_LAST_LINES = 15
_GRACE_SECONDS = 5.0


def build(tools: Sequence[Tool], folder: Path, go: Path, step: Step) -> None:
    """Build tools of one family into `folder`, each under its own name.

    `go build -v` names each package when it is compiled: the step hears of it. Packages that Go's build cache has are
    not named.

    Raises:
        UnavailableError: Go could not fetch the modules or compile them; has the end of what it said.
    """
    for tool in tools:
        # One command a program: `go build -o folder/` would name etcd after its module's last element. Go's own cache
        # shares the work.
        _go_build(tool, folder / tool.name, go, step)


def build_command(tool: Tool, target: Path, go: Path) -> list[str]:
    """The command line that builds one tool: reproducible (no local paths), without symbols, stamped."""
    stamps = "".join(f" -X {name}={value}" for name, value in sorted(tool.family.stamps.items()))
    flags = ["-v", "-trimpath", "-mod=readonly", "-buildvcs=false", "-ldflags", f"-s -w{stamps}"]
    if tool.family.tags:
        flags += ["-tags", ",".join(tool.family.tags)]
    return [str(go), "build", *flags, "-o", str(target), tool.package]


def _go_build(tool: Tool, target: Path, go: Path, step: Step) -> None:
    started = time.monotonic()
    step.update(f"{tool.name}: resolving modules")
    said: list[str] = []
    process = subprocess.Popen(  # noqa: S603  (our own arguments)
        build_command(tool, target, go),
        cwd=TOOLS_FOLDER / tool.family.name,
        env=go_environment(go),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # its compilers are stopped with it, and a terminal's Ctrl-C reaches us first
    )
    assert process.stderr is not None  # noqa: S101  (asked for above)
    compiled = 0
    try:
        for line in process.stderr:
            said.append(line.rstrip())
            compiled += not line.startswith(("go: ", "#"))
            step.update(
                f"{tool.name}: {line.strip()} (package {compiled}, {time.monotonic() - started:.0f} s)", compiled
            )
        code = process.wait()
    except BaseException:
        _stop_group(process)
        raise
    if code:
        raise UnavailableError(f"go build {tool.package} failed: " + "\n".join(said[-_LAST_LINES:]))


def _stop_group(process: subprocess.Popen[str]) -> None:
    """End go and the compilers it started: they share the process group that we made for them."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(_GRACE_SECONDS)
        except ProcessLookupError:
            break
        except subprocess.TimeoutExpired:
            continue
    process.wait()
