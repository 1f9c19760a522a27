"""A copy of this tree with a state of its own, on which `./maas` is run as a user would."""

import asyncio
import json
import os
import subprocess
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import psutil

from benchmarks.tree import copy_tree
from sandbox.instance import Sandbox
from sandbox.kube import Kube

T = TypeVar("T")
UP_SECONDS = 1800
"""The longest that one command may take: from an empty cache, tools are built."""


class Tree:
    """A copy of this tree with a state of its own, whose settings a test may edit."""

    def __init__(self, folder: Path) -> None:
        self.root, self.home = folder / "tree", folder / "home"
        copy_tree(self.root)

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


def with_kube(sandbox: Sandbox, work: Callable[[Kube], Coroutine[Any, Any, T]]) -> T:
    """Do something with a sandbox's API server."""

    async def run() -> T:
        async with Kube.connect(sandbox.kubeconfig) as kube:
            return await work(kube)

    return asyncio.run(run())


def in_cluster(tree: Tree, work: Callable[[Kube], Any]) -> Any:  # noqa: ANN401 - whatever the work gives
    """The same with the API server of a tree's sandbox."""
    return with_kube(tree.sandbox, work)
