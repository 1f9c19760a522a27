"""The second way to a tool: its official release, checked against what the same release publishes."""

import hashlib
import json
import re
import shutil
import tarfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import httpx

from sandbox.progress import Step
from sandbox.tools.declarations import Download, Tool, platform_names
from sandbox.tools.errors import UnavailableError

_SHA256 = re.compile(r"\b[0-9a-f]{64}\b")
_CHUNK = 1 << 20


class Network:
    """Downloads, and remembers for the rest of the run that there is no way out.

    Args:
        reach_seconds: How long the first contact may take, name resolution included, before the machine counts as
            offline.
        read_seconds: How long a server that was reached may stay silent.
    """

    def __init__(self, reach_seconds: float = 3.0, read_seconds: float = 30.0) -> None:
        self._reach_seconds = reach_seconds
        self._timeout = httpx.Timeout(read_seconds, connect=reach_seconds)
        self._offline: str | None = None
        self._reached = False
        self._lock = threading.Lock()

    def text(self, url: str) -> str:
        """Fetch a small text.

        Raises:
            UnavailableError: The machine is offline, or the server does not have it.
        """
        with self._lock:
            if self._offline:
                raise UnavailableError(self._offline)
            if self._reached:
                return self._text(url)
            return self._first_contact(url)

    def file(self, url: str, target: Path, progress: Callable[[int, int | None], None]) -> str:
        """Fetch a file and return its SHA-256; `progress` hears bytes done and bytes in all.

        Raises:
            UnavailableError: It could not be fetched whole.
        """
        digest = hashlib.sha256()
        done = 0
        try:
            with (
                httpx.stream("GET", url, timeout=self._timeout, follow_redirects=True) as response,
                target.open("wb") as out,
            ):
                response.raise_for_status()
                length = response.headers.get("content-length")
                for chunk in response.iter_bytes(_CHUNK):
                    digest.update(chunk)
                    out.write(chunk)
                    done += len(chunk)
                    progress(done, int(length) if length else None)
        except httpx.HTTPError as error:
            raise UnavailableError(f"{url}: {_reason(error)}") from error
        return digest.hexdigest()

    def _first_contact(self, url: str) -> str:
        """Fetch in a thread that is left behind when it hangs: a resolver ignores connect timeouts."""
        outcome: list[str | UnavailableError] = []

        def fetch() -> None:
            try:
                outcome.append(self._text(url))
            except UnavailableError as error:
                outcome.append(error)

        thread = threading.Thread(target=fetch, daemon=True, name="first-contact")
        thread.start()
        thread.join(self._reach_seconds)
        if not outcome:
            self._offline = f"no answer from {httpx.URL(url).host} within {self._reach_seconds:g} s: taken as offline"
            raise UnavailableError(self._offline)
        answer = outcome[0]
        if isinstance(answer, UnavailableError) and isinstance(answer.__cause__, httpx.TransportError):
            self._offline = f"offline ({answer})"
            raise UnavailableError(self._offline)
        self._reached = True
        if isinstance(answer, UnavailableError):
            raise answer
        return answer

    def _text(self, url: str) -> str:
        try:
            response = httpx.get(url, timeout=self._timeout, follow_redirects=True)
            response.raise_for_status()
        except httpx.HTTPError as error:
            raise UnavailableError(f"{url}: {_reason(error)}") from error
        return response.text


def published_digest(text: str, file_name: str) -> str | None:
    """Find a file's SHA-256 in what a release publishes.

    Understands a file with nothing but the digest, `digest  name` lines, and GitHub's JSON of a release
    (`assets[].digest`). None when the file is not listed.
    """
    if text.lstrip().startswith("{"):
        assets = cast("list[dict[str, Any]]", json.loads(text).get("assets") or [])
        found = next((str(a.get("digest")) for a in assets if a.get("name") == file_name), "")
        return found.removeprefix("sha256:") if _SHA256.search(found) else None
    words = text.split()
    if len(words) == 1:
        return words[0] if _SHA256.fullmatch(words[0]) else None
    for line in text.splitlines():
        match line.split():
            case [digest, name] if name.lstrip("*") == file_name and _SHA256.fullmatch(digest):
                return digest
            case _:
                continue
    return None


def download(tool: Tool, source: Download, folder: Path, network: Network, step: Step) -> Path:
    """Put the tool's official release, which is at `source`, into `folder` and return the program's path.

    Raises:
        UnavailableError: No release for this platform, offline, or the file is not what the release says it is.
    """
    system, machine = platform_names()
    if system not in source.systems:
        raise UnavailableError(f"the release has no {tool.name} for {system}")
    names = {
        "version": tool.version,
        "number": tool.version.removeprefix("v"),
        "os": system,
        "arch": source.architectures.get(machine, machine),
    }
    url = source.url.format(**names)
    file_name = url.rsplit("/", 1)[1]
    expected = published_digest(network.text(source.checksums.format(**names)), file_name)
    if expected is None:
        raise UnavailableError(f"the release publishes no SHA-256 for {file_name}")

    def progress(done: int, total: int | None) -> None:
        step.update(f"{file_name}: {done >> 20} MiB", done, total)

    fetched = folder / file_name
    actual = network.file(url, fetched, progress)
    if actual != expected:
        fetched.unlink()
        raise UnavailableError(f"{url}: SHA-256 is {actual}, the release says {expected}; the file was thrown away")
    if source.member:
        return _extract(fetched, source.member.format(**names), folder / tool.name)
    return fetched.rename(folder / tool.name)


def _extract(archive: Path, member: str, target: Path) -> Path:
    with tarfile.open(archive) as tar:
        try:
            content = tar.extractfile(member)
        except KeyError:
            content = None
        if content is None:
            raise UnavailableError(f"{archive.name} has no {member}")
        unpacked = target.with_suffix(".unpacked")
        with content, unpacked.open("wb") as out:
            shutil.copyfileobj(content, out, _CHUNK)
    archive.unlink()
    return unpacked.rename(target)


def _reason(error: httpx.HTTPError) -> str:
    if isinstance(error, httpx.HTTPStatusError):
        return f"HTTP {error.response.status_code}"
    return str(error) or type(error).__name__
