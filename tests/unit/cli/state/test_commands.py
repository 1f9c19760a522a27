"""The commands on a state that is a folder: no engine is needed for any of them."""

import json
import shutil
import socket
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cli.app import app
from cli.deploy import target as targets
from cli.deploy.recovery import Backend
from cli.deploy.target import Target, of_stack
from cli.exits import Exit, MaasError
from cli.state import commands
from cli.state.backups import Backups, load
from cli.state.care import kept, require_state
from sandbox.progress import Silent
from tests.unit.cli.state.states import PASSPHRASE, SALT, export

FILE = f"""\
encryptionsalt: {SALT}
config:
  maas:domain: apps.example.com  # ours
  maas:apiKeys: {{secure: v1:abc:def}}
  maas:modelSecrets: {{hub: {{secure: v1:abc:def}}}}
"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a stack `dev`, whose state is in the home that is its own."""
    for name in ("PULUMI_BACKEND_URL", "PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MAAS_HOME", str(tmp_path / "home"))
    (tmp_path / "Pulumi.yaml").write_text("name: maas\n")
    (tmp_path / "Pulumi.dev.yaml").write_text(FILE)

    def path(stack: str, root: Path = tmp_path) -> Path:
        return root / f"Pulumi.{stack}.yaml"

    for module in (targets, commands):
        monkeypatch.setattr(module, "ROOT", tmp_path)
        monkeypatch.setattr(module, "stack_file", path)
    (tmp_path / "home").mkdir(mode=0o700)
    (tmp_path / "home" / "passphrase").write_text(PASSPHRASE)
    (tmp_path / "home" / "passphrase").chmod(0o600)
    return tmp_path


@pytest.fixture
def stack(root: Path) -> Target:
    del root
    return of_stack("dev")


@pytest.fixture
def backend(stack: Target) -> Backend:
    found = stack.backend
    assert found
    found.write(export("a", "b"))
    return found


def state(*words: str) -> Result:
    return CliRunner().invoke(app, ["state", *words, "--stack", "dev"])


def lock(backend: Backend, host: str) -> Path:
    path = backend.folder / ".pulumi" / "locks" / "organization" / "maas" / "dev" / "1.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"pid": 1, "username": "x", "hostname": host}))
    return path


def levels(*, code: Exit = Exit.OK) -> dict[str, str]:
    """What `check` says of each subject: its level and its text."""
    done = state("check", "--json")
    assert done.exit_code == code, done.output
    return {each["subject"]: f"{each['level']}: {each['text']}" for each in json.loads(done.stdout)["findings"]}


def test_a_state_that_is_gone_comes_back_as_it_was(backend: Backend) -> None:
    before = backend.snapshot.read_text()
    assert state("backup").exit_code == Exit.OK
    shutil.rmtree(backend.folder)
    done = state("restore")
    assert done.exit_code == Exit.OK, done.output
    assert backend.snapshot.read_text() == before
    assert stat.S_IMODE(backend.snapshot.stat().st_mode) == 0o600
    assert (backend.folder / ".pulumi" / "meta.yaml").read_text() == "version: 1\n", "or the engine looks elsewhere"


def test_what_a_restore_replaces_is_kept(backend: Backend, stack: Target) -> None:
    state("backup")
    backend.write(export("c"))
    assert state("restore").exit_code == Exit.OK
    assert backend.export() == export("a", "b")
    newest = Backups(stack.backups, 5).all()[0]
    assert (newest.reason, load(newest.path)) == ("before-restore", export("c"))


