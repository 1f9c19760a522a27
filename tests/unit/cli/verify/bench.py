"""A bench over a client that a test scripts: no HTTP, no gateway."""

import asyncio
import json
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar, cast

from cli.service.calls import Way
from cli.verify.client import Caller, Client, Reply, Spent
from cli.verify.facts import Facts
from cli.verify.scenario import Bench, Means, Person
from tests.verifying import MODELS, STACK, stack, ways

T = TypeVar("T")


@dataclass(frozen=True)
class Asked:
    """One request, as the scripted service sees it."""

    caller: str
    model: str
    path: str
    body: Mapping[str, Any] | None
    headers: Mapping[str, str]
    host: str
    number: int
    """How many this caller has made before."""


Script = Callable[[Asked], Reply]


@dataclass
class Scripted:
    """In place of a client."""

    script: Script
    spent: Spent = field(default_factory=lambda: Spent(1000, 100_000))
    tls: None = None
    asked: list[Asked] = field(default_factory=list[Asked])

    async def send(  # noqa: PLR0913 - as Client.send
        self,
        way: Way,
        caller: Caller,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        host: str = "",
    ) -> Reply:
        before = sum(each.caller == caller.name for each in self.asked)
        asked = Asked(caller.name, way.model, path, body, headers or {}, host or way.host, before)
        self.asked.append(asked)
        self.spent.requests += 1
        return self.script(asked)


@dataclass
class Users:
    """Makes users whom the scripted service knows by name."""

    made: list[Person] = field(default_factory=list[Person])
    revoked: list[str] = field(default_factory=list[str])

    async def make(self, person: Person) -> str:
        self.made.append(person)
        return f"test-only-{person.name}"

    async def revoke(self, name: str) -> None:
        self.revoked.append(name)


def bench(script: Script, **more: Any) -> Bench:  # noqa: ANN401 - of Means
    facts = Facts(STACK, stack()[0], tuple(MODELS))
    means = replace(Means(ways("http://127.0.0.1:1"), Users(), accepted_within=0.2), **more)
    return Bench(facts, cast("Client", Scripted(script)), means)


def answer(status: int = 200, body: object = None, **headers: str) -> Reply:
    return Reply(status, {"x-request-id": "id-1", **headers}, json.dumps(body if body is not None else {}).encode())


def error(status: int, code: str) -> Reply:
    return answer(status, {"error": {"message": "No.", "type": "t", "param": None, "code": code}})


def chat_answer(tokens: int = 3) -> Reply:
    return answer(body={"choices": [{"message": {"content": "Hi"}}], "usage": {"total_tokens": tokens}})


def done(work: Coroutine[Any, Any, T]) -> T:
    async def bounded() -> T:
        return await asyncio.wait_for(work, 20)

    return asyncio.run(bounded())
