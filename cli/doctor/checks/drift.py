"""Whether what the stack deployed is there, and says what the stack says."""

from collections.abc import Iterator, Mapping
from typing import cast

from cli.doctor.case import CSV, Case, dig, kind_of, ref, texts
from cli.doctor.findings import Finding, Level
from cli.program.recorder import Object
from components.kserve import CONFIG_MAP, CONTROLLER

_COMPARED = ("spec", "data", "rules", "subjects", "roleRef")
_OF_THE_ENGINE = "pulumi.com/"
_SHOWN = 3
_OWN_CHECK = frozenset({("ConfigMap", CONFIG_MAP), ("Deployment", CONTROLLER)})
"""KServe's settings and its controller, which checks/kserve.py compares by meaning."""


def deployed(case: Case) -> Iterator[Finding]:
    """Before the first `up` there is nothing of the stack to look at, only what it needs."""
    if not case.deployed:
        message = "nothing of it is on this cluster yet; what follows is what it needs"
        yield Finding("stack", Level.OK, f"stack {case.stack}", message)


def objects(case: Case) -> Iterator[Finding]:
    """Each object of the program exists and has the fields that the program gives it."""
    if not case.deployed:
        return
    # Only OLM knows the names of its versions; checks/operators.py looks at what it says of them.
    looked_at = [each for each in case.wanted if kind_of(each) != CSV]
    found = [finding for each in looked_at if (finding := _judged(case, each))]
    yield from found
    if len(looked_at) > len(found):
        message = f"{len(looked_at) - len(found)} objects are as the stack says"
        yield Finding("stack", Level.OK, f"stack {case.stack}", message)


def _judged(case: Case, wanted: Object) -> Finding | None:
    """What is wrong with one object, beside what a check of its own says."""
    if kind_of(wanted) in case.cluster.denied:
        return None
    found = case.live(wanted)
    if found is None:
        return _gone(wanted)
    if dig(found, "metadata", "deletionTimestamp"):
        return _going(wanted, texts(dig(found, "metadata", "finalizers")))
    if (wanted.kind, wanted.metadata_name) in _OWN_CHECK:
        return None
    different = sorted(_differences(wanted, found))
    if not different:
        return None
    more = f" and {len(different) - _SHOWN} more" if len(different) > _SHOWN else ""
    message = f"differs from the stack in {', '.join(different[:_SHOWN])}{more}"
    fix = "./maas preview shows it; ./maas up puts it right"
    return Finding("stack", Level.WARNING, ref(wanted), message, fix, symptom=True)


def _going(wanted: Object, finalizers: list[str]) -> Finding:
    message = f"is being deleted, and held by {', '.join(finalizers) or 'nothing that we can see'}"
    fix = "let the controller that set the finalizer run until it is gone (docs/troubleshooting.md), then ./maas up"
    return Finding("stack", Level.PROBLEM, ref(wanted), message, fix, symptom=True)


def _gone(wanted: Object) -> Finding:
    message = "is not there, though the stack has it"
    return Finding(
        "stack", Level.PROBLEM, ref(wanted), message, "./maas refresh, then ./maas up make it anew", symptom=True
    )


def _differences(wanted: Object, found: Mapping[str, object]) -> Iterator[str]:
    for part in _COMPARED:
        if part in wanted.body:
            yield from _compare(part, wanted.body[part], found.get(part), only_ours=wanted.is_patch)
    actual = cast("Mapping[str, object]", found["metadata"])
    for part in ("labels", "annotations"):
        for key, value in cast("Mapping[str, object]", wanted.metadata.get(part) or {}).items():
            there = cast("Mapping[str, object]", actual.get(part) or {}).get(key)
            if not key.startswith(_OF_THE_ENGINE) and there != value:
                yield f"metadata.{part}[{key}]"


def _compare(path: str, wanted: object, actual: object, *, only_ours: bool) -> Iterator[str]:
    """Paths where `actual` lacks what is wanted; fields that it has more were put there by the server, or a controller.

    Args:
        path: Where in the object this is.
        wanted: What the program says.
        actual: What there is.
        only_ours: Whether a list may have more entries than ours: so it is where the object is somebody else's.
    """
    if isinstance(wanted, Mapping):
        there = cast("Mapping[str, object]", actual if isinstance(actual, Mapping) else {})
        for key, value in cast("Mapping[str, object]", wanted).items():
            yield from _compare(f"{path}.{key}", value, there.get(key), only_ours=only_ours)
    elif isinstance(wanted, list):
        one = cast("list[object]", wanted)
        other = cast("list[object]", actual if isinstance(actual, list) else [])
        if len(one) > len(other) or (len(one) < len(other) and not only_ours):
            yield path
            return
        for index, value in enumerate(one):
            yield from _compare(f"{path}[{index}]", value, _counterpart(index, value, other), only_ours=only_ours)
    elif wanted != actual and not (actual is None and wanted in ("", False, 0)):
        yield path


def _counterpart(index: int, wanted: object, others: list[object]) -> object:
    """The entry of a list with the same name; without names, the one at the same place."""
    name = dig(wanted, "name")
    return others[index] if name is None else next((each for each in others if dig(each, "name") == name), None)
