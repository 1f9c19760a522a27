"""What the gateway decided over HTTP, replayed: the simulation decides the same, request by request."""

import asyncio
import json
import random
from collections import Counter
from pathlib import Path

import aiohttp
from aiohttp import web

from sandbox.gateway.admin import admin_application
from simulation.replay import Result, replay
from simulation.service import Service
from simulation.traffic import read
from tests.unit.enforcement.service import DOMAIN, GATEWAY, KEYS, NAMESPACE, objects
from tests.unit.gateway.service import LOOPBACK, STREAM_HEAD, Running, Writer, chunk, events, in_loop, running, whole

TIERS = {user: user.rstrip("12").removesuffix("user") for user in KEYS}


class Clock:
    """The time of day, turned by the test, and by a little with each look at it: no two things are simultaneous."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        self.now += 0.001
        return self.now


async def model(writer: Writer, number: int) -> None:
    """Answers of all sizes, whole and streamed, some after a while, some without usage."""
    pick = random.Random(number)  # noqa: S311 - answers, not secrets
    tokens = pick.choice((0, 1, 20, 45, 160))
    await asyncio.sleep(pick.choice((0, 0, 0.005)))
    if pick.random() < 0.1:
        writer.write(whole('{"choices": []}'))
    elif pick.random() < 0.4:
        writer.write(STREAM_HEAD)
        for event in events(tokens):
            writer.write(chunk(event))
            await writer.drain()
        writer.write(b"0\r\n\r\n")
    else:
        usage = {"prompt_tokens": tokens // 3, "total_tokens": tokens}
        writer.write(whole(json.dumps({"model": "simulator-model", "usage": usage})))


def simulated(path: Path) -> Result:
    endpoints = {name: f"http://{name}.{DOMAIN}" for name in ("simulator", "qwen3")}
    service = Service(objects(), GATEWAY, NAMESPACE, endpoints, TIERS, {}, KEYS)
    return replay(service, read(path))


async def traced(gateway: Running) -> str:
    runner = web.AppRunner(admin_application(gateway.proxy, dict, 0))
    await runner.setup()
    try:
        await web.TCPSite(runner, LOOPBACK, 0).start()
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://{LOOPBACK}:{runner.addresses[0][1]}/trace") as answer,
        ):
            return await answer.text()
    finally:
        await runner.cleanup()


def recorded(path: Path, batches: int) -> None:
    clock, pick = Clock(), random.Random(7)  # noqa: S311 - traffic, not secrets

    async def work() -> str:
        async with running(model) as gateway:
            gateway.proxy.clock = clock
            for _ in range(batches):
                clock.now += pick.choice((0, 0, 0.5, 3, 25))
                together = [
                    gateway.ask(
                        pick.choice([*KEYS, ""]), host=f"{pick.choice(('simulator', 'simulator', 'qwen3'))}.{DOMAIN}"
                    )
                    for _ in range(pick.randint(1, 4))
                ]
                await asyncio.gather(*together)
            return await traced(gateway)

    path.write_text(in_loop(work()), encoding="utf-8")


def test_a_recorded_trace_is_decided_by_the_simulation_as_it_was_by_the_gateway(tmp_path: Path) -> None:
    path = tmp_path / "trace.jsonl"
    recorded(path, 160)
    result = simulated(path)
    assert result.differences == []
    assert result.recorded == len(result.statuses) > 200
    statuses = Counter(result.statuses)
    assert min(statuses[200], statuses[429]) > 50
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert any("prompt_tokens" not in each for each in lines if each["status"] == 200), "answers that named no usage"
    assert any(each["stream"] for each in lines)
    assert not any(key in path.read_text(encoding="utf-8") for key in KEYS.values())


def test_a_trace_that_was_tampered_with_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "trace.jsonl"
    recorded(path, 60)
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    for each in lines:
        each["seconds"] = 0
    path.write_text("".join(json.dumps({**each, "completion_tokens": 0, "prompt_tokens": 0}) + "\n" for each in lines))
    assert simulated(path).differing > 0
