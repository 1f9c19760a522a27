"""The pack as the engine runs it: `pulumi preview --policy-pack policy`, in the environment of requirements.lock.

What it knows of the stack's settings comes from the engine (PULUMI_CONFIG).
"""

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from pulumi_policy import (
    EnforcementLevel,
    PolicyPack,
    ReportViolation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    StackValidationArgs,
    StackValidationPolicy,
)

from policy.rules import OF_RESOURCE, OF_STACK, RULES, Resource, Stack
from policy.rules.levels import level_of
from policy.rules.resource import config_of, mapping


def of_resource(name: str, level: EnforcementLevel) -> ResourceValidationPolicy:
    """A rule on single resources as CrossGuard takes it."""

    def validate(args: ResourceValidationArgs, report: ReportViolation) -> None:
        for text in OF_RESOURCE[name](Resource(args.resource_type, _plain(args.props), args.urn)):
            report(text, None)

    return ResourceValidationPolicy(name, RULES[name].description, validate, level)


def of_stack(name: str, level: EnforcementLevel, config: Mapping[str, Any]) -> StackValidationPolicy:
    """A rule on the whole stack as CrossGuard takes it."""

    def validate(args: StackValidationArgs, report: ReportViolation) -> None:
        resources = [Resource(each.resource_type, _plain(each.props), each.urn) for each in args.resources]
        for urn, text in OF_STACK[name](Stack(resources, config)):
            report(text, urn or None)

    return StackValidationPolicy(name, RULES[name].description, validate, level)


def _plain(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Properties out of the SDK's proxies, which raise where a value is not known yet; that is left out."""
    if hasattr(value, "items"):
        return {str(key): _plain(value[key]) for key in list(value)}
    if isinstance(value, str | bytes) or value is None:
        return value
    if hasattr(value, "__iter__"):
        return [_plain(each) for each in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def main() -> None:
    """Serve the pack until the engine is through."""
    config = config_of(json.loads(os.environ.get("PULUMI_CONFIG") or "{}"))
    settings = mapping(config.get("policy"))
    levels = {name: EnforcementLevel(level_of(name, settings).value) for name in RULES}
    PolicyPack(
        "maas",
        [
            of_resource(name, level) if name in OF_RESOURCE else of_stack(name, level, config)
            for name, level in levels.items()
        ],
    )


if __name__ == "__main__":
    main()
