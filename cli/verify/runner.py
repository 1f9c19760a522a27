"""Runs scenarios: by phase, side by side within one, within a budget."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from cli.verify.client import BudgetSpentError
from cli.verify.scenario import (
    Bench,
    BlockedError,
    Case,
    ExpectationError,
    Outcome,
    Phase,
    Result,
    Scenario,
    SkippedError,
)

_END_SECONDS = 10.0
"""How long a scenario may take to put things back, once it was told to end."""
Tell = Callable[[int, int, str], None]
"""Is told how many cases have ended, of how many, and which one is under way."""


@dataclass(frozen=True)
class Budget:
    """What a run may use."""

    max_requests: int = 1000
    max_tokens: int = 50_000
    max_seconds: float = 240.0


@dataclass
class _Left:
    """What the budget leaves for scenarios that were not planned yet."""

    requests: int
    tokens: int
    seconds: float

    def take(self, case: Case) -> str:
        """Set aside what a case may use; why that is not possible, or nothing."""
        for what, wanted, left in (
            ("requests", case.cost.requests, self.requests),
            ("tokens", case.cost.tokens, self.tokens),
            ("seconds", case.cost.seconds, self.seconds),
        ):
            if wanted > left:
                return f"may take {wanted:g} {what}, and {left:g} are left of --max-{what}"
        self.requests -= case.cost.requests
        self.tokens -= case.cost.tokens
        return ""


@dataclass
class Runner:
    """One run."""

    bench: Bench
    budget: Budget
    scenarios: Sequence[Scenario]
    tell: Tell = lambda _done, _total, _under_way: None
    results: list[Result] = field(default_factory=list[Result])
    """What came of the cases, as they end; those that are under way when the run is stopped are not here."""
    _total: int = 0

    async def run(self) -> list[Result]:
        """Run all of them; in the order of the declarations, whenever each has ended.

        Raises:
            asyncio.CancelledError: It was interrupted. What scenarios change is put back all the same.
        """
        began = time.monotonic()
        left = _Left(self.budget.max_requests, self.budget.max_tokens, self.budget.max_seconds * 0.8)
        planned = [(scenario, case) for scenario in self.scenarios for case in scenario.cases(self.bench.facts)]
        self._total = len(planned)
        ready: list[tuple[Scenario, Case]] = []
        for scenario, case in planned:
            why = self.bench.means.lacks(scenario.needs) or case.skip or left.take(case)
            if why:
                self._done(Result(scenario, case, Outcome.SKIPPED, remark=why))
            else:
                ready.append((scenario, case))
        for phase in Phase:
            now = [(scenario, case) for scenario, case in ready if scenario.phase is phase]
            if now:
                rest = began + self.budget.max_seconds - time.monotonic()
                await self._phase(now, self._blocked(phase), rest)
        order = {scenario.name: number for number, scenario in enumerate(self.scenarios)}
        return sorted(self.results, key=lambda each: order[each.scenario.name])

    def _blocked(self, phase: Phase) -> str:
        """Why nothing of a phase can be told, after what came of those before."""
        bad = [each for each in self.results if each.outcome is Outcome.FAILED]
        for cause, stand_on_it, says in (
            (Phase.REACH, tuple(Phase)[1:], "the gateway cannot be reached as it should: {}"),
            (Phase.SHARED, (Phase.QUOTA,), "users may share counters, so that limits cannot be told: {}"),
        ):
            if phase in stand_on_it and (first := next((each for each in bad if each.scenario.phase is cause), None)):
                return says.format(first.name)
        return ""

    async def _phase(self, cases: Sequence[tuple[Scenario, Case]], blocked: str, seconds: float) -> None:
        if blocked:
            for scenario, case in cases:
                self._done(Result(scenario, case, Outcome.BLOCKED, remark=blocked))
            return
        tasks = {asyncio.create_task(self._judged(scenario, case)): (scenario, case) for scenario, case in cases}
        deadline = time.monotonic() + max(0.0, seconds)
        try:
            waiting = set(tasks)
            while waiting:
                done, waiting = await asyncio.wait(
                    waiting, timeout=max(0.0, deadline - time.monotonic()), return_when=asyncio.FIRST_COMPLETED
                )
                under_way = next((tasks[task] for task in tasks if task in waiting), None)
                for task in done:
                    self._done(task.result(), Result(*under_way, Outcome.BLOCKED).name if under_way else "")
                if not done:
                    break
            for task in waiting:
                scenario, case = tasks[task]
                why = f"not ended after {self.budget.max_seconds:g} s, which is --max-seconds"
                self._done(Result(scenario, case, Outcome.BLOCKED, seconds, why))
        finally:
            await _end(tasks)

    async def _judged(self, scenario: Scenario, case: Case) -> Result:
        began = time.monotonic()
        result = Result(scenario, case, Outcome.PASSED)
        try:
            result.remark = await scenario.run(self.bench, case.subject) or ""
        except ExpectationError as error:
            result.outcome = Outcome.FAILED
            result.expected, result.seen, result.request_id = error.expected, error.seen, error.request_id
        except (BlockedError, BudgetSpentError) as error:
            result.outcome, result.remark = Outcome.BLOCKED, str(error)
        except SkippedError as error:
            result.outcome, result.remark = Outcome.SKIPPED, str(error)
        except Exception as error:  # noqa: BLE001 - a report says it, whatever it is
            result.outcome, result.remark = Outcome.BLOCKED, f"{type(error).__name__}: {error}"
        result.seconds = time.monotonic() - began
        return result

    def _done(self, result: Result, under_way: str = "") -> None:
        self.results.append(result)
        self.tell(len(self.results), self._total, under_way)


def chosen(scenarios: Sequence[Scenario], only: Sequence[str]) -> tuple[list[Scenario], list[str]]:
    """Those that are meant by names, groups or patterns such as `chat*`; and what means none.

    The ones that everything else stands on are always among them.
    """

    def means(pattern: str, scenario: Scenario) -> bool:
        return scenario.group == pattern or fnmatchcase(scenario.name, pattern)

    if not only:
        return list(scenarios), []
    meant = [
        scenario
        for scenario in scenarios
        if scenario.phase is Phase.REACH or any(means(each, scenario) for each in only)
    ]
    return meant, [each for each in only if not any(means(each, scenario) for scenario in scenarios)]


async def _end(tasks: "dict[asyncio.Task[Result], tuple[Scenario, Case]]") -> None:
    running = [task for task in tasks if not task.done()]
    for task in running:
        task.cancel()
    if running:
        await asyncio.wait(running, timeout=_END_SECONDS)
