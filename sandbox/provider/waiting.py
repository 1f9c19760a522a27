"""Waits for an object to become ready or to be gone: by watch, bounded in time, ended at once by a cancellation."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final, TypeVar, cast

from sandbox.kube import ApiError, Event, Kube, Object, conditions, reference
from sandbox.provider.last_words import last_words
from sandbox.provider.readiness import pod_problem
from sandbox.provider.wait_for import Check, describe_condition

T = TypeVar("T")

_WORKLOADS: Final = frozenset({"Deployment", "StatefulSet", "DaemonSet", "Job"})
_SHOWN: Final = 3
"""How many pods an error speaks of."""
_LAST_LOOK: Final = 5.0
"""Seconds for a last look at the object when time is up."""


class CancelledByUserError(Exception):
    """The engine asked to stop."""


class NotReadyError(Exception):
    """The object exists, but did not become ready.

    Attributes:
        live: The object as last seen.
    """

    def __init__(self, live: Object, message: str) -> None:
        self.live = live
        super().__init__(message)


async def interruptible(cancelled: asyncio.Event, work: Coroutine[Any, Any, T]) -> T:
    """Run `work`, but stop it as soon as `cancelled` is set.

    Raises:
        CancelledByUserError: It was stopped.
    """
    task, stop = asyncio.ensure_future(work), asyncio.ensure_future(cancelled.wait())
    try:
        await asyncio.wait({task, stop}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise CancelledByUserError
    finally:
        task.cancel()
        stop.cancel()
        await asyncio.gather(task, stop, return_exceptions=True)


@dataclass
class _Readiness:
    """How far an object is: the object as last seen, and what has been said of it."""

    latest: Object
    checks: Sequence[Check]
    say: Callable[[str], None]
    missing: str = ""

    def settled(self) -> bool:
        """Whether all checks are satisfied; raises NotReadyError when one never will be."""
        verdicts = [check(self.latest) for check in self.checks]
        failed = [v.message for v in verdicts if v.failed]
        if failed:
            raise NotReadyError(
                self.latest, f"{describe(self.latest)} failed: {'; '.join(failed)}. {look_at(self.latest)}"
            )
        missing = "; ".join(v.message for v in verdicts if not v.ready)
        if missing and missing != self.missing:
            self.say(f"waiting for {missing}")
            self.missing = missing
        return not missing

    def deleted(self) -> NotReadyError:
        """What to raise when the object is gone."""
        return NotReadyError(self.latest, f"{describe(self.latest)} was deleted while waiting for {self.missing}")


async def until_ready(  # noqa: PLR0913
    kube: Kube,
    obj: Object,
    checks: Sequence[Check],
    *,
    seconds: float,
    cancelled: asyncio.Event,
    say: Callable[[str], None],
) -> Object:
    """Wait until the object satisfies all checks; returns it as it is then.

    Args:
        kube: The client.
        obj: The object as the last request returned it.
        checks: What to wait for.
        seconds: How long at most.
        cancelled: Ends the wait.
        say: Is told what is awaited, whenever that changes.

    Raises:
        NotReadyError: It failed, time ran out, it was deleted, or the wait was cancelled.
        ApiError: The API server refused the watch or stayed unreachable.
    """
    progress = _Readiness(obj, checks, say)
    if progress.settled():
        return obj

    async def follow() -> None:
        async with aclosing(_watch(kube, obj, seconds)) as events:
            async for event in events:
                if event.type == "DELETED":
                    raise progress.deleted()
                progress.latest = event.object
                if progress.settled():
                    return
        raise TimeoutError

    try:
        async with asyncio.timeout(seconds):
            await interruptible(cancelled, follow())
    except CancelledByUserError:
        message = f"{describe(obj)}: cancelled while waiting for {progress.missing}"
        raise NotReadyError(progress.latest, message) from None
    except TimeoutError:
        await _settle_at_last(kube, progress, seconds)
    return progress.latest


async def _settle_at_last(kube: Kube, progress: _Readiness, seconds: float) -> None:
    """Look once more when time is up; raises NotReadyError unless the object is ready after all."""
    now = await _last_look(kube, progress.latest)
    if now is None:
        raise progress.deleted() from None
    progress.latest = now
    if progress.settled():
        return
    waited = f"{describe(now)} is not ready after {seconds:g} s. Waited for {progress.missing}."
    words = last_words(now, waited)
    pods = await _pod_problems(kube, now)
    said = f"{waited}{f' Its status: {words}.' if words else ''}{pods}"
    raise NotReadyError(now, f"{said} {look_at(now)}") from None


async def until_gone(kube: Kube, obj: Object, *, seconds: float, cancelled: asyncio.Event) -> None:
    """Wait until the object, not another one of its name, is gone.

    Raises:
        NotReadyError: Time ran out (the message names what holds it), or the wait was cancelled.
        ApiError: The API server refused the watch or stayed unreachable.
    """
    latest = obj

    async def follow() -> None:
        nonlocal latest
        async with aclosing(_watch(kube, obj, seconds)) as events:
            async for event in events:
                if event.type == "DELETED" or event.object["metadata"]["uid"] != obj["metadata"]["uid"]:
                    return
                latest = event.object
        raise TimeoutError

    try:
        async with asyncio.timeout(seconds):
            await interruptible(cancelled, follow())
    except CancelledByUserError:
        raise NotReadyError(latest, f"{describe(obj)}: cancelled while waiting for its deletion") from None
    except TimeoutError:
        now = await _last_look(kube, latest)
        if now is None:
            return
        latest = now
        raise NotReadyError(latest, f"{describe(obj)} is not gone after {seconds:g} s. {_holders(latest)}") from None


async def _last_look(kube: Kube, obj: Object) -> Object | None:
    """The object as it is when time is up; None when it is gone, as it was when nobody answers.

    A watch may have been silent because the connection was dropped on the way.
    """
    metadata = obj["metadata"]
    try:
        async with asyncio.timeout(_LAST_LOOK):
            now = await kube.get(obj["apiVersion"], obj["kind"], metadata["name"], metadata.get("namespace"))
    except (TimeoutError, ApiError):
        return obj
    return now if now and now["metadata"]["uid"] == metadata["uid"] else None


def _watch(kube: Kube, obj: Object, seconds: float) -> AsyncGenerator[Event, None]:
    name, namespace = obj["metadata"]["name"], obj["metadata"].get("namespace")
    return kube.watch(obj["apiVersion"], obj["kind"], namespace, name=name, since=obj, seconds=seconds)


async def waits_for_first_consumer(kube: Kube, claim: Object) -> bool:
    """Whether a PersistentVolumeClaim is bound only when a pod uses it, so that waiting for it would be in vain."""
    name = cast("Object", claim.get("spec") or {}).get("storageClassName")
    found = await kube.get("storage.k8s.io/v1", "StorageClass", name) if name else None
    return found is not None and found.get("volumeBindingMode") == "WaitForFirstConsumer"


def describe(obj: Object) -> str:
    """`Kind namespace/name`."""
    return reference(obj["kind"], obj["metadata"]["name"], obj["metadata"].get("namespace"))


def look_at(obj: Object) -> str:
    """What to look at next, as a command."""
    return f"Look at: {_kubectl('describe', obj)}"


def _let_go(obj: Object) -> str:
    """The command that takes an object's finalizers away. A namespace's are taken away by what is left in it."""
    if obj["kind"] == "Namespace":
        return "see what it says is left in it"
    return _kubectl("patch", obj) + """ --type merge -p '{"metadata":{"finalizers":null}}'"""


def _kubectl(verb: str, obj: Object) -> str:
    group, _, _ = str(obj["apiVersion"]).rpartition("/")
    kind = str(obj["kind"]).lower() + (f".{group}" if group else "")
    namespace = obj["metadata"].get("namespace")
    return f"kubectl {verb} {kind} {obj['metadata']['name']}" + (f" -n {namespace}" if namespace else "")


_GARBAGE_COLLECTION = frozenset({"foregroundDeletion", "orphan"})
"""Finalizers that the API server itself sets, for the controller manager."""


def _holders(obj: Object) -> str:
    """What keeps a deleted object in being."""
    metadata = obj["metadata"]
    finalizers = cast("list[str]", metadata.get("finalizers") or []) + _spec_finalizers(obj)
    text = f"Finalizers that hold it: {', '.join(finalizers) or 'none'}"
    theirs = [each for each in finalizers if each not in _GARBAGE_COLLECTION]
    if theirs:
        text += f" (each is taken away by its controller: start that again; where it is gone for good: {_let_go(obj)})"
    elif finalizers:
        text += " (its dependents go first, by the controller manager's garbage collector)"
    # A namespace says in its conditions what is left in it.
    left = [describe_condition(c) for c in conditions(obj) if obj["kind"] == "Namespace" and c.get("status") == "True"]
    return ". ".join([text, *left, look_at(obj)])


def _spec_finalizers(obj: Object) -> list[str]:
    spec: object = obj.get("spec")
    found: object = (
        cast("Object", spec).get("finalizers") if isinstance(spec, dict) and obj["kind"] == "Namespace" else None
    )
    return cast("list[str]", found) if isinstance(found, list) else []


async def _pod_problems(kube: Kube, obj: Object) -> str:
    """Why the pods of a workload do not run; empty when there is nothing to say."""
    if obj["kind"] not in _WORKLOADS:
        return ""
    selector = cast("Object", cast("Object", obj.get("spec") or {}).get("selector") or {})
    labels = cast("dict[str, str]", selector.get("matchLabels") or {})
    query = ",".join(f"{key}={value}" for key, value in labels.items())
    try:
        pods = await kube.list("v1", "Pod", obj["metadata"]["namespace"], query) if query else []
    except ApiError:
        return ""
    problems = [f"pod {pod['metadata']['name']}: {problem}" for pod in pods if (problem := pod_problem(pod))]
    return f" {'; '.join(problems[:_SHOWN])}." if problems else ""
