"""Where what belongs to a sandbox's real operators is kept, and where they listen."""

import json
import socket
from pathlib import Path
from typing import cast

from sandbox.instance import LOOPBACK, Sandbox
from sandbox.real.catalogue import Addresses, Program
from sandbox.tools.files import write_whole

_PORTS = ("metrics", "health", "service", "other")


def folder_of(sandbox: Sandbox) -> Path:
    """Logs, kubeconfigs, certificates, the state."""
    return sandbox.folder / "operators"


def log_of(sandbox: Sandbox, program: str) -> Path:
    """What a program says."""
    return folder_of(sandbox) / f"{program}.log"


def addresses_of(sandbox: Sandbox, program: Program) -> Addresses:
    """The ports of a program, the same for as long as the sandbox lives."""
    folder = folder_of(sandbox) / program.name
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    record = folder / "ports.json"
    try:
        ports = cast("dict[str, int]", json.loads(record.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        ports = dict(zip(_PORTS, _free_ports(len(_PORTS)), strict=True))
        write_whole(record, json.dumps(ports).encode())
    return Addresses(**ports, folder=str(folder))


def _free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now; all are held until the last is chosen, so that they differ."""
    held = [socket.socket() for _ in range(count)]
    try:
        for each in held:
            each.bind((LOOPBACK, 0))
        return [int(each.getsockname()[1]) for each in held]
    finally:
        for each in held:
            each.close()
