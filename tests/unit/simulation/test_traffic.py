from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

from simulation.generated import EXAMPLE, START, Group, recipe, traffic
from simulation.traffic import Ask, TrafficError, read, written

USERS = {"a": "free", "b": "free", "c": "premium"}


def trace(folder: Path, *lines: str) -> Path:
    path = folder / "trace.jsonl"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_a_trace_is_read_as_it_was_written(tmp_path: Path) -> None:
    asks = [
        Ask(1.5, "a", "m", 10, 20, stream=True, seconds=0.25, status=200),
        Ask(2.0, "b", "m", 0, 0),
    ]
    assert list(read(trace(tmp_path, written(asks[0]), "", written(asks[1])))) == asks


def test_a_time_is_seconds_or_a_date_with_its_zone(tmp_path: Path) -> None:
    path = trace(tmp_path, '{"time": "2026-01-01T01:00:00+01:00", "user": "a", "model": "m"}')
    assert [each.time for each in read(path)] == [START]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("{", "trace.jsonl:2: Expecting"),
        ("[]", "trace.jsonl:2: not a JSON object"),
        ('{"time": 2, "user": "a"}', "trace.jsonl:2: has no model; fields are time, user, model, prompt_tokens"),
        ('{"time": 0, "user": "a", "model": "m"}', "trace.jsonl:2: earlier than the line before"),
        ('{"time": true, "user": "a", "model": "m"}', "trace.jsonl:2: time is neither"),
        ('{"time": "2026-01-01T01:00:00", "user": "a", "model": "m"}', "trace.jsonl:2: time has no zone"),
        ('{"time": 2, "user": "a", "model": "m", "prompt_tokens": -1}', "trace.jsonl:2: tokens and seconds"),
        ('{"time": 2, "user": "a", "model": "m", "prompt_tokens": "many"}', "trace.jsonl:2: invalid literal"),
        ('{"time": 2, "user": "a", "model": "m", "prompt_tokens": 1e400}', "trace.jsonl:2: cannot convert"),
        ('{"time": 2, "user": "a", "model": "m", "completion_tokens": 1e13}', "trace.jsonl:2: tokens and seconds"),
        ('{"time": 2, "user": "a", "model": "m", "seconds": NaN}', "trace.jsonl:2: tokens and seconds"),
        ('{"time": NaN, "user": "a", "model": "m"}', "trace.jsonl:2: time is nan"),
        ('{"time": 1767225600000, "user": "a", "model": "m"}', "trace.jsonl:2: time is 1767.*milliseconds"),
        ('{"time": "soon", "user": "a", "model": "m"}', "trace.jsonl:2: time is neither"),
        ('{"time": 2, "user": null, "model": "m"}', "trace.jsonl:2: user is no name: null"),
        ('{"time": 2, "user": "a", "model": ["m"]}', "trace.jsonl:2: model is no name"),
        ("[" * 100_000, "trace.jsonl:2: "),
    ],
)
def test_a_line_that_is_no_request_is_named_by_its_number(tmp_path: Path, line: str, why: str) -> None:
    path = trace(tmp_path, '{"time": 1, "user": "a", "model": "m"}', line)
    with pytest.raises(TrafficError, match=why):
        list(read(path))


def test_a_trace_that_is_not_there_is_told_of(tmp_path: Path) -> None:
    with pytest.raises(TrafficError, match="nothing-here"):
        list(read(tmp_path / "nothing-here"))


@pytest.mark.parametrize("nothing", ["", "\n \n"])
def test_a_trace_without_requests_is_told_of(tmp_path: Path, nothing: str) -> None:
    with pytest.raises(TrafficError, match="has no requests"):
        list(read(trace(tmp_path, nothing)))


def test_the_example_of_the_help_is_understood() -> None:
    made = recipe(EXAMPLE)
    assert made.groups == (
        Group("free", users=20, per_second=2 / 60),
        Group("premium", per_second=0.5, prompt=200, completion=400),
    )
    assert (made.seconds, made.seed) == (3600, 7)
    assert len(made.added_users()) == 20


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("for 1h", "not understood: 'for 1h'"),
        ("free: 2 per 1m, often", "not understood: 'often'.*Example"),
        ("free: 2 per 1d", "2 per 1d: 1d is no time"),
        ("free: 20 users", "says no rate"),
        (f"free: {10**38} per 1m", "a user sends at most 1000 per 1s"),
        ("free: 0 users, 2 per 1m", "at least 1 user"),
        ("free: 1 per 1m, 200% streamed", "not understood"),
        ("free: 1 per 1m; free: 2 per 1m", "named twice"),
    ],
)
def test_what_is_not_understood_is_quoted(text: str, why: str) -> None:
    with pytest.raises(TrafficError, match=why):
        recipe(text)


def test_generated_traffic_has_the_rate_the_sizes_and_the_order_that_were_asked_for() -> None:
    made = recipe("free: 6 per 1m, 50 + 150 tokens, 25% streamed; premium: 3 per 1m, on m; for 10h")
    asks = list(traffic(made, USERS, ["m", "n"]))
    assert all(one.time <= other.time for one, other in pairwise(asks))
    assert all(START <= each.time < START + 36000 for each in asks)
    count = Counter(each.user for each in asks)
    assert count["a"] == pytest.approx(3600, rel=0.05)
    assert count["c"] == pytest.approx(1800, rel=0.08)
    free = [each for each in asks if each.user != "c"]
    assert sum(each.prompt for each in free) / len(free) == pytest.approx(50, rel=0.05)
    assert sum(each.completion for each in free) / len(free) == pytest.approx(150, rel=0.05)
    assert sum(each.stream for each in free) / len(free) == pytest.approx(0.25, rel=0.1)
    assert {each.model for each in asks if each.user == "c"} == {"m"}


def test_the_same_text_is_the_same_traffic_and_one_more_user_changes_nothing_for_the_others() -> None:
    made = recipe("free: 5 per 1m; for 1h")
    asks = list(traffic(made, USERS, ["m", "n"]))
    assert asks == list(traffic(made, USERS, ["m", "n"]))
    more = [each for each in traffic(made, {**USERS, "d": "free"}, ["m", "n"]) if each.user != "d"]
    assert asks == more
    assert asks != list(traffic(recipe("free: 5 per 1m; for 1h; seed 2"), USERS, ["m", "n"]))


@pytest.mark.parametrize(("users", "models", "why"), [({}, ["m"], "no users of tier free"), (USERS, [], "no models")])
def test_traffic_needs_users_and_models(users: dict[str, str], models: list[str], why: str) -> None:
    with pytest.raises(TrafficError, match=why):
        list(traffic(recipe("free: 1 per 1m"), users, models))
