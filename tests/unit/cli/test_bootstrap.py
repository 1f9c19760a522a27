"""What the script `maas` says when something that it needs is missing."""

import shutil
import stat
from pathlib import Path

import pytest

from tests.entry_script import Checkout


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path / "a checkout")


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
