"""Finds the pinned tools: already there, else downloaded, else built.

What they are is declared in `sandbox/tools/declarations.py`.

A tool on PATH is taken in exactly the pinned version. The exceptions declare what is compatible: pulumi may be newer
within its major version (the Automation API refuses an engine older than itself, and a newer one keeps the protocol),
helm likewise, kubectl may be any of its major version (kwokctl uses it for `get --raw /version` only), prometheus and
promtool may be any.

The cache (`MAAS_CACHE`, else the user's cache folder) has `tools/<name>/<version>-<fingerprint>/<name>`; a file is
there only when it is whole. It may be shared by several checkouts and machines of different kinds, and filled in
advance.
"""

import os
import re
import shutil
import subprocess
from collections import defaultdict
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from pathlib import Path

import platformdirs
from filelock import FileLock, Timeout

from sandbox.progress import Reporter
from sandbox.tools.build import build
from sandbox.tools.declarations import TOOLS, Tool
from sandbox.tools.download import Network, download
from sandbox.tools.errors import ToolError, UnavailableError
from sandbox.tools.files import partial_folder, publish
from sandbox.tools.toolchain import find_go

__all__ = ["ToolError", "cache_folder", "cached_path", "find", "find_all"]

_VERSION_SECONDS = 20.0
_VERSION = re.compile(r"v?(\d+)\.(\d+)\.(\d+)(?:-[\w.-]+)?")
_NETWORK = Network()


def cache_folder() -> Path:
    """Where tools and CRDs are kept between runs, outside of the tree."""
    return Path(os.environ.get("MAAS_CACHE") or platformdirs.user_cache_dir("maas")).absolute()


def cached_path(tool: Tool) -> Path:
    """Where a tool is in the cache once it has been downloaded or built."""
    return cache_folder() / "tools" / tool.name / f"{tool.version}-{tool.fingerprint()}" / tool.name


def find(tool: str, reporter: Reporter) -> Path:
    """The path of one tool, which is downloaded or built when it is not there yet.

    Raises:
        ToolError: No way led to it; lists what was tried and what to do.
        KeyError: There is no such tool.
    """
    return find_all([tool], reporter)[tool]


def find_all(tools: Iterable[str], reporter: Reporter, network: Network = _NETWORK) -> dict[str, Path]:
    """The paths of several tools; those of one family are built together, one family after the other.

    Raises:
        ToolError: Lists, for each tool that cannot be had, what was tried and what to do.
        KeyError: There is no such tool.
    """
    wanted = [TOOLS[name] for name in dict.fromkeys(tools)]
    found: dict[str, Path] = {}
    missing: dict[str, list[Tool]] = defaultdict(list)
    tried: dict[str, list[str]] = {}
    for tool in wanted:
        tried[tool.name] = []
        if path := _present(tool, tried[tool.name]):
            found[tool.name] = path
        else:
            missing[tool.family.name].append(tool)
    for family, members in missing.items():
        with _lock(cache_folder() / "tools" / f".{family}.lock", f"another run prepares {family}", reporter):
            found |= _obtain(members, tried, reporter, network)
    hopeless = [tool for tool in wanted if tool.name not in found]
    if hopeless:
        raise ToolError(_explain(hopeless, tried))
    return {tool.name: found[tool.name] for tool in wanted}


def _present(tool: Tool, tried: list[str]) -> Path | None:
    """The first way: the cache, then PATH (asking a program for its version takes longer than looking for a file)."""
    cached = cached_path(tool)
    if cached.exists():
        return cached
    on_path = shutil.which(tool.name) if tool.version_arguments else None
    if on_path is None:
        tried.append("not on PATH, not in the cache")
        return None
    version = _version(Path(on_path), tool) if tool.compatible != "any" else None
    if tool.compatible == "any" or _compatible(tool, version):
        return Path(on_path)
    tried.append(f"{on_path} has version {version or 'unknown'}; not in the cache")
    return None


