"""A copy of this tree with a state of its own, on which `./maas` is run as a user would."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import psutil

from sandbox.instance import Sandbox

ROOT = Path(__file__).resolve().parent.parent
UP_SECONDS = 1800
"""The longest that one command may take: from an empty cache, tools are built."""
_NOT_COPIED = (".git", ".venv", ".maas", ".hypothesis", ".pytest_cache", ".ruff_cache", "__pycache__", "rendered")


class Tree:
    """A copy of this tree with a state of its own, whose settings a test may edit."""

    def __init__(self, root: Path, home: Path) -> None:
        self.root, self.home = root, home
        shutil.copytree(ROOT, root, ignore=shutil.ignore_patterns(*_NOT_COPIED))
        (root / ".venv").symlink_to(ROOT / ".venv")

    @property
    def settings(self) -> Path:
        return self.root / "Pulumi.sandbox.yaml"

    @property
    def sandbox(self) -> Sandbox:
        return Sandbox.open("sandbox", self.home)

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "MAAS_HOME": str(self.home), "MAAS_PROVIDER": "stand-in"}

    def start(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(  # noqa: S603 - the script under test
            [str(self.root / "maas"), *words],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *words: str) -> tuple[int, str, str]:
        process = self.start(*words)
        out, err = process.communicate(timeout=UP_SECONDS)
        return process.returncode, out, err

    def json(self, *words: str, code: int = 0) -> dict[str, Any]:
        actual, out, err = self.run(*words, "--json")
        assert actual == code, f"{words} ended with {actual}\n{out}\n{err}"
        return json.loads(out)

    def engines(self) -> list[int]:
        """The engines at work on this tree's state."""
        found: list[int] = []
        for process in psutil.process_iter(["name"]):
            try:
                if process.name() == "pulumi" and str(self.home) in process.environ().get("PULUMI_BACKEND_URL", ""):
                    found.append(process.pid)
            except psutil.Error:
                continue
        return found
