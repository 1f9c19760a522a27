import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.app import app
from cli.deploy import operations
from cli.exits import Exit

runner = CliRunner()


def test_every_exit_code_is_in_the_help_of_every_command() -> None:
    for words in (
        [],
        ["up"],
        ["preview"],
        ["refresh"],
        ["destroy"],
        ["down"],
        ["render"],
        ["doctor"],
        ["test"],
        ["sandbox", "up"],
    ):
        shown = " ".join(runner.invoke(app, [*words, "--help"]).output.split())
        for code in Exit:
            assert f"{code:d} " in shown.partition("Exit codes:")[2], f"{words} says what {code:d} means"


def test_every_command_stands_under_its_subject_in_the_help() -> None:
    shown = runner.invoke(app, ["--help"]).output
    assert "The running service" in shown
    assert "─ Commands ─" not in shown, "where those stand that have no subject"


def test_help_loads_neither_the_sdk_nor_the_sandbox() -> None:
    script = (
        "import sys\nsys.argv = ['maas', '--help']\nfrom cli.app import main\n"
        "try:\n    main()\nfinally:\n"
        "    print([name for name in ('pulumi', 'pulumi_kubernetes', 'grpc', 'httpx') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)  # noqa: S603
    assert done.stdout.splitlines()[-1] == "[]", "help is quick"


def test_an_unknown_option_and_an_unknown_provider_are_usage_errors() -> None:
    assert runner.invoke(app, ["up", "--sideways"]).exit_code == Exit.USAGE
    assert runner.invoke(app, ["up", "--provider", "mine"]).exit_code == Exit.USAGE


def test_an_unknown_stack_is_a_usage_error_that_names_the_known_ones() -> None:
    done = runner.invoke(app, ["render", "--stack", "prod", "--out", "unused"])
    assert done.exit_code == Exit.USAGE
    assert "dev, ocp, sandbox" in done.output


@pytest.fixture
def bad_config(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MAAS_HOME", str(tmp_path / "home"))
    values = {"maas:domain": "not a domain", "maas:tiers": '{"free": {"level": 0}}'}

    def stack_config(_stack: str) -> tuple[dict[str, str], frozenset[str]]:
        return values, frozenset()

    monkeypatch.setattr(operations, "stack_config", stack_config)


@pytest.mark.usefixtures("bad_config")
@pytest.mark.parametrize("command", ["up", "preview"])
def test_a_refused_configuration_ends_with_3_and_touches_nothing(command: str, tmp_path: Path) -> None:
    done = runner.invoke(app, [command])
    assert done.exit_code == Exit.CONFIG
    assert "maas:domain" in done.output
    assert "Traceback" not in done.output
    assert not (tmp_path / "home").exists(), "no sandbox was set aside, no state made"


@pytest.mark.usefixtures("bad_config")
def test_a_refused_configuration_is_valid_json_on_stdout_when_asked() -> None:
    done = runner.invoke(app, ["up", "--json"])
    result = json.loads(done.stdout)
    assert result["result"] == "refused"
    assert "maas:domain" in result["errors"][0]["message"]


def test_render_takes_a_relative_folder_from_where_the_user_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAAS_CWD", str(tmp_path))
    done = runner.invoke(app, ["render", "--stack", "dev", "--out", "out"])
    assert done.exit_code == Exit.OK, done.output
    assert (tmp_path / "out" / "platform" / "namespace-llm.yaml").is_file()


def test_what_needs_a_running_sandbox_says_how_to_start_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAAS_HOME", str(tmp_path))
    done = runner.invoke(app, ["sandbox", "kubeconfig"])
    assert done.exit_code == Exit.FAILED
    assert "./maas up" in done.output


@pytest.mark.parametrize("command", ["up", "destroy"])
def test_a_real_cluster_is_not_changed_when_nobody_said_yes(command: str) -> None:
    done = runner.invoke(app, [command, "--stack", "dev", "--json"])
    assert done.exit_code == Exit.USAGE
    assert "--yes" in done.output


def test_a_program_that_is_started_from_the_background_can_be_interrupted_all_the_same() -> None:
    child = "import signal; print(signal.getsignal(signal.SIGINT) is signal.SIG_IGN)"
    script = (
        "import subprocess, sys\nfrom cli.app import let_children_hear_interrupts\n"
        "{call}\nsubprocess.run([sys.executable, '-c', {child!r}], check=True)"
    )
    ignored: dict[str, str] = {}
    for call in ("pass", "let_children_hear_interrupts()"):
        words = ["sh", "-c", 'trap "" INT; exec "$0" -c "$1"', sys.executable, script.format(call=call, child=child)]
        done = subprocess.run(words, capture_output=True, text=True, check=True)  # noqa: S603
        ignored[call] = done.stdout.strip()
    assert ignored == {"pass": "True", "let_children_hear_interrupts()": "False"}
