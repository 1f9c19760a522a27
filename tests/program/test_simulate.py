"""`./maas simulate` with the program that makes the objects, at this revision and at another."""

import json
import shutil
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from cli.app import app
from cli.deploy.summary import usage
from cli.exits import Exit
from cli.paths import ROOT
from cli.simulate import command
from cli.simulate.versions import service
from config.figures import NEVER_REACHED
from sandbox.gateway.journal import counted
from simulation.service import Service
from simulation.traffic import Ask, written

runner = CliRunner()
TRAFFIC = "free: 3 per 1m; premium: 2 users, 6 per 1m, 40 + 60 tokens; for 20m"


def simulated(*words: str) -> dict[str, Any]:
    done = runner.invoke(app, ["simulate", "--traffic", TRAFFIC, "--json", *words])
    assert done.exit_code == Exit.OK, done.output
    return json.loads(done.stdout)


def test_users_that_the_stack_lacks_are_added_with_stand_in_keys_and_settings_stand_over_the_stacks() -> None:
    settings = {"maas:tiers.free.price": "0.25", "tiers.premium.tokens": "unlimited"}
    made = service("dev", users={"extra": "free"}, settings=settings)
    assert made.users["extra"] == "free"
    assert all(made.keys[user].startswith("placeholder-for-the-secret-value-of-") for user in made.users)
    assert made.prices["free"] == Decimal("0.25")
    gate = made.gate()
    assert gate.decide(made.request("extra", "simulator"), 1_800_000_000).status == 200
    assert gate.decide(made.request("nobody", "simulator"), 1_800_000_000).status == 401


def test_unlimited_tokens_are_counted_and_nobody_is_shown_the_figure_that_stands_for_no_limit() -> None:
    made = service("dev", users={"eve": "premium"}, settings={"tiers.premium.tokens": "unlimited"})
    gate, now = made.gate(), 1_800_000_000.0
    gate.finish(gate.decide(made.request("eve", "simulator"), now), {"usage": {"total_tokens": 10**9}}, now)
    decision = gate.decide(made.request("eve", "simulator"), now)
    gate.finish(decision, {"usage": {"total_tokens": 10**9}}, now)
    assert decision.status == 200
    assert "token limit premium for eve: 1000000000 in 60 s, unlimited" in "\n".join(decision.explanation)
    [counter] = [each for report in decision.reports for each in report.counters]
    told = counted(gate.counters, counter, now)
    assert (told["counts"], told["used"], told["max"]) == ("tokens", 2 * 10**9, None)
    console = Console(width=200)
    with console.capture() as captured:
        console.print(usage({"eve": [told]}))
    assert "unlimited" in captured.get()
    words = ["-t", "premium: 6 per 1m; for 20m", "--set", "tiers.premium.tokens=unlimited"]
    done = runner.invoke(app, ["simulate", *words])
    assert done.exit_code == Exit.OK, done.output
    assert str(NEVER_REACHED) not in done.stdout


def test_a_higher_limit_is_told_user_by_user_and_only_for_those_whom_it_concerns(tmp_path: Path) -> None:
    picture, page = tmp_path / "chart.png", tmp_path / "chart.html"
    content = simulated("--set", "maas:tiers.free.tokens=100000 per 1m", "--chart", str(picture))
    assert [each["name"] for each in content["users"]] == ["freeuser1", "freeuser2"]
    assert content["refusedOnlyThen"] == 0
    assert picture.read_bytes().startswith(b"\x89PNG")
    done = runner.invoke(app, ["simulate", "-t", TRAFFIC, "--chart", str(page), "--save-traffic", str(tmp_path / "t")])
    assert done.exit_code == Exit.OK
    for word in ("By tier", "simulated-premium-0002", "Worst windows", "tokens: free"):
        assert word in done.stdout
    assert "<img" in page.read_text(encoding="utf-8")
    again = runner.invoke(app, ["simulate", "-t", str(tmp_path / "t"), "--unknown-users", "premium", "--json"])
    assert json.loads(again.stdout)["users"] == simulated()["users"]


@pytest.mark.skipif(
    shutil.which("git") is None or not (ROOT / ".git").exists(), reason="needs git and a clone: another revision is run"
)
def test_another_revision_is_run_by_its_own_program_and_prices_may_be_set_over_it() -> None:
    content = simulated("--against", "HEAD", "--set", "maas:tiers.premium.price=1")
    changed = content["users"]
    assert {each["name"] for each in changed} >= {"simulated-premium-0001", "simulated-premium-0002"}


