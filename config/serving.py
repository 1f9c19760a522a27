"""What holds for all models: KServe's API, who scales, and the secrets that their sources ask for."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field, SecretStr

from config.model import Model
from config.models import Api
from config.values import DnsLabel


class Autoscaler(StrEnum):
    """Who scales models."""

    NONE = "none"
    KEDA = "keda"
    """KEDA's ScaledObjects, which ask Prometheus; the only one that scales to zero and back."""
    HPA = "hpa"
    """HorizontalPodAutoscalers; needs an adapter that serves vLLM's metrics of pods (docs/models.md)."""


class TriggerAuthentication(Model):
    """How KEDA proves itself to Prometheus: an object that is there."""

    name: DnsLabel
    """Of an object that is there."""
    kind: str = Field(default="TriggerAuthentication", pattern="^(TriggerAuthentication|ClusterTriggerAuthentication)$")
    """Its kind."""
    modes: Annotated[str, Field(pattern="^[a-z]+(,[a-z]+)*$")] = "bearer"
    """KEDA's `authModes`: what of it is used, such as `bearer` or `basic,tls`."""


class Serving(Model):
    """Settings for all models."""

    api: Api = Api.INFERENCE_SERVICE
    """The kind of KServe's object for models that do not say."""
    autoscaler: Autoscaler = Autoscaler.NONE
    """Who scales models."""
    prometheus: Annotated[str, Field(pattern=r"^https?://[^\s]+$")] | None = None
    """Where KEDA asks for metrics; default: by platform."""
    trigger_authentication: TriggerAuthentication | None = None
    """With `keda`: how it proves itself to Prometheus."""


ModelSecrets = dict[DnsLabel, dict[Annotated[str, Field(pattern=r"^[-._a-zA-Z0-9/]+$")], SecretStr]]
"""Secrets by name, each a mapping of keys to values. Keys that start with `serving.kserve.io/` become annotations."""
