"""Load on a gateway of the test's own, and on servers that are hardly servers at all."""

import asyncio
import json
import time
from collections.abc import Generator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.app import app
from cli.console import Console
from cli.deploy.target import of_stack
from cli.exits import Exit
from cli.load import client, command
from cli.load.client import Caller, session
from cli.load.figures import Outcome
from cli.service.calls import Service, Way
from simulation.traffic import Ask
from tests.misbehaviour.bad import Bad, serving_badly
from tests.misbehaviour.certificates import Certificate, served
from tests.misbehaviour.service import Double, serving
from tests.misbehaviour.stack import DOMAIN, KEYS, objects, recording

runner = CliRunner()
OUTPUTS = json.loads(json.dumps(recording().outputs))


class Reached(Service):
    """A service whose keys are at hand."""

    def key(self, user: str, console: Console) -> str:
        del console
        return KEYS[user]


@pytest.fixture(autouse=True)
def _stack(monkeypatch: pytest.MonkeyPatch) -> None:
    def of(stack: str, sandbox: str) -> Service:
        del stack, sandbox
        return Reached(of_stack("dev"), OUTPUTS)

    monkeypatch.setattr(Service, "of", of)
    monkeypatch.delenv("MAAS_API_KEY", raising=False)


@pytest.fixture
def double() -> Generator[Double]:
    with serving(objects()) as made:
        yield made


def test_each_tier_gets_what_its_limits_leave_and_the_figures_say_so(double: Double) -> None:
    text = "few: 10 per 1s steadily, 5 + 5 tokens exactly, 50% streamed, on simulator; for 1s"
    done = runner.invoke(app, ["load", "-t", text, "--url", double.url, "--requests-budget", "500", "--json"])
    assert done.exit_code == Exit.OK, done.output
    result = json.loads(done.stdout)
    few = result["tiers"]["few"]
    assert (few["requests"], few["limited"], few["failed"]) == (20, 14, 0), "two users with three requests each"
    assert few["statuses"] == {"200": 6, "429": 14}
    assert few["tokens"] >= 6 * 5
    assert few["latency"]["p50"] > 0
    assert (result["result"], result["stoppedBy"]) == ("succeeded", None)
    assert not any(key in done.output for key in KEYS.values())


def test_a_trace_is_sent_as_it_is_and_shown_as_a_table(double: Double, tmp_path: Path) -> None:
    trace = tmp_path / "trace.jsonl"
    ask = {"model": "simulator", "prompt_tokens": 4, "completion_tokens": 4, "stream": True}
    lines = [{**ask, "time": 7.0 + number / 20, "user": user} for number, user in enumerate(("eve", "cleo", "old"))]
    trace.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    done = runner.invoke(app, ["load", "-t", str(trace), "--url", double.url, "--tokens-budget", "1000"])
    assert done.exit_code == Exit.OK, done.output
    rows = {line.split()[0]: line.split() for line in done.stdout.splitlines() if line.strip()}
    assert rows["many"][1:5] == ["2", "1", "0", "1"], "the expired key is refused"
    assert rows["short"][1:3] == ["1", "1"]
    assert rows["all"][1] == "3"
    assert "Refused: 1 with 403." in done.stdout
    assert "3 requests in 0 s" in done.stderr


def test_a_run_ends_when_the_tokens_that_were_really_used_reach_the_budget(double: Double) -> None:
    text = "many: 10 per 1s steadily, 20 + 0 tokens exactly, 0% streamed, on simulator; for 2s"
    done = runner.invoke(app, ["load", "-t", text, "--url", double.url, "--tokens-budget", "200", "--json"])
    assert json.loads(done.stdout)["all"]["requests"] <= 10


