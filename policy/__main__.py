"""The pack as the engine runs it: `pulumi preview --policy-pack policy`, in the environment of requirements.lock.

The engine tells a pack's Python SDK nothing of the stack's settings before it asks for levels (the SDK drops what
ConfigureStack brings). So the pack reads the stack's own file, whose name every URN has in it, and each rule is there
twice, as mandatory and as advice: the one that is right for the stack speaks.
"""

import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import yaml  # noqa: E402 - `policy` is a package of the folder above
from pulumi_policy import (  # noqa: E402
    EnforcementLevel,
    PolicyPack,
    ReportViolation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    StackValidationArgs,
    StackValidationPolicy,
)

from config.shared import layered  # noqa: E402
from policy.rules import OF_RESOURCE, OF_STACK, RULES, Level, Resource, Stack  # noqa: E402
from policy.rules.levels import level_of  # noqa: E402
from policy.rules.resource import config_of, mapping  # noqa: E402

ADVICE = "-advice"


@cache
def stack_config(stack: str) -> Mapping[str, Any]:
    """What a stack's file has under `maas:`, over what it shares; nothing without one, so that rules are as usual."""
    try:
        content = yaml.safe_load((ROOT / f"Pulumi.{stack}.yaml").read_text(encoding="utf-8"))
    except OSError:
        return {}
    return layered(config_of(mapping(mapping(content).get("config")))).values


def stack_of(urn: str) -> str:
    """The stack in `urn:pulumi:<stack>::<project>::...`."""
    return urn.split("::", 1)[0].rpartition(":")[2]


def speaks(name: str, level: Level, urn: str) -> bool:
    """Whether a rule has this level on the stack of a resource."""
    return level_of(name, mapping(stack_config(stack_of(urn)).get("policy"))) is level


def of_resource(name: str, level: Level) -> ResourceValidationPolicy:
    """A rule on single resources as CrossGuard takes it."""

    def validate(args: ResourceValidationArgs, report: ReportViolation) -> None:
        if speaks(name, level, args.urn):
            for text in OF_RESOURCE[name](Resource(args.resource_type, _plain(args.props), args.urn)):
                report(text, None)

    return ResourceValidationPolicy(
        _name(name, level), RULES[name].description, validate, EnforcementLevel(level.value)
    )


def of_stack(name: str, level: Level) -> StackValidationPolicy:
    """A rule on the whole stack as CrossGuard takes it."""

    def validate(args: StackValidationArgs, report: ReportViolation) -> None:
        if not args.resources or not speaks(name, level, args.resources[0].urn):
            return
        resources = [Resource(each.resource_type, _plain(each.props), each.urn) for each in args.resources]
        for urn, text in OF_STACK[name](Stack(resources, stack_config(stack_of(resources[0].urn)))):
            report(text, urn or None)

    return StackValidationPolicy(_name(name, level), RULES[name].description, validate, EnforcementLevel(level.value))


def _name(name: str, level: Level) -> str:
    return name if level is Level.MANDATORY else name + ADVICE


def _plain(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Properties out of the SDK's proxies. What is not known yet raises, which the SDK tells as advice."""
    if hasattr(value, "items"):
        return {str(key): _plain(value[key]) for key in list(value)}
    if isinstance(value, str | bytes) or value is None:
        return value
    if hasattr(value, "__iter__"):
        return [_plain(each) for each in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def main() -> None:
    """Serve the pack until the engine is through."""
    levels = (Level.MANDATORY, Level.ADVISORY)
    PolicyPack(
        "maas",
        [
            of_resource(name, level) if name in OF_RESOURCE else of_stack(name, level)
            for name in RULES
            for level in levels
        ],
    )


if __name__ == "__main__":
    main()
