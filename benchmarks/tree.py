"""Copies of this tree with other models and users, each with a sandbox and a state of its own."""

import os
import shutil
import subprocess
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from benchmarks.measure import BenchError, run
from cli.paths import ROOT
from sandbox.instance import Sandbox

_NOT_COPIED = (
    ".git", ".venv", ".maas", ".hypothesis", ".pytest_cache", ".ruff_cache", "__pycache__", "rendered", "site",
)  # fmt: skip
_TIERS = ("free", "premium", "enterprise")
_TRIES = 3


def copy_tree(root: Path) -> None:
    """Copy this tree without what it has made, with its environment as a link."""
    shutil.copytree(ROOT, root, ignore=shutil.ignore_patterns(*_NOT_COPIED))
    (root / ".venv").symlink_to(ROOT / ".venv")


class Tree:
    """One copy, with a sandbox that a caller starts and that is gone afterwards."""

    def __init__(self, folder: Path) -> None:
        self.root, self.home = folder / "tree", folder / "home"
        copy_tree(self.root)

    @property
    def maas(self) -> str:
        """The command of this copy."""
        return str(self.root / "maas")

    @property
    def python(self) -> str:
        """The interpreter of the project's environment."""
        return str(ROOT / ".venv" / "bin" / "python")

    @property
    def environment(self) -> dict[str, str]:
        """What a command of this copy needs."""
        return {"MAAS_HOME": str(self.home), "MAAS_PROVIDER": "stand-in"}

    @property
    def state(self) -> Path:
        """The stack's state."""
        return self.home / "sandbox" / "state" / ".pulumi" / "stacks" / "maas" / "sandbox.json"

    @property
    def kubeconfig(self) -> Path:
        """The sandbox's."""
        return Sandbox.open("sandbox", self.home).kubeconfig

    def settings(self, *, models: int | None = None, users: int | None = None, **changed: Any) -> None:  # noqa: ANN401
        """Write the sandbox's stack file as it is in the original, but for this.

        Args:
            models: So many simulators in place of its models.
            users: So many users in place of its own.
            changed: Whole sections, by their names.
        """
        content = yaml.safe_load((ROOT / "Pulumi.sandbox.yaml").read_text(encoding="utf-8"))
        config: dict[str, Any] = content["config"]
        if models is not None:
            config["maas:models"] = {f"model{number:03}": {"profile": "simulator"} for number in range(models)}
        if users is not None:
            config["maas:users"] = {
                f"user{number:04}": {"tier": _TIERS[number % len(_TIERS)], "team": f"team{number % 20}"}
                for number in range(users)
            }
        config |= {f"maas:{name}": value for name, value in changed.items()}
        (self.root / "Pulumi.sandbox.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")

    def one_field(self) -> dict[str, Any]:
        """The tiers, with another limit of requests for one of them: the change of one field of one object."""
        content = yaml.safe_load((ROOT / "Pulumi.sandbox.yaml").read_text(encoding="utf-8"))
        tiers: dict[str, Any] = content["config"]["maas:tiers"]
        first = min(tiers)
        return {**tiers, first: {**tiers[first], "requests": "77 per 2m"}}

    @contextmanager
    def sandbox(self) -> Generator[None]:
        """The control plane alone, for as long as the context lasts.

        Raises:
            BenchError: It does not come up.
        """
        environment = {**os.environ, **self.environment}
        try:
            _patiently([self.maas, "sandbox", "up"], self.environment)
            yield
        finally:
            subprocess.run([self.maas, "down"], env=environment, check=False, capture_output=True)  # noqa: S603


def _patiently(words: list[str], environment: Mapping[str, str]) -> None:
    """On a machine that is busy with other things a control plane may be too slow for its own time limits."""
    for number in range(_TRIES):
        try:
            run(words, environment)
        except BenchError:
            if number == _TRIES - 1:
                raise
        else:
            return
