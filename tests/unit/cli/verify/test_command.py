"""The command itself, on a double: no cluster, no users of its own."""

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from typer.testing import CliRunner, Result

from cli.app import app
from cli.exits import Exit
from cli.program.recorder import record, stack_config
from cli.verify import command
from enforcement.objects import Object
from tests.misbehaviour.faults import Fault
from tests.misbehaviour.service import serving

KEY = "test-only-of-a-user-of-the-dev-stack-".ljust(48, "x")
runner = CliRunner()


_program = cache(command.program)


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(command, "program", _program)
    monkeypatch.setenv("MAAS_API_KEY", KEY)
    monkeypatch.setenv("MAAS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))


@pytest.fixture(scope="module")
def objects() -> Sequence[Object]:
    """What the program makes of the dev stack, with one key that is known here."""
    config, secrets = stack_config("dev")
    config |= {"maas:apiKeys": json.dumps({"freeuser1": KEY})}
    return [each.body for each in record("dev", config, [*secrets, "maas:apiKeys"]).objects]


def verify(url: str, *words: str) -> Result:
    return runner.invoke(app, ["verify", "--stack", "dev", "--url", url, *words])


def test_a_right_service_passes_as_far_as_it_can_be_asked_without_users(
    objects: Sequence[Object], tmp_path: Path
) -> None:
    with serving(objects) as double:
        done = verify(
            double.url, "--only", "credentials", "--only", "tricks", "--json", "--junit", str(tmp_path / "j.xml")
        )
    content: dict[str, Any] = json.loads(done.stdout)
    assert (done.exit_code, content["result"]) == (Exit.OK, "passed"), content
    outcomes = {each["name"]: each for each in content["scenarios"]}
    assert outcomes["no-key[simulator]"]["outcome"] == outcomes["bad-key"]["outcome"] == "passed"
    assert outcomes["revoked-key"]["outcome"] == "skipped"
    assert "--make-users" in outcomes["revoked-key"]["remark"]
    assert ET.parse(tmp_path / "j.xml").getroot().get("failures") == "0"  # noqa: S314 - our own text
    assert KEY not in done.output


def test_a_service_with_a_fault_ends_with_1_and_says_what_was_expected(objects: Sequence[Object]) -> None:
    with serving(objects, Fault.NO_KEY_NEEDED) as double:
        done = verify(double.url, "--only", "no-key")
    assert done.exit_code == Exit.FAILED
    said = " ".join(done.output.split())
    assert "expected: 401 without a key" in said
    assert "likely cause: the AuthPolicy" in said


def test_what_cannot_be_asked_for_is_a_usage_error(tmp_path: Path) -> None:
    for words, says in (
        (["--only", "typo"], "no such scenario or group"),
        (["--direct", "10.0.0.1"], "not an address"),
        (["--url", "gateway"], "not an address"),
        (["--url", "http://[gateway"], "no address"),
        (["--prometheus", "there"], "--prometheus there: not an address"),
        (["--ca", str(tmp_path / "none.pem")], "--ca"),
        (["--junit", str(tmp_path)], "no file can be written there"),
    ):
        done = runner.invoke(app, ["verify", *words])
        assert (done.exit_code, says in done.output) == (Exit.USAGE, True), done.output


def test_the_sandboxs_pretend_addresses_are_never_connected_to() -> None:
    done = runner.invoke(app, ["verify", "--direct", "http://10.0.0.1:8080"])
    assert done.exit_code == Exit.USAGE
    assert "only loopback" in done.output


def test_users_are_not_made_without_a_cluster() -> None:
    done = runner.invoke(app, ["verify", "--stack", "dev", "--make-users"])
    assert done.exit_code == Exit.FAILED
    assert "--make-users: No kubeconfig" in done.output


def test_the_list_needs_no_stack() -> None:
    done = runner.invoke(app, ["verify", "--list", "--only", "usage"])
    assert (done.exit_code, "bill" in done.output) == (Exit.OK, True)
