"""Where things are."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
"""The folder that holds the program: Pulumi.yaml, __main__.py, the stack files."""


def home() -> Path:
    """The git-ignored folder that holds the state of sandboxes and of local stacks; MAAS_HOME replaces it."""
    return Path(os.environ.get("MAAS_HOME") or ROOT / ".maas").absolute()


def of_user(path: Path) -> Path:
    """A path from the command line, taken from where the user stood when calling `maas` (which changes to ROOT)."""
    return Path(os.environ.get("MAAS_CWD") or Path.cwd(), path.expanduser())
