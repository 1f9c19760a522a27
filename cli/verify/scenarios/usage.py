"""That what was used is what was counted, and what is billed."""

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, TypeVar

from cli.bill.counters import Growth
from cli.bill.statement import By, Line, Period, Statement, statement
from cli.verify.client import COMPLETIONS, EMBEDDINGS, Caller, Reply
from cli.verify.facts import Facts
from cli.verify.scenario import (
    Bench,
    Case,
    Cost,
    Meter,
    Need,
    Phase,
    Scenario,
    SkippedError,
    expect_that,
)

GROUP = "usage"
T = TypeVar("T")
_POLL_SECONDS = 0.5
_FEW = 5
"""Tokens of the requests of each kind."""


@dataclass
class _Ledger:
    """What a user of our own has used, by the answers that it got."""

    tier: str
    model: str
    user: str
    tokens: int = 0
    requests: int = 0
    limited: int = 0


async def metrics(bench: Bench, _: object) -> str:
    """The limiter's counters have grown by what was used."""
    meter = _meter(bench)
    if not bench.facts.settings.observability.telemetry_labels.model:
        raise SkippedError("tokens are not told from requests: observability.telemetryLabels.model is off")
    ledger = await _use(bench)

    def seen(growth: Growth) -> tuple[Decimal, Decimal]:
        tokens = limited = Decimal(0)
        for series, value in growth.by_series.items():
            labels = dict(series)
            if labels.get("user") != ledger.user:
                continue
            name = labels.get("__name__", "")
            if name.startswith("limited_calls"):
                limited += value
            elif not name.startswith("authorized_calls") and (labels.get("model") or name.startswith("token_usage")):
                tokens += value
        return tokens, limited

    tokens, limited = await _settled(meter, seen, (Decimal(ledger.tokens), Decimal(ledger.limited)))
    wanted = f"{ledger.tokens} tokens and {ledger.limited} refusals counted of {ledger.user}"
    agrees = (tokens, limited) == (ledger.tokens, ledger.limited)
    expect_that(agrees, wanted, f"{tokens} tokens and {limited} refusals")
    return f"{ledger.tokens} tokens and {ledger.limited} refusals, as used"


async def bill(bench: Bench, _: object) -> str:
    """The bill has what was used, at the price of the stack."""
    meter, settings = _meter(bench), bench.facts.settings
    ledger = await _use(bench)
    price = settings.tiers[ledger.tier].price * settings.models[ledger.model].price_factor

    def seen(growth: Growth) -> tuple[Decimal, Decimal | None, Decimal | None, Decimal]:
        now = datetime.now(UTC)
        empty = Statement(bench.facts.stack, By.USER, Period(min(meter.began, now), now))
        lines = {line.name: line for line in statement(settings, empty, growth, None).lines}
        line = lines.get(ledger.user, Line(ledger.user))
        return line.tokens, line.requests, line.limited, line.cost

    wanted = Decimal(ledger.tokens), Decimal(ledger.requests), Decimal(ledger.limited), ledger.tokens * price
    found = await _settled(meter, seen, wanted)
    names = ("tokens", "requests", "refusals", "cost")
    both = [", ".join(f"{value} {name}" for name, value in zip(names, each, strict=True)) for each in (wanted, found)]
    expect_that(found == wanted, f"a bill of {both[0]} for {ledger.user}", both[1])
    return f"{ledger.tokens} tokens, {ledger.requests} requests, {ledger.limited} refusals cost {wanted[3]}"


async def _settled(meter: Meter, seen: Callable[[Growth], T], wanted: T) -> T:
    """What is seen, as soon as it is what is wanted, or when it must have been seen."""
    deadline = time.monotonic() + meter.patience
    while True:
        found = seen(await meter.growth())
        if found == wanted or time.monotonic() > deadline:
            return found
        await asyncio.sleep(_POLL_SECONDS)


async def _use(bench: Bench) -> _Ledger:
    """Use something of every kind until nothing is left; with a user of its own."""
    where = _where(bench.facts)
    if where is None:
        raise SkippedError("no tier has a token limit, so no tokens are counted")
    tier, model = where

    async def send(caller: Caller, number: int, tokens: int) -> Reply:
        name: dict[str, Any] = {"model": bench.way(model).served_name}
        match number:
            case 1:
                return await bench.chat(caller, _FEW, model, stream=True)
            case 2:
                return await bench.ask(caller, COMPLETIONS, model, body={**name, "prompt": "Hi", "max_tokens": _FEW})
            case 3 if bench.facts.settings.models[model].runtime.simulates:
                return await bench.ask(caller, EMBEDDINGS, model, body={**name, "input": "Hi"})
            case _:
                return await bench.chat(caller, tokens if number else _FEW, model)

    one = await bench.use_up(tier, model, send, more=4)
    tokens = sum(reply.tokens or 0 for reply in one.passed)
    return _Ledger(tier, model, one.caller.name, tokens, len(one.passed), len(one.refused))


def _where(facts: Facts) -> tuple[str, str] | None:
    """The tier and the model whose quota is the cheapest to use up, of those whose tokens are counted."""
    return facts.tightest(lambda tier, model: bool(facts.rates("tokens", tier, model)))


def _meter(bench: Bench) -> Meter:
    meter = bench.means.meter
    assert meter is not None  # noqa: S101 - needed
    if not bench.facts.settings.observability.telemetry_labels.user:
        raise SkippedError("usage is not told by user: observability.telemetryLabels.user is off")
    return meter


def _once(facts: Facts) -> Iterator[Case]:
    found = _where(facts)
    yield Case(cost=Cost(20, 2000)) if found else Case(skip="no tier has a token limit, so no tokens are counted")


_NEEDS = frozenset({Need.USERS, Need.METRICS})
SCENARIOS = (
    Scenario(
        "metrics",
        GROUP,
        "The limiter's counters grow by as much as was used.",
        metrics,
        Phase.QUOTA,
        _NEEDS,
        cases=_once,
        hint="Limitador is not scraped, the TelemetryPolicy is not enforced, or answers of some kind are not counted",
    ),
    Scenario(
        "bill",
        GROUP,
        "The bill has as much as was used, at the stack's price.",
        bill,
        Phase.QUOTA,
        _NEEDS,
        cases=_once,
        hint="Limitador is not scraped, or scraped twice; ./maas bill tells what is not certain about its records",
    ),
)
