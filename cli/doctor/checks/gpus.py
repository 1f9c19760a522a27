"""GPUs: what has to be on the cluster before a node offers one. Looked at only when a model of the stack wants any.

Node Feature Discovery says which nodes have a card, the vendor's operator brings driver and device plugin, and the
device plugin offers the resource. Clouds have ways of their own: where nodes offer what is wanted, nothing is missed.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from cli.doctor.case import CLUSTER_POLICY, DEVICE_CONFIG, Case, condition, dig, labels_of, name_of, namespace_of, ref
from cli.doctor.findings import Finding, Level
from cli.doctor.snapshot import Kind, Manifest
from config.models import Gpu, Vendor
from config.platform import Profile

DISCOVERY = "NodeFeatureDiscovery"
_FEATURE = "feature.node.kubernetes.io/"
_MIG = "nvidia.com/mig"
_DOCS = "docs/gpu.md"


@dataclass(frozen=True)
class _Maker:
    """What a vendor's parts are called."""

    name: str
    pci: str
    """Number of the vendor in PCI labels."""
    resource: str
    """How the names of its resources begin."""
    settings: Kind
    """The operator's object."""
    chart: str
    namespace: str
    """Where its operator is, unless somebody chose another place."""


_MAKERS: Mapping[Vendor, _Maker] = {
    Vendor.NVIDIA: _Maker(
        "NVIDIA", "10de", "nvidia.com/", CLUSTER_POLICY, "gpu-operator nvidia/gpu-operator", "gpu-operator"
    ),
    Vendor.AMD: _Maker(
        "AMD", "1002", "amd.com/", DEVICE_CONFIG, "amd-gpu-operator rocm/gpu-operator-charts", "kube-amd-gpu"
    ),
}


def wanted(case: Case) -> dict[Vendor, list[Gpu]]:
    """What the stack's models ask for, by vendor."""
    found: dict[Vendor, list[Gpu]] = {}
    for _, model in sorted(case.settings.models.items()):
        if model.gpu is not None:
            found.setdefault(model.gpu.vendor, []).append(model.gpu)
    return found


def gpus(case: Case) -> Iterator[Finding]:
    """For each vendor that models want: the operator is well, and nodes with a card offer it."""
    if case.cluster.knows("v1", "Node"):
        for vendor, gpus_of_vendor in wanted(case).items():
            yield from _of_vendor(case, _MAKERS[vendor], gpus_of_vendor)


def trouble(case: Case, gpu: Gpu) -> str:
    """The object whose trouble leaves no node of the cluster a GPU of that kind; empty when it is not that."""
    maker = _MAKERS[gpu.vendor]
    if not case.cluster.knows("v1", "Node"):
        return ""
    problems = [each for each in _of_vendor(case, maker, [gpu]) if each.level is Level.PROBLEM]
    return problems[0].object if problems else ""


def _of_vendor(case: Case, maker: _Maker, models: list[Gpu]) -> Iterator[Finding]:
    nodes = case.cluster.all("v1", "Node")
    offering = [each for each in nodes if _offers(each, maker)]
    idle = [each for each in nodes if _has_card(each, maker) and not _offers(each, maker)]
    own = list(case.cluster.all(*maker.settings))
    unwell = [finding for each in own if (finding := _unwell(each, maker, needed=not offering)) is not None]
    yield from unwell
    if not offering:
        if not any(each.level is Level.PROBLEM for each in unwell):
            yield _nothing_offered(case, maker, idle, own)
        return
    for each in idle:
        message = f"has a card of {maker.name} and offers none of it"
        yield Finding("gpus", Level.WARNING, ref({"kind": "Node", **each}), message, _look(maker, own))
    slices = sorted({each.resource for each in models if each.partitioned})
    missing = [each for each in slices if not any(_count(node, each) for node in nodes)]
    yield from (_no_slices(each, nodes, own) for each in missing)
    if not (unwell or idle or missing):
        names = f"{len(offering)} node{'s' if len(offering) > 1 else ''}"
        yield Finding("gpus", Level.OK, f"Node {maker.resource}*", f"{names} with cards of {maker.name}")


def _unwell(own: Manifest, maker: _Maker, *, needed: bool) -> Finding | None:
    """What the vendor's operator says of itself; a problem only when there is nothing to work with meanwhile."""
    level, fix = Level.PROBLEM if needed else Level.WARNING, _look(maker, [own])
    state = str(dig(own, "status", "state") or "")
    if state == "ignored":
        message = "is ignored: the operator follows one ClusterPolicy, and there is another"
        return Finding("gpus", Level.WARNING, ref(own), message, f"kubectl delete clusterpolicy {name_of(own)}")
    if state and state != "ready":
        ready = condition(own, "Ready")
        said = f" ({ready.get('reason')}: {ready.get('message')})" if ready and ready.get("status") != "True" else ""
        return Finding("gpus", level, ref(own), f"the operator's parts are not all running: state {state}{said}", fix)
    for part, what in (("driver", "driver"), ("devicePlugin", "device plugin")):
        here, of = (int(dig(own, "status", part, key) or 0) for key in ("availableNumber", "desiredNumber"))
        if here < of:
            return Finding("gpus", level, ref(own), f"the {what} runs on {here} of {of} nodes", fix)
    return None


