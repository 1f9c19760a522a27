"""The same random steps through enforcement/counters.py and through Limitador's own library, on one clock."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from enforcement.counters import Counter, Counters
from enforcement.limits import Limit, distinct
from tests.differential.oracle import answers, oracle

pytestmark = pytest.mark.sandbox

SEQUENCES = 10_000
SEED = 20260101
MICROSECONDS = 1_000_000
NOON = 1_800_000_000 * MICROSECONDS
NAMESPACES = ("llm/qwen3", "llm/simulator")
USER, MODEL = "auth.identity.userid", "request.host"


@pytest.fixture(scope="module")
def program() -> Path:
    return oracle()


@dataclass(frozen=True)
class Configured:
    """A limit, and the namespace that it is in."""

    namespace: str
    limit: Limit

    def step(self) -> str:
        """The limit in Kuadrant's way of telling Limitador."""
        (maximum, seconds), identifier = self.limit.rates[0], self.limit.identifier
        condition = f'{_key(identifier)} == "1"'
        variables = [_key(each) for each in self.limit.variables]
        return "\t".join(["limit", self.namespace, self.limit.name, str(maximum), str(seconds), condition, *variables])


def _key(name: str) -> str:
    return f'descriptors[0]["{name}"]'


class Run:
    """One sequence: steps for the library, and what we would have answered to each."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)  # noqa: S311 - traffic, not secrets
        self.now = NOON + self.random.randrange(MICROSECONDS)
        self.configured = [self._limit(f"limit{index}") for index in range(self.random.randint(1, 5))]
        self.counters = Counters()
        self.steps = ["begin", *(each.step() for each in self.configured), "configure"]
        self.expected: list[str] = []
        for _ in range(self.random.randint(5, 30)):
            self._pass_time()
            self._act()

    def _limit(self, name: str) -> Configured:
        pick = self.random
        return Configured(
            pick.choice(NAMESPACES),
            Limit(
                name=name,
                identifier=pick.choice(("limit.free", "limit.premium")),
                rates=((pick.choice((0, 1, 2, 5, 100)), pick.choice((0, 1, 2, 60))),),
                predicates=(),
                variables=pick.choice(((), (USER,), (MODEL, USER), (USER, MODEL), (USER, USER))),
            ),
        )

    def _pass_time(self) -> None:
        """Not at all, a little, or to a window's very end, one microsecond before it or behind it."""
        ends = [0, 0, self.random.randrange(MICROSECONDS), self.random.choice((1, 2, 60)) * MICROSECONDS]
        self.now += max(0, self.random.choice(ends) + self.random.choice((-1, 0, 0, 0, 1)))
        self.steps.append(f"at\t{self.now}")

    def _act(self) -> None:
        action = self.random.choice(("check", "check", "update", "update", "report"))
        namespace, delta = self.random.choice(NAMESPACES), self.random.choice((0, 1, 1, 1, 2, 7))
        values = {USER: self.random.choice("abc"), MODEL: self.random.choice("mn")}
        groups = self.random.choice((["limit.free"], ["limit.premium"], ["limit.free", "limit.premium"]))
        sent = [part for pair in (*((each, "1") for each in groups), *values.items()) for part in pair]
        self.steps.append("\t".join([action, namespace, str(delta), *sent]))
        counters = distinct(
            counter
            for each in self.configured
            if each.namespace == namespace and each.limit.identifier in groups
            for counter in each.limit.with_values(namespace, values)
        )
        self.expected.append(self._answer(action, counters, delta))
        self.steps.append(f"counters\t{namespace}")
        self.expected.append(self._alive(namespace))

    def _answer(self, action: str, counters: Sequence[Counter], delta: int) -> str:
        now = self.now / MICROSECONDS
        if action == "report":
            self.counters.add(counters, delta, now)
            return "counted"
        before = [
            (each, self.counters.value(each, now), self.counters.remaining_seconds(each, now) or each.seconds)
            for each in counters
        ]
        if action == "check":
            refused, counted = self.counters.over(counters, delta, now), 0
        else:
            refused = self.counters.check_and_add(counters, delta, now)
            counted = 0 if refused else delta
        told = [_shown(each, value + counted, left) for each, value, left in before]
        return " ".join(["over" if refused else "ok", *sorted(told)])

    def _alive(self, namespace: str) -> str:
        """Every counter that has a window, as the library's own listing shows it."""
        now, found = self.now / MICROSECONDS, dict[tuple[object, ...], str]()
        for each in self.configured:
            if each.namespace != namespace:
                continue
            for user in "abc":
                for model in "mn":
                    for counter in each.limit.with_values(namespace, {USER: user, MODEL: model}):
                        left = self.counters.remaining_seconds(counter, now)
                        if left > 0:
                            found.setdefault(counter.key, _shown(counter, self.counters.value(counter, now), left))
        return " ".join(sorted(found.values()))


def _shown(counter: Counter, value: int, left: float) -> str:
    values = ",".join(each for _, each in counter.variables)
    # A double has room for microseconds at this time of the century, and for no more.
    return f"{counter.name}[{values}]={max(0, counter.max_value - value)}/{round(left * MICROSECONDS)}us"


def _differences(runs: Sequence[Run], told: Iterator[str]) -> Iterator[str]:
    for number, run in enumerate(runs):
        for expected in run.expected:
            answer = next(told)
            if answer.strip() != expected.strip():
                steps = "\n".join(run.steps)
                yield f"sequence {number}: the library says {answer!r}, we say {expected!r}\n{steps}"
                return


def test_ten_thousand_random_sequences_of_checks_and_reports_are_answered_as_limitadors_library_does(
    program: Path,
) -> None:
    runs = [Run(SEED + number) for number in range(SEQUENCES)]
    steps = [step for run in runs for step in run.steps]
    assert sum(len(run.expected) for run in runs) > 20 * SEQUENCES
    assert any("over" in each for run in runs for each in run.expected)
    assert next(_differences(runs, iter(answers(program, steps))), None) is None
