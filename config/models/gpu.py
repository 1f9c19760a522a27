"""Accelerators, and the nodes that have them."""

from enum import StrEnum
from typing import Annotated, Any, Literal, Self, cast

from pydantic import Field, model_validator

from config.model import Model
from config.problems import RefusalError
from config.values import ExtendedResource, LabelKey, LabelValue, Quantity, amount, fits_a_label

_MIB = 2**20


class Toleration(Model):
    """A taint that the model's pods accept; the fields are Kubernetes' own."""

    key: LabelKey
    """Of the taint."""
    operator: Literal["Exists", "Equal"] = "Exists"
    """`Exists` takes any value."""
    value: LabelValue | None = None
    """With `Equal`: the taint's."""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    """Of the taint; any, when it is not set."""

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.operator == "Exists" and self.value is not None:
            why = "Exists, which is the default, takes any value and none is said"
            raise RefusalError(why, allowed="operator: Equal with a value, or no value", fix="operator: Equal")
        return self


class Vendor(StrEnum):
    """Who made the accelerators."""

    NVIDIA = "nvidia"
    AMD = "amd"


_RESOURCES = {Vendor.NVIDIA: "nvidia.com/gpu", Vendor.AMD: "amd.com/gpu"}
"""What the vendor's device plugin offers, and how its nodes are tainted."""
_PRESENT = {
    Vendor.NVIDIA: {"nvidia.com/gpu.present": "true"},
    Vendor.AMD: {"feature.node.kubernetes.io/amd-gpu": "true"},
}
"""The label of nodes that have a card: of NVIDIA's GPU feature discovery; of Node Feature Discovery, by AMD's rule."""
_PRODUCT = {Vendor.NVIDIA: "nvidia.com/gpu.product", Vendor.AMD: "amd.com/gpu.product-name"}
MEMORY_LABEL = "nvidia.com/gpu.memory"
"""MiB of one GPU, as NVIDIA's GPU feature discovery has it."""


class Gpu(Model):
    """The accelerators of one replica and the nodes that have them."""

    count: Annotated[int, Field(strict=True, ge=1)]
    """How many; more than one are used with tensor parallelism. A slice is one."""
    vendor: Vendor = Vendor.NVIDIA
    """Picks the defaults of what follows, and the runtime's image. Default: by `resource`."""
    product: LabelValue | None = None
    """Which GPU, as the vendor's labels call it: `NVIDIA-H100-80GB-HBM3`."""
    memory: Quantity | None = None
    """At least so much of each GPU, as cards are sold: `80G` (a card of 80 GB reports less than `80Gi`). NVIDIA's alone
    have a label that can be compared."""
    resource: ExtendedResource = _RESOURCES[Vendor.NVIDIA]
    """The extended resource that the device plugin offers; a slice is one of its own."""
    node_selector: dict[LabelKey, LabelValue] = Field(default_factory=lambda: dict(_PRESENT[Vendor.NVIDIA]))
    """Labels of the nodes; default: those of the vendor's nodes with a card, and `product`."""
    tolerations: tuple[Toleration, ...] = (Toleration(key=_RESOURCES[Vendor.NVIDIA], effect="NoSchedule"),)
    """Taints that the pods accept; default: the vendor's."""

    @model_validator(mode="before")
    @classmethod
    def _by_vendor(cls, value: object) -> object:
        if not isinstance(value, dict):
            return value
        entry = dict(cast("dict[str, Any]", value))
        resource, vendor = entry.get("resource"), entry.get("vendor")
        maker = next((each for each in Vendor if str(resource).startswith(f"{each}.com/")), None)
        if vendor is None:
            entry["vendor"] = vendor = maker or Vendor.NVIDIA
        elif maker is not None and maker != vendor:
            raise RefusalError(
                f"{resource} is not a resource of {vendor}", allowed="a resource of the vendor", fix=f"vendor: {maker}"
            )
        if not isinstance(vendor, str) or vendor not in set(Vendor):
            return entry
        known = Vendor(vendor)
        entry.setdefault("resource", _RESOURCES[known])
        product = entry.get("product")
        entry.setdefault(
            "nodeSelector", _PRESENT[known] | ({_PRODUCT[known]: product} if product and fits_a_label(product) else {})
        )
        entry.setdefault("tolerations", [{"key": _RESOURCES[known], "effect": "NoSchedule"}])
        return entry

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.partitioned and self.count > 1:
            raise RefusalError(
                "a process sees one slice of a GPU",
                allowed="count: 1 with a slice; more replicas, or a larger slice",
                fix="count: 1",
            )
        if self.memory is not None and (self.vendor is Vendor.AMD or self.partitioned):
            why = (
                "the name of a slice says its memory" if self.partitioned else "AMD's labels say memory as text (192G)"
            )
            allowed = "memory with whole GPUs of NVIDIA"
            raise RefusalError(f"cannot be compared: {why}", allowed=allowed, fix="product or nodeSelector instead")
        return self

    @property
    def partitioned(self) -> bool:
        """Whether a slice of a GPU is asked for (MIG)."""
        return "/mig-" in self.resource

    @property
    def mebibytes_above(self) -> int | None:
        """A node's memory label has to be greater than this; None when any will do."""
        return None if self.memory is None else -int(-amount(self.memory) // _MIB) - 1
