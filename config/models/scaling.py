"""How many replicas a model has, and how they are exchanged."""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from config.model import Model
from config.problems import RefusalError
from config.values import Duration


class Autoscaling(Model):
    """More or fewer replicas, by what vLLM says of its load."""

    min: Annotated[int, Field(strict=True, ge=0)] = 1
    """0 ends the last replica after `cooldown` without requests; KEDA alone can do that."""
    max: Annotated[int, Field(strict=True, ge=1)]
    """So many replicas at most."""
    waiting: Annotated[int, Field(strict=True, ge=1)] = 4
    """Requests that wait, for each replica, from which on another is added."""
    cache_use: Annotated[int, Field(strict=True, ge=1, le=100)] = 80
    """Percent of the KV cache in use, from which on another is added."""
    cooldown: Duration = "5m"
    """So long little load has to last until a replica is taken away."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.min > self.max:
            raise RefusalError("min is more than max", allowed="min up to max", fix=f"max: {self.min}")
        return self


class Rollout(StrEnum):
    """How a changed model takes the place of the old one."""

    SURGE = "surge"
    """A new replica first, then an old one goes: needs the place, and the GPUs, of one replica more."""
    REPLACE = "replace"
    """An old replica goes first: for clusters without a GPU to spare. A model with one replica is away meanwhile."""
