"""`./maas bench`: the comparison in interleaved rounds, the series over models and users, and the time until ready."""

import json
import os
import platform
import statistics
import tempfile
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psutil

from benchmarks.measure import Measured, run
from benchmarks.ready import Ready, ready
from benchmarks.sides import OPERATIONS, sides, versions
from benchmarks.tree import Tree
from cli.paths import ROOT

Say = Callable[[str], None]
_TRAFFIC = "free: 50 users, 6 per 1m; premium: 50 users, 12 per 1m; for 1h"


@dataclass
class Results:
    """All that was measured."""

    machine: Mapping[str, str] = field(default_factory=dict[str, str])
    rounds: int = 0
    operations: dict[str, dict[str, list[Measured]]] = field(default_factory=dict[str, dict[str, list[Measured]]])
    """By operation, then by side: one for each round."""
    series: dict[str, dict[int, dict[str, Measured]]] = field(default_factory=dict[str, dict[int, dict[str, Measured]]])
    """By what grows, how many there are, and operation."""
    ready: list[Ready] = field(default_factory=list[Ready])
    alone: dict[str, Measured] = field(default_factory=dict[str, Measured])
    """Commands that need no cluster."""

    def as_json(self) -> str:
        """For scripts; without what commands printed."""

        def plain(value: object) -> object:
            return {key: each for key, each in asdict(value).items() if key != "out"}  # pyright: ignore[reportArgumentType] - a dataclass

        return json.dumps(
            {
                "machine": dict(self.machine),
                "rounds": self.rounds,
                "operations": {
                    operation: {side: [plain(each) for each in runs] for side, runs in by_side.items()}
                    for operation, by_side in self.operations.items()
                },
                "series": {
                    what: {str(count): {name: plain(each) for name, each in by[count].items()} for count in sorted(by)}
                    for what, by in self.series.items()
                },
                "ready": [asdict(each) for each in self.ready],
                "alone": {name: plain(each) for name, each in self.alone.items()},
            },
            indent=1,
        )


@dataclass(frozen=True)
class Plan:
    """What to measure."""

    rounds: int = 3
    models: Sequence[int] = (1, 10)
    users: Sequence[int] = (10, 100)


def bench(plan: Plan, say: Say) -> Results:
    """Measure everything.

    Raises:
        BenchError: A command failed.
    """
    results = Results(_machine(), plan.rounds)
    if plan.rounds:
        with tempfile.TemporaryDirectory(prefix="maas-bench-") as folder:
            _compare(results, Path(folder), plan.rounds, say)
            _alone(results, Path(folder) / "rendered", say)
    for what, counts in (("models", plan.models), ("users", plan.users)):
        for count in counts:
            with tempfile.TemporaryDirectory(prefix="maas-bench-") as folder:
                _grow(results, Path(folder), what, count, say)
    return results


def median(values: Sequence[float]) -> float:
    """Of several rounds."""
    return statistics.median(values)


def _compare(results: Results, folder: Path, rounds: int, say: Say) -> None:
    """Each side does a whole life in turn; the sides take turns within each round."""
    tree = Tree(folder)
    tree.settings()
    by_operation: dict[str, dict[str, list[Measured]]] = defaultdict(lambda: defaultdict(list))
    with tree.sandbox():
        every = sides(tree, folder)
        for number in range(rounds):
            for side in every[number % len(every) :] + every[: number % len(every)]:
                its = side.operations()
                for operation in (each for each in OPERATIONS if each in its):
                    found = its[operation]()
                    by_operation[operation][side.name].append(found)
                    say(f"round {number + 1}, {side.name}, {operation}: {_figures(found)}")
                    if operation == "first up" and side.name == every[0].name:
                        results.ready.append(ready(json.loads(found.out), tree.state, found.seconds))
    results.operations = {name: dict(by_operation[name]) for name in OPERATIONS if name in by_operation}


def _grow(results: Results, folder: Path, what: str, count: int, say: Say) -> None:
    """A stack with so many of something: added to one that stands, looked at, taken down."""
    tree = Tree(folder)
    fewest: Any = {what: 0 if what == "users" else 1}
    tree.settings(**fewest)
    found = results.series.setdefault(what, {}).setdefault(count, {})
    with tree.sandbox():
        run([tree.maas, "up", "--json"], tree.environment)
        many: Any = {what: count}
        tree.settings(**many)
        for name, words in {
            "preview, all new": ("preview",),
            "up, all new": ("up",),
            "preview, no change": ("preview",),
            "refresh": ("refresh",),
            "destroy": ("destroy",),
        }.items():
            found[name] = run([tree.maas, *words, "--json"], tree.environment)
            say(f"{count} {what}, {name}: {_figures(found[name])}")


def _alone(results: Results, folder: Path, say: Say) -> None:
    commands = {
        "render": [str(ROOT / "maas"), "render", "--stack", "sandbox", "--out", str(folder)],
        "diff of this tree with HEAD": [str(ROOT / "maas"), "diff", "--base", "HEAD"],
        "simulate 54,000 requests": [str(ROOT / "maas"), "simulate", "--traffic", _TRAFFIC, "--json"],
    }
    for name, words in commands.items():
        results.alone[name] = run(words, {})
        say(f"{name}: {_figures(results.alone[name])}")


def _figures(found: Measured) -> str:
    return f"{found.seconds} s, {found.processor_seconds} s of processor time"


def _machine() -> dict[str, str]:
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        lines = cpuinfo.read_text(encoding="utf-8").splitlines()
        model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), model)
    load = os.getloadavg()
    return {
        "processor": f"{os.cpu_count()} x {model}",
        "memory": f"{psutil.virtual_memory().total // 2**30} GiB",
        "load before": f"{load[0]:.1f}",
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        **versions(),
    }
