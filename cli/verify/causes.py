"""The likeliest cause of what failed: what the doctor finds on the cluster, and what the gateway says of a request."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from cli.doctor.findings import Finding, Level
from cli.exits import MaasError
from cli.stacks.stackfile import mapping
from cli.verify.scenario import Outcome, Result

_NEAR: Mapping[str, tuple[str, ...]] = {
    "reach": ("gateway", "routes", "mesh", "operators"),
    "credentials": ("policies", "kuadrant", "keys", "security"),
    "answers": ("models", "routes", "kserve"),
    "limits": ("policies", "kuadrant"),
    "tricks": ("policies", "routes", "kuadrant"),
    "isolation": ("stack", "security"),
    "usage": ("monitoring", "policies", "kuadrant"),
    "disruption": ("kuadrant", "operators"),
}
"""Which of the doctor's subjects a group of scenarios stands on, the nearest first."""
Examine = Callable[[], Awaitable[Sequence[Finding]]]
Explain = Callable[[str], Awaitable[Any]]


async def explain(results: Sequence[Result], examine: Examine | None, why: Explain | None) -> None:
    """Add to each failure its likeliest cause.

    Args:
        results: of a run.
        examine: the doctor's findings of the cluster; None where there is none to read.
        why: what the gateway tells of a request; None where it does not.
    """
    failed = [each for each in results if each.outcome is Outcome.FAILED]
    if not failed:
        return
    try:
        findings = await examine() if examine else ()
    except MaasError:
        findings = ()
    for each in failed:
        told = await why(each.request_id) if why and each.request_id else None
        each.cause = "; ".join(filter(None, (cause(each, findings), _decision(mapping(told)))))


def cause(result: Result, findings: Sequence[Finding]) -> str:
    """The nearest of the cluster's problems, or else what it usually is."""
    problems = [each for each in findings if each.level is Level.PROBLEM]
    near = _NEAR.get(result.scenario.group, ())
    ranked = sorted(problems, key=lambda each: near.index(each.check) if each.check in near else len(near))
    if not ranked:
        return result.scenario.hint
    first = ranked[0]
    more = f" ({len(ranked) - 1} more: ./maas doctor)" if len(ranked) > 1 else ""
    return f"{first.object}: {first.message}. {first.fix}".rstrip(". ") + more


def _decision(told: Mapping[str, Any]) -> str:
    """The gateway's own reasons."""
    said = [str(each) for each in told.get("explanation") or ()]
    return f"the gateway says: {', '.join(said)}" if said else ""
