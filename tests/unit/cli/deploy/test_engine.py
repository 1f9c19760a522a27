import json
import os
import signal
import stat
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from pulumi.automation import StackNotFoundError
from pulumi.automation.errors import CommandError

from cli.deploy.engine import OWNER, Engine, Session, owner_mark
from cli.deploy.operations import _own_words  # pyright: ignore[reportPrivateUsage] - the one place that reads the SDK's text
from cli.exits import Exit, MaasError

FAKE = """#!{python}
import json, os, signal, sys, time
out = os.path.dirname(os.path.abspath(__file__))
words = sys.argv[1:]
if "wait" in words:
    signal.signal(signal.SIGINT, lambda *_: (open(out + "/asked", "w").close(), sys.exit(255)))
    open(out + "/ready", "w").close()
    time.sleep(60)
if "fail" in words:
    print("said on stdout")
    print("error: the reason", file=sys.stderr)
    sys.exit(255)
stdin = "" if "--secret" not in words else sys.stdin.read()
with open(out + "/calls", "a") as calls:
    calls.write(json.dumps({{"words": words, "stdin": stdin, "env": dict(os.environ)}}) + "\\n")
"""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "bin" / "pulumi"
    path.parent.mkdir()
    path.write_text(FAKE.format(python=sys.executable))
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def calls(program: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (program.parent / "calls").read_text().splitlines()]


def test_a_secret_is_never_on_a_command_line(program: Path, tmp_path: Path) -> None:
    session = Session(Engine(program, "3.259.0", {}), "sandbox", tmp_path, tmp_path / "none.py", exists=True)
    session.set_secret('maas:apiKeys["ann"]', "maas-hush")
    (call,) = calls(program)
    assert "maas-hush" not in json.dumps([call["words"], call["env"]])
    assert call["stdin"] == "maas-hush"
    assert 'maas:apiKeys["ann"]' in str(call["words"])


def test_an_engine_that_is_killed_is_told_apart_from_one_that_fails(program: Path, tmp_path: Path) -> None:
    program.write_text("#!/bin/sh\nkill -KILL $$\n")
    engine = Engine(program, "3.259.0", {})
    with pytest.raises(MaasError, match=r"engine was killed \(SIGKILL\)"):
        engine.run(["up"], str(tmp_path), {})


def test_the_engine_knows_its_owner_and_nothing_it_must_not_see(
    program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PULUMI_ACCESS_TOKEN", "hush")
    engine = Engine(program, "3.259.0", {"KUBECONFIG": "/k"}, without={"PULUMI_ACCESS_TOKEN"})
    engine.run(["version"], str(tmp_path), {})
    environment = calls(program)[0]["env"]
    assert environment[OWNER] == owner_mark()
    assert environment["KUBECONFIG"] == "/k"
    assert "PULUMI_ACCESS_TOKEN" not in environment
    assert str(environment["PATH"]).split(os.pathsep)[0] == str(program.parent)


def test_a_stack_that_must_exist_and_does_not_is_said_without_asking_the_engine(program: Path, tmp_path: Path) -> None:
    with pytest.raises(StackNotFoundError):
        Session(Engine(program, "3.259.0", {}), "dev", tmp_path, tmp_path / "p.py", exists=False, create=False)
    assert not (program.parent / "calls").exists()


def test_what_the_engine_says_itself_is_shown_without_the_sdks_frame(program: Path, tmp_path: Path) -> None:
    with pytest.raises(CommandError) as caught:
        Engine(program, "3.259.0", {}).run(["fail"], str(tmp_path), {})
    assert _own_words(caught.value) == "error: the reason"


def test_an_interrupt_is_passed_on_and_waited_for(program: Path, tmp_path: Path) -> None:
    engine = Engine(program, "3.259.0", {})
    said: list[str] = []
    session = Session(engine, "sandbox", tmp_path, tmp_path / "none.py", exists=True, say=said.append)

    def interrupt_soon() -> None:
        while not (program.parent / "ready").exists():
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt_soon, daemon=True).start()
    with pytest.raises(MaasError) as caught:
        session.attempt(lambda: engine.run(["wait"], str(tmp_path), {}))
    assert caught.value.code is Exit.INTERRUPTED
    assert (program.parent / "asked").exists(), "the engine was asked to cancel"
    assert len(said) == 1
