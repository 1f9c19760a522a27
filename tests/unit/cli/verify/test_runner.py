import asyncio
import time
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

import pytest

from cli.verify.runner import Budget, Runner, chosen
from cli.verify.scenario import (
    Bench,
    BlockedError,
    Case,
    Cost,
    ExpectationError,
    Need,
    Outcome,
    Phase,
    Result,
    Scenario,
    SkippedError,
)
from cli.verify.scenarios import SCENARIOS
from tests.unit.cli.verify.bench import answer, bench, done

Body = Callable[[Bench, object], Coroutine[Any, Any, str | None]]


def raising(error: Exception) -> Body:
    async def run(_bench: Bench, _subject: object) -> str | None:
        raise error

    return run


async def passing(_bench: Bench, _subject: object) -> str:
    return "all is well"


def scenario(name: str, run: Body = passing, phase: Phase = Phase.LIGHT, cost: Cost = Cost(1)) -> Scenario:  # noqa: B008 - frozen
    return Scenario(name, "tests", "Something.", run, phase, cases=lambda _: [Case(cost=cost)])


def results(*scenarios: Scenario, budget: Budget = Budget()) -> dict[str, Result]:  # noqa: B008 - frozen
    found = done(Runner(bench(lambda _: answer()), budget, scenarios).run())
    return {each.name: each for each in found}


def test_every_end_of_a_scenario_has_its_outcome() -> None:
    found = results(
        scenario("passes"),
        scenario("fails", raising(ExpectationError("this", "that", "id-7"))),
        scenario("blocks", raising(BlockedError("nothing to see"))),
        scenario("skips", raising(SkippedError("not here"))),
        scenario("breaks", raising(KeyError("odd"))),
    )
    assert {name: each.outcome.value for name, each in found.items()} == {
        "passes": "passed",
        "fails": "failed",
        "blocks": "blocked",
        "skips": "skipped",
        "breaks": "blocked",
    }
    assert (found["fails"].expected, found["fails"].seen, found["fails"].request_id) == ("this", "that", "id-7")
    assert found["breaks"].remark == "KeyError: 'odd'"


def test_what_would_not_fit_the_budget_is_skipped_with_the_figures_and_what_fits_still_runs() -> None:
    found = results(
        scenario("large", cost=Cost(11)),
        scenario("small", cost=Cost(6)),
        scenario("too much by then", cost=Cost(6)),
        scenario("slow", cost=Cost(0, seconds=90)),
        budget=Budget(max_requests=10, max_seconds=100),
    )
    assert [each.outcome for each in found.values()] == [
        Outcome.SKIPPED,
        Outcome.PASSED,
        Outcome.SKIPPED,
        Outcome.SKIPPED,
    ]
    assert found["large"].remark == "may take 11 requests, and 10 are left of --max-requests"
    assert "90 seconds" in found["slow"].remark


def test_what_needs_something_that_is_not_at_hand_is_skipped_with_the_option_that_gives_it() -> None:
    needy = replace(scenario("needy"), needs=frozenset({Need.DISRUPTION}))
    assert "--allow-disruption" in results(needy)["needy"].remark


def test_without_a_gateway_nothing_else_is_tried() -> None:
    broken = scenario("gateway", raising(ExpectationError("an answer", "none")), Phase.REACH)
    found = results(broken, scenario("chat"), scenario("limit", phase=Phase.QUOTA))
    assert [each.outcome.value for each in found.values()] == ["failed", "blocked", "blocked"]
    assert "gateway cannot be reached as it should: gateway" in found["chat"].remark


def test_limits_are_not_judged_where_users_share_counters() -> None:
    broken = scenario("second-user", raising(ExpectationError("200", "429")), Phase.SHARED)
    found = results(scenario("chat"), broken, scenario("limit", phase=Phase.QUOTA))
    assert [each.outcome.value for each in found.values()] == ["passed", "failed", "blocked"]


def test_phases_come_one_after_the_other_and_what_is_in_one_runs_side_by_side() -> None:
    order: list[str] = []

    def noting(name: str) -> Body:
        async def run(_bench: Bench, _subject: object) -> None:
            order.append(f"{name} begins")
            await asyncio.sleep(0.02)
            order.append(f"{name} ends")

        return run

    results(
        scenario("alone", noting("alone"), Phase.ALONE),
        scenario("a", noting("a")),
        scenario("b", noting("b")),
    )
    assert order == ["a begins", "b begins", "a ends", "b ends", "alone begins", "alone ends"]


def test_the_run_ends_when_its_time_is_up_and_what_was_changed_is_put_back() -> None:
    restored: list[str] = []

    async def forever(_bench: Bench, _subject: object) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            restored.append("put back")

    began = time.monotonic()
    found = results(scenario("stuck", forever), scenario("quick"), budget=Budget(max_seconds=0.3))
    assert time.monotonic() - began < 5
    assert (found["stuck"].outcome, found["quick"].outcome) == (Outcome.BLOCKED, Outcome.PASSED)
    assert "--max-seconds" in found["stuck"].remark
    assert restored == ["put back"]


def test_an_interrupt_puts_back_what_was_changed() -> None:
    restored: list[str] = []

    async def forever(_bench: Bench, _subject: object) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.01)
            restored.append("put back")

    async def interrupted() -> None:
        running = asyncio.create_task(Runner(bench(lambda _: answer()), Budget(), [scenario("stuck", forever)]).run())
        await asyncio.sleep(0.05)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    done(interrupted())
    assert restored == ["put back"]


def test_only_takes_names_groups_and_patterns_and_what_all_stands_on() -> None:
    found, unknown = chosen(SCENARIOS, ["chat*", "usage", "typo"])
    names = [each.name for each in found]
    assert names == ["certificate", "gateway", "chat", "chat-streamed", "metrics", "bill"]
    assert unknown == ["typo"]


def test_names_are_told_apart() -> None:
    names = [each.name for each in SCENARIOS]
    assert len(names) == len(set(names))
    assert not set(names) & {each.group for each in SCENARIOS}, "or --only would not know which is meant"
