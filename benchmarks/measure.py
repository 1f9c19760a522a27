"""One command, measured: seconds by the clock, processor time and peak memory of the engine and of everything else."""

import os
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

_EVERY = 0.1
_SAID = 2000
ENGINE, PROVIDER, PROGRAM, OTHERS = "engine", "provider", "program", "others"


@dataclass(frozen=True)
class Measured:
    """What one run of a command took.

    Processor time depends little on what else the machine does; seconds by the clock depend on it very much.
    """

    seconds: float
    processor: Mapping[str, float] = field(default_factory=dict[str, float])
    """Seconds by part."""
    memory: Mapping[str, int] = field(default_factory=dict[str, int])
    """Peak of resident memory in MiB by part."""
    out: str = field(default="", repr=False)

    @property
    def processor_seconds(self) -> float:
        """Of all parts together."""
        return round(sum(self.processor.values()), 2)


class BenchError(RuntimeError):
    """A command that was to be measured failed."""


def run(words: Sequence[str], environment: Mapping[str, str], folder: Path | None = None) -> Measured:
    """Run a command to its end.

    Raises:
        BenchError: It failed; with the end of what it said.
    """
    peaks: dict[str, int] = {}
    used: dict[int, tuple[str, float]] = {}
    over = threading.Event()
    began = time.monotonic()
    process = subprocess.Popen(  # noqa: S603 - this project's own commands
        list(words), env={**os.environ, **environment}, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip

    def watch() -> None:
        while not over.wait(_EVERY):
            with suppress(psutil.Error):
                root = psutil.Process(process.pid)
                now: dict[str, int] = {}
                for each in [root, *root.children(recursive=True)]:
                    with suppress(psutil.Error):
                        part = _part(each)
                        now[part] = now.get(part, 0) + each.memory_info().rss // 2**20
                        times = each.cpu_times()
                        used[each.pid] = (part, times.user + times.system)
                for part, size in now.items():
                    peaks[part] = max(peaks.get(part, 0), size)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    out, err = process.communicate()
    seconds = time.monotonic() - began
    over.set()
    watcher.join()
    if process.returncode:
        raise BenchError(f"{' '.join(words)} ended with {process.returncode}\n{out[-_SAID:]}\n{err[-_SAID:]}")
    processor: dict[str, float] = {}
    for part, spent in used.values():
        processor[part] = round(processor.get(part, 0) + spent, 2)
    return Measured(round(seconds, 2), processor, peaks, out)


def _part(process: psutil.Process) -> str:
    name, words = process.name(), " ".join(process.cmdline())
    if name == "pulumi":
        return ENGINE
    if "sandbox.provider" in words:
        return PROVIDER
    return PROGRAM if "python" in words or name in {"kubectl", "helm"} else OTHERS
