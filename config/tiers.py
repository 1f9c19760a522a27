"""Tiers: what a user of each may spend, and what it costs."""

from decimal import Decimal
from typing import Annotated, Self, cast

from pydantic import Field, model_validator

from config.model import Model
from config.problems import RefusalError
from config.values import Allowance, DnsLabel


def _unstated() -> Allowance:
    # Runs through Allowance's own validation, which refuses it: a limit must be stated, even if it is `unlimited`.
    return cast("Allowance", None)


class ModelLimits(Model):
    """Limits of a tier that are different for one model; what is not said here is as the tier says."""

    requests: Allowance | None = None
    """In place of the tier's."""
    tokens: Allowance | None = None
    """In place of the tier's."""

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.requests is None and self.tokens is None:
            raise RefusalError(
                "says nothing that is different", allowed="requests, tokens, or both", fix="{tokens: 50 per 1m}"
            )
        return self


class Tier(Model):
    """The limits and the price of one tier. Every limit counts per user."""

    level: Annotated[int, Field(strict=True, ge=0)]
    """Rank: a user in several tiers gets the one with the highest level."""
    requests: Annotated[Allowance, Field(default_factory=_unstated, validate_default=True)]
    """Inference requests per window, or `unlimited`."""
    tokens: Annotated[Allowance, Field(default_factory=_unstated, validate_default=True)]
    """Prompt and completion tokens per window, or `unlimited`. They are counted after the answer: the request that
    crosses the limit still passes, the next one does not."""
    price: Annotated[Decimal, Field(ge=0, allow_inf_nan=False)] = Decimal(0)
    """Price of one token, in the currency of the company's bills."""
    models: dict[DnsLabel, ModelLimits] = Field(default_factory=dict)
    """Other limits for some models, by the model's name: `{qwen3: {tokens: 50 per 1m}}`. What is not said there is as
    the tier says."""

    @property
    def limits_requests(self) -> bool:
        """Whether it, or an exception for a model, limits requests: the limiter is asked once more for a request then.

        Every tier has a token limit, be it one that is never reached.
        """
        return any(each.requests is not None and each.requests.rates for each in (self, *self.models.values()))


Tiers = Annotated[dict[DnsLabel, Tier], Field(min_length=1)]
"""The tiers by name."""
