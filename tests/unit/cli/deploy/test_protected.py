"""A stack that callers depend on."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from typer.testing import CliRunner

from cli.app import app
from cli.deploy.operations import Command
from cli.exits import Exit
from cli.stacks.stackfile import stack_config

runner = CliRunner()


class GotThroughError(Exception):
    """The command was about to work on the stack."""


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    def stop(*_: object, **__: object) -> None:
        raise GotThroughError

    monkeypatch.setattr(Command, "_opened", stop)
    return monkeypatch


def with_policy(monkeypatch: pytest.MonkeyPatch, policy: Mapping[str, Any]) -> None:
    values, secrets = stack_config("dev")
    changed = {**values, "maas:policy": json.dumps(policy)}

    def config(_: Command) -> tuple[dict[str, str], frozenset[str]]:
        return changed, secrets

    monkeypatch.setattr(Command, "_config", config)


def test_a_protected_stack_that_breaks_a_rule_is_not_deployed(opened: pytest.MonkeyPatch) -> None:
    with_policy(opened, {"protected": True})
    done = runner.invoke(app, ["up", "--stack", "dev", "--yes"])
    assert done.exit_code == Exit.FAILED
    assert "kept-counters" in done.output
    assert "It is protected, so nothing was deployed." in done.output


@pytest.mark.parametrize(
    "policy",
    [
        {"protected": False},
        {"protected": True, "levels": dict.fromkeys(("images-by-digest", "kept-counters", "tls"), "advisory")},
    ],
)
def test_a_stack_that_is_not_protected_or_breaks_no_rule_is(
    opened: pytest.MonkeyPatch, policy: Mapping[str, Any]
) -> None:
    with_policy(opened, policy)
    done = runner.invoke(app, ["up", "--stack", "dev", "--yes"])
    assert isinstance(done.exception, GotThroughError), done.output


@pytest.mark.parametrize("protected", [True, False])
def test_a_protected_stack_is_not_taken_away(opened: pytest.MonkeyPatch, *, protected: bool) -> None:
    with_policy(opened, {"protected": protected})
    done = runner.invoke(app, ["destroy", "--stack", "dev", "--yes"])
    if protected:
        assert done.exit_code == Exit.FAILED
        assert "Stack dev is protected" in done.output
    else:
        assert isinstance(done.exception, GotThroughError), done.output
