import gzip
import json
import stat
from pathlib import Path

import pytest

from cli.exits import MaasError
from cli.state.backups import MANUAL, Backups, load, write
from tests.unit.cli.state.states import export


def reasons(backups: Backups) -> list[str]:
    return [each.reason for each in backups.all()]


def test_a_copy_is_private_and_says_the_same_as_the_state(tmp_path: Path) -> None:
    taken = Backups(tmp_path / "backups", 3).take(export("a"), "before-up")
    assert taken is not None
    assert stat.S_IMODE(taken.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(taken.path.parent.stat().st_mode) == 0o700
    assert load(taken.path) == export("a")


def test_a_state_that_did_not_change_is_copied_once(tmp_path: Path) -> None:
    backups = Backups(tmp_path, 3)
    assert backups.take(export("a", time="1"), "before-up")
    assert backups.take(export("a", time="2"), "after-up") is None
    assert backups.take(export("a"), MANUAL), "unless somebody asks for it"
    assert reasons(backups) == [MANUAL, "before-up"]


def test_the_oldest_go_when_there_are_too_many_and_never_those_that_somebody_asked_for(tmp_path: Path) -> None:
    backups = Backups(tmp_path, 2)
    backups.take(export("a"), MANUAL)
    for name in "bcde":
        backups.take(export(name), "after-up")
    assert [(each.number, each.reason) for each in backups.all()] == [(5, "after-up"), (4, "after-up"), (1, MANUAL)]


def test_the_newest_is_the_last_one_that_can_be_read(tmp_path: Path) -> None:
    backups = Backups(tmp_path, 5)
    for name in "abc":
        backups.take(export(name), "after-up")
    newest = backups.all()[0].path
    newest.write_bytes(newest.read_bytes()[:-20])
    with pytest.raises(MaasError, match="cannot be read"):
        load(newest)
    found = backups.newest()
    assert found
    assert found[1] == export("b")
    assert Backups(tmp_path / "none", 5).newest() is None


def test_a_copy_that_somebody_changed_is_not_taken(tmp_path: Path) -> None:
    taken = Backups(tmp_path, 5).take(export("a"), "after-up")
    assert taken
    taken.path.write_bytes(gzip.compress(json.dumps(export("b")).encode()))
    with pytest.raises(MaasError, match="changed after it was written"):
        load(taken.path)


def test_what_pulumi_exports_is_taken_too_and_what_is_no_state_is_not(tmp_path: Path) -> None:
    file = tmp_path / "export.json"
    write(file, export("a"))
    assert json.loads(file.read_text()) == export("a")
    assert load(file) == export("a")
    file.write_text('{"checkpoint": {}}')
    with pytest.raises(MaasError, match="is no state"):
        load(file)
    with pytest.raises(MaasError, match="There is no backup"):
        load(tmp_path / "none.json")