@pytest.mark.parametrize(
    ("words", "code", "why"),
    [
        (["-t", "nothing"], Exit.USAGE, "no such file"),
        (["-t", "gold: 1 per 1m"], Exit.USAGE, "no users of tier gold"),
        (["-t", TRAFFIC, "--set", "tiers"], Exit.USAGE, "write it as maas:tiers.free.tokens="),
        (["-t", TRAFFIC, "--set", "domain.x=1"], Exit.CONFIG, "has nothing below it"),
        (["-t", TRAFFIC, "--set", "tiers.free.tokens=often"], Exit.CONFIG, "maas:tiers.free.tokens"),
        (["-t", TRAFFIC, "--set", "tiers.free.tokens={"], Exit.USAGE, "the value is no YAML"),
        (["-t", TRAFFIC, "--against", "no-such-revision"], Exit.USAGE, "no commit no-such-revision"),
        (["-t", TRAFFIC, "--against", "no-such-revision"], Exit.USAGE, "./maas simulate --against FETCH_HEAD"),
        (["-t", TRAFFIC, "--chart", "chart.txt"], Exit.USAGE, "a chart is a .png"),
        (["-t", TRAFFIC, "--chart", "nowhere/chart.png"], Exit.USAGE, "there is no folder"),
        (["-t", TRAFFIC, "--save-traffic", "nowhere/trace"], Exit.USAGE, "there is no folder"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(words: list[str], code: Exit, why: str) -> None:
    done = runner.invoke(app, ["simulate", *words])
    assert (done.exit_code, why in done.output) == (code, True), done.output
    assert done.output.count("Simulating") == done.output.count("Simulating the stack as it is: failed"), "at once"


def trace(folder: Path, *users: str, model: str = "simulator") -> Path:
    path = folder / "trace.jsonl"
    asks = (Ask(float(number), user, model, 3, 4) for number, user in enumerate(users))
    path.write_text("".join(f"{written(each)}\n" for each in asks), encoding="utf-8")
    return path


def test_a_trace_is_never_written_over_by_what_is_made_of_it(tmp_path: Path) -> None:
    path = trace(tmp_path, "freeuser1")
    before = path.read_bytes()
    done = runner.invoke(app, ["simulate", "-t", str(path), "--save-traffic", str(tmp_path / "." / "trace.jsonl")])
    assert (done.exit_code, "the trace itself" in done.output) == (Exit.USAGE, True), done.output
    assert path.read_bytes() == before


def test_names_in_a_trace_may_be_any_text(tmp_path: Path) -> None:
    path = trace(tmp_path, "[/red]", "[bold]x", model="[::1")
    done = runner.invoke(app, ["simulate", "-t", str(path)])
    assert done.exit_code == Exit.OK, done.output
    assert all(word in done.stdout for word in ("[/red]", "[bold]x", "[::1", "404 2"))


def test_an_answer_may_take_until_a_year_that_no_calendar_has(tmp_path: Path) -> None:
    words = ["-t", str(trace(tmp_path, "freeuser1")), "--tokens-per-second", "1e-12"]
    done = runner.invoke(app, ["simulate", *words])
    assert (done.exit_code, "4000000000000 s" in done.stdout) == (Exit.OK, True), done.output


def test_only_users_that_the_stack_does_not_share_with_others_either_are_given_a_tier(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = trace(tmp_path, "shared", "stranger")
    asked: list[dict[str, str]] = []

    def stack_with_a_shared_user(stack: str, *, users: dict[str, str], settings: dict[str, str]) -> Service:
        asked.append(users)
        return service(stack, users={"shared": "premium", **users}, settings=settings)

    monkeypatch.setattr(command, "service", stack_with_a_shared_user)
    done = runner.invoke(app, ["simulate", "-t", str(path), "--unknown-users", "free", "--json"])
    assert done.exit_code == Exit.OK, done.output
    assert asked == [{}, {"stranger": "free"}]
    assert [each["name"] for each in json.loads(done.stdout)["tiers"]] == ["free", "premium"]


def test_a_tier_for_unknown_users_has_to_be_one(tmp_path: Path) -> None:
    done = runner.invoke(app, ["simulate", "-t", str(trace(tmp_path, "freeuser1")), "--unknown-users", "gold"])
    assert (done.exit_code, "no such tier" in done.output) == (Exit.USAGE, True), done.output
