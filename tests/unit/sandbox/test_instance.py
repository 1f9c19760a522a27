"""Names, folders and ports of sandboxes."""

import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sandbox.instance import LOOPBACK, Operators, Sandbox, SandboxError, home_folder
from sandbox.lifecycle import with_operators


def test_ports_are_remembered(tmp_path: Path) -> None:
    assert Sandbox.open("a", tmp_path) == Sandbox.open("a", tmp_path)


def test_two_names_never_share_a_port(tmp_path: Path) -> None:
    def open_one(name: str) -> Sandbox:
        return Sandbox.open(name, tmp_path)

    with ThreadPoolExecutor(8) as threads:
        sandboxes = list(threads.map(open_one, [f"s{n}" for n in range(24)]))
    ports = [port for sandbox in sandboxes for port in sandbox.ports.all()]
    assert len(ports) == len(set(ports)), "set aside although another sandbox has it"


def test_a_port_that_is_in_use_is_not_chosen(tmp_path: Path) -> None:
    first = Sandbox.open("a", tmp_path / "one").ports.api_server
    (tmp_path / "one" / "a" / "sandbox.json").unlink()
    with socket.socket() as taken:
        taken.bind((LOOPBACK, first))
        taken.listen()
        assert first not in Sandbox.open("a", tmp_path / "one").ports.all()


def test_new_ports_are_remembered_too(tmp_path: Path) -> None:
    old = Sandbox.open("a", tmp_path)
    with socket.socket() as taken:
        taken.bind((LOOPBACK, old.ports.etcd))
        taken.listen()
        new = old.with_new_ports()
    assert old.ports.etcd not in new.ports.all()
    assert Sandbox.open("a", tmp_path) == new


def test_a_broken_record_is_replaced(tmp_path: Path) -> None:
    Sandbox.open("a", tmp_path)
    record = tmp_path / "a" / "sandbox.json"
    record.write_text('{"ports": {"api_server": "x"}}', encoding="utf-8")
    assert Sandbox.open("a", tmp_path) == Sandbox.open("a", tmp_path)


@pytest.mark.parametrize("name", ["", "A", "a_b", "-a", "a-", "../a", "a/b", "a" * 41])
def test_a_name_that_is_no_label_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(SandboxError, match="lower-case letters"):
        Sandbox.open(name, tmp_path)


def test_the_home_can_be_moved(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MAAS_HOME", str(tmp_path))
    assert home_folder() == tmp_path
    monkeypatch.delenv("MAAS_HOME")
    assert home_folder() == Path(__file__).parents[3] / ".maas"


def test_the_folder_is_for_its_owner_only(tmp_path: Path) -> None:
    assert Sandbox.open("a", tmp_path).folder.stat().st_mode & 0o777 == 0o700


def test_who_does_the_operators_work_is_remembered_with_other_ports_too(tmp_path: Path) -> None:
    assert Sandbox.open("a", tmp_path).operators is Operators.PLAYED
    with_operators(Sandbox.open("a", tmp_path), Operators.REAL)
    Sandbox.open("a", tmp_path).with_new_ports()
    assert Sandbox.open("a", tmp_path).operators is Operators.REAL


def test_a_sandbox_that_stands_keeps_its_operators_and_says_how_to_have_others(tmp_path: Path) -> None:
    sandbox = Sandbox.open("a", tmp_path)
    sandbox.kwok_folder.mkdir(parents=True)
    with pytest.raises(SandboxError, match="stands with played operators; take it down first"):
        with_operators(sandbox, Operators.REAL)
