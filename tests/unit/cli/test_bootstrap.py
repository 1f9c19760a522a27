"""The script `maas` on a copy of the few files it needs, with an index that is a folder: no network."""

import base64
import hashlib
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


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


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path / "a checkout")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """One that has been run once. Making an environment takes seconds, so tests share it and leave it whole."""
    checkout = Checkout(tmp_path_factory.mktemp("shared") / "a checkout")
    first = checkout.run("up", "--yes")
    assert first.returncode == 0, first.stderr
    assert first.stdout.strip() == f"1.0|{checkout.root}|{checkout.root}|up|--yes"
    assert "usually about" in first.stderr, "it says how long it may take"
    return checkout


def test_the_second_run_installs_nothing_and_says_nothing(installed: Checkout) -> None:
    second = installed.run()
    assert second.returncode == 0
    assert second.stderr == ""


def test_it_works_from_any_folder_and_through_a_symlink(installed: Checkout, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(Path(os.path.relpath(installed.root / "maas", tmp_path)))
    done = installed.run(script=tmp_path / "link", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().endswith(f"|{installed.root}|{tmp_path}")


def test_a_changed_lock_is_installed_and_a_wrong_one_refused(installed: Checkout) -> None:
    installed.lock("2.0")
    assert installed.run().stdout.startswith("2.0|")
    lock = installed.root / "requirements.lock"
    right = lock.read_text()
    lock.write_text(f"tiny==2.0 --hash=sha256:{'0' * 64}\n")
    refused = installed.run(PIP_FORCE_REINSTALL="1")
    assert refused.returncode == 1
    assert "DO NOT MATCH THE HASHES" in refused.stderr
    lock.write_text(right)
    repaired = installed.run()
    assert "Installed in" in repaired.stderr, "what a failed install left behind does not count as installed"
    assert repaired.stdout.startswith("2.0|")


def test_an_install_that_was_killed_is_repaired_by_one_of_two_runs(checkout: Checkout, tmp_path: Path) -> None:
    # A pip that never ends, as on a dead network: the index is a pipe that nobody writes to.
    stuck = tmp_path / "stuck.html"
    os.mkfifo(stuck)
    killed = checkout.start(PIP_FIND_LINKS=stuck.as_uri())
    log = checkout.root / ".venv" / "install.log"
    for _ in range(600):
        if log.is_file():
            break
        time.sleep(0.1)
    assert log.is_file(), "pip has begun"
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate()
    runs = [checkout.start() for _ in range(2)]
    said = [run.communicate(timeout=120) for run in runs]
    assert [run.returncode for run in runs] == [0, 0], said
    assert sorted("Installed in" in err for _, err in said) == [False, True], said
    assert all(out.startswith("1.0|") for out, _ in said)


def program(folder: Path, name: str, text: str) -> None:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def test_without_python_3_11_it_says_so(checkout: Checkout, tmp_path: Path) -> None:
    bin_folder = tmp_path / "bin"
    program(bin_folder, "old-python", "exit 1")
    done = checkout.run(MAAS_PYTHON=str(bin_folder / "old-python"))
    assert done.returncode == 1
    assert "Python 3.11 or newer is needed" in done.stderr


def test_without_venv_it_says_so(checkout: Checkout, tmp_path: Path) -> None:
    bin_folder = tmp_path / "bin"
    # Passes the version check, fails the import of ensurepip and venv.
    program(bin_folder, "bare-python", 'case "$2" in *ensurepip*) exit 1 ;; esac')
    done = checkout.run(MAAS_PYTHON=str(bin_folder / "bare-python"))
    assert done.returncode == 1
    assert "python3-venv" in done.stderr


def test_without_git_it_says_so(checkout: Checkout, tmp_path: Path) -> None:
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    for tool in ("sh", "dirname", "readlink", "cmp"):
        (bin_folder / tool).symlink_to(shutil.which(tool) or f"/bin/{tool}")
    done = checkout.run(PATH=str(bin_folder))
    assert done.returncode == 1
    assert "git is needed" in done.stderr
