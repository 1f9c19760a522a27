"""The models: ready, or why not, in plain words; and nodes that can take them."""

import re
from collections.abc import Callable, Iterator, Mapping

from cli.doctor.case import Case, condition, dig, holds, items, labels_of, name_of, namespace_of, words
from cli.doctor.checks import gpus
from cli.doctor.findings import Finding, Level
from cli.doctor.snapshot import Manifest
from components.models import deployment_of, pod_labels_of
from config.models import Api, Gpu, Model
from config.models.gpu import MEMORY_LABEL
from sandbox.kube import reference

_KINDS = {Api.INFERENCE_SERVICE: "InferenceService", Api.LLM_INFERENCE_SERVICE: "LLMInferenceService"}
_STUCK = {
    "ImagePullBackOff": "the image cannot be pulled: see its name, the registry, the pull secret",
    "ErrImagePull": "the image cannot be pulled: see its name, the registry, the pull secret",
    "CrashLoopBackOff": "it starts and ends again: see its log",
    "InvalidImageName": "the image's name is none: see maas:models.<name>.image",
    "CreateContainerConfigError": "a ConfigMap or Secret that it names is missing",
    "CreateContainerError": "its container cannot be made",
    "RunContainerError": "its container cannot be started",
    "OOMKilled": "it was killed for using more memory than resources.memory allows",
}
_IN_THE_LOG = frozenset({"CrashLoopBackOff", "OOMKilled"})
_DOWNLOAD = "storage-initializer"
"""KServe's container that fetches the weights; its memory is KServe's to say, not the model's."""
_DOWNLOAD_KILLED = "it was killed for using more memory than KServe lets a download use"
_REFUSALS = (
    ("security context constraint", "see the reason; maas:platform.scc says what the models' account may"),
    ("exceeded quota", "raise the ResourceQuota of the namespace, or ask for less in maas:models.{name}"),
    ("secrets ", "make the Secret that maas:models.{name}.secret names, or give it in maas:modelSecrets"),
    ("LimitRange", "change the LimitRange of the namespace, or maas:models.{name}.resources"),
)
"""The fix for a pod that is not let in, by a word of what the API server says."""
_LONGEST = 200
"""Of what a container said last."""


def models(case: Case) -> Iterator[Finding]:
    """Each model is ready; where one is not, what its pods say."""
    standing = {wanted.metadata_name: found for wanted, found in case.standing(*_KINDS.values())}
    for name, model in sorted(case.settings.models.items()):
        kind = _KINDS[case.settings.api(name)]
        what = reference(kind, name, case.settings.platform.namespace)
        place = no_place(model.gpu, case.cluster.all("v1", "Node")) if model.gpu and _nodes_known(case) else ""
        found = standing.get(name)
        if place and model.gpu and (cause := gpus.trouble(case, model.gpu)):
            yield Finding("models", Level.WAITS, what, f"waits for {cause}: {place}")
            continue
        if found is None:
            if place:
                yield Finding("models", Level.PROBLEM, what, f"no node can take it: {place}", _node_fix(name))
            continue
        trouble = _refused(case, name) or _pod_trouble(case, name, place)
        state = condition(found, "Ready")
        if trouble:
            yield Finding("models", Level.PROBLEM, what, *trouble)
        elif not holds(state, found):
            fix = f"kubectl describe {kind.lower()} {name} -n {namespace_of(found)}"
            yield Finding("models", Level.PROBLEM, what, f"not ready: {words(state, 'KServe')}", fix, symptom=True)
        elif place:
            yield Finding("models", Level.WARNING, what, f"runs, but could not start again: {place}", _node_fix(name))
        else:
            yield Finding("models", Level.OK, what, f"ready, {_replicas(model)} wanted")


def _nodes_known(case: Case) -> bool:
    return case.cluster.knows("v1", "Node")


def _node_fix(model: str) -> str:
    return f"label or add a node, or change maas:models.{model}.gpu (nodeSelector, tolerations, count)"


def _replicas(model: Model) -> str:
    least, most = model.least_replicas, model.most_replicas
    return str(most) if least == most else f"{least} to {most}"


def _refused(case: Case, name: str) -> tuple[str, str] | None:
    """Why the API server lets no pod of a model in, and the fix: there is no pod then that could say so."""
    namespace = case.settings.platform.namespace
    deployment = case.cluster.get("apps/v1", "Deployment", deployment_of(case.settings, name), namespace)
    failure = condition(deployment, "ReplicaFailure") if deployment else None
    if failure is None or failure.get("status") != "True":
        return None
    said = str(failure.get("message") or failure.get("reason"))
    look = f"kubectl describe replicaset -n {namespace}"
    fix = next((each.format(name=name) for word, each in _REFUSALS if word in said), look)
    return f"its pods are not let in: {said}", fix


