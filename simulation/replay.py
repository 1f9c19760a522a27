"""Traffic through a gateway on a virtual clock: answers end later than they begin, and are counted when they end."""

import heapq
from array import array
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from enforcement.counters import Counter, Counters
from enforcement.decision import Decision, Gate, Plan
from enforcement.request import Request
from simulation.service import Service
from simulation.traffic import Ask

TOKENS_PER_SECOND = 50.0
"""How fast a model writes where a trace does not say how long its answers took."""
BUCKET_SECONDS = 60
_TOLD_EVERY = 20_000
_EXAMPLES = 10


@dataclass(slots=True)
class Tally:
    """What has been counted of some requests."""

    requests: int = 0
    allowed: int = 0
    prompt: int = 0
    completion: int = 0
    refused: dict[str, int] = field(default_factory=dict[str, int])
    """How many, by what refused them: `requests: free`, `tokens: free`, `401`."""

    @property
    def tokens(self) -> int:
        """Of prompts and completions together."""
        return self.prompt + self.completion

    @property
    def limited(self) -> int:
        """How many were refused by a limit."""
        return sum(count for why, count in self.refused.items() if ":" in why)

    def add(self, other: "Tally") -> None:
        """Count another's in."""
        self.requests += other.requests
        self.allowed += other.allowed
        self.prompt += other.prompt
        self.completion += other.completion
        for why, count in other.refused.items():
            self.refused[why] = self.refused.get(why, 0) + count


@dataclass(slots=True)
class Peak:
    """The fullest window of one counter, and what the counter did over the whole time."""

    counter: Counter
    kind: str
    """`requests` or `tokens`."""
    used: int = 0
    began: float = 0.0
    overshoot: int = 0
    """Tokens counted beyond the maximum, over all windows: of requests that crossed it and those beside them."""
    refused: int = 0


@dataclass(slots=True)
class Bucket:
    """What came to pass in a minute."""

    allowed: int = 0
    refused: int = 0
    tokens: int = 0


@dataclass(frozen=True)
class Difference:
    """A request that was decided otherwise when it was recorded."""

    number: int
    ask: Ask
    status: int


@dataclass
class Result:
    """What became of the traffic."""

    service: Service
    tallies: dict[tuple[str, str], Tally] = field(default_factory=dict[tuple[str, str], Tally])
    """By user and model."""
    peaks: dict[tuple[object, ...], Peak] = field(default_factory=dict[tuple[object, ...], Peak])
    buckets: dict[str, dict[int, Bucket]] = field(default_factory=dict[str, dict[int, Bucket]])
    """By tier and number of the minute since the epoch."""
    statuses: "array[int]" = field(default_factory=lambda: array("H"))
    """Of each request, in order."""
    recorded: int = 0
    """How many requests had a status in the trace."""
    differing: int = 0
    differences: list[Difference] = field(default_factory=list[Difference])
    """The first of them."""
    began: float = 0.0
    ended: float = 0.0


class _Caller:
    """All requests of one user to one model: alike but for their time."""

    __slots__ = ("buckets", "plan", "request", "tally")

    def __init__(self, request: Request, tally: Tally, buckets: dict[int, Bucket]) -> None:
        self.request = request
        self.plan: Plan | None = None
        self.tally = tally
        self.buckets = buckets


_End = tuple[float, int, Decision, _Caller, Ask]


def replay(
    service: Service,
    traffic: Iterable[Ask],
    *,
    tokens_per_second: float = TOKENS_PER_SECOND,
    told: Callable[[int], None] | None = None,
    keep_plans: bool = True,
) -> Result:
    """What a stack would have done with some traffic.

    Args:
        service: the stack.
        traffic: requests in the order of their time.
        tokens_per_second: how fast completions are written where the traffic does not say how long an answer took;
            0 for answers that end when they begin.
        told: hears now and then how many requests are done.
        keep_plans: False evaluates every request anew, which takes a hundred times as long and gives the same.
    """
    return _Replay(service, tokens_per_second, keep_plans=keep_plans).run(traffic, told)


