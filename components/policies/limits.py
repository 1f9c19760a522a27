"""The RateLimitPolicy and the TokenRateLimitPolicy: how often, and for how many tokens."""

from collections.abc import Callable, Mapping
from typing import Any

from components.policies.cel import cel_list, cel_string
from components.routes import INFERENCE_PATHS
from config.settings import Settings
from config.tiers import ModelLimits, Tier
from config.values import Allowance

_Of = Callable[[Tier | ModelLimits], Allowance | None]


def request_limits_spec(target: Mapping[str, str], settings: Settings) -> dict[str, Any] | None:
    """Body of the RateLimitPolicy; None when no tier is limited, since the CRD refuses a policy without limits."""
    return _spec(target, settings, lambda limits: limits.requests)


def token_limits_spec(target: Mapping[str, str], settings: Settings) -> dict[str, Any] | None:
    """Body of the TokenRateLimitPolicy; None when no tier is limited, since the CRD refuses a policy without limits."""
    return _spec(target, settings, lambda limits: limits.tokens)


def _spec(target: Mapping[str, str], settings: Settings, of: _Of) -> dict[str, Any] | None:
    """One limit for each tier, counted per user, and one for each model that is an exception to it.

    Exactly one of a tier's limits holds for a request. Several windows are several rates of one limit: several limits
    would have each token reported once for each.
    """
    limits: dict[str, Any] = {}
    inference = inference_predicate(by_path=settings.routing.by_path)
    for name, tier in sorted(settings.tiers.items()):
        exceptions = {model: other for model, own in sorted(tier.models.items()) if (other := of(own)) is not None}
        usual = [f"!(auth.identity.model in {cel_list(exceptions)})"] if exceptions else []
        cases = {name: (of(tier), usual)} | {
            # A tier's name has no dot, so no two limits share a name.
            f"{name}.{model}": (allowance, [f"auth.identity.model == {cel_string(model)}"])
            for model, allowance in exceptions.items()
        }
        for limit, (allowance, conditions) in cases.items():
            if allowance is not None and allowance.rates:
                predicates = [inference, f"auth.identity.tier == {cel_string(name)}", *conditions]
                limits[limit] = {
                    "rates": [{"limit": rate.limit, "window": rate.window} for rate in allowance.rates],
                    "when": [{"predicate": predicate} for predicate in predicates],
                    "counters": [{"expression": "auth.identity.userid"}],
                }
    return {"targetRef": dict(target), "limits": limits} if limits else None


def inference_predicate(*, by_path: bool) -> str:
    """CEL of the filter's dialect: whether a request is one that spends tokens.

    `request.path` has the query in it, so that `?x=1` would be a way around; `request.url_path` has not. Where models
    have paths, the end of it is looked at: once the route has rewritten the path, the start is another.
    """
    paths = cel_list(INFERENCE_PATHS)
    return f"{paths}.exists(p, request.url_path.endsWith(p))" if by_path else f"request.url_path in {paths}"
