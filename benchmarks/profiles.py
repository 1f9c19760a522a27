"""Profiles of the three hottest paths, as pictures.

    .venv/bin/python -m benchmarks.profiles --out docs/images

`start`: the modules that a command loads, by Python's own account of it (`-X importtime`). `program`: the program
registers a stack of 1,000 users. `decision`: the sandbox's gateway decides over requests of 1,000 users to 20 models.
The last two are sampled: what a thread is at is looked up every other millisecond, which leaves the work as it is; a
tracing profiler makes small functions look dear. Each picture has what was called by what from top to bottom, as wide
as its time, and below it the functions that had most time of their own.
"""

import argparse
import json
import random
import re
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from benchmarks.gateway import key_of, objects
from cli.paths import ROOT
from cli.program.recorder import record, stack_config
from enforcement.counters import Counters
from enforcement.request import Request
from sandbox.gateway.gates import Gates

Stack = tuple[str, ...]
"""What was at work, from the outside in, each as `module.function` or a module."""
_EVERY = 0.002
_AT_ONCE = 1e-5
"""Seconds until a thread is made to give way to the one that looks; if it were not, it would be seen where it waits."""
_SEED = 20261125
_USERS, _MODELS, _REQUESTS = 1000, 20, 4000
_DEEPEST, _NARROWEST, _OWN = 24, 0.01, 12
"""Of a picture: rows, the narrowest box as a share of the whole, and bars."""
_IMPORT = re.compile(r"import time:\s+(\d+) \|\s+\d+ \|( *)(\S+)")
_OURS = ("cli", "components", "config", "enforcement", "policy", "sandbox", "benchmarks", "__main__")
_SDK = ("pulumi", "pulumi_kubernetes", "grpc", "google", "opentelemetry")
_PROJECT, _PULUMI, _PACKAGES, _PYTHON = "this project", "Pulumi's SDK, gRPC", "other packages", "Python"
_COLOURS = {_PROJECT: "#8fb3d9", _PULUMI: "#f2b880", _PACKAGES: "#9fd3c0", _PYTHON: "#d5dae1"}


@dataclass(frozen=True)
class Profile:
    """Where the time went."""

    title: str
    stacks: Mapping[Stack, float]
    """Time of its own that each stack had, in any unit."""

    @property
    def total(self) -> float:
        """Of all stacks."""
        return sum(self.stacks.values())

    def own(self) -> Counter[str]:
        """Time that was spent in each function itself."""
        found: Counter[str] = Counter()
        for stack, spent in self.stacks.items():
            found[stack[-1]] += spent  # pyright: ignore[reportArgumentType] - a Counter of fractions
        return found

    def whole(self) -> Counter[str]:
        """Time that was spent in each function and in what it called."""
        found: Counter[str] = Counter()
        for stack, spent in self.stacks.items():
            for name in set(stack):
                found[name] += spent  # pyright: ignore[reportArgumentType] - a Counter of fractions
        return found


def start() -> Profile:
    """The modules that `./maas preview` loads, with those of the program; in seconds."""
    program = [f"components.{path.stem}" for path in sorted((ROOT / "components").iterdir()) if path.stem[0] != "_"]
    script = f"import gc; gc.set_threshold(50_000); import cli.app, cli.deploy.operations, {', '.join(program)}"
    command = [sys.executable, "-X", "importtime", "-c", script]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)  # noqa: S603 - our own words
    return Profile("the modules that a command loads", dict(imports(done.stderr)))


def imports(said: str) -> Iterator[tuple[Stack, float]]:
    """Read what `-X importtime` says, where what a module loads stands before it, two columns further in."""
    waiting: dict[int, list[tuple[Stack, float]]] = {}
    for microseconds, indent, name in _IMPORT.findall(said):
        depth = len(indent)
        below = waiting.pop(depth + 2, [])
        own = [((name,), int(microseconds) / 1e6)]
        waiting.setdefault(depth, []).extend(own + [((name, *stack), spent) for stack, spent in below])
    for stacks in waiting.values():
        yield from stacks


