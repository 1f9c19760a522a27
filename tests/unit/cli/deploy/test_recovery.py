import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.deploy.engine import OWNER, owner_mark
from cli.deploy.recovery import Backend, orphans, owner_lives, recover
from cli.exits import MaasError
from sandbox.progress import Silent

GONE = "1:1.00"
"""The mark of an owner that cannot be: no process with number 1 was created in 1970."""


@pytest.fixture
def backend(tmp_path: Path) -> Backend:
    folder = tmp_path / "state"
    (folder / ".pulumi" / "stacks" / "maas").mkdir(parents=True)
    (folder / ".pulumi" / "meta.yaml").write_text("version: 1\n")
    (folder / ".pulumi" / "locks" / "organization" / "maas" / "sandbox").mkdir(parents=True)
    (folder / ".pulumi" / "backups" / "maas" / "sandbox").mkdir(parents=True)
    return Backend(f"file://{folder}", folder, "maas", "sandbox")


def lock(backend: Backend, pid: int, host: str | None = None) -> Path:
    path = backend.folder / ".pulumi" / "locks" / "organization" / "maas" / "sandbox" / "1234.json"
    path.write_text(json.dumps({"pid": pid, "username": "x", "hostname": host or socket.gethostname()}))
    return path


def snapshot(marker: str, pending: int = 0) -> str:
    resources = [
        {"urn": "urn:pulumi:sandbox::maas::pulumi:pulumi:Stack::maas-sandbox", "type": "pulumi:pulumi:Stack"},
        {"urn": f"urn:pulumi:sandbox::maas::maas:models:Models$kubernetes:core/v1:ConfigMap::{marker}", "type": "x"},
    ]
    latest = {"resources": resources, "pending_operations": [{"type": "creating"}] * pending}
    return json.dumps({"version": 3, "checkpoint": {"stack": "x", "latest": latest}})


@pytest.fixture
def fake_engine(tmp_path: Path, backend: Backend) -> Iterator[subprocess.Popen[bytes]]:
    """A process that looks like an engine of ours whose owner was killed."""
    program = tmp_path / "pulumi"
    shutil.copy(Path(shutil.which("bash") or "/bin/bash").resolve(), program)
    script = f"trap 'touch {tmp_path}/saved; exit' INT; touch {tmp_path}/ready; while :; do sleep 0.1; done"
    environment = {**os.environ, "PULUMI_BACKEND_URL": backend.url, OWNER: GONE}
    process = subprocess.Popen([str(program), "-c", script], env=environment)  # noqa: S603 - a shell of our own
    while not (tmp_path / "ready").exists():
        time.sleep(0.01)
    yield process
    process.kill()
    process.wait()


def test_the_lock_of_a_process_that_is_gone_is_cleared(backend: Backend) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    path = lock(backend, dead.pid)
    recover(backend, Silent())
    assert not path.exists()


def test_a_lock_whose_number_now_belongs_to_another_program_is_cleared(backend: Backend) -> None:
    path = lock(backend, os.getpid())
    recover(backend, Silent())
    assert not path.exists(), "this test is no engine"


def test_a_lock_that_was_cut_short_is_cleared(backend: Backend) -> None:
    path = lock(backend, 1)
    path.write_text('{"pid": 12')
    recover(backend, Silent())
    assert not path.exists()


def test_what_a_full_disk_left_of_a_lock_is_cleared(backend: Backend) -> None:
    path = lock(backend, 1)
    left = path.replace(path.with_name(f"{path.name}.18eb6a8ddf316cec.tmp"))
    left.write_text("")
    recover(backend, Silent())
    assert not left.exists(), "the engine reads it, and fails"


def test_a_lock_from_another_machine_is_left_and_named(backend: Backend) -> None:
    path = lock(backend, 1, host="elsewhere")
    with pytest.raises(MaasError, match="elsewhere"):
        recover(backend, Silent())
    assert path.exists()


def test_an_engine_whose_owner_was_killed_is_ended_and_its_lock_cleared(
    backend: Backend, fake_engine: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    path = lock(backend, fake_engine.pid)
    recover(backend, Silent())
    assert fake_engine.poll() is not None
    assert (tmp_path / "saved").exists(), "it is asked before it is killed, so that it can save its state"
    assert not path.exists()


def test_an_engine_that_works_for_somebody_is_left_alone(
    backend: Backend, fake_engine: subprocess.Popen[bytes]
) -> None:
    others = Backend("file:///another/backend", backend.folder, "maas", "sandbox")
    assert orphans(others) == []
    assert [each.pid for each in orphans(backend)] == [fake_engine.pid]
    assert fake_engine.poll() is None


def test_only_a_mark_of_the_same_process_counts_as_alive() -> None:
    assert owner_lives(owner_mark())
    assert not owner_lives(f"{os.getpid()}:1.00"), "the number was given to us after the owner had died"
    assert not owner_lives(GONE)
    assert owner_lives(""), "an engine without a mark is somebody else's"


def test_a_broken_snapshot_is_replaced_by_the_newest_copy_that_can_be_read_and_kept(backend: Backend) -> None:
    backups = backend.folder / ".pulumi" / "backups" / "maas" / "sandbox"
    for number, content in enumerate([snapshot("old"), snapshot("new"), "{"]):
        path = backups / f"sandbox.{number}.json"
        path.write_text(content)
        os.utime(path, (number, number))
    backend.snapshot.write_text('{"version": 3, "checkp')
    recover(backend, Silent())
    assert [urn.split("::")[-1] for urn in backend.urns()] == ["new"]
    (kept,) = backend.snapshot.parent.glob("*.broken*")
    assert kept.read_text() == '{"version": 3, "checkp'


def test_a_broken_snapshot_without_any_copy_is_an_error_and_stays(backend: Backend) -> None:
    backend.snapshot.write_text("")
    with pytest.raises(MaasError, match="no backup"):
        recover(backend, Silent())
    assert backend.snapshot.exists()


def test_a_sound_state_is_not_touched(backend: Backend) -> None:
    backend.snapshot.write_text(snapshot("a", pending=2))
    before = sorted((path, path.stat().st_mtime_ns) for path in backend.folder.rglob("*"))
    recover(backend, Silent())
    assert sorted((path, path.stat().st_mtime_ns) for path in backend.folder.rglob("*")) == before
    assert backend.pending_operations() == 2


def test_half_written_sidecars_go_and_an_empty_meta_file_is_written_again(backend: Backend) -> None:
    backend.snapshot.write_text(snapshot("a"))
    store = backend.folder / ".pulumi"
    broken = backend.snapshot.with_name("sandbox.json.attrs")
    sound = backend.snapshot.with_name("sandbox.json.bak.attrs")
    broken.touch()
    sound.write_text('{"user.content_type": "text/plain"}')
    (store / "meta.yaml").touch()
    (store / "meta.yaml.attrs").write_text('{"user.cont')
    recover(backend, Silent())
    assert (broken.exists(), sound.exists(), (store / "meta.yaml.attrs").exists()) == (False, True, False)
    assert (store / "meta.yaml").read_text() == "version: 1\n"
