"""How callers name a model, and what a quota is counted over."""

from enum import StrEnum
from typing import Self

from pydantic import model_validator

from config.model import Model
from config.problems import RefusalError
from config.values import DnsLabel


class RoutedBy(StrEnum):
    """What tells models apart in a request."""

    HOST = "host"
    """Each model has a host: `https://<model>.<domain>/v1`."""
    PATH = "path"
    """All models share a host, and each has a path: `https://models.<domain>/<model>/v1`."""


class QuotaScope(StrEnum):
    """What the limits of a tier are counted over. Kuadrant counts each HTTPRoute by itself."""

    PER_MODEL = "perModel"
    """Every user has the whole quota on each model: an HTTPRoute for each."""
    ACROSS_MODELS = "acrossModels"
    """Every user has one quota for all models together: one HTTPRoute with a rule for each."""


class Routing(Model):
    """Where models are reached, and what that makes of quotas."""

    by: RoutedBy | None = None
    """Default `host`; `path` where quotas are counted across models."""
    host: DnsLabel = "models"
    """With `path`: first label of the host that all models share."""
    quota: QuotaScope = QuotaScope.PER_MODEL
    """What limits are counted over."""

    @model_validator(mode="after")
    def _one_route_has_paths(self) -> Self:
        if self.quota is QuotaScope.ACROSS_MODELS and self.by is RoutedBy.HOST:
            raise RefusalError(
                "one HTTPRoute cannot tell models apart by host, and quotas across models need one HTTPRoute",
                allowed="{by: path, quota: acrossModels}, or {by: host, quota: perModel}",
                fix="{by: path, quota: acrossModels}",
            )
        return self

    @property
    def by_path(self) -> bool:
        """Whether models share a host."""
        return self.by is RoutedBy.PATH or self.quota is QuotaScope.ACROSS_MODELS
