"""The last decisions and the counters that they touched, for people who ask why. No credential is in it."""

import json
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from enforcement.counters import Counter, Counters
from enforcement.decision import Decision
from enforcement.objects import fields_of
from enforcement.request import Request

_DECISIONS = 500
_USERS = 5000
TRACED = 50_000
"""Requests that the trace holds."""


@dataclass
class Entry:
    """One request and what became of it."""

    id: str
    time: float
    method: str
    host: str
    path: str
    decision: Decision
    user: str = ""
    tier: str = ""
    status: int = 0
    flags: str = ""
    seconds: float = 0.0
    tokens: int | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    counted: float | None = None
    """When the tokens were counted, in seconds since the epoch; None where they were not."""
    stream: bool = False
    counters: dict[tuple[object, ...], Counter] = field(default_factory=dict[tuple[object, ...], Counter], repr=False)


class Journal:
    """A bounded memory."""

    def __init__(self) -> None:
        self._entries: deque[Entry] = deque(maxlen=_DECISIONS)
        self._users: OrderedDict[str, dict[tuple[object, ...], Counter]] = OrderedDict()
        self._trace: deque[tuple[float, str]] = deque(maxlen=TRACED)

    def note(self, request: Request, decision: Decision, now: float) -> Entry:
        """Take note of a decision. The query stays out: keys may be in it."""
        entry = Entry(request.id, now, request.method, request.host, request.url_path, decision)
        if decision.verdict is not None:
            known = fields_of(decision.verdict.metadata.get("identity"))
            entry.user, entry.tier = str(known.get("userid") or ""), str(known.get("tier") or "")
        entry.counters = {each.key: each for call in decision.calls for each in call.counters}
        self._entries.append(entry)
        if entry.user and entry.counters:
            self._users.setdefault(entry.user, {}).update(entry.counters)
            self._users.move_to_end(entry.user)
            if len(self._users) > _USERS:
                self._users.popitem(last=False)
        return entry

    def ended(self, entry: Entry) -> None:
        """Take a request that fell under limits into the trace, once nothing more is counted for it."""
        if entry.user and entry.counters:
            self._trace.append((entry.time, _traced(entry)))

    def trace(self) -> str:
        """The requests that fell under limits as `./maas simulate` reads them, by time, one a line."""
        return "".join(f"{line}\n" for _, line in sorted(self._trace))

    def last(self, count: int) -> list[dict[str, Any]]:
        """The last decisions, the newest first."""
        return [shown(each) for each in islice(reversed(self._entries), count)]

    def find(self, request_id: str) -> Entry | None:
        """One decision by the answer's x-request-id."""
        return next((each for each in reversed(self._entries) if each.id == request_id), None)

    def users(self) -> list[str]:
        """Everybody with counters."""
        return sorted(self._users)

    def counters_of(self, user: str) -> list[Counter]:
        """The counters that a user's requests fell under."""
        return list(self._users.get(user, {}).values())


def _traced(entry: Entry) -> str:
    decision = entry.decision
    identity = fields_of(decision.verdict.metadata.get("identity")) if decision.verdict else {}
    route = decision.path.namespace.partition("/")[2] if decision.path else ""
    fields: dict[str, Any] = {
        "time": entry.time,
        "user": entry.user,
        "model": str(identity.get("model") or route),
        "stream": entry.stream,
        "status": decision.status,
    }
    if entry.counted is not None:
        fields |= {"seconds": entry.counted - entry.time, "prompt_tokens": entry.prompt_tokens}
        fields["completion_tokens"] = entry.completion_tokens
    return json.dumps(fields, separators=(",", ":"))


def shown(entry: Entry) -> dict[str, Any]:
    """An entry as JSON."""
    decision = entry.decision
    return {
        "id": entry.id,
        "time": round(entry.time, 3),
        "method": entry.method,
        "host": entry.host,
        "path": entry.path,
        "route": decision.path.namespace if decision.path else None,
        "user": entry.user,
        "tier": entry.tier,
        "status": entry.status or decision.status,
        "flags": entry.flags,
        "refusedBy": decision.refused_by,
        "tokens": entry.tokens,
        "seconds": round(entry.seconds, 4),
        "explanation": decision.explanation,
    }


def counted(counters: Counters, which: Counter, now: float) -> dict[str, Any]:
    """A counter as JSON; `max` is null where tokens are only counted."""
    return {
        "route": which.namespace,
        "limit": which.name,
        "counts": "tokens" if which.conditions[0].startswith("tokenlimit.") else "requests",
        "used": counters.value(which, now),
        "max": which.most,
        "windowSeconds": which.seconds,
        "endsInSeconds": round(counters.remaining_seconds(which, now), 1),
    }
