"""Time and memory of a sandbox stack by its number of users: `.venv/bin/python -m tests.benchmarks.users 10 100 1000`.

On a copy of this tree with a state of its own, which is gone afterwards. One line of JSON for each operation: seconds
by the clock; and of the engine, and of the program (with command line and stand-in provider), seconds of processor
time, which depend little on what else the machine does, and the peak of resident memory in MiB.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import yaml

ROOT = Path(__file__).resolve().parents[2]
_NOT_COPIED = (".git", ".venv", ".maas", ".hypothesis", ".pytest_cache", ".ruff_cache", "__pycache__", "rendered")
_EVERY = 0.1
_TIERS = ("free", "premium", "enterprise")


def tree_with(users: int, folder: Path) -> Path:
    """A copy of this tree whose sandbox stack has so many users."""
    tree = folder / "tree"
    if not tree.is_dir():
        shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns(*_NOT_COPIED))
        (tree / ".venv").symlink_to(ROOT / ".venv")
    content = yaml.safe_load((ROOT / "Pulumi.sandbox.yaml").read_text(encoding="utf-8"))
    content["config"]["maas:users"] = {
        f"user{number:04}": {"tier": _TIERS[number % len(_TIERS)], "team": f"team{number % 20}"}
        for number in range(users)
    }
    (tree / "Pulumi.sandbox.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    return tree


def measured(tree: Path, environment: Mapping[str, str], *words: str) -> dict[str, Any]:
    """Run one command and say how long it took, how much memory it had at most, and what it changed."""
    peaks: dict[str, int] = {}
    used: dict[int, tuple[str, float]] = {}
    over = threading.Event()
    began = time.monotonic()
    process = subprocess.Popen(  # noqa: S603 - this tree's own script
        [str(tree / "maas"), *words, "--json"],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )

    def watch() -> None:
        while not over.wait(_EVERY):
            with suppress(psutil.Error):
                root = psutil.Process(process.pid)
                for each in [root, *root.children(recursive=True)]:
                    with suppress(psutil.Error):
                        what = _part(each)
                        peaks[what] = max(peaks.get(what, 0), each.memory_info().rss // 2**20)
                        times = each.cpu_times()
                        used[each.pid] = (what, times.user + times.system)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    out, err = process.communicate()
    seconds = time.monotonic() - began
    over.set()
    watcher.join()
    if process.returncode:
        raise SystemExit(f"{words} ended with {process.returncode}\n{out[-2000:]}\n{err[-2000:]}")
    processor: dict[str, float] = {}
    for what, spent in used.values():
        processor[what] = round(processor.get(what, 0) + spent, 1)
    result = {"seconds": round(seconds, 1), "processor seconds": processor, "MiB": peaks}
    return result | {"changes": json.loads(out).get("changes")}


def _part(process: psutil.Process) -> str:
    name, words = process.name(), " ".join(process.cmdline())
    if name == "pulumi":
        return "engine"
    if "sandbox.provider" in words:
        return "provider"
    return "program" if "cli" in words else "others"


def main() -> None:
    """Measure each number of users that the command line names."""
    for number in [int(word) for word in sys.argv[1:]]:
        with tempfile.TemporaryDirectory(prefix="maas-users-") as folder:
            home = Path(folder) / "home"
            environment = {"MAAS_HOME": str(home), "MAAS_PROVIDER": "stand-in"}
            tree = tree_with(0, Path(folder))
            subprocess.run(  # noqa: S603 - this tree's own script
                [str(tree / "maas"), "up", "--json"], env={**os.environ, **environment}, check=True, capture_output=True
            )
            try:
                tree_with(number, Path(folder))
                for title, words in {
                    "up": ("up",),
                    "up, nothing to do": ("up",),
                    "preview": ("preview",),
                    "refresh": ("refresh",),
                    "destroy": ("destroy",),
                }.items():
                    result = measured(tree, environment, *words)
                    state = home / "sandbox" / "state" / ".pulumi" / "stacks" / "maas" / "sandbox.json"
                    size = state.stat().st_size // 1024
                    print(json.dumps({"users": number, "what": title, **result, "state KiB": size}), flush=True)  # noqa: T201
            finally:
                subprocess.run([str(tree / "maas"), "down"], env={**os.environ, **environment}, check=False)  # noqa: S603


if __name__ == "__main__":
    main()
