import json
from io import StringIO
from xml.etree import ElementTree as ET

from rich.console import Console

from cli.exits import Exit
from cli.verify.client import Spent
from cli.verify.report import Report, listing
from cli.verify.runner import Budget
from cli.verify.scenario import Case, Outcome, Result
from cli.verify.scenarios import SCENARIOS

BY_NAME = {each.name: each for each in SCENARIOS}


def result(name: str, outcome: Outcome, **more: str) -> Result:
    return Result(BY_NAME[name], Case("one" if name == "chat" else ""), outcome, 0.25, **more)


FAILED = result(
    "chat", Outcome.FAILED, expected="200", seen="503 \x00\ud800<no>", request_id="id-7", cause="the model is gone"
)
RESULTS = [
    result("no-key", Outcome.PASSED),
    FAILED,
    result("metrics", Outcome.BLOCKED, remark="no limit came"),
    result("limiter-down", Outcome.SKIPPED, remark="needs --allow-disruption"),
]


def report(*results: Result, strict: bool = False) -> Report:
    return Report("dev", "http://x", results, Spent(100, 1000, 12, 34), Budget(100, 1000, 60), 1.5, strict)


def test_a_run_is_good_when_nothing_failed_and_nothing_was_blocked() -> None:
    passed, skipped = RESULTS[0], RESULTS[3]
    assert report(passed, skipped).code is Exit.OK
    assert report(passed, skipped, strict=True).code is Exit.FAILED
    for bad in RESULTS[1:3]:
        assert report(passed, bad).code is Exit.FAILED


def test_a_run_that_tried_nothing_proves_nothing() -> None:
    reached, skipped = result("gateway", Outcome.PASSED), RESULTS[3]
    for results in ([skipped], [reached, skipped], []):
        made = report(*results)
        assert made.code is Exit.FAILED, "a pipeline must not take it for a success"
        assert "was not verified" in made.verdict
        assert json.loads(made.as_json())["result"] == "failed"
    assert report(reached).code is Exit.OK, "no more was wanted"


def test_what_a_service_answers_can_be_written_whatever_it_is() -> None:
    odd = result("chat", Outcome.FAILED, expected="200", seen="\ud800 \x1b[2J")
    shown = StringIO()
    report(odd).show(Console(file=shown, width=120))
    for text in (shown.getvalue(), report(odd).as_json()):
        text.encode()
        assert "\x1b" not in text
    odd = Result(BY_NAME["chat"], Case("\x01"), Outcome.PASSED, 0.25)
    assert ET.fromstring(report(odd).junit()).find(".//testcase[@name='chat[?]']") is not None  # noqa: S314 - our own text


def test_junit_has_a_suite_for_each_group_and_what_went_wrong() -> None:
    root = ET.fromstring(report(*RESULTS).junit())  # noqa: S314 - our own text
    assert {key: root.get(key) for key in ("tests", "failures", "errors", "skipped")} == {
        "tests": "4",
        "failures": "1",
        "errors": "1",
        "skipped": "1",
    }
    assert [each.get("name") for each in root] == ["credentials", "answers", "usage", "disruption"]
    failure = root.find(".//failure")
    assert failure is not None
    assert failure.get("message") == "expected 200, seen 503 ??<no>", "what XML cannot have is left out"
    assert "likely cause: the model is gone" in (failure.text or "")
    assert root.find(".//testcase[@name='chat[one]']") is not None


def test_what_was_skipped_is_an_error_where_it_is_to_count_as_failed() -> None:
    root = ET.fromstring(report(RESULTS[3], strict=True).junit())  # noqa: S314 - our own text
    assert (root.get("errors"), root.get("skipped")) == ("1", "0")
    assert root.find(".//skipped") is None


def test_json_has_every_scenario_and_what_was_spent() -> None:
    content = json.loads(report(*RESULTS).as_json())
    assert content["result"] == "failed"
    assert (content["requests"], content["tokens"], content["counts"]["blocked"]) == (12, 34, 1)
    assert content["scenarios"][1]["requestId"] == "id-7"
    assert "expected" not in content["scenarios"][0]


def test_people_see_expected_seen_request_and_cause_and_the_figures() -> None:
    out = StringIO()
    report(*RESULTS).show(Console(file=out, width=120))
    shown = out.getvalue()
    for words in (
        "FAIL",
        "expected: 200",
        "request: id-7",
        "likely cause: the model is gone",
        "BLOCKED",
        "12 of at most",
    ):
        assert words in shown


def test_the_list_has_every_scenario() -> None:
    out = StringIO()
    Console(file=out, width=200).print(listing(SCENARIOS))
    assert all(each.name in out.getvalue() for each in SCENARIOS)
