"""Limitador: how many, and where the counters live."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from config.model import Model
from config.problems import RefusalError
from config.values import DnsLabel, Quantity


class ManagedRedis(Model):
    """A Redis of the stack's own, for development: one pod with a volume, without replica, backup and TLS."""

    install: Literal["managed"] = "managed"
    """The only way."""
    cpu: Quantity = "100m"
    """Set aside for its pod."""
    memory: Quantity = "256Mi"
    """Three quarters of it are for counters; when those are full, the limiter fails, and nothing is forgotten."""
    size: Quantity = "1Gi"
    """Of the volume."""
    storage_class: DnsLabel | None = None
    """Default: the cluster's."""


class Limiter(Model):
    """The rate limiter. In memory, counters end with the pod, and each replica would count alone."""

    replicas: Annotated[int, Field(strict=True, ge=1)] = 1
    """How many; more than one need Redis, as in memory each would count alone."""
    storage: Literal["memory", "redis"] = "memory"
    """Where counters live: `memory` (they end with the pod) or `redis`."""
    redis_secret: DnsLabel | None = None
    """Secret in Kuadrant's namespace whose key `URL` is a redis:// or rediss:// address."""
    redis: ManagedRedis | None = None
    """Instead of a Secret, for development: a Redis of the stack's own (`redis: {}`) with a random password and a
    volume; one pod, no replica, no backup, no TLS."""
    memory: Quantity | None = None
    """Of each replica; in memory, seven tenths of it are for counters. Default is Kuadrant's own, 64Mi."""
    telemetry: Literal["basic", "exhaustive"] = "basic"
    """`exhaustive` adds the limit's name to the counters, at the price of more time series."""
    rate_limit_headers: bool = False
    """Tell callers what is left of their request limits in X-RateLimit-* headers. Token limits never send any."""
    fail_open: bool = False
    """Let requests pass, **without any limit**, while the limiter does not answer. Off: they get 500. Needs
    `platform.kuadrant.environment: managed`."""

    @model_validator(mode="after")
    def _counters_are_shared(self) -> Self:
        if self.replicas > 1 and self.storage == "memory":
            raise RefusalError(
                f"each of {self.replicas} replicas counts alone in its memory: "
                f"every limit would be {self.replicas} times as high",
                allowed="replicas: 1, or storage: redis",
                fix=f"{{replicas: {self.replicas}, storage: redis, redisSecret: <name>}}",
            )
        places = [each for each in (self.redis_secret, self.redis) if each is not None]
        if len(places) != (self.storage == "redis"):
            raise RefusalError(
                "storage and where Redis is belong together",
                allowed="{storage: memory}, or {storage: redis} with either redisSecret: <name> or redis: {}",
                fix="{storage: redis, redisSecret: <name>}; for development {storage: redis, redis: {}}",
            )
        return self

    @property
    def is_default(self) -> bool:
        """Whether Kuadrant's own Limitador needs no change. What happens without it is not its own matter."""
        return self.model_copy(update={"fail_open": False}) == Limiter()
