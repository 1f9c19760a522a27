"""Kubernetes objects, as mappings, sorted out: which gateway, which routes on it, which policies, which keys."""

import base64
import binascii
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

Object = Mapping[str, Any]


def items_of(value: object) -> list[Any]:
    """A list that may be absent."""
    return cast("list[Any]", value or [])


def fields_of(value: object) -> dict[str, Any]:
    """A mapping that may be absent."""
    return cast("dict[str, Any]", value or {})


def name_of(item: Object) -> str:
    """metadata.name."""
    return str(item["metadata"]["name"])


def namespace_of(item: Object) -> str:
    """metadata.namespace; empty where there is none."""
    return str(item["metadata"].get("namespace") or "")


def created(item: Object) -> str:
    """metadata.creationTimestamp; objects that were never on a cluster have none and count as oldest."""
    return str(item["metadata"].get("creationTimestamp") or "")


@dataclass(frozen=True)
class Key:
    """An API key that Authorino knows: the whole Secret is the identity."""

    value: str
    labels: Mapping[str, str]
    namespace: str
    secret: Object = field(repr=False)


@dataclass(frozen=True)
class World:
    """Everything that decides over a request on one gateway."""

    gateway: Object
    routes: Sequence[Object]
    auth: Sequence[Object]
    requests: Sequence[Object]
    tokens: Sequence[Object]
    telemetry: Sequence[Object]
    keys: Sequence[Key]
    kuadrant_namespace: str
    filters: Sequence[Object] = ()
    """EnvoyFilters of the gateway's pods."""

    @classmethod
    def of(cls, objects: Iterable[Object], gateway: str, kuadrant_namespace: str = "kuadrant-system") -> "World":
        """Sort the objects of a cluster, or of rendered files.

        Args:
            objects: any kinds; what has no part in it is left aside.
            gateway: `<namespace>/<name>` of the Gateway that requests come in at.
            kuadrant_namespace: where AuthConfigs are, and so where API keys have to be.

        Raises:
            LookupError: there is no such Gateway.
        """
        by_kind: dict[str, list[Object]] = {}
        for item in objects:
            by_kind.setdefault(str(item.get("kind")), []).append(item)
        namespace, _, name = gateway.partition("/")
        gateways = [
            each for each in by_kind.get("Gateway", []) if (namespace_of(each), name_of(each)) == (namespace, name)
        ]
        if not gateways:
            raise LookupError(f"no Gateway {gateway} among the objects")
        routes = [each for each in by_kind.get("HTTPRoute", []) if is_parent(gateways[0], each)]
        return cls(
            gateways[0],
            routes,
            by_kind.get("AuthPolicy", []),
            by_kind.get("RateLimitPolicy", []),
            by_kind.get("TokenRateLimitPolicy", []),
            by_kind.get("TelemetryPolicy", []),
            [key for each in by_kind.get("Secret", []) if (key := _key(each)) is not None],
            kuadrant_namespace,
            [each for each in by_kind.get("EnvoyFilter", []) if _is_for(each, gateways[0])],
        )


def _is_for(envoy_filter: Object, gateway: Object) -> bool:
    """Whether an EnvoyFilter selects the pods that Istio makes for a gateway."""
    labels = fields_of(fields_of(envoy_filter["spec"].get("workloadSelector")).get("labels"))
    return namespace_of(envoy_filter) == namespace_of(gateway) and labels.get(
        "gateway.networking.k8s.io/gateway-name"
    ) == name_of(gateway)


def is_parent(gateway: Object, route: Object) -> bool:
    """Whether a route names the gateway as one of its parents."""
    wanted = (namespace_of(gateway), name_of(gateway))
    return any(
        (ref.get("namespace") or namespace_of(route), ref["name"]) == wanted and ref.get("kind", "Gateway") == "Gateway"
        for ref in items_of(route["spec"].get("parentRefs"))
    )


def targets(policy: Object, kind: str, item: Object) -> bool:
    """Whether a policy's target is an object; policies target objects of their own namespace only."""
    ref = policy["spec"]["targetRef"]
    return (
        ref["kind"] == kind
        and ref["name"] == name_of(item)
        and (ref.get("namespace") or namespace_of(policy)) == namespace_of(item)
    )


def _key(secret: Object) -> Key | None:
    value = _value(secret, "api_key")
    # Authorino watches Secrets with its own label only: others are read once, and their deletion is not noticed.
    labels: Mapping[str, str] = fields_of(secret["metadata"].get("labels"))
    if not value or labels.get("authorino.kuadrant.io/managed-by") != "authorino":
        return None
    hidden = {name: part for name, part in secret.items() if name not in {"data", "stringData"}}
    return Key(value, labels, namespace_of(secret), hidden)


def _value(secret: Object, key: str) -> str | None:
    plain = fields_of(secret.get("stringData")).get(key)
    if plain is not None:
        return str(plain)
    encoded = fields_of(secret.get("data")).get(key)
    if encoded is None:
        return None
    try:
        return base64.b64decode(str(encoded), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
