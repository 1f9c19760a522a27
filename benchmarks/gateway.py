"""Load on the sandbox's gateway: requests a second, added latency, memory over time.

    .venv/bin/python -m benchmarks.gateway load --models 1 20 100 --keys 1000 --seconds 15
    .venv/bin/python -m benchmarks.gateway soak --models 20 --keys 1000 --minutes 10

The gateway runs as in a sandbox, in a process of its own with the simulators in another; only the API server is left
out: the objects are what the program makes of a stack with that many models and keys. The load comes from this process,
on the same machine. Everything is on loopback, and bounded in time.
"""

import argparse
import asyncio
import json
import random
import statistics
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import cycle, product
from typing import Any

import aiohttp
import psutil

from cli.load import drive
from cli.load.figures import quantile
from cli.program.recorder import record, stack_config
from sandbox.gateway.backends import Backends
from sandbox.gateway.gates import Gates
from sandbox.gateway.journal import TRACED, Journal
from sandbox.gateway.offline import OfflineGateway, ready
from sandbox.gateway.proxy import Proxy
from sandbox.gateway.telemetry import Telemetry

_LOOPBACK = "127.0.0.1"
_SEED = 20261125
_CHAT = "/v1/chat/completions"
_CONCURRENCY = 32
_CONNECTIONS = 64
_LONGEST_MINUTES = 30
_LONGEST_FILL = 900.0
_TIERS = {
    "free": {"level": 0, "requests": "9000000 per 24h", "tokens": "900000000 per 24h", "price": 0.005},
    "premium": {"level": 1, "requests": "9000000 per 24h", "tokens": ["900000000 per 1h", "900000000 per 24h"]},
}


def key_of(number: int) -> str:
    """The key of a user of the benchmark."""
    return f"benchmark-only-{number:05d}-".ljust(48, "x")


def objects(models: int, keys: int) -> list[dict[str, Any]]:
    """What the program makes of a stack with so many models and keys; the models are ready."""
    config, secrets = stack_config("sandbox")
    users = {f"user{number}": {"tier": ("free", "premium")[number % 2]} for number in range(keys)}
    config |= {
        "maas:tiers": json.dumps(_TIERS),
        "maas:users": json.dumps(users),
        "maas:models": json.dumps({f"model{number}": {"profile": "simulator"} for number in range(models)}),
        "maas:apiKeys": json.dumps({f"user{number}": key_of(number) for number in range(keys)}),
    }
    return ready(each.body for each in record("sandbox", config, [*secrets, "maas:apiKeys"]).objects)


async def serve(models: int, keys: int) -> None:
    """The gateway's process: says its port, and those of the models, and serves until its input ends."""
    made = objects(models, keys)
    gateway = OfflineGateway(Proxy(Backends(), Telemetry(), Journal()))
    began = time.perf_counter()
    Gates(made, gateway.proxy.counters)
    swap = time.perf_counter() - began
    await gateway.open(made)
    direct = {each.model.name: each.port for each in gateway.proxy.backends.all()}
    sys.stdout.write(json.dumps({"port": gateway.port, "direct": direct, "swap": swap}) + "\n")
    sys.stdout.flush()
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await gateway.close()


@dataclass
class Target:
    """A running gateway."""

    process: Process
    port: int
    direct: dict[str, int]
    swap: float
    keys: int

    def processor(self) -> float:
        """Seconds of processor time that the gateway has taken."""
        times = psutil.Process(self.process.pid).cpu_times()
        return times.user + times.system

    def memory(self) -> tuple[float, float]:
        """Resident MiB of the gateway and of the simulators."""
        gateway = psutil.Process(self.process.pid)
        others = sum(each.memory_info().rss for each in gateway.children())
        return gateway.memory_info().rss / 2**20, others / 2**20


