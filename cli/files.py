"""Files that only their owner may read."""

import secrets
import stat
from pathlib import Path

from sandbox.tools.files import write_whole

_PRIVATE_FILE, _PRIVATE_FOLDER = 0o600, 0o700


def private_folder(path: Path) -> Path:
    """Make a folder (and what is above it) that only its owner may enter."""
    path.mkdir(mode=_PRIVATE_FOLDER, parents=True, exist_ok=True)
    return path


def write_private(path: Path, content: str) -> None:
    """Replace a file in one step; only its owner can read it."""
    write_whole(path, content.encode(), _PRIVATE_FILE)


def passphrase_file(path: Path) -> Path:
    """A file with a random passphrase, made on first use and kept from then on."""
    if not path.is_file() or not path.stat().st_size:
        private_folder(path.parent)
        write_private(path, secrets.token_urlsafe(32))
    if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        path.chmod(_PRIVATE_FILE)
    return path
