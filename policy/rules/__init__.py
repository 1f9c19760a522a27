"""The rules, pure: resources in, messages out. No engine and no SDK: previews and rendered objects are held alike."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from policy.rules import pods, service
from policy.rules.levels import RULES, Declared, Level, level_of
from policy.rules.resource import Resource, Stack, mapping

__all__ = ["OF_RESOURCE", "OF_STACK", "RULES", "Declared", "Level", "Resource", "Stack", "Violation", "check"]

OF_RESOURCE: Mapping[str, Callable[[Resource], Iterator[str]]] = {
    "pinned-images": pods.pinned_images,
    "images-by-digest": pods.images_by_digest,
    "requests-and-limits": pods.requests_and_limits,
    "gpu-placement": pods.gpu_placement,
    "no-privileged-pods": pods.no_privileged_pods,
    "encrypted-secrets": service.encrypted_secrets,
}
"""Rules that look at one resource."""
OF_STACK: Mapping[str, Callable[[Stack], Iterator[tuple[str, str]]]] = {
    "limited-tiers": service.limited_tiers,
    "fail-closed": service.fail_closed,
    "network-policies": service.network_policies,
    "hosts-in-any-case": service.hosts_in_any_case,
    "trusted-tokens": service.trusted_tokens,
    "tls": service.tls,
    "prices": service.prices,
    "kept-counters": service.kept_counters,
}
"""Rules that look at the whole stack: URN of what is to blame, empty for the configuration, and why."""


@dataclass(frozen=True, order=True)
class Violation:
    """One thing that a rule found."""

    rule: str
    level: Level
    where: str
    """The object, or `configuration`."""
    text: str


def check(stack: Stack) -> list[Violation]:
    """All that the rules find in a stack, the mandatory ones first; what is disabled for it is not looked at."""
    settings = mapping(stack.config.get("policy"))
    titles = {each.urn: each.title for each in stack.resources}
    found: list[Violation] = []
    for name in RULES:
        level = level_of(name, settings)
        if level is not Level.DISABLED:
            found += [Violation(name, level, titles.get(urn, "configuration"), text) for urn, text in _run(name, stack)]
    return sorted(set(found), key=lambda each: (each.level is not Level.MANDATORY, each))


def _run(name: str, stack: Stack) -> Sequence[tuple[str, str]]:
    if name in OF_STACK:
        return list(OF_STACK[name](stack))
    return [(each.urn, text) for each in stack.resources for text in OF_RESOURCE[name](each)]
