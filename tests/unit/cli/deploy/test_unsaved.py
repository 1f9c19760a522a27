"""When the state is written once, and what its note says; tests/sandbox/test_unsaved.py kills such runs."""

import json
from functools import cache
from pathlib import Path

import pytest

from cli.deploy.recovery import Backend
from cli.deploy.unsaved import ENGINE_VARIABLE, VARIABLE, Note, Once, distrust, refs_in, refs_of, writes_once
from cli.exits import MaasError
from cli.program.recorder import Recording, record, stack_config


@cache
def program(users: int, stack: str = "sandbox") -> Recording:
    values, secrets = stack_config(stack)
    names = [f"user{number}" for number in range(users)]
    values |= {
        "maas:users": json.dumps({name: {"tier": "free"} for name in names}),
        "maas:apiKeys": json.dumps({name: f"test-only-{name}-".ljust(48, "x") for name in names}),
    }
    return record(stack, values, [*secrets, "maas:apiKeys"])


@pytest.fixture(autouse=True)
def nothing_said(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (VARIABLE, ENGINE_VARIABLE):
        monkeypatch.delenv(name, raising=False)


def state_of(recording: Recording, folder: Path, *, without: str = "", or_without: str = "") -> Backend:
    """A state with what a program has."""
    backend = Backend(f"file://{folder}", folder, "maas", recording.stack)
    resources = [
        {"urn": f"urn:pulumi:sandbox::maas::{each.type}::{each.name}", "type": each.type, "inputs": dict(each.inputs)}
        for each in recording.resources
        if not any(word and word in each.name for word in (without, or_without))
    ]
    backend.snapshot.parent.mkdir(parents=True, exist_ok=True)
    backend.snapshot.write_text(json.dumps({"checkpoint": {"latest": {"resources": resources}}}))
    return backend


def test_many_new_objects_are_written_once_and_a_few_at_every_step(tmp_path: Path) -> None:
    backend = state_of(program(1), tmp_path)
    assert writes_once(backend, program(150))
    assert not writes_once(backend, program(20))
    assert not writes_once(backend, program(1))


def test_few_new_objects_beside_very_many_are_written_once_and_a_destroy_of_many_is(tmp_path: Path) -> None:
    assert not writes_once(state_of(program(150), tmp_path, without="user14"), program(150)), "11 new beside 220"
    backend = state_of(program(300), tmp_path, without="user2")
    assert writes_once(backend, program(300)), "111 new beside 260"
    assert writes_once(backend, None)
    assert not writes_once(state_of(program(1), tmp_path / "small"), None)


def test_what_could_not_be_adopted_is_written_at_every_step(tmp_path: Path) -> None:
    """A Helm release whose name is taken; a patch, which leaves no label on what it changes."""
    whole = program(150, "dev")
    for missing in (":Release", "Patch"):
        names = sorted(each.name for each in whole.resources if each.type.endswith(missing))
        assert names
        assert writes_once(state_of(whole, tmp_path / missing, without="user"), whole)
        assert not writes_once(state_of(whole, tmp_path / missing, without="user", or_without=names[0]), whole)


def test_who_runs_it_has_the_last_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = state_of(program(1), tmp_path)
    monkeypatch.setenv(VARIABLE, "steps")
    assert not writes_once(backend, program(150))
    monkeypatch.setenv(VARIABLE, "once")
    assert writes_once(backend, program(1))
    monkeypatch.setenv(ENGINE_VARIABLE, "false")
    assert not writes_once(backend, program(150)), "the engine's own variable was set: it decides"
    monkeypatch.setenv(VARIABLE, "never")
    with pytest.raises(MaasError, match="auto, steps, once"):
        writes_once(backend, program(1))
    monkeypatch.delenv(VARIABLE)
    assert not writes_once(None, program(150)), "a backend that is no folder of this machine"


def test_a_note_has_the_objects_that_carry_the_stacks_label_and_go_with_it() -> None:
    found = {str(each) for each in refs_of(program(2))}
    assert "Namespace llm" in found
    assert len([each for each in found if "maas-key-user" in each]) == 2
    patches = {f"{each.kind} {each.namespace}/{each.metadata_name}" for each in program(2).objects if each.is_patch}
    assert not found & patches, "what others own is never deleted"


def test_a_note_stays_until_the_state_is_written_and_keeps_what_an_earlier_one_had(tmp_path: Path) -> None:
    backend = state_of(program(1), tmp_path)
    once = Once(backend, program(3))
    once.begin()
    assert not once.saved
    Once(backend, program(2)).begin()
    note = Note.find(backend)
    assert note
    assert set(note.objects) == set(refs_of(program(3)))
    [left] = note.left(refs_in(backend), refs_of(program(2)))
    assert left.name.startswith("maas-key-user2.")
    state_of(program(3), tmp_path)
    assert once.saved
    once.forget()
    assert Note.find(backend) is None


def test_a_state_that_is_not_to_be_trusted_has_a_note_until_the_next_run_has_looked(tmp_path: Path) -> None:
    backend = state_of(program(1), tmp_path)
    distrust(backend)
    note = Note.find(backend)
    assert note is not None
    assert note.objects == ()
    note.forget()
    assert Note.find(backend) is None
    distrust(None)


def test_a_note_that_cannot_be_read_stops_everything_and_says_what_to_look_for(tmp_path: Path) -> None:
    backend = state_of(program(1), tmp_path)
    Once(backend, None).begin()
    note = Note.find(backend)
    assert note
    note.path.write_text('{"objects": [{"kind": 1')
    with pytest.raises(MaasError, match=r"maas\.kuadrant\.io/stack=sandbox"):
        Note.find(backend)


def test_one_version_of_a_group_is_as_good_as_another(tmp_path: Path) -> None:
    backend = state_of(program(1), tmp_path)
    Once(backend, program(1)).begin()
    text = backend.snapshot.read_text()
    assert "kuadrant.io/v1alpha1" in text
    backend.snapshot.write_text(text.replace("kuadrant.io/v1alpha1", "kuadrant.io/v1"))
    note = Note.find(backend)
    assert note
    assert note.left(refs_in(backend)) == []