def program() -> Profile:
    """The program registers a stack of 1,000 users."""
    config, secrets = stack_config("sandbox")
    users = {f"user{number}": {"tier": "free"} for number in range(_USERS)}
    keys = {name: key_of(number) for number, name in enumerate(users)}
    config |= {"maas:users": json.dumps(users), "maas:apiKeys": json.dumps(keys)}
    secrets = frozenset({*secrets, "maas:apiKeys"})
    record("sandbox", *stack_config("sandbox"))  # the modules are loaded
    found = sampled(lambda: record("sandbox", config, secrets), "recorder", "cli.program.recorder._record")
    return Profile("the program registers 1,000 users", found)


def decision() -> Profile:
    """The gateway decides over requests of 1,000 users to 20 models, as it does in a sandbox."""
    gates, chance = Gates(objects(_MODELS, _USERS), Counters()), random.Random(_SEED)  # noqa: S311 - no secret
    requests = [_request(chance) for _ in range(_REQUESTS)]

    def work() -> None:
        for number, request in enumerate(requests):
            gate = gates.for_host(request.host)
            if gate is None or not gate.decide(request, 1_800_000_000 + number / 100).allowed:
                raise RuntimeError(f"the gateway refused {request}")

    return Profile("the gateway's decision", sampled(work, "MainThread", "benchmarks.profiles.decision.work"))


def _request(chance: random.Random) -> Request:
    model, user = chance.randrange(_MODELS), chance.randrange(_USERS)
    headers = {"content-type": "application/json", "authorization": f"Bearer {key_of(user)}"}
    return Request("POST", f"model{model}.maas.localhost", "/v1/chat/completions", headers)


def sampled(work: Callable[[], object], thread: str, below: str) -> Counter[Stack]:
    """How often each stack was seen at work in the threads whose names begin so, from the function `below` inwards."""
    seen: Counter[Stack] = Counter()
    names: dict[CodeType, str] = {}
    over = threading.Event()

    def look() -> None:
        while not over.is_set():
            chosen = {each.ident for each in threading.enumerate() if each.name.startswith(thread)}
            for ident, frame in sys._current_frames().items():  # noqa: SLF001  # pyright: ignore[reportPrivateUsage] - the only way
                stack = tuple(reversed([_named(code, names) for code in _codes(frame)]))
                if ident in chosen and below in stack:
                    seen[stack[stack.index(below) :]] += 1
            time.sleep(_EVERY)

    watcher = threading.Thread(target=look, daemon=True)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(_AT_ONCE)
    watcher.start()
    try:
        work()
    finally:
        over.set()
        watcher.join()
        sys.setswitchinterval(interval)
    return seen


def _codes(frame: FrameType | None) -> Iterator[CodeType]:
    while frame is not None:
        yield frame.f_code
        frame = frame.f_back


def _named(code: CodeType, names: dict[CodeType, str]) -> str:
    if code not in names:
        names[code] = f"{_module(Path(code.co_filename))}.{code.co_qualname.replace('.<locals>', '')}"
    return names[code]


def _module(path: Path) -> str:
    """The module of a file: below this tree, a folder of packages, or Python's own."""
    for root in (Path(sysconfig.get_path("purelib")), ROOT, Path(sysconfig.get_path("stdlib"))):
        if path.is_relative_to(root):
            return ".".join(path.relative_to(root).with_suffix("").parts)
    return path.stem


def origin(name: str) -> str:
    """Whose a function or module is: one of the colours' names."""
    package = name.partition(".")[0]
    if package in _OURS:
        return _PROJECT
    if package in _SDK:
        return _PULUMI
    known = package.lstrip("<") in sys.stdlib_module_names or name.startswith("<") or package.startswith("_")
    return _PYTHON if known else _PACKAGES


def origins(profile: Profile) -> dict[str, float]:
    """Time that was spent in functions of each origin themselves."""
    found = dict.fromkeys(_COLOURS, 0.0)
    for name, spent in profile.own().items():
        found[origin(name)] += spent
    return found


@dataclass(frozen=True)
class Box:
    """One part of a picture; places and widths are shares of the whole."""

    name: str
    left: float
    width: float
    row: int


