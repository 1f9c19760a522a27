"""What a check says, and how the cause is told from what follows from it."""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    WAITS = "waits"
    """Not right, because something else is not: that one has the fix."""
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True)
class Finding:
    """One line of the diagnosis."""

    check: str
    """Subject, such as `gateway`."""
    level: Level
    object: str
    """What it is about: `Kind namespace/name`."""
    message: str
    fix: str = ""
    symptom: bool = False
    """What a controller says of the object, or that it is not there: it may come from another object's trouble. What
    the object itself has wrong is no symptom, and is always shown."""


def settle(findings: Iterable[Finding], causes: Mapping[str, Sequence[str]]) -> tuple[Finding, ...]:
    """Turn problems that come from another one into `waits`, so that one cause is one problem.

    Args:
        findings: What the checks said.
        causes: For an object, those that it cannot work without.
    """
    found = tuple(dict.fromkeys(findings))
    roots = {each.object for each in found if each.level is Level.PROBLEM and not each.symptom}
    troubled = {each.object for each in found if each.level is Level.PROBLEM}
    return tuple(_settled(each, causes, roots, troubled) for each in found)


def _settled(finding: Finding, causes: Mapping[str, Sequence[str]], roots: set[str], troubled: set[str]) -> Finding:
    if not finding.symptom or finding.level not in (Level.PROBLEM, Level.WARNING):
        return finding
    if finding.object in roots:
        return replace(finding, level=Level.WAITS, message=f"{finding.message} (comes from the above)", fix="")
    cause = _nearest(finding.object, causes, troubled)
    if cause is None:
        return finding
    return replace(finding, level=Level.WAITS, message=f"waits for {cause}: {finding.message}", fix="")


def _nearest(start: str, causes: Mapping[str, Sequence[str]], troubled: set[str]) -> str | None:
    """The nearest object, of those that `start` needs, that has trouble."""
    seen, queue = {start}, deque(causes.get(start, ()))
    while queue:
        name = queue.popleft()
        if name in seen:
            continue
        if name in troubled:
            return name
        seen.add(name)
        queue.extend(causes.get(name, ()))
    return None
