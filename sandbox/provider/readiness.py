"""When an object counts as ready: built-in kinds by their status, others by their `pulumi.com/waitFor` annotation."""

import math
from collections.abc import Callable
from typing import Final, cast

from sandbox.kube import Object, conditions
from sandbox.provider import wait_for
from sandbox.provider.wait_for import Check, Verdict, describe_condition

SKIP_AWAIT: Final = "pulumi.com/skipAwait"
WAIT_FOR: Final = "pulumi.com/waitFor"
TIMEOUT: Final = "pulumi.com/timeoutSeconds"
PROPAGATION: Final = "pulumi.com/deletionPropagationPolicy"
DEFAULT_TIMEOUT: Final = 600.0

_SKIPS_DELETE_AWAIT: Final = frozenset(
    {"Namespace", "Pod", "ReplicationController", "DaemonSet", "Deployment", "StatefulSet", "Job"}
)


def annotation(obj: Object, name: str) -> str:
    """The value of an annotation; empty when it is not set."""
    metadata: object = obj.get("metadata")
    annotations: object = cast("Object", metadata).get("annotations") if isinstance(metadata, dict) else None
    value: object = cast("Object", annotations).get(name) if isinstance(annotations, dict) else None
    return value if isinstance(value, str) else ""


def timeout(obj: Object, requested: float) -> float:
    """Seconds to wait: those of the request (customTimeouts), else those of the annotation, else ten minutes."""
    if requested > 0:
        return requested
    try:
        seconds = float(annotation(obj, TIMEOUT) or DEFAULT_TIMEOUT)
    except ValueError:
        return DEFAULT_TIMEOUT
    return seconds if math.isfinite(seconds) and seconds > 0 else DEFAULT_TIMEOUT


def propagation(obj: Object) -> str:
    """How dependents go when the object is deleted."""
    return {"orphan": "Orphan", "background": "Background"}.get(annotation(obj, PROPAGATION).lower(), "Foreground")


def skips_delete_await(obj: Object) -> bool:
    """Whether the deletion is only asked for; as in the official provider, skipAwait means that for some kinds only."""
    return annotation(obj, SKIP_AWAIT) == "true" and obj.get("kind") in _SKIPS_DELETE_AWAIT


def checks(obj: Object) -> list[Check]:
    """What to wait for; nothing when the list is empty.

    Raises:
        WaitForError: The waitFor annotation is malformed.
    """
    if annotation(obj, SKIP_AWAIT) == "true":
        return []
    custom = annotation(obj, WAIT_FOR)
    return wait_for.parse(custom) if custom else built_in_checks(obj)


def built_in_checks(obj: Object) -> list[Check]:
    """What the kind itself calls ready; nothing for kinds that are ready when they exist."""
    if annotation(obj, SKIP_AWAIT) == "true":
        return []
    check = _BUILT_IN.get((str(obj.get("apiVersion")), str(obj.get("kind"))))
    return [check] if check else []


def _status(obj: Object) -> Object:
    return cast("Object", obj.get("status") or {})


def _spec(obj: Object) -> Object:
    return cast("Object", obj.get("spec") or {})


def _condition(obj: Object, kind: str) -> Object | None:
    return next((c for c in conditions(obj) if c.get("type") == kind), None)


def _observed(obj: Object) -> bool:
    return _status(obj).get("observedGeneration", 0) >= obj["metadata"].get("generation", 0)


def _all_conditions(obj: Object) -> str:
    """What the controller complains of, for messages."""
    bad = [describe_condition(c) for c in conditions(obj) if c.get("status") != "True"]
    return f" ({'; '.join(bad)})" if bad else ""


def _counted(obj: Object, wanted: int, **seen: int) -> Verdict:
    """Ready when every count is what it should be."""
    if not _observed(obj):
        return Verdict(ready=False, message="the controller has not seen the latest change yet")
    counts = ", ".join(f"{count} of {wanted} {name}" for name, count in seen.items())
    ready = all(count == wanted for count in seen.values())
    return Verdict(ready=ready, message=counts + _all_conditions(obj))


def _deployment(obj: Object) -> Verdict:
    status, wanted = _status(obj), _spec(obj).get("replicas", 1)
    return _counted(
        obj,
        wanted,
        replicas=status.get("replicas", 0),
        updated=status.get("updatedReplicas", 0),
        available=status.get("availableReplicas", 0),
    )


