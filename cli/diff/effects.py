"""What changed objects do to what runs: models that start anew, counters that begin at zero."""

from collections.abc import Iterable, Mapping
from typing import Any, cast

from cli.diff.changes import Action, Change
from cli.diff.snapshot import Item, Snapshot
from cli.stacks.stackfile import mapping
from config.figures import is_reached
from enforcement.limits import window_seconds

_LIMIT_POLICIES = {"RateLimitPolicy", "TokenRateLimitPolicy"}
_MODELS = {"InferenceService", "LLMInferenceService"}
_SCALING = {"minReplicas", "maxReplicas", "scaleTarget", "scaleMetric", "scaleMetricType", "autoScaling"}
"""Fields of a predictor that change how many pods there are, and no pod."""

_OF_ANOTHER_VERSION = {"channel", "name", "source", "startingCSV"}
"""Fields of a Subscription; its `config` makes the same version start anew, and not the limiter."""

Limit = tuple[str, str]
"""Policy and limit: `llm/gateway-token-limits`, `free`."""


def restarting(found: Iterable[Change], after: Snapshot) -> dict[str, str]:
    """Models whose pods start anew, and what makes them."""
    reasons: dict[str, str] = {}
    changed = list(found)
    runtimes = {
        each.item.metadata_name: each
        for each in changed
        if each.item.kind in {"ServingRuntime", "ClusterServingRuntime"} and each.action is not Action.CREATE
    }
    for item in after.items:
        if item.kind == "InferenceService":
            runtime = str(mapping(mapping(_predictor(item)).get("model")).get("runtime", ""))
            if runtime in runtimes:
                reasons[item.metadata_name] = f"runtime `{runtime}` changes"
    for each in changed:
        if each.item.kind in _MODELS and each.action in {Action.UPDATE, Action.REPLACE, Action.MOVE}:
            if paths := [path for field in each.fields if (path := _of_pod(field.steps))]:
                reasons[each.item.metadata_name] = f"{paths[0]} changes"
            elif each.action is not Action.UPDATE:
                reasons[each.item.metadata_name] = "it is made anew"
    return reasons


def _predictor(item: Item) -> Mapping[str, Any]:
    return mapping(mapping(item.inputs.get("spec")).get("predictor"))


def _of_pod(steps: tuple[str, ...]) -> str:
    """The part of a model's spec below which a change makes a new pod; empty for everything else."""
    below = 2
    if steps[:below] in {("spec", "template"), ("spec", "model"), ("spec", "parallelism")}:  # LLMInferenceService
        return steps[-1]
    if steps[:below] != ("spec", "predictor") or len(steps) == below or steps[below] in _SCALING:
        return ""
    return steps[-1]


def lost_quotas(before: Snapshot, after: Snapshot, found: Iterable[Change]) -> list[str]:
    """Why counters would begin at zero.

    Limitador knows a counter by policy and limit, window, and what is counted by; the number that is allowed is no part
    of it. The namespace of its counters is the HTTPRoute.
    """
    old, new = _counted(before), _counted(after)
    lines: list[str] = []
    for limit in sorted(old):
        policy, name = limit
        if limit not in new:
            lines.append(f"limit `{name}` of {policy} goes, and its counters with it")
            continue
        for word, gone in (
            ("another window", old[limit][0] - new[limit][0]),
            ("counted by something else", old[limit][1] - new[limit][1]),
        ):
            if gone:
                lines.append(f"limit `{name}` of {policy} starts from zero: {word}")
                break
    lines += [
        f"limit `{name}` of {policy} starts from zero: `{name.split('.')[0]}` has counted for it until now"
        for policy, name in sorted(new.keys() - old.keys())
        if (policy, name.split(".")[0]) in old
    ]
    changed = list(found)
    if _quota(before) and _quota(after) and _quota(before) != _quota(after):
        lines.append(f"every counter starts from zero: routing.quota `{_quota(before)}` to `{_quota(after)}`")
    lines += [
        f"counters of {each.item.place} start from zero: its route is another one"
        for each in changed
        if each.item.kind == "HTTPRoute" and each.action in {Action.REPLACE, Action.MOVE}
    ]
    return lines + _limiter_lines(before, changed)


def _limiter_lines(before: Snapshot, changed: Iterable[Change]) -> list[str]:
    """A limiter that restarts forgets what it has in memory; one that gets another store leaves the old one behind."""
    for each in changed:
        if each.item.kind == "Limitador":
            if any("storage" in field.steps for field in each.fields) or _storage(each.before) != _storage(each.after):
                return ["every counter starts from zero: they are kept somewhere else"]
            if not _storage(each.before or each.after):
                return ["every counter starts from zero: the limiter restarts, and has them in memory"]
    if mapping(before.settings.get("limiter")).get("storage", "memory") != "memory":
        return []
    if any(each.item.kind == "Kuadrant" and each.action in {Action.REPLACE, Action.DELETE} for each in changed):
        return ["every counter starts from zero: the limiter goes with its Kuadrant, and has them in memory"]
    if any(map(_is_another_kuadrant, changed)):
        return ["every counter may start from zero: another Kuadrant may restart the limiter, which has them in memory"]
    return []


def _is_another_kuadrant(change: Change) -> bool:
    """Whether another version of the operator comes with it, which may run the limiter in another way."""
    if not any(each in change.item.metadata_name for each in ("kuadrant", "rhcl")):
        return False
    if change.item.kind == "Subscription":
        return any(each.steps[-1] in _OF_ANOTHER_VERSION for each in change.fields)
    return change.item.kind == "Release" and bool(change.fields)


def _quota(snapshot: Snapshot) -> str:
    """How far a counter reaches; empty where the revision cannot tell."""
    return str(mapping(snapshot.settings.get("routing")).get("quota") or "")


def _storage(item: Item | None) -> Mapping[str, Any]:
    return mapping(mapping(item.inputs.get("spec") if item else None).get("storage"))


def _counted(snapshot: Snapshot) -> dict[Limit, tuple[set[int], set[str]]]:
    """Windows in seconds and counter expressions of each limit; what only counts tokens is none."""
    found: dict[Limit, tuple[set[int], set[str]]] = {}
    for item in snapshot.items:
        if item.kind in _LIMIT_POLICIES:
            for name, limit in limits_of(item).items():
                rates = [each for each in _list(limit, "rates") if is_reached(int(each["limit"]))]
                if not rates:
                    continue
                windows = {window_seconds(str(each["window"])) for each in rates}
                counters = {str(each["expression"]) for each in _list(limit, "counters")}
                found[f"{item.kind} {item.place}", name] = (windows, counters)
    return found


def _list(limit: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    return cast("list[Mapping[str, Any]]", limit.get(key) or [])


def limits_of(item: Item) -> Mapping[str, Mapping[str, Any]]:
    """The limits of a policy, wherever its spec has them."""
    spec = mapping(item.inputs.get("spec"))
    for place in (spec, mapping(spec.get("defaults")), mapping(spec.get("overrides"))):
        if limits := mapping(place.get("limits")):
            return limits
    return {}
