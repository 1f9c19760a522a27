"""The policies of the cluster at one moment, ready to decide: a gate for each Gateway."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from enforcement.authentication import Authorino
from enforcement.counters import Counters
from enforcement.decision import Gate
from enforcement.objects import Object, World, created, fields_of, items_of, name_of, namespace_of
from enforcement.semantics import Semantics

_KUADRANT_NAMESPACE = "kuadrant-system"
OPERATOR = "kuadrant-operator-controller-manager"
"""The Deployment whose environment says what happens when Authorino or Limitador does not answer."""


@dataclass(frozen=True)
class Limiter:
    """What the Limitador object says."""

    exhaustive: bool = False
    """Whether `limited_calls` names the limit."""
    headers: bool = False
    """Whether callers are told what is left of their request limits."""
    replicas: int = 1
    """How many there are; with none, the filter's calls fail."""
    redis_secret: str = ""
    """Secret with the address of the Redis that counts; empty: the limiter counts in its memory."""

    @classmethod
    def of(cls, limitadors: Sequence[Object]) -> "Limiter":
        """Read the one Limitador, where there is one."""
        spec: dict[str, Any] = fields_of(limitadors[0].get("spec")) if limitadors else {}
        storage = fields_of(spec.get("storage"))
        redis = fields_of(storage.get("redis") or storage.get("redis-cached"))
        return cls(
            spec.get("telemetry") == "exhaustive",
            spec.get("rateLimitHeaders") == "DRAFT_VERSION_03",
            int(spec.get("replicas", 1)),
            str(fields_of(redis.get("configSecretRef")).get("name", "")),
        )


class Gates:
    """Everything that decides over a request. Never changed: a change in the cluster makes another one."""

    def __init__(self, objects: Iterable[Object], counters: Counters) -> None:
        objects = list(objects)
        self.counters = counters
        self.kuadrant_namespace = next(
            (namespace_of(each) for each in objects if each["kind"] == "Kuadrant"), _KUADRANT_NAMESPACE
        )
        self.limiter = Limiter.of([each for each in objects if each["kind"] == "Limitador"])
        self.semantics = Semantics.of_environment(_environment_of_operator(objects))
        self._gates: list[tuple[list[str], Gate]] = []
        for gateway in sorted((each for each in objects if each["kind"] == "Gateway"), key=created):
            name = f"{namespace_of(gateway)}/{name_of(gateway)}"
            world = World.of(objects, name, self.kuadrant_namespace)
            gate = self.gate(world)
            hosts = [str(listener.get("hostname") or "*") for listener in gateway["spec"]["listeners"]]
            self._gates.append((hosts, gate))
        # All Gateways share one port here. One that only redirects to another is of no use to a caller.
        self._gates.sort(key=lambda each: _only_redirects(each[1].world))
        self.credentials = frozenset(key.value for _, gate in self._gates for key in gate.world.keys)

    def gate(self, world: World) -> Gate:
        """What decides over one Gateway's requests."""
        gate = Gate(world, Authorino(world.keys, self.kuadrant_namespace), self.counters, self.semantics)
        gate.limiter_answers = self.limiter.replicas > 0
        return gate

    def __len__(self) -> int:
        """How many Gateways there are."""
        return len(self._gates)

    @property
    def names(self) -> list[str]:
        """The Gateways by namespace and name."""
        return [f"{namespace_of(gate.world.gateway)}/{name_of(gate.world.gateway)}" for _, gate in self._gates]

    def for_host(self, host: str) -> Gate | None:
        """The gate of the Gateway that listens for a host; None when none does."""
        return next((gate for hosts, gate in self._gates if any(_listens(each, host.lower()) for each in hosts)), None)


def _environment_of_operator(objects: Iterable[Object]) -> dict[str, str]:
    return {
        str(each["name"]): str(each.get("value") or "")
        for deployment in objects
        if deployment["kind"] == "Deployment" and name_of(deployment) == OPERATOR
        for container in items_of(fields_of(deployment["spec"]["template"].get("spec")).get("containers"))
        for each in items_of(container.get("env"))
    }


def _listens(hostname: str, host: str) -> bool:
    return hostname in {"*", host} or (hostname.startswith("*.") and host.endswith(hostname[1:]))


def _only_redirects(world: World) -> bool:
    rules = [rule for route in world.routes for rule in items_of(route["spec"].get("rules"))]
    return bool(rules) and all(
        any(each["type"] == "RequestRedirect" for each in items_of(rule.get("filters"))) for rule in rules
    )
