"""The CRDs that stay when an operator goes: which, with how many objects, and how to take them away."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from cli.deploy.tracker import Step
from components.operators.catalogue import DECLARATIONS
from components.operators.manifest import GATEWAY_API, GATEWAY_API_GROUPS
from sandbox.kube import ApiError, Kube

_CRD = ("apiextensions.k8s.io/v1", "CustomResourceDefinition")
_AT_ONCE = 8
_RELEASE, _SUBSCRIPTION = "kubernetes:helm.sh/v3:Release", ":Subscription"
_FILE = "kubernetes:yaml/v2:ConfigFile"


@dataclass(frozen=True)
class Leftover:
    """The CRDs of one operator that is gone."""

    operator: str
    groups: tuple[str, ...]
    objects: dict[str, int | None] = field(default_factory=dict[str, "int | None"])
    """How many objects each CRD still has, by its name; None where that may not be read."""

    @property
    def count(self) -> int:
        """How many objects there are of all its kinds."""
        return sum(each or 0 for each in self.objects.values())


def uninstalled(steps: Iterable[Step]) -> list[str]:
    """Names of the operators that a run has taken off the cluster, as its steps say."""
    gone = {(step.type, step.name) for step in steps if step.op == "delete" and not step.failed}
    charts = {name for type_, name in gone if type_ == _RELEASE}
    packages = {name for type_, name in gone if type_.startswith("kubernetes:") and type_.endswith(_SUBSCRIPTION)}
    found = [GATEWAY_API] if any(type_ == _FILE for type_, _ in gone) else []
    for each in DECLARATIONS:
        its_charts = {chart.name for chart in each.charts.charts} if each.charts else set[str]()
        its_packages = {offer.package for offers in (each.offers or {}).values() for offer in offers}
        if charts & {*its_charts, *(f"istio-{name}" for name in its_charts)} or packages & its_packages:
            found.append(each.name)
    return found


async def look(kube: Kube, operators: Sequence[str]) -> list[Leftover]:
    """What is left of operators that are gone.

    Raises:
        ApiError: The CRDs cannot be listed.
    """
    groups = {each.name: each.groups for each in DECLARATIONS} | {GATEWAY_API: GATEWAY_API_GROUPS}
    every = await kube.list(*_CRD)
    turn = asyncio.Semaphore(_AT_ONCE)

    async def count(crd: dict[str, Any]) -> int | None:
        spec = crd["spec"]
        version = next(each["name"] for each in spec["versions"] if each["served"])
        async with turn:
            try:
                return len(await kube.list(f"{spec['group']}/{version}", spec["names"]["kind"]))
            except ApiError:
                return None

    left: list[Leftover] = []
    for operator in operators:
        its = [crd for crd in every if belongs(str(crd["spec"]["group"]), groups[operator])]
        counts = await asyncio.gather(*(count(crd) for crd in its))
        names = [str(crd["metadata"]["name"]) for crd in its]
        if names:
            left.append(Leftover(operator, groups[operator], dict(zip(names, counts, strict=True))))
    return left


def belongs(group: str, groups: Iterable[str]) -> bool:
    """Whether an API group is one of these, or below one."""
    return any(group == each or group.endswith(f".{each}") for each in groups)


def told(left: Sequence[Leftover]) -> str:
    """For people: what stays, why, and how it goes."""
    if not left:
        return ""
    lines = ["CRDs stay on the cluster, so that no object of their kinds is lost:"]
    for each in left:
        held = {name: count for name, count in each.objects.items() if count}
        shown = ", ".join(f"{name} ({count})" for name, count in sorted(held.items()))
        lines.append(f"  {each.operator}: {len(each.objects)} CRDs, {each.count} objects{f': {shown}' if held else ''}")
    pattern = "|".join(group.replace(".", r"\.") for each in left for group in each.groups)
    lines.append("Deleting them deletes every object of their kinds, those of others too. When nobody needs them:")
    lines.append(f"  kubectl get crd -o name | grep -E '[./]({pattern})$' | xargs kubectl delete")
    return "\n".join(lines)
