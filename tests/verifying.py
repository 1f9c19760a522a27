"""Verify, run on a double of the gateway instead of a cluster."""

import asyncio
import itertools
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from cli.bill.statement import source_of
from cli.program.recorder import Recording, record, stack_config
from cli.service.calls import Way
from cli.verify.client import Client, Spent
from cli.verify.facts import Facts
from cli.verify.meter import PageMeter
from cli.verify.runner import Budget, Runner
from cli.verify.scenario import Bench, Means, Outcome, Person, Result, Scenario
from cli.verify.scenarios import SCENARIOS
from cli.verify.users import manifest
from components.gateway import model_url
from config.settings import SECRET_KEYS, Settings
from config.source import parsed
from enforcement.objects import Object
from sandbox.gateway.admin import LIMITADOR
from tests.misbehaviour.service import Double

STACK = "sandbox"
TIERS = {
    "few": {"level": 0, "requests": "4 per 1h", "tokens": "100000 per 1h", "price": 0.5},
    "short": {"level": 1, "requests": "1000 per 1h", "tokens": ["120 per 1m", "100000 per 1h"], "price": 0.25},
    "many": {"level": 2, "requests": "100000 per 1h", "tokens": "10000000 per 1h"},
}
MODELS = {
    "simulator": {"profile": "simulator", "servedName": "simulator-model"},
    "other": {"profile": "simulator"},
    "costly": {"profile": "simulator", "tiers": ["many"]},
}
SLOW_SECONDS = 0.4
_QUIET_SECONDS = 0.4


@cache
def stack() -> tuple[Settings, Recording]:
    """A small stack, whose tiers are quickly used up."""
    config, secrets = stack_config(STACK)
    config |= {"maas:tiers": json.dumps(TIERS), "maas:models": json.dumps(MODELS), "maas:users": "{}"}
    config.pop("maas:apiKeys", None)
    return Settings.load(STACK, parsed(config), SECRET_KEYS), record(STACK, config, secrets)


def objects() -> tuple[Object, ...]:
    """What the program makes of it."""
    return tuple(each.body for each in stack()[1].objects)


@dataclass
class DoubleKeys:
    """Makes users on a double's cluster, as verify makes them on a real one."""

    double: Double
    made: dict[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])

    async def make(self, person: Person) -> str:
        key = f"test-only-{person.name}-".ljust(48, "x")
        ends = person.expires or datetime.now(UTC) + timedelta(hours=3)
        body = manifest(stack()[0], STACK, replace(person, expires=ends), key, "test")
        self.made[person.name] = body["metadata"]
        self.double.put(body)
        return key

    async def revoke(self, name: str) -> None:
        where = self.made.pop(name)
        self.double.delete("Secret", where["namespace"], where["name"])


@dataclass
class DoubleLimiter:
    """A double's limiter."""

    double: Double
    patience: float = 5.0

    async def stop(self) -> None:
        self.double.set_limiter(answers=False)

    async def restore(self) -> None:
        self.double.set_limiter(answers=True)


def ways(url: str) -> dict[str, Way]:
    """To each model, at an address."""
    settings = stack()[0]
    return {
        name: Way(name, settings.served_name(name), url, urlsplit(model_url(settings, name)).netloc) for name in MODELS
    }


def leaps(double: Double, client: Client) -> Callable[[float], Awaitable[None]]:
    """A wait that lets the double's clock jump once nobody asks anything any more: all wait for the end of a window."""
    jumps = itertools.count()
    last = [-1]

    async def wait(seconds: float) -> None:
        before, seen = last[0], -1
        while client.under_way or seen != client.spent.requests:
            seen = client.spent.requests
            await asyncio.sleep(_QUIET_SECONDS)
        if last[0] == before:
            last[0] = next(jumps)
            double.pass_time(seconds)

    return wait


async def verified(
    double: Double,
    scenarios: Sequence[Scenario] = SCENARIOS,
    **more: Any,  # noqa: ANN401 - of Means
) -> tuple[list[Result], Spent]:
    """What comes of verify on a double."""
    settings, recording = stack()
    budget = Budget(max_seconds=240)
    spent = Spent(budget.max_requests, budget.max_tokens)
    client = Client(spent, more.pop("request_seconds", 20), trust_env=False)
    meter = PageMeter(double.admin_url + LIMITADOR, source_of(settings))
    await meter.start()
    means = replace(
        Means(
            ways=ways(double.url),
            keys=DoubleKeys(double),
            meter=meter,
            limiter=DoubleLimiter(double),
            wanted=recording.objects,
            slow_seconds=SLOW_SECONDS,
            accepted_within=3,
        ),
        **more,
    )
    facts = Facts(STACK, settings, tuple(MODELS))
    bench = Bench(facts, client, means, wait=leaps(double, client))
    try:
        return await Runner(bench, budget, scenarios).run(), spent
    finally:
        await client.close()


def of_outcome(results: Sequence[Result], *outcomes: Outcome) -> set[str]:
    """Names of the scenarios that ended in one of some ways."""
    return {each.scenario.name for each in results if each.outcome in outcomes}
