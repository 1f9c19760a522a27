"""The rules by name, and how grave each is on which stack. Nothing but the standard library: config/ reads it too."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """What a violation does; the words are CrossGuard's."""

    MANDATORY = "mandatory"
    """Nothing is deployed."""
    ADVISORY = "advisory"
    """It is said, and that is all."""
    DISABLED = "disabled"


@dataclass(frozen=True)
class Declared:
    """A rule without its code."""

    description: str
    level: Level
    protected: Level
    """Its level on stacks with `policy: {protected: true}`."""


_ALWAYS = (Level.MANDATORY, Level.MANDATORY)
RULES: Mapping[str, Declared] = {
    "pinned-images": Declared("No image without a tag, and none tagged latest.", *_ALWAYS),
    "images-by-digest": Declared("Every image is named by its digest.", Level.DISABLED, Level.MANDATORY),
    "requests-and-limits": Declared("Every container has requests of CPU and memory, and a limit of memory.", *_ALWAYS),
    "gpu-placement": Declared("Pods with GPUs select their nodes and tolerate those nodes' taints.", *_ALWAYS),
    "no-privileged-pods": Declared(
        "No privileged container, no namespace or account of the host, no SCC that allows either.", *_ALWAYS
    ),
    "encrypted-secrets": Declared("What a Secret holds is a secret of the stack, so encrypted in its state.", *_ALWAYS),
    "limited-tiers": Declared("Every tier has a limit of requests or tokens.", *_ALWAYS),
    "fail-closed": Declared("Requests are refused while nobody can check them.", *_ALWAYS),
    "network-policies": Declared("A NetworkPolicy guards the pods of every model.", *_ALWAYS),
    "hosts-in-any-case": Declared(
        "No way of writing a host gets around the policies.", Level.ADVISORY, Level.MANDATORY
    ),
    "trusted-tokens": Declared(
        "Nobody on the way can make tokens that are accepted, or use them elsewhere.", Level.ADVISORY, Level.MANDATORY
    ),
    "tls": Declared("Callers reach the gateway by TLS alone.", *_ALWAYS),
    "prices": Declared("Every tier has a price.", Level.ADVISORY, Level.MANDATORY),
    "kept-counters": Declared("Counters outlive the limiter's pod.", Level.DISABLED, Level.MANDATORY),
}


def level_of(rule: str, settings: Mapping[str, object]) -> Level:
    """The level of a rule on a stack.

    Args:
        rule: Its name.
        settings: What the stack has under `maas:policy`, as the user wrote it.
    """
    own = settings.get("levels")
    if isinstance(own, Mapping) and rule in own:
        return Level(str(own[rule]))  # pyright: ignore[reportUnknownArgumentType] - any mapping
    declared = RULES[rule]
    return declared.protected if settings.get("protected") is True else declared.level
