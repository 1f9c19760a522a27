"""What the stack says that can be seen from outside: models, tiers, limits, and how refusals read."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from cli.stacks.stackfile import mapping
from components.policies.refusals import error_body, refusals
from config.settings import Settings
from config.tiers import ModelLimits, Tier
from config.values import Allowance, Rate

Counts = Literal["requests", "tokens"]
TOKENS_AT_ONCE = 1000
"""The most tokens that one request asks for: less than what any model can say in one answer."""
_FEW_REQUESTS = 10


@dataclass(frozen=True)
class Limit:
    """One rate, as it holds for the users of a tier on a model."""

    counts: Counts
    tier: str
    model: str
    rate: Rate
    own: bool = False
    """Whether it is the model's own, in place of the tier's."""

    @property
    def label(self) -> str:
        """Such as `free: 5 per 2m`, or `free on qwen3: 50 per 1m`."""
        where = f"{self.tier} on {self.model}" if self.own else self.tier
        return f"{where}: {self.rate}"


@dataclass(frozen=True)
class Facts:
    """The settings of a stack, as verify asks about them."""

    stack: str
    settings: Settings
    models: tuple[str, ...]
    """The models, the one that is tried first before the others."""
    longest_wait: float = 120
    """Seconds of a window whose end there is time for."""

    @cached_property
    def tiers(self) -> tuple[str, ...]:
        """The tiers, the lowest first."""
        return tuple(sorted(self.settings.tiers, key=lambda name: (self.settings.tiers[name].level, name)))

    def may_call(self, tier: str, model: str) -> bool:
        """Whether a model is offered to a tier."""
        offered = self.settings.models[model].tiers
        return offered is None or tier in offered

    def tier_for(self, model: str) -> str | None:
        """The highest tier that may call a model."""
        return next((each for each in reversed(self.tiers) if self.may_call(each, model)), None)

    def rates(self, counts: Counts, tier: str, model: str) -> tuple[Rate, ...]:
        """The rates that hold together for a tier's users on a model; none where it is unlimited."""
        limits = self.settings.tiers[tier]
        own = limits.models.get(model)
        special = _of(own, counts) if own else None
        return (special if special is not None else _of(limits, counts) or Allowance(())).rates

    def limits(self, counts: Counts) -> Iterator[Limit]:
        """Every rate of the stack once, on a model where it holds: each tier's, then those of exceptions."""
        for tier in self.tiers:
            own = {
                model
                for model, limits in self.settings.tiers[tier].models.items()
                if model in self.settings.models and _of(limits, counts) is not None
            }
            open_ = [model for model in self.models if self.may_call(tier, model)]
            usual = next((model for model in open_ if model not in own), None)
            for model in (*([usual] if usual else []), *(each for each in open_ if each in own)):
                for rate in self.rates(counts, tier, model):
                    yield Limit(counts, tier, model, rate, own=model in own)

    def first(self, counts: Counts, tier: str, model: str) -> Rate | None:
        """The rate that a burst of requests reaches first: the smallest number."""
        return min(self.rates(counts, tier, model), key=lambda rate: (rate.limit, -rate.seconds), default=None)

    def way_to_429(self, tier: str, model: str) -> tuple[Rate, Counts] | None:
        """The cheapest way to use a quota up: few requests, or few large ones; None where nothing is limited."""
        requests, tokens = self.first("requests", tier, model), self.first("tokens", tier, model)
        if requests and (requests.limit <= _FEW_REQUESTS or tokens is None or self.bursts(tokens) > requests.limit):
            return requests, "requests"
        return (tokens, "tokens") if tokens else None

    def tightest(self, which: Callable[[str, str], bool] = lambda _tier, _model: True) -> tuple[str, str] | None:
        """Tier and model whose quota is the cheapest to use up; None when no tier is limited.

        Args:
            which: is given a tier and a model, and says whether they will do.
        """
        model = next(iter(self.models), "")
        found = [
            # Requests can be counted on; how much a model says cannot.
            (way[1] == "tokens", way[0].limit, tier)
            for tier in self.tiers
            if model and self.may_call(tier, model) and which(tier, model) and (way := self.way_to_429(tier, model))
        ]
        return (min(found)[2], model) if found else None

    @staticmethod
    def bursts(rate: Rate) -> int:
        """Requests that it takes to use up so many tokens."""
        return -(-rate.limit // TOKENS_AT_ONCE)

    @cached_property
    def _codes(self) -> Mapping[str, str]:
        rules = {rule.name: rule.bodies[-1][1] for rule in refusals(self.settings)}
        return {name: str(json.loads(body)["error"]["code"]) for name, body in rules.items()}

    def code(self, rule: str) -> str:
        """The `code` that a refusal by one of the AuthPolicy's rules has."""
        return self._codes[rule]


def error_code(body: object) -> str:
    """The `code` of an error in OpenAI's shape; empty for anything else."""
    error = mapping(mapping(body).get("error"))
    # The same fields as our own refusals have: what they are called is said there.
    known = json.loads(error_body("", ""))["error"].keys()
    return str(error.get("code") or "") if known <= error.keys() else ""


def _of(limits: Tier | ModelLimits, counts: Counts) -> Allowance | None:
    return limits.requests if counts == "requests" else limits.tokens
