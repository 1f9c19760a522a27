"""Where what belongs to a sandbox's real operators is kept, and where they listen."""

import hashlib
import json
import tempfile
from pathlib import Path
from typing import cast

from sandbox.instance import Sandbox, SandboxError, free_ports
from sandbox.real.catalogue import Addresses, Program
from sandbox.tools.files import write_whole

SOCKETS = Path("/tmp/kuadrant")  # noqa: S108 - Kuadrant's operator knows no other place
"""Where Kuadrant's operator has a folder for each of its extensions, with the socket that the two talk through."""

_PORTS = ("metrics", "health", "service", "other")
_RECORD = "ports.json"
_DIGITS = 8


def folder_of(sandbox: Sandbox) -> Path:
    """Logs, kubeconfigs, certificates, the state."""
    return sandbox.folder / "operators"


def log_of(sandbox: Sandbox, program: str) -> Path:
    """What a program says."""
    return folder_of(sandbox) / f"{program}.log"


def extension_of(sandbox: Sandbox, extension: str) -> str:
    """What an extension is called here: its socket is named after it, in a folder that all sandboxes share."""
    return f"{extension}-{hashlib.sha256(str(sandbox.folder).encode()).hexdigest()[:_DIGITS]}"


def require_sockets(folder: Path = SOCKETS) -> None:
    """See that Kuadrant's operator can have its sockets.

    Raises:
        SandboxError: The folder is somebody else's.
    """
    try:
        folder.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder):
            pass
    except OSError as error:
        raise SandboxError(
            f"nothing can be written to {folder} ({error.strerror}), where Kuadrant's operator has the sockets of its "
            "extensions; it knows no other place: take the real operators' sandbox of whoever owns it down and remove "
            "it, or have played operators (--operators played)"
        ) from error


def addresses_of(sandbox: Sandbox, program: Program) -> Addresses:
    """The ports of a program, the same for as long as the sandbox lives."""
    folder = folder_of(sandbox) / program.name
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    ports = _recorded(folder)
    if ports is None:
        taken = {port for each in folder.parent.iterdir() for port in (_recorded(each) or {}).values()}
        whose = f"sandbox {sandbox.name}, {program.name}"
        ports = dict(zip(_PORTS, free_ports(folder, len(_PORTS), taken, whose), strict=True))
        write_whole(folder / _RECORD, json.dumps(ports).encode())
    return Addresses(**ports, folder=str(folder))


def _recorded(folder: Path) -> dict[str, int] | None:
    try:
        return cast("dict[str, int]", json.loads((folder / _RECORD).read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return None