def boxes(profile: Profile) -> list[Box]:
    """What was called by what, each below its caller and as wide as its time."""
    found: list[Box] = []
    _add(found, list(profile.stacks.items()), 0.0, profile.total, 0)
    return found


def _add(found: list[Box], stacks: Iterable[tuple[Stack, float]], left: float, total: float, row: int) -> None:
    below: dict[str, list[tuple[Stack, float]]] = {}
    for stack, spent in stacks:
        if stack:
            below.setdefault(stack[0], []).append((stack[1:], spent))
    widths = {name: sum(spent for _, spent in rest) / total for name, rest in below.items()}
    for name in sorted(widths, key=lambda each: (-widths[each], each)):
        if widths[name] >= _NARROWEST and row < _DEEPEST:
            found.append(Box(name, left, widths[name], row))
            _add(found, below[name], left, total, row + 1)
        left += widths[name]


def draw(profile: Profile, path: Path) -> None:
    """The picture of a profile, as SVG."""
    import matplotlib as mpl  # noqa: PLC0415 - slow to load

    mpl.use("Agg")
    mpl.rcParams |= {"svg.hashsalt": "maas", "svg.fonttype": "none", "font.size": 7}
    from matplotlib import pyplot as plt  # noqa: PLC0415
    from matplotlib.patches import Patch  # noqa: PLC0415

    parts = boxes(profile)
    rows = max(each.row for each in parts) + 1
    own, whole = profile.own().most_common(_OWN), profile.whole()
    inches = (0.17 * rows, 0.17 * len(own))
    size = (12, sum(inches) + 1.2)
    figure, (icicle, bars) = plt.subplots(2, 1, figsize=size, height_ratios=inches, layout="constrained")
    icicle.set(xlim=(0, 1), ylim=(rows, 0), xticks=[], yticks=[], title=profile.title)
    icicle.barh(
        [each.row + 0.5 for each in parts],
        [each.width for each in parts],
        left=[each.left for each in parts],
        height=1,
        color=[_COLOURS[origin(each.name)] for each in parts],
        edgecolor="white",
        linewidth=0.4,
    )
    for each in parts:
        if shown := _fitting(each.name, each.width):
            icicle.text(each.left + 0.002, each.row + 0.5, shown, va="center", fontsize=6)
    colours = [Patch(color=colour, label=name) for name, colour in _COLOURS.items()]
    figure.legend(handles=colours, loc="outside lower left", ncols=len(colours), frameon=False)  # pyright: ignore[reportUnknownMemberType] - matplotlib's stubs
    names = [name for name, _ in reversed(own)]
    for values, colour in ((whole, "#eceff3"), (dict(own), None)):
        own_colours = [colour or _COLOURS[origin(name)] for name in names]
        bars.barh(names, [100 * values[name] / profile.total for name in names], color=own_colours)
    bars.set(xlabel="% of the time: by itself, and, pale, with what it calls", xlim=(0, 100))
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None})  # pyright: ignore[reportUnknownMemberType] - matplotlib's stubs
    plt.close(figure)


def _fitting(name: str, width: float) -> str:
    """As much of the end of a name as there is room for."""
    room = int(width * 190)
    for shown in (name, *(name.split(".", cut)[-1] for cut in range(1, name.count(".") + 1))):
        if len(shown) <= room:
            return shown
    return ""


PATHS: Mapping[str, Callable[[], Profile]] = {"start": start, "program": program, "decision": decision}


def main() -> None:
    """Profile and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="*", choices=[*PATHS, []], help="which; all without")
    parser.add_argument("--out", type=Path, default=Path(tempfile.gettempdir()) / "maas-profiles", help="folder")
    arguments: Any = parser.parse_args()
    for name in arguments.paths or PATHS:
        profile = PATHS[name]()
        path = arguments.out / f"profile-{name}.svg"
        draw(profile, path)
        by_origin = ", ".join(
            f"{whose} {100 * spent / profile.total:.0f} %" for whose, spent in origins(profile).items()
        )
        sys.stdout.write(f"{path}: {by_origin}\n")
        for function, spent in profile.own().most_common(_OWN):
            sys.stdout.write(f"  {100 * spent / profile.total:5.1f} %  {function}\n")


if __name__ == "__main__":
    main()
