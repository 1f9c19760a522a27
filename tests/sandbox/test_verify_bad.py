"""A service that is slow, breaks off or answers garbage gets a clear report, in bounded time, without a stack trace."""

from functools import cache
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.app import app
from cli.exits import Exit
from cli.verify import command
from tests.misbehaviour.bad import Bad, serving_badly

pytestmark = [pytest.mark.sandbox, pytest.mark.timeout(60)]

_program = cache(command.program)


@pytest.mark.parametrize("bad", Bad)
def test_a_bad_service_gets_a_clear_report_in_bounded_time_and_no_stack_trace(
    bad: Bad, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(command, "program", _program)
    monkeypatch.setenv("MAAS_API_KEY", "test-only-".ljust(48, "x"))
    monkeypatch.setenv("MAAS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    words = ["verify", "--stack", "dev", "--request-seconds", "0.2", "--max-seconds", "5"]
    with serving_badly(bad) as url:
        done = CliRunner().invoke(app, [*words, "--url", url])
    assert done.exit_code == Exit.FAILED
    assert done.exception is None or isinstance(done.exception, SystemExit)
    assert "Stack dev does not do what it says" in done.output
    assert "Traceback" not in done.output
