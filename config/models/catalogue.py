"""The model catalogue: what is served, by which runtime, on which kind of node."""

from decimal import Decimal
from typing import Annotated, Any, Self, cast

from pydantic import AfterValidator, Field, model_validator

from config.merging import merged
from config.model import Model as SettingsModel
from config.models import arguments, fitting
from config.models.gpu import Gpu
from config.models.profiles import PROFILES
from config.models.runtimes import Api, Runtime
from config.models.scaling import Autoscaling, Rollout
from config.models.sources import Scheme, Source, billions, scheme_of
from config.models.storage import Cache
from config.platform import Platform, Profile
from config.problems import RefusalError, closest, one_of
from config.values import DnsLabel, Duration, Image, Quantity, window_seconds


class Resources(SettingsModel):
    """What one replica may use; request and limit are the same, so that a model is never throttled by a neighbour."""

    cpu: Quantity
    """Request and limit."""
    memory: Quantity
    """Request and limit."""


# A served name is part of JSON bodies, metric labels and command lines.
ServedName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]*$", max_length=128)]

# KServe appends `-predictor` to make the Service's name, itself a DNS label.
_NAME_LONGEST = 63 - len("-predictor")

_STARTUP = 600
"""Seconds that a model of any size has to start: its image is unpacked, its kernels are compiled."""
_STARTUP_FOR_A_BILLION = 15
"""Seconds for each billion parameters: two gigabytes, read at some 130 MB a second."""
_STARTUP_LONGEST = 1800
"""As long as the deployment waits for a model, unless the stack says otherwise."""


class Model(SettingsModel):
    """One model behind the gateway."""

    profile: str = ""
    """Name of the profile that the defaults come from; see the end of the reference."""
    source: Source | None = None
    """Where the weights come from, or the endpoint that is the model."""
    runtime: Runtime
    """What serves the model. Profiles set it."""
    api: Api | None = None
    """The kind of KServe's object; default: `maas:serving.api`."""
    served_name: ServedName | None = None
    """The name callers put into `model`; default: the entry's own name."""
    image: Image | None = None
    """Image of the runtime; default: the version that config/versions.py pins."""
    resources: Resources | None = None
    """What one replica may use. Profiles set it."""
    gpu: Gpu | None = None
    """The accelerators of one replica. Profiles set it."""
    replicas: Annotated[int, Field(strict=True, ge=1)] = 1
    """How many pods."""
    autoscaling: Autoscaling | None = None
    """In place of `replicas`."""
    rollout: Rollout = Rollout.SURGE
    """How a changed model takes the place of the old one."""
    max_length: Annotated[int, Field(strict=True, ge=1)] | None = None
    """Longest prompt plus answer, in tokens."""
    memory_utilisation: Annotated[float, Field(gt=0, le=1)] | None = None
    """Share of the GPU's memory that vLLM takes."""
    max_sequences: Annotated[int, Field(strict=True, ge=1)] | None = None
    """Requests that vLLM works on at once."""
    args: tuple[str, ...] = ()
    """More arguments for the runtime; they come last. Those that its pinned version does not have are refused."""
    cache: Cache | None = None
    """Where the weights of a Hugging Face model are kept between starts: a volume of its own (`size`), an existing
    `claim`, or space on the node (`ephemeral`). Default: they are fetched anew for each pod."""
    secret: DnsLabel | None = None
    """Secret in the platform's namespace with what the source asks for: `HF_TOKEN`, S3's keys, a registry's login, or
    the endpoint's `api_key`. One of `maas:modelSecrets`, or one that is there."""
    startup: Duration | None = None
    """How long a pod may take to load the model, up to `timeouts.model`. Default: 10 minutes, and 15 seconds for each
    billion parameters that the source's name says, 30 minutes at most."""
    drain: Duration = "2m"
    """How long a pod that goes may finish its requests."""
    host: DnsLabel | None = None
    """First label of the model's host; default by platform: `<model>`, on OpenShift `<model>-<namespace>`."""
    tiers: Annotated[frozenset[DnsLabel], Field(min_length=1)] | None = None
    """The tiers that may call the model; default: all."""
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
            if "runtime" not in entry and entry.keys() <= {field.alias for field in cls.model_fields.values()}:
                why = "neither a profile nor a runtime says what serves it"
                raise RefusalError(why, allowed=f"profile: {one_of(PROFILES)}", fix="profile: small-gpu")
            return entry
        if not isinstance(profile, str) or profile not in PROFILES:
            raise RefusalError(f"no profile '{profile}'", allowed=one_of(PROFILES), fix=closest(str(profile), PROFILES))
        return merged(PROFILES[profile], entry)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        fitting.check(self)
        arguments.check(self.runtime, self.args, self.gpu.vendor if self.gpu else None)
        return self

    @property
    def external(self) -> bool:
        """Whether the model is an endpoint outside of the cluster."""
        return self.runtime is Runtime.EXTERNAL

    @property
    def scheme(self) -> Scheme | None:
        """What kind of place the source is."""
        return scheme_of(self.source) if self.source else None

    @property
    def least_replicas(self) -> int:
        """How many replicas there are at least."""
        return self.autoscaling.min if self.autoscaling else self.replicas

    @property
    def most_replicas(self) -> int:
        """How many replicas there are at most."""
        return self.autoscaling.max if self.autoscaling else self.replicas

    @property
    def startup_seconds(self) -> int:
        """How long a pod may take until it answers."""
        if self.startup is not None:
            return window_seconds(self.startup)
        size = billions(self.source) if self.source else None
        wanted = _STARTUP_LONGEST if size is None else _STARTUP + _STARTUP_FOR_A_BILLION * size
        return int(min(wanted, _STARTUP_LONGEST))

    @property
    def drain_seconds(self) -> int:
        """How long a pod that goes may finish its requests."""
        return window_seconds(self.drain)


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