@dataclass
class Figures:
    """What a run of requests came to."""

    seconds: float
    statuses: Counter[int] = field(default_factory=Counter[int])
    milliseconds: list[float] = field(default_factory=list[float])

    @property
    def rate(self) -> float:
        """Answers a second."""
        return sum(self.statuses.values()) / self.seconds

    def quantile(self, share: float) -> float:
        """Milliseconds that a share of the answers did not exceed."""
        return quantile(self.milliseconds, share * 100) or 0.0

    def words(self) -> str:
        """One line."""
        p50, p99 = self.quantile(0.5), self.quantile(0.99)
        return f"{self.rate:7.0f}/s  p50 {p50:6.2f} ms  p99 {p99:6.2f} ms  {dict(self.statuses)}"


Ask = Callable[[], Awaitable[int]]


@asynccontextmanager
async def target(models: int, keys: int) -> AsyncGenerator[Target]:
    """A gateway in a process of its own."""
    words = ["-m", "benchmarks.gateway", "serve", "--models", str(models), "--keys", str(keys)]
    process = await asyncio.create_subprocess_exec(sys.executable, *words, stdin=PIPE, stdout=PIPE)
    assert process.stdin is not None  # noqa: S101 - asked for above
    assert process.stdout is not None  # noqa: S101 - asked for above
    try:
        said = json.loads(await process.stdout.readline())
        yield Target(process, said["port"], said["direct"], said["swap"], keys)
    finally:
        process.stdin.close()
        await process.wait()


async def closed_loop(ask: Ask, seconds: float, concurrency: int) -> Figures:
    """So many callers, each asking again as soon as it has its answer."""
    figures = Figures(seconds)
    until = time.perf_counter() + seconds

    async def caller() -> None:
        while (began := time.perf_counter()) < until:
            status = await ask()
            figures.milliseconds.append((time.perf_counter() - began) * 1000)
            figures.statuses[status] += 1

    await asyncio.gather(*(caller() for _ in range(concurrency)))
    return figures


async def open_loop(ask: Ask, seconds: float, rate: float, keep: int = 200_000) -> Figures:
    """So many requests a second, however long the answers take; latency is from when a request was due."""
    figures = Figures(seconds)

    async def send(number: int, due: float) -> None:
        del number
        status = await ask()
        figures.statuses[status] += 1
        if len(figures.milliseconds) < keep:
            figures.milliseconds.append((time.perf_counter() - due) * 1000)

    began = await drive.open_loop(((number / rate, number) for number in range(int(seconds * rate))), send)
    figures.seconds = time.perf_counter() - began
    return figures


Pairs = Iterator[tuple[str, int]]


def at_random(at: Target, chance: random.Random) -> Pairs:
    """Models and users by chance, without end."""
    names = sorted(at.direct)
    while True:
        yield chance.choice(names), chance.randrange(at.keys)


