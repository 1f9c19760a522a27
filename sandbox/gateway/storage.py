"""Limitador's counters in a Redis, for stacks whose limiter counts there."""

from collections.abc import Iterable, Sequence
from typing import Any, cast
from urllib.parse import urlsplit

import redis

from enforcement.counters import Counter, Counters

_SECONDS = 1.0
_ADD = """
for index, key in ipairs(KEYS) do
  local value = redis.call('INCRBY', key, ARGV[1])
  if redis.call('TTL', key) < 0 then redis.call('EXPIRE', key, ARGV[index + 1]) end
end
"""


def is_loopback(url: str) -> bool:
    """Whether an address of a Redis is on this machine's loopback; the gateway connects to nothing else."""
    return (urlsplit(url).hostname or "") in {"127.0.0.1", "localhost"}


class RedisCounters(Counters):
    """Counters that outlive the gateway and are shared. Windows end by the clock of the Redis.

    As in Limitador, a check reads first and counts afterwards: simultaneous requests may overshoot. Every method raises
    redis.RedisError when the Redis does not answer within a second.
    """

    def __init__(self, url: str) -> None:
        super().__init__()
        timeouts = {"socket_timeout": _SECONDS, "socket_connect_timeout": _SECONDS}
        self._redis = redis.Redis.from_url(url, **timeouts)  # pyright: ignore[reportUnknownMemberType]
        self._add = self._redis.register_script(_ADD)

    def value(self, counter: Counter, now: float) -> int:
        """Hits in the current window."""
        del now
        return int(cast("bytes | None", self._redis.get(_name(counter))) or 0)

    def remaining_seconds(self, counter: Counter, now: float) -> float:
        """Until the current window ends; 0 when there is none."""
        del now
        return max(0, self._redis.pttl(_name(counter))) / 1000

    def over(self, counters: Iterable[Counter], delta: int, now: float) -> Counter | None:
        """The first counter that `delta` more hits would carry over its maximum; None when there is room in all."""
        del now
        asked = list(counters)
        if not asked:
            return None
        values = cast("list[bytes | None]", self._redis.mget([_name(each) for each in asked]))
        pairs = zip(asked, values, strict=True)
        return next((each for each, value in pairs if int(value or 0) + delta > each.max_value), None)

    def add(self, counters: Iterable[Counter], delta: int, now: float) -> None:
        """Count, whatever the maximum."""
        del now
        windows = {_name(each): each.seconds for each in counters}
        if windows:
            arguments: list[Any] = [delta, *windows.values()]
            self._add(keys=list(windows), args=arguments)

    def check_and_add(self, counters: Sequence[Counter], delta: int, now: float) -> Counter | None:
        """Count on all or, when one of them would be over, on none; that one is returned."""
        refused = self.over(counters, delta, now)
        if refused is None:
            self.add(counters, delta, now)
        return refused

    def clear(self) -> None:
        """Forget the counters of all limits."""
        for key in cast("list[bytes]", self._redis.keys("maas:*")):  # pyright: ignore[reportUnknownMemberType]
            self._redis.delete(key)


def _name(counter: Counter) -> str:
    variables = ",".join(f"{name}={value}" for name, value in counter.variables)
    return f"maas:{counter.namespace}:{counter.seconds}:{'|'.join(counter.conditions)}:{variables}"
