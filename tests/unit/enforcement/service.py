"""The sandbox stack as the gateway sees it: its own objects, three users with keys, and a clock to turn."""

import json
from collections.abc import Collection
from functools import cache

from cli.program.recorder import record, stack_config
from enforcement.authentication import Authorino
from enforcement.counters import Counters
from enforcement.decision import Decision, Gate
from enforcement.objects import Object, World
from enforcement.request import Request
from enforcement.semantics import Semantics

GATEWAY = "llm/inference-gateway"
NAMESPACE = "kuadrant-system"
DOMAIN = "maas.localhost"
CHAT = "/v1/chat/completions"
KEYS = {user: f"test-only-{user}-".ljust(40, "x") for user in ("freeuser1", "freeuser2", "premiumuser1")}


@cache
def objects() -> tuple[Object, ...]:
    """What the program makes of the sandbox stack and these keys."""
    config, secrets = stack_config("sandbox")
    config |= {"maas:apiKeys": json.dumps(KEYS)}
    recording = record("sandbox", config, [*secrets, "maas:apiKeys"])
    return tuple(each.body for each in recording.objects)


class Service:
    """A gateway of its own, with empty counters, at noon."""

    def __init__(
        self,
        *more: Object,
        without: Collection[str] = (),
        semantics: Semantics = Semantics(),  # noqa: B008 - frozen
        remembers: int = 0,
    ) -> None:
        every = [each for each in objects() if each["kind"] not in without]
        self.world = World.of([*every, *more], GATEWAY, NAMESPACE)
        authorino = Authorino(self.world.keys, NAMESPACE)
        self.gate = Gate(self.world, authorino, Counters(), semantics, remembers=remembers)
        self.now = 1_800_000_000.0

    def ask(self, user: str = "", *, host: str = f"simulator.{DOMAIN}", target: str = CHAT, **headers: str) -> Decision:
        """A request; POST to inference paths, GET otherwise."""
        sent = {"authorization": f"Bearer {KEYS[user]}"} if user else {}
        method = "POST" if target.partition("?")[0] == CHAT else "GET"
        return self.gate.decide(Request(method, host, target, {**sent, **headers}), self.now)

    def chat(self, user: str, tokens: int) -> Decision:
        """A chat that is answered, when it is let through, with so many tokens."""
        decision = self.ask(user)
        self.gate.finish(decision, {"usage": {"total_tokens": tokens}}, self.now)
        return decision
