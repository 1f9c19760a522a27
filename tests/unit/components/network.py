"""What a cluster's network lets through, given its NetworkPolicies, as the reference of networking.k8s.io/v1 has it."""

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

Policy = Mapping[str, Any]


@dataclass(frozen=True)
class Pod:
    """A pod, or, with no namespace, an address outside of the cluster."""

    namespace: str
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    address: str = "10.244.1.7"


def allowed(policies: Iterable[Policy], source: Pod, target: Pod, port: int, protocol: str = "TCP") -> bool:
    """Whether a connection comes through: the source may open it, and the target may be opened."""
    every = list(policies)
    service = (port, protocol)
    return _passes(every, "Egress", (source, target), service) and _passes(every, "Ingress", (target, source), service)


def _passes(policies: list[Policy], direction: str, ends: tuple[Pod, Pod], service: tuple[int, str]) -> bool:
    pod, other = ends
    selecting = [each for each in policies if _isolates(each, direction, pod)]
    if not selecting:
        return True
    rules = [(each, rule) for each in selecting for rule in each["spec"].get(direction.lower(), [])]
    peers = {"Ingress": "from", "Egress": "to"}[direction]
    return any(
        _port_fits(rule.get("ports"), service)
        and (
            not rule.get(peers) or any(_peer_fits(peer, policy["metadata"]["namespace"], other) for peer in rule[peers])
        )
        for policy, rule in rules
    )


def _isolates(policy: Policy, direction: str, pod: Pod) -> bool:
    spec = policy["spec"]
    return (
        bool(pod.namespace)
        and policy["metadata"]["namespace"] == pod.namespace
        and direction in spec["policyTypes"]
        and _selects(spec["podSelector"], pod.labels)
    )


def _port_fits(ports: Iterable[Mapping[str, Any]] | None, service: tuple[int, str]) -> bool:
    return not ports or any((each["port"], each["protocol"]) == service for each in ports)


def _peer_fits(peer: Mapping[str, Any], own_namespace: str, other: Pod) -> bool:
    if "ipBlock" in peer:
        # Plugins differ in whether a pod's address counts; the stricter way is taken: it does not.
        block = peer["ipBlock"]
        return (
            not other.namespace
            and _within(block["cidr"], other)
            and not any(_within(each, other) for each in block.get("except", []))
        )
    if not other.namespace:
        return False
    in_namespace = (
        _selects(peer["namespaceSelector"], {"kubernetes.io/metadata.name": other.namespace})
        if "namespaceSelector" in peer
        else other.namespace == own_namespace
    )
    return in_namespace and _selects(peer.get("podSelector", {}), other.labels)


def _within(cidr: str, other: Pod) -> bool:
    network, address = ipaddress.ip_network(cidr), ipaddress.ip_address(other.address)
    return network.version == address.version and address in network


def _selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    exact = all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items())
    return exact and all(_expression(each, labels) for each in selector.get("matchExpressions", []))


def _expression(each: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    match each["operator"]:
        case "Exists":
            return each["key"] in labels
        case "DoesNotExist":
            return each["key"] not in labels
        case "In":
            return labels.get(each["key"]) in each["values"]
        case "NotIn":
            return labels.get(each["key"]) not in each["values"]
        case other:
            raise ValueError(other)
