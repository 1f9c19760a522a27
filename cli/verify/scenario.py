"""What a scenario is, and what it has to work with."""

import asyncio
import itertools
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum, IntEnum, StrEnum
from typing import Any, Protocol

from cli.bill.counters import Growth
from cli.doctor.snapshot import Manifest
from cli.program.recorder import Object
from cli.service.calls import Way
from cli.verify.client import CHAT, MODELS, NOBODY, Caller, Client, Reply, Spent
from cli.verify.facts import TOKENS_AT_ONCE, Facts
from config.values import Rate

OK, UNAUTHORIZED, FORBIDDEN, NOT_FOUND, TOO_MANY, FAILED_CLOSED = 200, 401, 403, 404, 429, 500
_AT_MOST_PAUSE = 1.0
_MORE = 6
"""Requests beyond a limit that are tried before it is given up that the limit comes."""


class Need(StrEnum):
    """What a scenario cannot do without, beside the gateway."""

    USERS = "users"
    """Users of its own."""
    CLUSTER = "cluster"
    """To read the cluster."""
    METRICS = "metrics"
    """To read what was counted."""
    DISRUPTION = "disruption"
    """To be allowed to stop the limiter."""


NEEDED = {
    Need.USERS: "users of its own: --make-users",
    Need.CLUSTER: "a cluster to read",
    Need.METRICS: "metrics to read",
    Need.DISRUPTION: "to stop the limiter, which stops all callers: --allow-disruption",
}


class Phase(IntEnum):
    """When it runs: what is in one phase runs side by side."""

    REACH = 0
    """Without it nothing else can be told."""
    QUIET = 1
    """Measures time."""
    LIGHT = 2
    """A few requests, far from every limit."""
    SHARED = 3
    """Whether users have counters of their own: what is told of limits stands on it."""
    QUOTA = 4
    """Uses up the quota of a user of its own."""
    ALONE = 5
    """Gets in the way of all others."""


class Outcome(Enum):
    """What came of a scenario."""

    PASSED = "passed"
    FAILED = "failed"
    BLOCKED = "blocked"
    """Nothing can be told, as something before it went wrong."""
    SKIPPED = "skipped"
    """It was not tried."""


class ExpectationError(Exception):
    """The service does something else than the stack says."""

    def __init__(self, expected: str, seen: str, request_id: str = "") -> None:
        super().__init__(f"expected {expected}, seen {seen}")
        self.expected, self.seen, self.request_id = expected, seen, request_id


class BlockedError(Exception):
    """What has to hold before anything can be told does not."""


class SkippedError(Exception):
    """It cannot be tried here."""


@dataclass(frozen=True)
class Cost:
    """What a scenario may use at the most, as far as can be said before."""

    requests: int
    tokens: int = 0
    seconds: float = 0.0
    """Beyond the requests themselves: what it waits for."""


@dataclass(frozen=True)
class Case:
    """A scenario on one model, tier or limit."""

    label: str = ""
    """Which one; empty where there is only one."""
    cost: Cost = Cost(4, 100)
    subject: Any = None
    """What the scenario's function is given beside the bench."""
    skip: str = ""
    """Why it cannot be tried."""


Run = Callable[["Bench", Any], Coroutine[Any, Any, str | None]]
Send = Callable[[Caller, int, int], Awaitable[Reply]]


@dataclass(frozen=True)
class Scenario:
    """A declaration: what is proved, what it takes, and how."""

    name: str
    group: str
    proves: str
    """One sentence."""
    run: Run
    """Raises ExpectationError, BlockedError or SkippedError; may return a remark."""
    phase: Phase = Phase.LIGHT
    needs: frozenset[Need] = frozenset()
    changes: str = ""
    """What it changes meanwhile, and puts back; empty for nothing but a user's quota."""
    cases: Callable[[Facts], Iterable[Case]] = lambda _facts: [Case()]
    hint: str = ""
    """The likeliest cause of a failure where the cluster says that all is well."""


@dataclass
class Result:
    """What came of one case."""

    scenario: Scenario
    case: Case
    outcome: Outcome
    seconds: float = 0.0
    remark: str = ""
    """A note on what passed; why it was skipped or blocked."""
    expected: str = ""
    seen: str = ""
    request_id: str = ""
    cause: str = ""

    @property
    def name(self) -> str:
        """Such as `request-limit[free: 5 per 2m]`."""
        return f"{self.scenario.name}[{self.case.label}]" if self.case.label else self.scenario.name


@dataclass(frozen=True)
class Person:
    """A user that verify makes."""

    name: str
    tier: str
    models: tuple[str, ...] = ()
    expires: datetime | None = None
    """None: with the run."""


class Keys(Protocol):
    """Makes users, and takes them away."""

    async def make(self, person: Person) -> str:
        """The key of a new user."""
        ...

    async def revoke(self, name: str) -> None:
        """Take a user's key away."""
        ...


class Meter(Protocol):
    """What the limiter has counted since the run began."""

    patience: float
    """Seconds after which all that was used must have been seen."""

    async def growth(self) -> Growth:
        """By series."""
        ...

    @property
    def began(self) -> datetime:
        """Since when."""
        ...