def _stateful_set(obj: Object) -> Verdict:
    status, spec = _status(obj), _spec(obj)
    wanted = spec.get("replicas", 1)
    strategy = cast("Object", spec.get("updateStrategy") or {})
    partition = cast("Object", strategy.get("rollingUpdate") or {}).get("partition", 0)
    if strategy.get("type") == "OnDelete" or partition:
        return _counted(obj, wanted, ready=status.get("readyReplicas", 0))
    return _counted(obj, wanted, updated=status.get("updatedReplicas", 0), ready=status.get("readyReplicas", 0))


def _daemon_set(obj: Object) -> Verdict:
    status = _status(obj)
    wanted, available = status.get("desiredNumberScheduled", 0), status.get("numberAvailable", 0)
    if cast("Object", _spec(obj).get("updateStrategy") or {}).get("type") == "OnDelete":
        return _counted(obj, wanted, available=available)
    return _counted(obj, wanted, updated=status.get("updatedNumberScheduled", 0), available=available)


def _job(obj: Object) -> Verdict:
    failed, complete = _condition(obj, "Failed"), _condition(obj, "Complete")
    if failed and failed.get("status") == "True":
        return Verdict(ready=False, failed=True, message=describe_condition(failed))
    status = _status(obj)
    progress = f"{status.get('active', 0)} pods active, {status.get('failed', 0)} failed"
    done = bool(complete and complete.get("status") == "True") or _spec(obj).get("suspend") is True
    return Verdict(ready=done, message=f"condition Complete=True: {progress}")


def _pod(obj: Object) -> Verdict:
    phase = _status(obj).get("phase", "Pending")
    if phase == "Failed":
        return Verdict(ready=False, failed=True, message=f"phase Failed: {pod_problem(obj)}")
    ready = _condition(obj, "Ready")
    done = phase == "Succeeded" or bool(ready and ready.get("status") == "True")
    return Verdict(ready=done, message=f"condition Ready=True: phase {phase} {pod_problem(obj)}".rstrip())


def pod_problem(pod: Object) -> str:
    """Why a pod does not run: what its containers wait for, else its conditions."""
    status = _status(pod)
    statuses = cast("list[Object]", [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])])
    for container in statuses:
        states = cast("Object", container.get("state") or {})
        state = cast("Object", states.get("waiting") or states.get("terminated") or {})
        if state.get("reason") and state["reason"] != "Completed":
            return f"container {container.get('name')}: {state['reason']} {state.get('message', '')}".strip()
    bad = [describe_condition(c) for c in conditions(pod) if c.get("status") != "True" and c.get("reason")]
    return bad[0] if bad else str(status.get("message") or "")


def _load_balancer(obj: Object) -> Verdict:
    found = cast("Object", _status(obj).get("loadBalancer") or {}).get("ingress")
    return Verdict(ready=bool(found), message="an address in status.loadBalancer.ingress: none yet")


def _service(obj: Object) -> Verdict:
    if _spec(obj).get("type") == "LoadBalancer":
        return _load_balancer(obj)
    return Verdict(ready=True, message="")


def _phase(*wanted: str) -> Callable[[Object], Verdict]:
    def check(obj: Object) -> Verdict:
        phase = _status(obj).get("phase", "not reported yet")
        return Verdict(ready=phase in wanted, message=f"phase {' or '.join(wanted)}: it is {phase}")

    return check


def _resource_quota(obj: Object) -> Verdict:
    ready = _status(obj).get("hard") == _spec(obj).get("hard")
    return Verdict(ready=ready, message="status.hard to equal spec.hard")


def _crd(obj: Object) -> Verdict:
    refused = _condition(obj, "NamesAccepted")
    if refused and refused.get("status") == "False":
        return Verdict(ready=False, failed=True, message=describe_condition(refused))
    return wait_for.Condition("Established")(obj)


_BUILT_IN: Final[dict[tuple[str, str], Check]] = {
    ("apps/v1", "Deployment"): _deployment,
    ("apps/v1", "StatefulSet"): _stateful_set,
    ("apps/v1", "DaemonSet"): _daemon_set,
    ("batch/v1", "Job"): _job,
    ("v1", "Pod"): _pod,
    ("v1", "Service"): _service,
    ("v1", "PersistentVolumeClaim"): _phase("Bound"),
    ("v1", "PersistentVolume"): _phase("Available", "Bound"),
    ("v1", "ResourceQuota"): _resource_quota,
    ("networking.k8s.io/v1", "Ingress"): _load_balancer,
    ("apiextensions.k8s.io/v1", "CustomResourceDefinition"): _crd,
}
