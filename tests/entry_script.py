"""A copy of the few files that the script `maas` needs, with a package index that is a folder: no network."""

import base64
import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def wheel(folder: Path, version: str) -> str:
    """A package `tiny` whose module says its version; returns its sha256."""
    folder.mkdir(exist_ok=True)
    path = folder / f"tiny-{version}-py3-none-any.whl"
    files = {
        "tiny.py": f"VERSION = '{version}'\n",
        f"tiny-{version}.dist-info/METADATA": f"Metadata-Version: 2.1\nName: tiny\nVersion: {version}\n",
        f"tiny-{version}.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = f"tiny-{version}.dist-info/RECORD"
    with zipfile.ZipFile(path, "w") as archive:
        lines: list[str] = []
        for name, content in files.items():
            archive.writestr(name, content)
            digest = base64.urlsafe_b64encode(hashlib.sha256(content.encode()).digest()).rstrip(b"=").decode()
            lines.append(f"{name},sha256={digest},{len(content)}")
        archive.writestr(record, "\n".join([*lines, f"{record},,"]) + "\n")
    return hashlib.sha256(path.read_bytes()).hexdigest()


class Checkout:
    """A tree with the script, its bootstrap, and a command line that tells what it was given."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.index = root.parent / "index"
        (root / "cli").mkdir(parents=True)
        shutil.copy(ROOT / "maas", root / "maas")
        shutil.copy(ROOT / "cli" / "bootstrap.py", root / "cli" / "bootstrap.py")
        (root / "cli" / "__init__.py").touch()
        (root / "cli" / "__main__.py").write_text(
            "import os, sys, tiny\nprint(tiny.VERSION, os.getcwd(), os.environ['MAAS_CWD'], *sys.argv[1:], sep='|')\n"
        )
        self.lock("1.0")

    def lock(self, version: str) -> None:
        digest = wheel(self.index, version)
        (self.root / "requirements.lock").write_text(f"tiny=={version} --hash=sha256:{digest}\n")

    def environment(self, **extra: str) -> dict[str, str]:
        offline = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(self.index), "MAAS_PYTHON": sys.executable}
        return {**os.environ, **offline, **extra}

    def start(self, **extra: str) -> subprocess.Popen[str]:
        return subprocess.Popen(  # noqa: S603 - the script under test
            [str(self.root / "maas")],
            env=self.environment(**extra),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(
        self, *words: str, script: Path | None = None, cwd: Path | None = None, **extra: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(  # noqa: S603 - the script under test
            [str(script or self.root / "maas"), *words],
            env=self.environment(**extra),
            cwd=cwd or self.root,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
