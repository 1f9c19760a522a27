"""Plans within a budget, sending by the clock, and figures that do not flatter."""

import asyncio
import time
from itertools import pairwise

import pytest

from cli.load.drive import open_loop
from cli.load.figures import Figures, Outcome, by_tier, quantile
from cli.load.plan import Budget, known, planned, words
from cli.load.report import remarks
from simulation.generated import recipe, traffic
from simulation.traffic import Ask, TrafficError

ASKS = [Ask(1000.0 + number, "a", "m", 10, 20) for number in range(10)]


def outcome(due: float, ended: float, status: int = 200, **more: object) -> Outcome:
    return Outcome(**{"tier": "free", "due": due, "sent": due, "ended": ended, "status": status} | more)  # pyright: ignore[reportArgumentType] - fields by name


def test_a_percentile_is_a_value_that_was_seen_and_of_nothing_there_is_none() -> None:
    assert [quantile([4, 1, 3, 2], each) for each in (0, 25, 50, 51, 100)] == [1, 1, 2, 3, 4]
    assert quantile(range(1, 101), 99) == 99
    assert quantile([], 50) is None


@pytest.mark.parametrize(
    ("budget", "count", "cut_by"),
    [
        (Budget(requests=3), 3, "budget of requests"),
        (Budget(tokens=89), 2, "budget of tokens"),
        (Budget(tokens=90), 3, "budget of tokens"),
        (Budget(requests=100, seconds=4), 5, "limit of time"),
        (Budget(requests=10, tokens=300), 10, ""),
    ],
)
def test_a_plan_ends_with_the_traffic_or_with_the_first_budget_that_does(
    budget: Budget, count: int, cut_by: str
) -> None:
    made = planned(ASKS, budget)
    assert (len(made.asks), made.cut_by) == (count, cut_by)
    assert made.tokens == 30 * count
    assert [after for after, _ in made.asks] == list(range(count)), "the first is due at once"


def test_a_budget_that_allows_nothing_and_names_that_nobody_has_are_told() -> None:
    with pytest.raises(TrafficError, match="the budget of tokens does not allow one request"):
        planned(ASKS, Budget(tokens=29))
    made = planned(ASKS, Budget(requests=1))
    with pytest.raises(TrafficError, match=r"users without a key here: a\. Users with keys: b"):
        known(made, {"b": "free"}, ["m"])
    with pytest.raises(TrafficError, match=r"not models of the stack: m\. It has: n"):
        known(made, {"a": "free"}, ["n"])


def test_traffic_can_be_even_in_time_and_in_size() -> None:
    made = recipe("free: 4 per 1s steadily, 7 + 9 tokens exactly; for 5s")
    asks = list(traffic(made, {"a": "free"}, ["m"]))
    assert len(asks) == 20
    assert {round(later.time - earlier.time, 6) for earlier, later in pairwise(asks)} == {0.25}
    assert {(each.prompt, each.completion) for each in asks} == {(7, 9)}


def test_prompts_have_their_size_and_no_two_begin_alike() -> None:
    prompts = {words(12, str(number)) for number in range(50)}
    assert {len(each.split()) for each in prompts} == {12}
    assert len({" ".join(each.split()[:4]) for each in prompts}) == 50
    assert words(5, "x") == words(5, "x")


def test_what_waits_behind_a_slow_answer_is_counted_from_when_it_was_due() -> None:
    """One seat, taken for a while by the first: the others are quick by themselves, and late for their callers."""
    outcomes: list[Outcome] = []

    async def work() -> None:
        began = time.perf_counter()

        async def send(number: int, due: float) -> None:
            sent = time.perf_counter()
            await asyncio.sleep(0.3 if number == 0 else 0)
            outcomes.append(outcome(due - began, time.perf_counter() - began, sent=sent - began))

        await open_loop([(number / 100, number) for number in range(10)], send, at_once=1)

    asyncio.run(work())
    figures = Figures(outcomes, 1)
    assert len(outcomes) == 10
    assert (figures.latency(50) or 0) > 0.15, "the time in which nothing could be sent is theirs, too"
    assert any("late: this machine" in line for line in remarks(figures))


def test_answers_that_take_long_do_not_hold_up_what_is_sent() -> None:
    sent: list[int] = []

    async def work() -> None:
        all_sent = asyncio.Event()

        async def send(number: int, due: float) -> None:
            del due
            sent.append(number)
            if len(sent) == 10:
                all_sent.set()
            await all_sent.wait()

        await asyncio.wait_for(open_loop([(number / 50, number) for number in range(10)], send), 30)

    asyncio.run(work())
    assert sent == list(range(10))


def test_a_run_that_is_stopped_sends_nothing_more_and_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cli.load.drive.GRACE_SECONDS", 0.1)
    sent: list[int] = []
    cancelled: list[int] = []

    async def work() -> None:
        stop = asyncio.Event()

        async def send(number: int, due: float) -> None:
            del due
            sent.append(number)
            if number == 2:
                stop.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled.append(number)

        await asyncio.wait_for(open_loop([(number / 100, number) for number in range(1000)], send, stop=stop), 10)

    asyncio.run(work())
    assert sent[:3] == [0, 1, 2]
    assert len(sent) < 20
    assert sorted(cancelled) == sent


def test_figures_keep_answers_limits_and_failures_apart_by_tier() -> None:
    outcomes = [
        outcome(0, 1, first=0.5, tokens=30, completion=11),
        outcome(0, 3, first=0.75, tokens=30, completion=11),
        outcome(0, 9, 429),
        outcome(0, 9, 500),
        outcome(0, 9, 0, error="no connection"),
        outcome(0, 9, 200, error="a stream that ended early", tier="premium"),
    ]
    tiers = by_tier(Figures(outcomes, 10))
    free = tiers["free"].as_json()
    assert (free["requests"], free["limited"], free["failed"]) == (5, 1, 2)
    assert free["statuses"] == {"0": 1, "200": 2, "429": 1, "500": 1}
    assert free["latency"] == {"p50": 1, "p90": 3, "p99": 3, "max": 3}, "of answers alone: a refusal is quick"
    assert free["timeToFirstToken"]["p50"] == 0.5
    assert (free["requestsPerSecond"], free["completionTokensPerSecond"]) == (0.4, 2.2)
    assert free["streamTokensPerSecond"] == round(10 / 2.25, 4), "the slower of two: half are not faster"
    assert (tiers["premium"].failed, len(tiers["premium"].answered)) == (1, 0)
    said = " ".join(remarks(Figures(outcomes, 10)))
    assert "Refused: 1 with 500." in said
    assert "Failed: 1 with no connection." in said
