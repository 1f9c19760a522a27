"""A gateway with one route and the policies that a test puts on it, by hand, so that each rule stands alone."""

import base64
from collections.abc import Mapping
from typing import Any

from enforcement.authentication import Authorino
from enforcement.counters import Counters
from enforcement.decision import Decision, Gate
from enforcement.objects import Object, World
from enforcement.request import Request
from enforcement.semantics import Semantics

HOST, NOW = "m.a.test", 1_800_000_000.0
KEYS = {"alice": "free", "bob": "premium"}
TIER = 'auth.identity.tier == "free"'
USER = "auth.identity.userid"


def rates(limit: int, window: str = "1m") -> list[dict[str, Any]]:
    return [{"limit": limit, "window": window}]


def limit(
    maximum: int, *predicates: str, counters: tuple[str, ...] = (USER,), window: str = "1m", **more: object
) -> dict[str, Any]:
    """A limit; counted by user unless told otherwise."""
    return {
        "rates": rates(maximum, window),
        "when": [{"predicate": each} for each in predicates],
        "counters": [{"expression": each} for each in counters],
        **more,
    }


def policy(kind: str, spec: Mapping[str, Any], name: str = "p", target: str = "Gateway", created: str = "") -> Object:
    version = {"TokenRateLimitPolicy": "v1alpha1"}.get(kind, "v1")
    return {
        "apiVersion": f"kuadrant.io/{version}",
        "kind": kind,
        "metadata": {"name": name, "namespace": "n", **({"creationTimestamp": created} if created else {})},
        "spec": {"targetRef": {"kind": target, "name": {"Gateway": "g", "HTTPRoute": "m"}[target]}, **spec},
    }


def requests(limits: Mapping[str, Any], **more: Any) -> Object:  # noqa: ANN401 - as for policy
    return policy("RateLimitPolicy", {"limits": dict(limits)}, **more)


def tokens(limits: Mapping[str, Any], **more: Any) -> Object:  # noqa: ANN401 - as for policy
    return policy("TokenRateLimitPolicy", {"limits": dict(limits)}, **more)


def auth(overrides: Mapping[str, str] | None = None, *patterns: str) -> Object:
    """API keys of `KEYS`; publishes `auth.identity.userid` and `auth.identity.tier`."""
    annotations = "auth.identity.metadata.annotations"
    more = {"overrides": {name: {"expression": each} for name, each in overrides.items()}} if overrides else {}
    return policy(
        "AuthPolicy",
        {
            "rules": {
                "authentication": {"key": {"apiKey": {"selector": {"matchLabels": {"app": "t"}}}, **more}},
                "authorization": {
                    "rule": {"patternMatching": {"patterns": [{"predicate": each} for each in patterns]}}
                },
                "response": {
                    "success": {
                        "filters": {
                            "identity": {
                                "json": {
                                    "properties": {
                                        "userid": {"expression": f"{annotations}.user"},
                                        "tier": {"expression": f"{annotations}.tier"},
                                    }
                                }
                            }
                        }
                    }
                },
            }
        },
        name="auth",
    )


def key(user: str, **annotations: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": user,
            "namespace": "kuadrant-system",
            "labels": {"app": "t", "authorino.kuadrant.io/managed-by": "authorino"},
            "annotations": {"user": user, "tier": KEYS.get(user, ""), **annotations},
        },
        "data": {"api_key": base64.b64encode(f"key-of-{user}".encode()).decode()},
    }


GATEWAY: Object = {
    "apiVersion": "gateway.networking.k8s.io/v1",
    "kind": "Gateway",
    "metadata": {"name": "g", "namespace": "n"},
    "spec": {"listeners": [{"name": "http", "hostname": "*.a.test"}]},
}


def route(name: str = "m", host: str = HOST) -> Object:
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": name, "namespace": "n"},
        "spec": {
            "parentRefs": [{"name": "g"}],
            "hostnames": [host],
            "rules": [{"backendRefs": [{"name": name, "port": 80}]}],
        },
    }


class Small:
    """The gateway, its counters and its clock."""

    def __init__(
        self,
        *objects: Object,
        counters: Counters | None = None,
        semantics: Semantics = Semantics(),  # noqa: B008 - frozen
        remembers: int = 0,
    ) -> None:
        everything = [GATEWAY, route(), *(key(each) for each in KEYS), *objects]
        self.world = World.of(everything, "n/g")
        self.counters = counters or Counters()
        authorino = Authorino(self.world.keys, "kuadrant-system")
        self.gate = Gate(self.world, authorino, self.counters, semantics, remembers=remembers)
        self.now = NOW

    def ask(self, user: str = "", target: str = "/v1/chat/completions", host: str = HOST, **headers: str) -> Decision:
        sent = {"authorization": f"Bearer key-of-{user}"} if user else {}
        return self.gate.decide(Request("POST", host, target, {**sent, **headers}), self.now)

    def answer(self, decision: Decision, total: int | None) -> Decision:
        self.gate.finish(decision, {"usage": {"total_tokens": total}} if total is not None else {}, self.now)
        return decision

    def chat(self, user: str, total: int, **more: str) -> int:
        """The status of a request that is answered, when it is let through, with so many tokens."""
        return self.answer(self.ask(user, **more), total).status
