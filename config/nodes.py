"""The kinds of nodes that a cluster has, for those who want to be told what fits before anything is deployed."""

from typing import Annotated

from pydantic import Field

from config.model import Model
from config.values import DnsLabel, Quantity

_Count = Annotated[int, Field(strict=True, ge=1)]


class Taint(Model):
    """What a pod has to tolerate; the fields are Kubernetes' own."""

    key: str
    """Its name."""
    value: str = ""
    """What is behind the `=`."""
    effect: str = Field(default="NoSchedule", pattern="^(NoSchedule|PreferNoSchedule|NoExecute)$")
    """What happens to pods that do not tolerate it."""


class Accelerators(Model):
    """The accelerators of one node; with MIG, a kind of node for each size of slice."""

    count: _Count
    """How many the device plugin offers on one node; with MIG, of this kind of slice."""
    memory: Quantity
    """Of each."""
    resource: str = "nvidia.com/gpu"
    """As the device plugin offers them."""

    @property
    def partitioned(self) -> bool:
        """Whether they are slices of GPUs (MIG): a process sees only one of them."""
        return "/mig-" in self.resource


class NodeKind(Model):
    """Nodes that are alike."""

    nodes: _Count = 1
    """How many of them there are."""
    cpu: Quantity | None = None
    """What one of them has for pods; nothing is said about it when this is not set."""
    memory: Quantity | None = None
    """As `cpu`."""
    gpu: Accelerators | None = None
    """The accelerators of one node."""
    labels: dict[str, str] = Field(default_factory=dict)
    """As `kubectl get node --show-labels` has them."""
    taints: tuple[Taint, ...] = ()
    """What keeps pods off that do not tolerate them."""


Nodes = dict[DnsLabel, NodeKind]
"""Kinds of nodes by name."""