def test_a_copy_is_taken_back_by_number_or_by_file(
    backend: Backend, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAAS_CWD", str(root))
    state("backup")
    assert state("backup", "--out", "mine.json").exit_code == Exit.OK
    assert state("backup", "--out", "mine.json").exit_code == Exit.USAGE, "nothing is written over"
    assert stat.S_IMODE((root / "mine.json").stat().st_mode) == 0o600
    for source in ("1", "mine.json"):
        backend.write(export("other"))
        assert state("restore", source).exit_code == Exit.OK
        assert backend.export() == export("a", "b"), source
    listed = json.loads(state("restore", "--list", "--json").stdout)["backups"]
    assert [each["number"] for each in listed] == [2, 1]


def test_a_restore_puts_a_damaged_state_aside(backend: Backend) -> None:
    state("backup")
    backend.snapshot.write_text('{"version": 3, "checkp')
    assert state("restore").exit_code == Exit.OK
    assert backend.export() == export("a", "b")
    (aside,) = backend.snapshot.parent.glob("*.aside*")
    assert aside.read_text() == '{"version": 3, "checkp'


def test_without_a_copy_restore_says_what_else_there_is(backend: Backend) -> None:
    done = state("restore")
    assert done.exit_code == Exit.FAILED
    assert "./maas state adopt --stack dev" in done.output
    assert backend.export() == export("a", "b")


def test_check_says_that_all_is_well(backend: Backend) -> None:
    del backend
    state("backup")
    found = levels()
    assert {subject: each for subject, each in found.items() if not each.startswith("ok")} == {}
    assert set(found) == {"state", "integrity", "passphrase", "copies"}


def test_check_finds_what_is_wrong(backend: Backend, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = export("a", "a")
    broken["deployment"]["pending_operations"] = [{"type": "creating"}]
    backend.write(broken)
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "another")
    lock(backend, socket.gethostname())
    (root / "home" / "state").chmod(0o755)
    found = levels(code=Exit.FAILED)
    assert found["integrity"].startswith("problem: ")
    assert found["integrity"].endswith("is there twice")
    assert found["operations"] == "warning: 1 were cut off"
    assert found["passphrase"].startswith("problem: it is another")
    assert found["lock"].startswith("warning: left by process 1")
    assert found["copies"] == "warning: there are none"
    assert found["permissions"].startswith("warning: others on this machine can read")


def test_check_changes_nothing_and_needs_no_lock(backend: Backend) -> None:
    lock(backend, "elsewhere")
    before = {path: path.read_bytes() for path in backend.folder.rglob("*") if path.is_file()}
    assert "held by process 1 on elsewhere" in levels()["lock"]
    assert {path: path.read_bytes() for path in backend.folder.rglob("*") if path.is_file()} == before


def test_check_tells_a_damaged_state_from_one_that_is_gone_and_from_one_that_never_was(
    backend: Backend, stack: Target
) -> None:
    backend.snapshot.write_text("{")
    assert levels(code=Exit.FAILED)["state"].startswith("problem: cannot be read")
    backend.snapshot.unlink()
    assert levels()["state"].startswith("warning: there is none")
    Backups(stack.backups, 5).take(export("a"), "after-up")
    assert levels(code=Exit.FAILED)["state"].startswith("problem: there is none")


def test_unlock_clears_what_the_dead_left_and_another_machines_only_when_told_to(backend: Backend) -> None:
    path = lock(backend, socket.gethostname())
    assert state("unlock").output.endswith("Cleared 1 lock.\n")
    assert not path.exists()
    assert state("unlock").output == "There was no lock.\n"
    path = lock(backend, "elsewhere")
    done = state("unlock")
    assert done.exit_code == Exit.FAILED
    assert "./maas state unlock --force --stack dev" in done.output
    assert path.exists()
    assert state("unlock", "--force").exit_code == Exit.OK
    assert not path.exists()


def test_adopting_begins_with_an_empty_state_and_keeps_the_old_one(backend: Backend) -> None:
    assert state("adopt").exit_code == Exit.FAILED, "nobody said yes"
    assert backend.export() == export("a", "b")
    assert state("adopt", "--yes").exit_code == Exit.OK
    assert backend.exists
    assert backend.urns() == []
    (aside,) = backend.snapshot.parent.glob("*.aside*")
    assert json.loads(aside.read_text())["checkpoint"]["latest"] == export("a", "b")["deployment"]


@pytest.mark.usefixtures("backend")
def test_a_lost_passphrase_is_told_and_what_it_sealed_can_be_left_behind(root: Path) -> None:
    (root / "home" / "passphrase").unlink()
    with pytest.raises(MaasError, match="adopt --lost-passphrase --stack dev") as caught:
        of_stack("dev").require_passphrase()
    assert caught.value.code is Exit.USAGE, "a new passphrase could never open it"
    assert not (root / "home" / "passphrase").exists(), "none is made in its place"
    done = state("adopt", "--lost-passphrase", "--yes")
    assert done.exit_code == Exit.OK, done.output
    assert (root / "Pulumi.dev.yaml").read_text() == (
        "config:\n  maas:domain: apps.example.com  # ours\n  maas:modelSecrets: {hub: {secure: v1:abc:def}}\n"
    )
    assert "./maas keys create --stack dev" in done.output
    assert "maas:modelSecrets" in done.output, "which somebody has to set anew"
    of_stack("dev").require_passphrase()
    assert (root / "home" / "passphrase").read_text() != PASSPHRASE


@pytest.mark.usefixtures("backend")
def test_a_state_alone_is_enough_to_know_that_a_passphrase_is_lost(root: Path) -> None:
    (root / "Pulumi.dev.yaml").write_text("config: {}\n")
    (root / "home" / "passphrase").unlink()
    with pytest.raises(MaasError, match="Put it back"):
        of_stack("dev").require_passphrase()


def test_each_run_leaves_a_copy_of_before_and_one_of_after_however_it_ends(backend: Backend, stack: Target) -> None:
    def fails() -> None:
        with kept(stack, 5, "up", Silent()):
            backend.write(export("a", "b", "c"))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fails()
    assert [each.reason for each in Backups(stack.backups, 5).all()] == ["after-up", "before-up"]
    with kept(stack, 0, "destroy", Silent()):
        backend.write(export())
    assert len(Backups(stack.backups, 5).all()) == 2, "none when none are wanted"


def test_nothing_begins_when_the_copy_cannot_be_written(
    backend: Backend, stack: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    del backend

    def full(*_words: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Backups, "take", full)
    ran: Callable[[], None] = pytest.fail
    with pytest.raises(MaasError, match="No space left") as caught, kept(stack, 5, "up", Silent()):
        ran()
    assert "Nothing was begun" in str(caught.value)


def test_a_state_that_is_gone_is_told_before_an_up_would_begin_anew(backend: Backend, stack: Target) -> None:
    require_state(stack)
    with kept(stack, 5, "up", Silent()):
        pass
    shutil.rmtree(backend.folder)
    with pytest.raises(MaasError, match="with 3 resources") as caught:
        require_state(stack)
    assert "./maas state restore --stack dev" in str(caught.value)
    state("adopt", "--yes")
    require_state(stack)


def test_a_stack_that_was_destroyed_and_removed_is_none_that_is_gone(backend: Backend, stack: Target) -> None:
    emptied = export()
    emptied["deployment"]["resources"] = []
    with kept(stack, 5, "destroy", Silent()):
        backend.write(emptied)
    backend.snapshot.unlink()
    require_state(stack)