class Cluster(Protocol):
    """The objects of the cluster, to be read."""

    async def list(self, api_version: str, kind: str, namespace: str | None = None) -> Sequence[Manifest]:
        """All of a kind."""
        ...


class Limiter(Protocol):
    """The limiter's switch."""

    patience: float
    """Seconds within which it has to be down, or up again."""

    async def stop(self) -> None:
        """Have no limiter."""
        ...

    async def restore(self) -> None:
        """Have the limiter as it was."""
        ...


@dataclass(frozen=True)
class Means:
    """What a run has at hand. None: it has not."""

    ways: Mapping[str, Way]
    """By model."""
    keys: Keys | None = None
    stack_users: Callable[[str, str], Awaitable[Caller | None]] | None = None
    """A user of the stack for a tier and a model."""
    cluster: Cluster | None = None
    wanted: Sequence[Object] = ()
    """The objects that the program would deploy."""
    meter: Meter | None = None
    limiter: Limiter | None = None
    missing: Mapping[Need, str] = field(default_factory=dict[Need, str])
    """Why something is not at hand, where that is not what is usual."""
    direct: Sequence[str] = ()
    """Addresses of models behind the gateway, which must not answer."""
    slow_seconds: float = 2.0
    """From when on an answer that no model is asked for is slow."""
    accepted_within: float = 15.0
    """Seconds within which the gateway has to know of a new key, and to have forgotten a deleted one."""

    def lacks(self, needs: Iterable[Need]) -> str:
        """What is needed and not at hand, in words; empty for nothing."""
        at_hand = {
            Need.USERS: self.keys,
            Need.CLUSTER: self.cluster,
            Need.METRICS: self.meter,
            Need.DISRUPTION: self.limiter,
        }
        lacking = sorted(each for each in needs if at_hand[each] is None)
        return "; ".join(self.missing.get(each, f"needs {NEEDED[each]}") for each in lacking)


@dataclass(frozen=True)
class Exhausted:
    """A user whose quota is used up."""

    caller: Caller
    until: float
    """By the monotonic clock, at the latest: before it the limit surely holds."""
    passed: list[Reply]
    refused: list[Reply]
    rate: Rate