class _Replay:
    def __init__(self, service: Service, tokens_per_second: float, *, keep_plans: bool) -> None:
        self._service = service
        self._gate: Gate = service.gate()
        self._counters: Counters = self._gate.counters
        self._speed = tokens_per_second
        self._keep_plans = keep_plans
        self._callers: dict[tuple[str, str], _Caller] = {}
        self._ends: list[_End] = []
        self._result = Result(service)

    def run(self, traffic: Iterable[Ask], told: Callable[[int], None] | None) -> Result:
        result, ends, statuses = self._result, self._ends, self._result.statuses
        number = 0
        for number, ask in enumerate(traffic, 1):
            now = ask.time
            while ends and ends[0][0] <= now:
                self._finish(heapq.heappop(ends))
            status = self._begin(number, ask, now)
            statuses.append(status)
            if ask.status is not None:
                result.recorded += 1
                if ask.status != status:
                    self._note(Difference(number, ask, status))
            if number == 1:
                result.began = now
            result.ended = now
            if told is not None and number % _TOLD_EVERY == 0:
                told(number)
        while ends:
            result.ended = max(result.ended, ends[0][0])
            self._finish(heapq.heappop(ends))
        if told is not None:
            told(number)
        return result

    def _begin(self, number: int, ask: Ask, now: float) -> int:
        caller = self._callers.get((ask.user, ask.model)) or self._caller(ask)
        plan = caller.plan
        if plan is None:
            plan = self._gate.plan(caller.request, now)
            if self._keep_plans and plan.holds_always:
                caller.plan = plan
        decision = self._gate.follow(plan, now, explain=False)
        for counter, _ in decision.charged:
            self._seen(counter, "requests", now)
        minute = int(now // BUCKET_SECONDS)
        bucket = caller.buckets.get(minute)
        if bucket is None:
            bucket = caller.buckets[minute] = Bucket()
        tally = caller.tally
        tally.requests += 1
        if decision.allowed:
            tally.allowed += 1
            bucket.allowed += 1
            heapq.heappush(self._ends, (now + self._duration(ask), number, decision, caller, ask))
            return decision.status
        bucket.refused += 1
        why = str(decision.status)
        if decision.refused is not None:
            kind = "tokens" if decision.calls[-1].kind == "check" else "requests"
            why = f"{kind}: {decision.refused_by}"
            self._seen(decision.refused, kind, now).refused += 1
        tally.refused[why] = tally.refused.get(why, 0) + 1
        return decision.status

    def _finish(self, end: _End) -> None:
        now, _, decision, caller, ask = end
        total = ask.prompt + ask.completion
        usage = {"usage": {"total_tokens": total}} if ask.counted else None
        self._gate.finish(decision, usage, now, explain=False)
        if not ask.counted:
            return
        caller.tally.prompt += ask.prompt
        caller.tally.completion += ask.completion
        minute = int(now // BUCKET_SECONDS)
        bucket = caller.buckets.get(minute)
        if bucket is None:
            bucket = caller.buckets[minute] = Bucket()
        bucket.tokens += total
        for report in decision.reports:
            for counter in report.counters:
                peak = self._seen(counter, "tokens", now)
                over = self._counters.value(counter, now) - counter.max_value
                if over > 0:
                    peak.overshoot += min(max(1, total), over)

    def _seen(self, counter: Counter, kind: str, now: float) -> Peak:
        peak = self._result.peaks.get(counter.key)
        if peak is None:
            peak = self._result.peaks[counter.key] = Peak(counter, kind)
        used, began = self._counters.window(counter, now)
        if used > peak.used:
            peak.used, peak.began = used, began
        return peak

    def _duration(self, ask: Ask) -> float:
        if ask.seconds is not None:
            return ask.seconds
        return ask.completion / self._speed if self._speed else 0.0

    def _caller(self, ask: Ask) -> _Caller:
        result, pair = self._result, (ask.user, ask.model)
        tally = result.tallies.setdefault(pair, Tally())
        buckets = result.buckets.setdefault(self._service.users.get(ask.user, ""), {})
        caller = self._callers[pair] = _Caller(self._service.request(ask.user, ask.model), tally, buckets)
        return caller

    def _note(self, difference: Difference) -> None:
        self._result.differing += 1
        if len(self._result.differences) < _EXAMPLES:
            self._result.differences.append(difference)
