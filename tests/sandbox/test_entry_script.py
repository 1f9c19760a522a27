"""The script `maas` from its first run on. Real environments are made, which takes seconds each."""

import os
import signal
import time
from pathlib import Path

import pytest

from tests.entry_script import Checkout

pytestmark = pytest.mark.sandbox


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