@dataclass
class Bench:
    """What a scenario works with."""

    facts: Facts
    client: Client
    means: Means
    prefix: str = "maas-verify"
    """Names of made users begin with it."""
    wait: Callable[[float], Awaitable[None]] = asyncio.sleep
    """Waits until the window of somebody has ended, so many seconds later."""
    _numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))
    _dead: str = ""

    @property
    def model(self) -> str:
        """The model that is tried where one is enough."""
        if not self.facts.models:
            raise SkippedError("the stack has no model")
        return self.facts.models[0]

    @property
    def spent(self) -> Spent:
        """What the run has used."""
        return self.client.spent

    def way(self, model: str = "") -> Way:
        """To a model."""
        return self.means.ways[model or self.model]

    async def ask(self, caller: Caller, path: str = MODELS, model: str = "", **more: Any) -> Reply:  # noqa: ANN401
        """Ask for anything; see Client.send.

        Raises:
            BlockedError: A user of the stack has nothing left, which tells nothing of the service.
        """
        reply = await self.client.send(self.way(model), caller, path, **more)
        if reply.status == TOO_MANY and caller.key and not caller.own:
            raise BlockedError(f"the quota of {caller.name} is used up: --make-users, or try again later")
        return reply

    async def chat(
        self,
        caller: Caller,
        tokens: int = 1,
        model: str = "",
        *,
        stream: bool = False,
        query: str = "",
        **more: Any,  # noqa: ANN401 - of Client.send
    ) -> Reply:
        """Ask for an answer of so many tokens."""
        body = {**_question(self.way(model), tokens), **(_STREAM if stream else {})}
        return await self.ask(caller, CHAT + query, model, body=body, **more)

    async def caller(self, model: str = "", tier: str | None = None) -> Caller:
        """Somebody who may call a model: a user of the run's own, or else one of the stack's.

        Raises:
            SkippedError: Nobody may.
        """
        model = model or self.model
        tier = tier or self.facts.tier_for(model)
        if tier is None:
            raise SkippedError(f"no tier may call {model}")
        if self.means.keys is not None:
            return await self.user(tier)
        found = await self.means.stack_users(tier, model) if self.means.stack_users else None
        if found is None:
            raise SkippedError(f"no user of tier {tier} has a key at hand: --make-users")
        return found

    async def user(self, tier: str, models: Sequence[str] = (), expires_in: timedelta | None = None) -> Caller:
        """A new user, of whom the gateway knows.

        Raises:
            BlockedError: The gateway does not come to know of it.
        """
        if self.means.keys is None:
            raise SkippedError(NEEDED[Need.USERS])
        if self._dead:
            raise BlockedError(self._dead)
        name = f"{self.prefix}-{next(self._numbers)}"
        expires = datetime.now(UTC) + expires_in if expires_in else None
        key = await self.means.keys.make(Person(name, tier, tuple(models), expires))
        caller = Caller(name, key, own=True)
        within = self.means.accepted_within
        last = await self.until(lambda: self.ask(caller), lambda reply: reply.status != UNAUTHORIZED, within)
        if last is not None:
            self._dead = f"the gateway does not accept new keys within {within:g} s: {last.words}"
            raise BlockedError(self._dead)
        return caller

    async def revoke(self, caller: Caller) -> None:
        """Take a made user's key away."""
        assert self.means.keys is not None  # noqa: S101 - it made the user
        await self.means.keys.revoke(caller.name)

    async def until(
        self, ask: Callable[[], Awaitable[Reply]], enough: Callable[[Reply], bool], seconds: float
    ) -> Reply | None:
        """Ask again and again, with growing pauses; None once it is enough, else the last reply when time is up."""
        deadline, pause = time.monotonic() + seconds, 0.1
        while not enough(reply := await ask()):
            if time.monotonic() + pause > deadline:
                return reply
            await asyncio.sleep(pause)
            pause = min(2 * pause, _AT_MOST_PAUSE)
        return None

    async def use_up(self, tier: str, model: str, send: Send | None = None, more: int = 0) -> Exhausted:
        """A new user whose quota on a model is used up, in the cheapest way.

        Args:
            tier: whose limits hold.
            model: which is called.
            send: makes a request: is given the caller, its number from 0 on, and how many tokens it should take.
            more: how many requests of `send` may take less.

        Raises:
            SkippedError: The tier has no limits there.
            BlockedError: No limit comes.
        """
        way = self.facts.way_to_429(tier, model)
        if way is None:
            raise SkippedError(f"tier {tier} has no limits on {model}")
        rate, counts = way
        tokens = 1 if counts == "requests" else min(rate.limit, TOKENS_AT_ONCE)
        # Twice as many, so that a limit that comes late is told by the scenario that is for it, and by no other.
        most = 2 * (rate.limit if counts == "requests" else self.facts.bursts(rate)) + _MORE + more
        caller, began, last = await self.user(tier), time.monotonic(), OK
        passed: list[Reply] = []
        refused: list[Reply] = []
        for number in range(most):
            reply = await (send(caller, number, tokens) if send else self.chat(caller, tokens, model))
            if reply.status not in {OK, TOO_MANY}:
                raise BlockedError(f"a user of tier {tier} got {reply.words} before the limit came")
            (refused if reply.status == TOO_MANY else passed).append(reply)
            # Twice: of several limiters that do not know of each other one may have room.
            if reply.status == last == TOO_MANY:
                return Exhausted(caller, began + rate.seconds, passed, refused, rate)
            last = reply.status
        raise BlockedError(f"tier {tier} is not limited after {most} requests; it should be: {rate} {counts}")

    def still(self, exhausted: Exhausted) -> None:
        """What was seen is of no worth when the window may have ended meanwhile.

        Raises:
            BlockedError: It may have.
        """
        if time.monotonic() >= exhausted.until:
            raise BlockedError(f"the requests took longer than the window ({exhausted.rate}): nothing is proved")


_SHORT = 20
"""Tokens that any model says before it ends by itself."""
_STREAM: Mapping[str, Any] = {"stream": True, "stream_options": {"include_usage": True}}


def _question(way: Way, tokens: int) -> dict[str, Any]:
    """A question whose answer takes about so many tokens: several short ones, since models end when they like."""
    choices = -(-tokens // _SHORT)
    words = "Count from one to one hundred, in words." if tokens >= _SHORT else "Hi"
    return {
        "model": way.served_name,
        "messages": [{"role": "user", "content": words}],
        "max_tokens": min(tokens, _SHORT),
        **({"n": choices} if choices > 1 else {}),
    }


async def refused_without_a_key(bench: Bench, what: str, **trick: Any) -> None:  # noqa: ANN401 - of Bench.chat
    """A way around does not help who has no key. Where that is not needed at all, other scenarios say so.

    Raises:
        ExpectationError: It does.
    """
    if (await bench.chat(NOBODY)).status == UNAUTHORIZED:
        expect(await bench.chat(NOBODY, **trick), UNAUTHORIZED, f"{what} without a key")


def expect(reply: Reply, status: int, what: str, code: str = "") -> Reply:
    """The reply, when it has this status, and as an error this code.

    Raises:
        ExpectationError: It has not.
    """
    if reply.status != status or (code and reply.code != code):
        wanted = f"{status} ({code})" if code else str(status)
        raise ExpectationError(f"{wanted} {what}", reply.words, reply.id)
    return reply


def expect_that(fulfilled: bool, expected: str, seen: str, reply: Reply | None = None) -> None:  # noqa: FBT001 - a condition
    """Go on when something holds.

    Raises:
        ExpectationError: It does not.
    """
    if not fulfilled:
        raise ExpectationError(expected, seen, reply.id if reply else "")


@asynccontextmanager
async def limiter_stopped(limiter: Limiter) -> AsyncGenerator[None]:
    """No limiter for as long as the context lasts; it comes back whatever happens."""
    try:
        await limiter.stop()
        yield
    finally:
        await asyncio.shield(asyncio.ensure_future(limiter.restore()))
