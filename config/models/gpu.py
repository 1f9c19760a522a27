"""Accelerators, and the nodes that have them."""

from typing import Annotated, Literal

from pydantic import Field

from config.model import Model


class Toleration(Model):
    """A taint that the model's pods accept; the fields are Kubernetes' own."""

    key: str
    operator: Literal["Exists", "Equal"] = "Exists"
    value: str | None = None
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None


class Gpu(Model):
    """The accelerators of one replica and the nodes that have them."""

    count: Annotated[int, Field(strict=True, ge=1)]
    """How many; more than one are used with tensor parallelism."""
    resource: str = "nvidia.com/gpu"
    """The extended resource that the device plugin offers."""
    node_selector: dict[str, str] = Field(default_factory=lambda: {"nvidia.com/gpu.present": "true"})
    tolerations: tuple[Toleration, ...] = (Toleration(key="nvidia.com/gpu", effect="NoSchedule"),)
