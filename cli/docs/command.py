"""`./maas docs`: build the site, or show it while somebody writes."""

import os
import subprocess
import sys
from pathlib import Path

from cli.exits import Exit
from cli.paths import ROOT

ADDRESS = "127.0.0.1"


def build(out: Path | None = None) -> Exit:
    """Build the site into a folder; a link or an anchor that leads nowhere, or a page without a place, fails it."""
    where = ["--site-dir", str(out)] if out else []
    return _mkdocs("build", "--strict", "--quiet", *where)


def serve(port: int) -> Exit:
    """Show the site on loopback, built anew after each change, until Ctrl-C."""
    return _mkdocs("serve", "--strict", "--dev-addr", f"{ADDRESS}:{port}")


def _mkdocs(*words: str) -> Exit:
    # Without the variable Material for MkDocs greets every build with news of its successor.
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    command = [sys.executable, "-m", "mkdocs", *words]
    done = subprocess.run(command, cwd=ROOT, env=environment, check=False)  # noqa: S603 - our own words
    return Exit.OK if done.returncode == 0 else Exit.FAILED
