"""Which processes belong to a sandbox, and how they end.

Every process of a sandbox inherits an environment variable that names its folder. The kernel keeps it for as long as
the process lives: it cannot be lost by a crash between starting a process and writing its number down, and it cannot
come to mean another process after a reboot, as a file with process numbers can. psutil identifies a process by number
and creation time and refuses to signal another one that has got the number since.
"""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import psutil

_MARK = "MAAS_SANDBOX_FOLDER"


def environment_of(folder: Path) -> dict[str, str]:
    """What a process of the sandbox in `folder` has in its environment."""
    return {_MARK: str(folder)}


def owned_by(folder: Path) -> list[psutil.Process]:
    """The live processes of the sandbox in `folder`, in the order they were started."""
    found: list[psutil.Process] = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(_MARK) == str(folder) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.Error, OSError):
            continue  # gone meanwhile, or somebody else's
    return sorted(found, key=lambda process: (process.create_time(), process.pid))


def name_of(process: psutil.Process) -> str:
    """The name a process was started under, of a Python module its own; empty when it is gone."""
    try:
        words = process.cmdline()
        is_module = len(words) > 2 and words[1] == "-m"  # noqa: PLR2004  (program, -m, module)
        return words[2] if is_module else Path(words[0]).name
    except (psutil.Error, IndexError):
        return ""


def end(processes: Sequence[psutil.Process], grace_seconds: float) -> None:
    """Ask processes to end, all at once, and kill those that have not after `grace_seconds`."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.terminate()
    _, alive = psutil.wait_procs(list(processes), timeout=grace_seconds)
    for process in alive:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(alive, timeout=grace_seconds)


def listening(processes: Sequence[psutil.Process]) -> set[tuple[str, int]]:
    """The addresses and ports on which processes listen."""
    found: set[tuple[str, int]] = set()
    for process in processes:
        try:
            connections = process.net_connections(kind="inet")
        except psutil.Error:
            continue
        found |= {(c.laddr.ip, c.laddr.port) for c in connections if c.status == psutil.CONN_LISTEN and c.laddr}
    return found