def _nothing_offered(case: Case, maker: _Maker, idle: list[Manifest], own: list[Manifest]) -> Finding:
    """Why no node offers a GPU of that vendor: the first thing that is not there."""
    none = f"no node offers a GPU of {maker.name}"
    openshift = case.settings.platform.profile is Profile.OPENSHIFT
    if not any(key.startswith(_FEATURE) for node in case.cluster.all("v1", "Node") for key in labels_of(node)):
        message = f"{none}, and none has a label of Node Feature Discovery: nothing has looked for cards"
        fix = f"OperatorHub: Node Feature Discovery, then a {DISCOVERY}" if openshift else _helm(maker)
        return Finding("gpus", Level.PROBLEM, DISCOVERY, message, fix)
    if not idle:
        message = f"{none}: Node Feature Discovery sees no card of it (PCI {maker.pci}) in any node"
        return Finding("gpus", Level.PROBLEM, DISCOVERY, message, "add a node with a card, or pass it to the machine")
    names = ", ".join(sorted(map(name_of, idle)))
    kind = maker.settings[1]
    if not own and (case.cluster.knows(*maker.settings) or maker.settings in case.cluster.not_served):
        message = f"{none}: {names} have cards, and there is no {kind}, so neither driver nor device plugin"
        fix = f"OperatorHub: {maker.name} GPU Operator, then a {kind}" if openshift else _helm(maker)
        return Finding("gpus", Level.PROBLEM, kind, message, fix)
    message = f"{none}: {names} have cards that no driver or device plugin has found"
    return Finding("gpus", Level.PROBLEM, ref(own[0]) if own else kind, message, _look(maker, own))


def _no_slices(resource: str, nodes: tuple[Manifest, ...], own: list[Manifest]) -> Finding:
    """Why no node offers slices (MIG) of that size."""
    what = ref(own[0]) if own else f"Node {resource}"
    capable = [each for each in nodes if labels_of(each).get(f"{_MIG}.capable") == "true"]
    if not capable:
        message = f"no node offers {resource}: no card of the cluster can be cut (label {_MIG}.capable)"
        return Finding(
            "gpus", Level.PROBLEM, what, message, "a whole GPU: maas:models.<name>.gpu.resource: nvidia.com/gpu"
        )
    states = {labels_of(each).get(f"{_MIG}.config.state", "success") for each in capable}
    strategies = {labels_of(each).get(f"{_MIG}.strategy", "none") for each in capable}
    if states - {"success"}:
        message = f"no node offers {resource}: cutting the cards is {', '.join(sorted(states - {'success'}))}"
        fix = "kubectl logs -n gpu-operator -l app=nvidia-mig-manager"
    elif strategies == {"single"}:
        message = f"no node offers {resource}: with the strategy single slices are called nvidia.com/gpu"
        fix = f"maas:models.<name>.gpu.resource: nvidia.com/gpu, or the strategy mixed ({_DOCS})"
    elif "mixed" not in strategies:
        message = f"no node offers {resource}: there is no label {_MIG}.strategy, so nothing is cut"
        name = name_of(own[0]) if own else "cluster-policy"
        fix = f'kubectl patch clusterpolicy {name} --type merge -p \'{{"spec": {{"mig": {{"strategy": "mixed"}}}}}}\''
    else:
        sizes = sorted({key for each in nodes for key in _allocatable(each) if f"{_MIG}-" in key})
        message = f"no node offers {resource}, but {', '.join(sizes) or 'no slice at all'}"
        fix = f"kubectl label node {name_of(capable[0])} {_MIG}.config=all-{resource.partition('mig-')[2]} --overwrite"
    return Finding("gpus", Level.PROBLEM, what, message, fix)


def _helm(maker: _Maker) -> str:
    return f"helm install {maker.chart} -n {maker.namespace} --create-namespace, which brings it ({_DOCS})"


def _look(maker: _Maker, own: list[Manifest]) -> str:
    namespace = next((place for each in own if (place := namespace_of(each))), maker.namespace)
    described = f"kubectl describe {maker.settings[1].lower()} {name_of(own[0])}; " if own else ""
    return f"{described}kubectl get pods -n {namespace}"


def _has_card(node: Manifest, maker: _Maker) -> bool:
    labels = labels_of(node)
    return any(
        value == "true"
        and ((key.startswith(f"{_FEATURE}pci-") and maker.pci in key) or key == f"{_FEATURE}{maker.name.lower()}-gpu")
        for key, value in labels.items()
    )


def _offers(node: Manifest, maker: _Maker) -> bool:
    return any(_count(node, key) for key in _allocatable(node) if key.startswith(maker.resource))


def _allocatable(node: Manifest) -> Mapping[str, object]:
    return dig(node, "status", "allocatable") or {}


def _count(node: Manifest, resource: str) -> int:
    text = str(dig(node, "status", "allocatable", resource) or "0")
    return int(text) if text.isdigit() else 0
