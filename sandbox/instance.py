"""One named sandbox: its folder, its ports, its kubeconfig."""

import hashlib
import json
import os
import re
import socket
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass, fields, replace
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import Self

from filelock import FileLock

from sandbox.tools.files import write_whole

DEFAULT_NAME = "default"
LOOPBACK = "127.0.0.1"

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?")
_FIRST_PORT, _LAST_PORT = 20_000, 32_000
"""Below the range from which operating systems take ports for outgoing connections."""
_RECORD = "sandbox.json"


class Operators(StrEnum):
    """Who does the operators' work in a sandbox."""

    PLAYED = "played"
    """Stages of kwok: ready in seconds, and accepts whatever its CRD accepts."""
    REAL = "real"
    """The operators' own programs, as far as they can be had."""


class SandboxError(Exception):
    """The sandbox cannot do what was asked; the message says what was seen and what to do."""


@dataclass(frozen=True)
class Ports:
    """The loopback ports of one sandbox."""

    api_server: int
    etcd: int
    etcd_peer: int
    controller_manager: int
    scheduler: int
    kwok: int
    gateway: int
    """Where the stack's gateway is served."""
    gateway_admin: int
    """Where the gateway tells of itself: health, metrics, decisions."""

    def by_name(self) -> dict[str, int]:
        """Every port by what it is for."""
        return asdict(self)

    def all(self) -> tuple[int, ...]:
        """Every port, in the order of the fields."""
        return tuple(self.by_name().values())


@dataclass(frozen=True)
class Sandbox:
    """One named sandbox.

    Attributes:
        name: A DNS label of at most 40 characters.
        folder: Where its state is. Other parts of the project may keep what belongs to this sandbox there too.
        ports: Chosen free when the sandbox was first opened, and kept from then on.
        operators: Who does the operators' work.
    """

    name: str
    folder: Path
    ports: Ports
    operators: Operators = Operators.PLAYED

    @classmethod
    def open(cls, name: str = DEFAULT_NAME, home: Path | None = None) -> Self:
        """Look a sandbox up, or set its folder and ports aside when it is new; nothing is started.

        Args:
            name: Its name.
            home: The folder of all sandboxes; `home_folder()` when None.

        Raises:
            SandboxError: The name is not a DNS label, or no ports are free.
        """
        if not _NAME.fullmatch(name):
            raise SandboxError(
                f"sandbox name {name!r}: use 1 to 40 lower-case letters, digits and dashes, and begin and end with a "
                "letter or digit"
            )
        home = (home or home_folder()).absolute()
        home.mkdir(parents=True, exist_ok=True)
        with FileLock(home / ".ports.lock"):
            ports = _recorded(home / name)
            if ports is None:
                ports = _choose(home, name)
                _record(home / name, ports)
        return cls(name, home / name, ports, _recorded_operators(home / name))

    def with_operators(self, operators: Operators) -> Self:
        """Have others do the operators' work; kept until it is said again. No cluster may be there."""
        _record(self.folder, self.ports, operators)
        return replace(self, operators=operators)

    def with_new_ports(self) -> Self:
        """Give the sandbox other ports, because somebody else holds one of them now. It must not be running."""
        with FileLock(self.folder.parent / ".ports.lock"):
            ports = _choose(self.folder.parent, self.name)
            _record(self.folder, ports, self.operators)
        return replace(self, ports=ports)

    @property
    def kubeconfig(self) -> Path:
        """The kubeconfig file: self-contained, readable by its owner only, there while the cluster exists."""
        return self.folder / "kubeconfig.yaml"

    @property
    def server(self) -> str:
        """Where the API server listens."""
        return f"https://{LOOPBACK}:{self.ports.api_server}"

    @property
    def cluster(self) -> str:
        """The name of the kwokctl cluster, of the kubeconfig's context and of its user."""
        return f"maas-{self.name}"

    @property
    def kwok_folder(self) -> Path:
        """The working folder of kwokctl (`KWOK_WORKDIR`)."""
        return self.folder / "kwok"

    @property
    def cluster_folder(self) -> Path:
        """What kwokctl keeps of the cluster: certificates, etcd's data, logs."""
        return self.kwok_folder / "clusters" / self.cluster

    @property
    def lock(self) -> Path:
        """The file that serialises `up` and `down` of this sandbox."""
        return self.folder / ".lock"


def home_folder() -> Path:
    """The folder of all sandboxes: `MAAS_HOME`, else `.maas` in the repository."""
    return Path(os.environ.get("MAAS_HOME") or Path(__file__).parent.parent / ".maas").absolute()


def _record(folder: Path, ports: Ports, operators: Operators = Operators.PLAYED) -> None:
    folder.mkdir(mode=0o700, exist_ok=True)
    known = {"ports": asdict(ports), "operators": operators.value}
    write_whole(folder / _RECORD, (json.dumps(known, indent=2) + "\n").encode())


def _recorded_operators(folder: Path) -> Operators:
    try:
        return Operators(json.loads((folder / _RECORD).read_text(encoding="utf-8"))["operators"])
    except (OSError, ValueError, KeyError, TypeError):
        return Operators.PLAYED


def _recorded(folder: Path) -> Ports | None:
    try:
        recorded = json.loads((folder / _RECORD).read_text(encoding="utf-8"))["ports"]
        return Ports(**{field.name: int(recorded[field.name]) for field in fields(Ports)})
    except (OSError, ValueError, KeyError, TypeError):
        return None  # new, or written by another version


def _choose(home: Path, name: str) -> Ports:
    taken = {port for folder in home.iterdir() if (ports := _recorded(folder)) for port in ports.all()}
    return Ports(*free_ports(home / name, len(fields(Ports)), taken, f"sandbox {name}"))


def free_ports(folder: Path, count: int, taken: Collection[int], whose: str) -> list[int]:
    """Ports of the range that nobody listens on now, and that are not taken already.

    Args:
        folder: Whose folder: the search begins elsewhere for each.
        count: How many.
        taken: Ports that others have, whether they listen or not.
        whose: For whom, in the error's words.

    Raises:
        SandboxError: There are not so many.
    """
    free = (port for port in _candidates(folder) if port not in taken and port_is_free(port))
    chosen = list(islice(free, count))
    if len(chosen) < count:
        raise SandboxError(f"{whose}: no free ports between {_FIRST_PORT} and {_LAST_PORT}")
    return chosen


def _candidates(folder: Path) -> Iterator[int]:
    """Every port of the range, from a start that differs from folder to folder: those of others are not known."""
    span = _LAST_PORT - _FIRST_PORT
    start = int.from_bytes(hashlib.sha256(str(folder).encode()).digest()[:4]) % span
    return (_FIRST_PORT + (start + step) % span for step in range(span))


def port_is_free(port: int) -> bool:
    """Whether a program could listen on this loopback port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True