def test_a_stack_without_keys_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(OUTPUTS, "users", {"ada": {"tier": "few"}})
    words = ["load", "--stack", "dev", "-t", "few: 1 per 1s; for 1s", "--url", "http://127.0.0.1:1"]
    done = runner.invoke(app, [*words, "--requests-budget", "5"])
    assert (done.exit_code, "keys create <user> --stack dev" in done.output) == (Exit.USAGE, True)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "--url, where the gateway is and --requests-budget or --tokens-budget"),
        (["--requests-budget", "5"], "The stack says: --url http://costly.maas.localhost"),
        (["--url", "http://127.0.0.1:1"], "Say --requests-budget or --tokens-budget, what it may use at most."),
        (["--url", "127.0.0.1:1", "--requests-budget", "5"], "--url 127.0.0.1:1: not an address"),
        (["--url", "http://[1", "--requests-budget", "5"], "--url http://[1: no address"),
        (["--url", "http://127.0.0.1:1/v1", "--requests-budget", "5"], "is no address such as https://203.0.113.7"),
    ],
)
def test_without_a_target_and_a_budget_nothing_is_sent(words: list[str], says: str) -> None:
    done = runner.invoke(app, ["load", "-t", "few: 1 per 1s; for 1s", *words])
    assert done.exit_code == Exit.USAGE
    assert says in done.output


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("few: 3 users, 1 per 1s", "say no number of users"),
        ("gold: 1 per 1s", "no users of tier gold"),
        ("few: 1 per 1s, on gpt; for 9s", "not models of the stack: gpt. It has: costly, other, simulator"),
        ("few: 1 per 1s, quickly", "not understood"),
        ("nowhere.jsonl", "there is no such file"),
    ],
)
def test_traffic_that_the_stack_cannot_make_is_refused(text: str, says: str) -> None:
    done = runner.invoke(app, ["load", "-t", text, "--url", "http://127.0.0.1:1", "--requests-budget", "5"])
    assert done.exit_code == Exit.USAGE
    assert says in done.output


def test_it_gives_up_early_where_nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "_GIVE_UP", 3)
    with serving_badly(Bad.REFUSES) as url:
        text = "many: 20 per 1s steadily, on simulator; for 1h"
        began = time.monotonic()
        done = runner.invoke(app, ["load", "-t", text, "--url", url, "--requests-budget", "9999"])
    assert done.exit_code == Exit.FAILED
    assert "None of the first 3 requests was answered: no connection." in done.output
    assert time.monotonic() - began < 20


def ask(url: str, *, ca: str | None = None, stream: bool = False, timeout: float) -> Outcome:
    async def work() -> Outcome:
        async with session(ca) as http:
            way = Way("simulator", "simulator", url, f"simulator.{DOMAIN}")
            caller = Caller(http, {"simulator": way}, {"eve": "many"}, KEYS, timeout)
            began = time.perf_counter()
            return await caller.ask(Ask(0, "eve", "simulator", 3, 3, stream=stream), 0, began, began)

    return asyncio.run(work())


WORDS = {
    Bad.SILENT: "no whole answer within 0.5 s",
    Bad.DRIPS: "no whole answer within 0.5 s",
    Bad.DRIPPING_STREAM: "no whole answer within 0.5 s",
    Bad.REFUSES: "no connection",
    Bad.RESETS: "a connection that broke off",
    Bad.HALF_AN_ANSWER: "a connection that broke off",
    Bad.HALF_A_STREAM: "a connection that broke off",
    Bad.NOT_HTTP: "something else than HTTP",
    Bad.NOT_JSON: "an answer that is no JSON",
    Bad.OTHER_JSON: "an answer of another shape",
    Bad.WEB_PAGE: "an answer of type text/html",
    Bad.STREAM_OF_GARBAGE: "a stream of something else than events",
    Bad.HUGE_BODY: "an answer that is too long",
    Bad.HUGE_HEAD: "something else than HTTP",
}


SLOW = {Bad.SILENT, Bad.DRIPS, Bad.DRIPPING_STREAM}


@pytest.mark.parametrize("bad", Bad, ids=lambda bad: bad.name.lower())
def test_a_bad_answer_is_told_in_words_and_in_bounded_time(bad: Bad, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "LONGEST_ANSWER", 1 << 20)
    with serving_badly(bad) as url:
        made = ask(url, timeout=0.5 if bad in SLOW else 60)
    assert made.error == WORDS[bad]
    assert (made.failed, made.tokens) == (True, 0)


def test_a_certificate_is_held_to_the_models_name_wherever_the_connection_leads(tmp_path: Path) -> None:
    for kind in (Certificate.GOOD, Certificate.OF_ANOTHER_HOST, Certificate.EXPIRED):
        certificate = served(tmp_path, DOMAIN, kind)
        with serving(objects(), tls=certificate.context) as secure:
            made = ask(secure.url, ca=str(certificate.ca), stream=True, timeout=20)
        good = kind is Certificate.GOOD
        assert (made.status, made.error) == ((200, "") if good else (0, "a certificate that is not trusted, or no TLS"))
        assert (made.first is not None) == good
