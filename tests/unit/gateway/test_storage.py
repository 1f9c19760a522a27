import random
import shutil
import socket
import subprocess
import time
from collections.abc import Generator, Mapping
from pathlib import Path

import pytest
import redis

from enforcement.counters import Counter, Counters
from enforcement.semantics import Semantics
from sandbox.gateway.storage import RedisCounters, is_loopback
from tests.unit.gateway.service import answers, in_loop, running, stack

PROGRAM = shutil.which("redis-server")
needs_redis = pytest.mark.skipif(
    PROGRAM is None, reason="no redis-server on PATH: apt install redis-server, dnf install redis, brew install redis"
)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = tmp_path_factory.mktemp("redis")
    words = [str(PROGRAM), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    with Path(folder / "log").open("wb") as log, subprocess.Popen(words, stdout=log) as process:  # noqa: S603 - found above
        client = redis.Redis(port=port)
        for _ in range(100):
            try:
                client.ping()  # pyright: ignore[reportUnknownMemberType]
                break
            except redis.ConnectionError:
                time.sleep(0.1)
        yield f"redis://127.0.0.1:{port}/0"
        process.terminate()


def counter(user: str, seconds: int = 60, most: int = 10, limit: str = "limit.llm/p/free") -> Counter:
    return Counter("llm/simulator", seconds, (limit,), (("auth.identity.userid", user),), most, "free")


@needs_redis
def test_a_redis_gives_the_same_answers_as_memory(url: str) -> None:
    chance = random.Random(7)  # noqa: S311 - the same sequence in each run
    ours, theirs = Counters(), RedisCounters(url)
    theirs.clear()
    all_ = [counter(user, seconds) for user in ("a", "b", "c") for seconds in (60, 3600)]
    for step in range(400):
        some = chance.sample(all_, chance.randint(1, 3))
        delta, now = chance.randint(1, 3), 0.0
        match chance.choice(("check", "over", "add")):
            case "check":
                answer = [each.check_and_add(some, delta, now) for each in (ours, theirs)]
            case "over":
                answer = [each.over(some, delta, now) for each in (ours, theirs)]
            case _:
                small = some if step % 9 == 0 else []
                answer = [each.add(small, delta, now) for each in (ours, theirs)]
        assert answer[0] == answer[1], step
    assert [ours.value(each, 0.0) for each in all_] == [theirs.value(each, 0.0) for each in all_]


@needs_redis
def test_a_window_in_a_redis_ends_by_itself_and_is_not_prolonged_by_hits(url: str) -> None:
    counters, short = RedisCounters(url), counter("d", seconds=1)
    counters.add([short], 4, 0.0)
    time.sleep(0.6)
    counters.add([short], 4, 0.0)
    assert counters.value(short, 0.0) == 8
    assert 0 < counters.remaining_seconds(short, 0.0) < 0.5
    time.sleep(0.6)
    assert (counters.value(short, 0.0), counters.remaining_seconds(short, 0.0)) == (0, 0)


@needs_redis
def test_quotas_outlive_the_gateway_when_a_redis_counts(url: str) -> None:
    async def one_life() -> list[int]:
        async with running(answers(30)) as gateway:
            gateway.proxy.counters = RedisCounters(url)
            gateway.change(*stack())
            return [(await gateway.ask("freeuser1"))[0] for _ in range(3)]

    RedisCounters(url).clear()
    assert in_loop(one_life()) == [200, 200, 200]
    assert in_loop(one_life()) == [200, 429, 429], "100 tokens, five requests, in both lives together"


@pytest.mark.parametrize(("fails_open", "status"), [(False, 500), (True, 200)])
def test_a_redis_that_does_not_answer_closes_the_gateway_unless_that_fails_open(
    *, fails_open: bool, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def told(environment: Mapping[str, str]) -> Semantics:
        assert not environment, "there is no operator here"
        return Semantics(check_fails_open=fails_open)

    monkeypatch.setattr(Semantics, "of_environment", told)

    async def work() -> None:
        async with running(answers(30)) as gateway:
            gateway.proxy.counters = RedisCounters("redis://127.0.0.1:1/0")
            gateway.change(*stack())
            assert (await gateway.ask())[0] == 401, "Authorino counts nothing"
            assert (await gateway.ask("freeuser1"))[0] == status
            assert "datastore_partitioned 1.0" in gateway.proxy.telemetry.limitador.text().decode()

    in_loop(work())


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("redis://127.0.0.1:6379", True),
        ("redis://:word@localhost/3", True),
        ("redis://redis.limits.svc:6379", False),
        ("rediss://10.96.0.12", False),
        ("", False),
    ],
)
def test_only_a_redis_on_loopback_is_ever_connected_to(address: str, expected: bool) -> None:  # noqa: FBT001 - a table
    assert is_loopback(address) is expected