def _pod_trouble(case: Case, name: str, place: str) -> tuple[str, str] | None:
    """What is wrong with a model's pods, and the fix."""
    wanted = pod_labels_of(case.settings, name)
    for pod in case.cluster.all("v1", "Pod"):
        if not wanted.items() <= labels_of(pod).items() or dig(pod, "metadata", "deletionTimestamp"):
            continue
        scheduled = condition(pod, "PodScheduled")
        if scheduled is not None and scheduled.get("status") == "False":
            said = str(scheduled.get("message") or scheduled.get("reason"))
            why, fix = _no_room(case, name)
            return f"its pod {name_of(pod)} finds no node: {place or why} (the scheduler: {said})", fix
        stuck = _stuck(pod)
        if stuck:
            reason, container, said = stuck
            if (container, reason) == (_DOWNLOAD, "OOMKilled"):
                fix = (
                    f"maas:models.{name}.cache: {{size: <of the weights>, ephemeral: true}}, so that vLLM fetches them "
                    "within resources.memory; or more memory in KServe's ClusterStorageContainer default"
                )
                return f"its pod {name_of(pod)} does not run ({container}: {reason}): {_DOWNLOAD_KILLED}", fix
            look = f"kubectl logs {name_of(pod)} -c {container} -n {namespace_of(pod)} --previous"
            if reason not in _IN_THE_LOG:
                look = f"kubectl describe pod {name_of(pod)} -n {namespace_of(pod)}"
            what = f"its pod {name_of(pod)} does not run ({container}: {reason}): {_STUCK[reason]}"
            return f"{what}; it said last: {said}" if said else what, look
    return None


def _no_room(case: Case, name: str) -> tuple[str, str]:
    if case.settings.models[name].gpu is not None:
        return "the nodes that match are full, their GPUs in use by other pods", _node_fix(name)
    why = "none that is open to it has the cpu and memory left that it asks for"
    return why, f"add a node, or ask for less: maas:models.{name}.resources"


def _stuck(pod: Manifest) -> tuple[str, str, str] | None:
    """Why a container of the pod does not run, as Kubernetes calls it; which container; and what it said last."""
    for kind in ("initContainerStatuses", "containerStatuses"):
        for status in items(dig(pod, "status", kind)):
            reasons = (
                str(dig(status, "lastState", "terminated", "reason") or ""),
                str(dig(status, "state", "waiting", "reason") or ""),
            )
            found = next((each for each in reasons if each in _STUCK), None)
            if found and not status.get("ready"):
                message = str(dig(status, "lastState", "terminated", "message") or "").strip()
                return found, str(status.get("name")), message.rpartition("\n")[2][:_LONGEST]
    return None


def no_place(gpu: Gpu, nodes: tuple[Manifest, ...]) -> str:
    """Why no node can take a replica, by the first rule that leaves none; empty when one can."""
    if not nodes:
        return "there are no nodes"
    selector = ", ".join(f"{key}={value}" for key, value in gpu.node_selector.items())
    left = [each for each in nodes if gpu.node_selector.items() <= labels_of(each).items()]
    if not left:
        return f"no node has the label {selector}"
    rules: list[tuple[Callable[[Manifest], bool], Callable[[list[Manifest]], str]]] = [
        (
            lambda node: not dig(node, "spec", "unschedulable"),
            lambda out: f"cordoned (kubectl uncordon): {_names(out)}",
        ),
        (lambda node: holds(condition(node, "Ready"), node), lambda out: f"not ready: {_names(out)}"),
        (lambda node: not _untolerated(gpu, node), lambda out: f"{_taints(gpu, out)}: {_names(out)}"),
        (lambda node: _large_enough(gpu, node), lambda out: f"{_too_small(gpu, out)}: {_names(out)}"),
        (lambda node: _count(node, gpu.resource) >= gpu.count, lambda out: f"{_too_few(gpu, out)}: {_names(out)}"),
    ]
    for allows, why in rules:
        refused, left = left, [each for each in left if allows(each)]
        if not left:
            return why(refused)
    return ""


def _taints(gpu: Gpu, nodes: list[Manifest]) -> str:
    taints = sorted({taint for node in nodes for taint in _untolerated(gpu, node)})
    return f"tainted with what the model does not tolerate, {', '.join(taints)}"


def _too_few(gpu: Gpu, nodes: list[Manifest]) -> str:
    most = max(_count(node, gpu.resource) for node in nodes)
    return f"{gpu.count} x {gpu.resource} wanted, but a node has {most} at most"


def _large_enough(gpu: Gpu, node: Manifest) -> bool:
    return gpu.mebibytes_above is None or _mebibytes(node) > gpu.mebibytes_above


def _too_small(gpu: Gpu, nodes: list[Manifest]) -> str:
    return f"GPUs of {gpu.memory} wanted, but the largest has {max(map(_mebibytes, nodes))}Mi ({MEMORY_LABEL})"


def _mebibytes(node: Manifest) -> int:
    value = labels_of(node).get(MEMORY_LABEL, "")
    return int(value) if value.isdigit() else 0


def _names(nodes: list[Manifest]) -> str:
    return ", ".join(sorted(name_of(each) for each in nodes))


def _count(node: Manifest, resource: str) -> int:
    match = re.match(r"\d+", str(dig(node, "status", "allocatable", resource) or "0"))
    return int(match[0]) if match else 0


def _untolerated(gpu: Gpu, node: Manifest) -> list[str]:
    taints = [each for each in items(dig(node, "spec", "taints")) if each.get("effect") != "PreferNoSchedule"]
    return [
        f"{each['key']}:{each['effect']}"
        for each in taints
        # The node controller sets these by itself; Ready and cordoned say so more plainly.
        if not str(each["key"]).startswith("node.kubernetes.io/") and not _is_tolerated(gpu, each)
    ]


def _is_tolerated(gpu: Gpu, taint: Mapping[str, object]) -> bool:
    return any(
        each.key == taint["key"]
        and each.effect in (None, taint["effect"])
        and (each.operator == "Exists" or (each.value or "") == (taint.get("value") or ""))
        for each in gpu.tolerations
    )