def _obtain(
    members: Sequence[Tool], tried: dict[str, list[str]], reporter: Reporter, network: Network
) -> dict[str, Path]:
    """The second and the third way, for tools of one family, whose lock the caller holds."""
    found: dict[str, Path] = {}
    for tool in members:
        if cached_path(tool).exists() or _downloaded(tool, tried[tool.name], reporter, network):
            found[tool.name] = cached_path(tool)
    remaining = [tool for tool in members if tool.name not in found]
    if remaining:
        found |= _built(remaining, tried, reporter)
    return found


def _downloaded(tool: Tool, tried: list[str], reporter: Reporter, network: Network) -> bool:
    if tool.download is None:
        tried.append("there is no release of it but images")
        return False
    target = cached_path(tool)
    try:
        with (
            reporter.step(f"Downloading {tool.name} {tool.version}") as step,
            partial_folder(target.parent.parent) as partial,
        ):
            _keep(download(tool, tool.download, partial, network, step), target)
    except UnavailableError as error:
        tried.append(f"download: {error}")
        return False
    return True


def _built(tools: Sequence[Tool], tried: dict[str, list[str]], reporter: Reporter) -> dict[str, Path]:
    family = tools[0].family
    folder = cache_folder() / "tools" / f".{family.name}"
    names = ", ".join(tool.name for tool in tools)
    try:
        go = find_go(cache_folder() / "tools", reporter)
        with (
            # Builds are bound by the processor: a second one at the same time would make both slower.
            _lock(cache_folder() / "tools" / ".build.lock", "another build is under way", reporter),
            reporter.step(f"Building {names} {family.version}", sum(tool.build_seconds for tool in tools)) as step,
            partial_folder(folder) as partial,
        ):
            build(tools, partial, go, step)
            for tool in tools:
                _keep(partial / tool.name, cached_path(tool))
    except UnavailableError as error:
        for tool in tools:
            tried[tool.name].append(f"build: {error}")
        return {}
    return {tool.name: cached_path(tool) for tool in tools}


def _keep(program: Path, target: Path) -> None:
    program.chmod(0o755)
    publish(program, target)


def _compatible(tool: Tool, version: str | None) -> bool:
    pinned, offered = _numbers(tool.version), _numbers(version or "")
    if not pinned or not offered or pinned[0] != offered[0]:
        return False
    if tool.compatible == "major":
        return True
    prerelease = "-" in (version or "")
    return not prerelease and (offered == pinned or (tool.compatible == "newer" and offered > pinned))


def _version(program: Path, tool: Tool) -> str | None:
    """The first version in what a program prints about itself; it has a dash when it is not a release."""
    try:
        done = subprocess.run(  # noqa: S603  (a program of the tool's name on the user's PATH)
            [str(program), *tool.version_arguments],
            check=False,
            capture_output=True,
            text=True,
            timeout=_VERSION_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = _VERSION.search(done.stdout)
    return match[0] if match else None


def _numbers(version: str) -> tuple[int, ...]:
    match = _VERSION.match(version)
    return tuple(int(number) for number in match.groups()) if match else ()


def _explain(hopeless: Sequence[Tool], tried: dict[str, list[str]]) -> str:
    lines = [f"Cannot get {', '.join(tool.name for tool in hopeless)}."]
    for tool in hopeless:
        lines += [f"  {tool.name} {tool.version}:", *(f"    - {attempt}" for attempt in tried[tool.name])]
    lines += [
        "Do one of these:",
        "  - put the programs on PATH in these versions",
        "  - connect to a network that reaches their releases, or a Go module proxy",
        f"  - copy {cache_folder() / 'tools'} from a machine of the same kind (MAAS_CACHE names another place)",
    ]
    return "\n".join(lines)


@contextmanager
def _lock(path: Path, why: str, reporter: Reporter) -> Generator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        with reporter.step(f"Waiting: {why}"):
            lock.acquire()
    try:
        yield
    finally:
        lock.release()
