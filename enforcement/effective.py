"""Which policy holds on a path when several are attached along it: gateway, listener, route."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from enforcement.objects import Object, World, created, fields_of, items_of, name_of, namespace_of, targets
from enforcement.routing import Path

Rules = Mapping[str, Any]
"""Rules of a policy by a name that is unique within it, such as `limits/free` or `authentication/api-key`."""


@dataclass(frozen=True)
class Effective:
    """What is left of all policies of a kind on one path: rules by name, each with the policy that it came from."""

    rules: Rules = field(default_factory=dict[str, Any])
    sources: Mapping[str, Object] = field(default_factory=dict[str, Object])

    def section(self, name: str) -> dict[str, Any]:
        """The rules of one section, such as `limits`, by their own names, in order."""
        start = name + "/"
        return {key.removeprefix(start): rule for key, rule in sorted(self.rules.items()) if key.startswith(start)}


def effective(world: World, policies: Sequence[Object], path: Path) -> Effective:
    """Reduce from the most specific policy to the most general one, as Kuadrant does."""
    result = Effective()
    for policy in reversed(_attached(world, policies, path)):
        result = _combined(general=policy, specific=result)
    return result


def _attached(world: World, policies: Sequence[Object], path: Path) -> list[Object]:
    """From general to specific; of two on one target the newer counts as the more specific."""
    levels: tuple[list[Object], ...] = ([], [], [], [])
    for policy in policies:
        section = policy["spec"]["targetRef"].get("sectionName")
        if targets(policy, "Gateway", world.gateway):
            if section is None:
                levels[0].append(policy)
            elif section == path.listener:
                levels[1].append(policy)
        elif targets(policy, "HTTPRoute", path.route):
            if section is None:
                levels[2].append(policy)
            elif section in {f"rule-{path.rule_index + 1}", path.rule.get("name")}:
                levels[3].append(policy)
    return [policy for level in levels for policy in sorted(level, key=_age)]


def _age(policy: Object) -> tuple[str, str, str]:
    return created(policy), namespace_of(policy), name_of(policy)


def _combined(general: Object, specific: Effective) -> Effective:
    spec = general["spec"]
    rules = policy_rules(general)
    mine = Effective(rules, dict.fromkeys(rules, general))
    if not specific.rules:
        return mine
    if not rules:
        return specific
    if "overrides" in spec:
        winner, other = mine, specific
        strategy = spec["overrides"].get("strategy", "atomic")
    else:
        winner, other = specific, mine
        strategy = fields_of(spec.get("defaults")).get("strategy", "atomic")
    if strategy == "atomic":
        return winner
    return Effective({**other.rules, **winner.rules}, {**other.sources, **winner.sources})


def policy_rules(policy: Object) -> dict[str, Any]:
    """The named rules of an AuthPolicy, a RateLimitPolicy or a TokenRateLimitPolicy, whichever way they are written."""
    spec = policy["spec"]
    body = fields_of(spec.get("overrides") or spec.get("defaults") or spec)
    conditions = items_of(body.get("when"))
    rules: dict[str, Any] = {}
    for name, limit in fields_of(body.get("limits")).items():
        rules[f"limits/{name}"] = {**limit, "when": [*conditions, *items_of(limit.get("when"))]}
    for section, named in fields_of(body.get("rules")).items():
        if section == "response":
            rules |= _response_rules(named)
        else:
            rules |= {f"{section}/{name}": rule for name, rule in named.items()}
    if conditions and policy["kind"] == "AuthPolicy":
        rules["when/"] = conditions
    return rules


def _response_rules(response: Mapping[str, Any]) -> dict[str, Any]:
    rules: dict[str, Any] = {
        f"denial/{name}": response[name] for name in ("unauthenticated", "unauthorized") if name in response
    }
    for kind, named in fields_of(response.get("success")).items():
        rules |= {f"{kind}/{name}": rule for name, rule in named.items()}
    return rules
