"""Limitador's own library in a small program, built on demand from tests/differential/limitador."""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock

from sandbox.toolbox import cache_folder
from sandbox.tools.declarations import platform_names
from sandbox.tools.files import partial_folder, publish

SOURCE = Path(__file__).with_name("limitador")
_PROGRAM = "limitador-oracle"
_BUILD_SECONDS = 550
_RUN_SECONDS = 300


def oracle() -> Path:
    """The program, from the cache or built into it (about a minute on two cores); skips where Rust is missing."""
    if not sys.platform.startswith("linux"):
        pytest.skip("the clock of Limitador's library can be turned on Linux only")
    target = cache_folder() / "tools" / _PROGRAM / _fingerprint() / _PROGRAM
    if not target.exists():
        cargo = shutil.which("cargo")
        if cargo is None:
            pytest.skip(
                "Limitador's library is not compared with: no cargo on PATH. Install Rust 1.85 or newer "
                "(rustup.rs, or the distribution's package) and run the test again."
            )
        _build(cargo, target)
    return target


def answers(program: Path, steps: list[str]) -> list[str]:
    """What the library answers to these steps."""
    done = subprocess.run(  # noqa: S603 - our own program
        [str(program)], input="\n".join(steps), capture_output=True, text=True, check=False, timeout=_RUN_SECONDS
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def _build(cargo: str, target: Path) -> None:
    folder = target.parent.parent
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / ".lock"):
        if target.exists():
            return
        with partial_folder(folder) as partial:
            # In the tree it would leave a lock file, which names a registry, and its target folder.
            work = partial / "work"
            shutil.copytree(SOURCE, work)
            done = subprocess.run(  # noqa: S603 - cargo, with our own arguments
                [cargo, "build", "--release", "--quiet"],
                cwd=work,
                capture_output=True,
                text=True,
                check=False,
                timeout=_BUILD_SECONDS,
            )
            if done.returncode != 0 and _unreachable(done.stderr):
                pytest.skip(f"Limitador's library is not compared with: cargo reaches no registry.\n{done.stderr}")
            assert done.returncode == 0, done.stderr
            publish(work / "target" / "release" / _PROGRAM, target)


def _unreachable(said: str) -> bool:
    return "failed to get" in said or "failed to download" in said or "Could not resolve host" in said


def _fingerprint() -> str:
    digest = hashlib.sha256(repr(platform_names()).encode())
    for path in sorted(SOURCE.rglob("*")):
        if path.is_file():
            digest.update(path.read_bytes())
    return digest.hexdigest()[:12]