def asker(
    session: aiohttp.ClientSession,
    at: Target,
    *,
    direct: bool = False,
    stream_share: float = 0.0,
    pairs: Pairs | None = None,
) -> Ask:
    """A request of a random user to a random model, or of `pairs`; `direct` goes past the gateway. No answer is 0."""
    chance = random.Random(_SEED)  # noqa: S311 - the same requests in each run
    asked = pairs or at_random(at, chance)

    async def ask() -> int:
        model, user = next(asked)
        port = at.direct[model] if direct else at.port
        body: dict[str, Any] = {"model": model, "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 16}
        if chance.random() < stream_share:
            body["stream"] = True
        headers = {"Host": f"{model}.maas.localhost", "Authorization": f"Bearer {key_of(user)}"}
        try:
            async with session.post(f"http://{_LOOPBACK}:{port}{_CHAT}", json=body, headers=headers) as answer:
                await answer.read()
                return answer.status
        except aiohttp.ClientError:
            return 0

    return ask


async def load(models: int, keys: int, seconds: float) -> None:
    """Print the figures for one number of models."""
    async with target(models, keys) as at, _session() as session:
        say(f"{models} models, {keys} keys: policies in force in {at.swap * 1000:.0f} ms")
        through, past = asker(session, at), asker(session, at, direct=True)
        await closed_loop(through, 2, 4)
        before = at.processor()
        most = await closed_loop(through, seconds, _CONCURRENCY)
        each = (at.processor() - before) / most.statuses.total()
        say(f"  {_CONCURRENCY} callers, as fast as it goes  {most.words()}")
        say(f"  processor time of the gateway: {each * 1000:.2f} ms a request, {1 / each:.0f}/s on a core of its own")
        # By turns, so that what else the machine does falls on both alike.
        with_, without = Figures(0), Figures(0)
        for _ in range(4):
            for figures, ask in ((with_, through), (without, past)):
                part = await closed_loop(ask, seconds / 8, 1)
                figures.milliseconds += part.milliseconds
        added = [with_.quantile(share) - without.quantile(share) for share in (0.5, 0.99)]
        alone = without.quantile(0.5)
        say(f"  one caller: added p50 {added[0]:.2f} ms, p99 {added[1]:.2f} ms (the model alone {alone:.2f} ms)")
        half = await open_loop(through, seconds, most.rate / 2)
        say(f"  at half that rate          {half.words()}")
        say(f"  memory: gateway {at.memory()[0]:.0f} MiB, simulators {at.memory()[1]:.0f} MiB")


async def fill(session: aiohttp.ClientSession, at: Target) -> Figures:
    """Fill what the gateway keeps, as fast as it goes: a counter for each user and model, and its trace."""
    every = list(product(sorted(at.direct), range(at.keys)))
    requests = max(len(every), TRACED)
    ask = asker(session, at, pairs=cycle(every))
    figures, began, left = Figures(0), time.perf_counter(), requests

    async def caller() -> None:
        nonlocal left
        while left > 0 and time.perf_counter() - began < _LONGEST_FILL:
            left -= 1
            figures.statuses[await ask()] += 1

    await asyncio.gather(*(caller() for _ in range(_CONCURRENCY)))
    figures.seconds = time.perf_counter() - began
    return figures


async def soak(models: int, keys: int, rate: float | None, minutes: float) -> None:
    """Print memory and latency, minute by minute, once everything that is bounded is full."""
    async with target(models, keys) as at, _session() as session:
        say(f"{models} models, {keys} keys: first as fast as it goes, until what the gateway keeps is full")
        filled = await fill(session, at)
        say(f"  {filled.statuses.total()} requests, {filled.rate:.0f}/s, {dict(filled.statuses)}")
        rate = rate or filled.rate / 2
        ask = asker(session, at, stream_share=0.25)
        sizes: list[float] = []
        for minute in range(int(min(minutes, _LONGEST_MINUTES))):
            figures = await open_loop(ask, 60, rate)
            gateway, others = at.memory()
            sizes.append(gateway)
            say(f"  minute {minute + 1:2}: gateway {gateway:.1f} MiB, simulators {others:.1f} MiB, {figures.words()}")
        if len(sizes) > 2:  # noqa: PLR2004 - a slope needs some points
            later = sizes[len(sizes) // 2 :]
            slope = statistics.linear_regression(range(len(later)), later).slope
            say(f"  second half: {slope:+.2f} MiB a minute")


def _session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=_CONNECTIONS))


def say(text: str) -> None:
    """Print a line at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main() -> None:
    """Run what the command line says."""
    parser = argparse.ArgumentParser(prog="benchmarks.gateway", description="Load on the sandbox's gateway.")
    parser.add_argument("what", choices=("load", "soak", "serve"))
    parser.add_argument("--models", type=int, nargs="+", default=[20])
    parser.add_argument("--keys", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--rate", type=float, help="of the soak, requests a second; half of the most where not given")
    parser.add_argument("--minutes", type=float, default=10)
    options = parser.parse_args()
    match options.what:
        case "serve":
            asyncio.run(serve(options.models[0], options.keys))
        case "soak":
            asyncio.run(soak(options.models[0], options.keys, options.rate, options.minutes))
        case _:
            for models in options.models:
                asyncio.run(load(models, options.keys, options.seconds))


if __name__ == "__main__":
    main()
