"""Where a model's pods may go: the scheduler's rules, as far as the stack's own words decide."""

from collections.abc import Iterator

from config.models import Gpu, Models, Toleration
from config.nodes import NodeKind, Nodes, Taint
from config.problems import Problem, shown
from config.values import amount


def obstacle(gpu: Gpu, kind: NodeKind) -> str:
    """Why pods with that wish do not go onto nodes of a kind; empty when they can."""
    missing = sorted(f"{key}={value}" for key, value in gpu.node_selector.items() if kind.labels.get(key) != value)
    if missing:
        return f"no label {', '.join(missing)}"
    taints = [each for each in kind.taints if each.effect != "PreferNoSchedule" and not tolerates(gpu, each)]
    if taints:
        return f"taint {', '.join(sorted(each.key for each in taints))} is not tolerated"
    if gpu.memory is not None and kind.gpu is not None and amount(kind.gpu.memory) < amount(gpu.memory):
        return f"GPUs of {kind.gpu.memory}, {gpu.memory} wanted"
    offered = kind.gpu.count if kind.gpu and kind.gpu.resource == gpu.resource else 0
    return f"{offered} x {gpu.resource}, {gpu.count} wanted" if offered < gpu.count else ""


def tolerates(gpu: Gpu, taint: Taint) -> bool:
    """Whether one of the tolerations is for that taint."""
    return any(_is_for(each, taint) for each in gpu.tolerations)


def _is_for(toleration: Toleration, taint: Taint) -> bool:
    return (
        toleration.key == taint.key
        and toleration.effect in {None, taint.effect}
        and (toleration.operator == "Exists" or (toleration.value or "") == taint.value)
    )


def models_find_a_node(models: Models, nodes: Nodes) -> Iterator[Problem]:
    """Where the stack says what nodes there are, a model that none of them takes would stay pending for ever."""
    for name, model in models.items():
        if model.gpu is None or not nodes:
            continue
        reasons = {kind: obstacle(model.gpu, each) for kind, each in sorted(nodes.items())}
        if all(reasons.values()):
            why = "no kind of node can take it: " + "; ".join(f"{kind}: {each}" for kind, each in reasons.items())
            wanted = model.gpu.model_dump(mode="json", by_alias=True, exclude={"tolerations"})
            yield Problem(f"maas:models.{name}.gpu", shown(wanted), why, "what a kind of maas:nodes has")
