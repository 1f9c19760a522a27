"""How long one side of `./maas diff` takes, by the number of models and users: the sides run side by side.

Call: `.venv/bin/python -m benchmarks.diff 10x100 50x500 100x1000`, each models x users.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from cli.paths import ROOT

STACK = "many"
_PROGRAM = (
    "__main__.py",
    "Pulumi.yaml",
    "components",
    "config",
    "dashboards",
    "policy",
    "rules",
    "sandbox",
    "simulator",
)


@dataclass(frozen=True)
class Size:
    """What a stack has."""

    models: int
    users: int

    @classmethod
    def read(cls, text: str) -> "Size":
        """Read `100x1000`."""
        models, _, users = text.partition("x")
        return cls(int(models), int(users))


def stack(size: Size) -> dict[str, Any]:
    """The shipped stack for OpenShift with so many models and users in place of its own; keys are encrypted."""
    content: dict[str, Any] = yaml.safe_load((ROOT / "Pulumi.ocp.yaml").read_text(encoding="utf-8"))
    tiers = list(content["config"]["maas:tiers"])
    gpu = {"source": "hf://Qwen/Qwen3-0.6B", "profile": "small-gpu"}
    content["config"] |= {
        "maas:users": {f"user{each}": {"tier": tiers[each % len(tiers)]} for each in range(size.users)},
        "maas:models": {f"m{each}": {"profile": "simulator"} if each % 2 else gpu for each in range(size.models)},
        "maas:apiKeys": {"secure": "v1:x"},
    }
    return content


def measured(size: Size) -> str:
    """A row of the table: seconds of processor time, of the clock, objects, memory of the process."""
    with tempfile.TemporaryDirectory() as folder:
        for name in _PROGRAM:
            (Path(folder) / name).symlink_to(ROOT / name)
        (Path(folder) / f"Pulumi.{STACK}.yaml").write_text(yaml.safe_dump(stack(size)), encoding="utf-8")
        command = [sys.executable, "-m", "cli.diff.worker", folder, STACK]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONSAFEPATH": "1"}
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, check=True)  # noqa: S603 - our own words
        after, seconds = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic() - began
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    objects = len(json.loads(done.stdout)[0]["items"])
    row = (size.models, size.users, objects, f"{cpu:.1f} s", f"{seconds:.1f} s", f"{after.ru_maxrss // 1024} MiB")
    return f"| {' | '.join(map(str, row))} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sizes", nargs="+", type=Size.read, metavar="MODELSxUSERS")
    print("| models | users | objects | processor | clock | memory |\n|---|---|---|---|---|---|")  # noqa: T201
    for size in parser.parse_args().sizes:
        print(measured(size), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
