"""The model catalogue: what is served, by which runtime, on which kind of node."""

from decimal import Decimal
from typing import Annotated, Any, Self, cast

from pydantic import AfterValidator, Field, model_validator

from config.merging import merged
from config.model import Model as SettingsModel
from config.models.gpu import Gpu
from config.models.profiles import PROFILES
from config.models.runtimes import Runtime
from config.models.sources import Source
from config.platform import Platform, Profile
from config.problems import RefusalError, closest, one_of
from config.values import DnsLabel, Quantity


class Resources(SettingsModel):
    """What one replica may use; request and limit are the same, so that a model is never throttled by a neighbour."""

    cpu: Quantity
    memory: Quantity


# A served name is part of JSON bodies, metric labels and command lines.
ServedName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]*$", max_length=128)]

# KServe appends `-predictor` to make the Service's name, itself a DNS label.
_NAME_LONGEST = 63 - len("-predictor")


class Model(SettingsModel):
    """One model behind the gateway."""

    profile: str = ""
    """Name of the profile that the defaults come from."""
    source: Source | None = None
    """Where the weights come from."""
    runtime: Runtime
    served_name: ServedName | None = None
    """The name callers put into `model`; default: the entry's own name."""
    image: str | None = None
    """Image of the runtime; default: the version that config/versions.py pins."""
    resources: Resources
    gpu: Gpu | None = None
    replicas: Annotated[int, Field(strict=True, ge=1)] = 1
    max_length: Annotated[int, Field(strict=True, ge=1)] | None = None
    """Longest prompt plus answer, in tokens."""
    memory_utilisation: Annotated[float, Field(gt=0, le=1)] | None = None
    """Share of the GPU's memory that vLLM takes."""
    max_sequences: Annotated[int, Field(strict=True, ge=1)] | None = None
    """Requests that vLLM works on at once."""
    args: tuple[str, ...] = ()
    """More arguments for the runtime."""
    host: DnsLabel | None = None
    """First label of the model's host; default by platform: `<model>`, on OpenShift `<model>-<namespace>`."""
    tiers: Annotated[frozenset[DnsLabel], Field(min_length=1)] | None = None
    """The tiers that may call the model; None for all."""
    price_factor: Annotated[Decimal, Field(ge=0, allow_inf_nan=False)] = Decimal(1)
    """What the tier's price of a token is multiplied with for this model."""

    @model_validator(mode="before")
    @classmethod
    def _with_profile(cls, value: object) -> object:
        if not isinstance(value, dict):
            return value
        entry = cast("dict[str, Any]", value)
        profile = entry.get("profile", "")
        if profile == "":
            return entry
        if profile not in PROFILES:
            raise RefusalError(f"no profile '{profile}'", allowed=one_of(PROFILES), fix=closest(str(profile), PROFILES))
        return merged(PROFILES[profile], entry)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.runtime is Runtime.VLLM and self.gpu is None:
            raise RefusalError(
                "a GPU model must say how many GPUs one replica has",
                allowed="gpu: {count: 1 or more}",
                fix="gpu: {count: 1}, or profile: small-gpu",
            )
        if self.runtime is Runtime.SIMULATOR and self.gpu is not None:
            raise RefusalError("the simulator uses no GPU", allowed="no gpu", fix="runtime: vllm, or leave gpu out")
        if self.runtime is Runtime.VLLM and self.source is None:
            raise RefusalError(
                "vLLM needs a model to load",
                allowed="source: hf://<organisation>/<model>",
                fix="source: hf://Qwen/Qwen3-0.6B",
            )
        return self


def _model_name(value: str) -> str:
    if len(value) > _NAME_LONGEST or not value[:1].isalpha():
        raise RefusalError(
            "not a name that KServe takes",
            allowed=f"a DNS label of at most {_NAME_LONGEST} characters that starts with a letter",
            fix=("m-" + value)[:_NAME_LONGEST] if not value[:1].isalpha() else value[:_NAME_LONGEST].rstrip("-"),
        )
    return value


Models = dict[Annotated[DnsLabel, AfterValidator(_model_name)], Model]
"""The catalogue by name."""


def host_label(name: str, model: Model, platform: Platform) -> str:
    """The first label of a model's host."""
    if model.host is not None:
        return model.host
    return f"{name}-{platform.namespace}" if platform.profile is Profile.OPENSHIFT else name
