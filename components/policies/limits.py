"""The RateLimitPolicy and the TokenRateLimitPolicy: how often, and for how many tokens."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from components.policies.cel import cel_list, cel_string
from components.routes import INFERENCE_PATHS
from config.figures import NEVER_REACHED, NEVER_REACHED_WINDOW
from config.settings import Settings
from config.tiers import ModelLimits, Tier
from config.values import Allowance

_Of = Callable[[Tier | ModelLimits], Allowance | None]
_METERED = {"limit": NEVER_REACHED, "window": NEVER_REACHED_WINDOW}


def request_limits_spec(target: Mapping[str, str], settings: Settings) -> dict[str, Any] | None:
    """Body of the RateLimitPolicy; None when no tier is limited, since the CRD refuses a policy without limits."""
    limits = _limits(settings, lambda limits: limits.requests, [])
    return {"targetRef": dict(target), "limits": limits} if limits else None


def token_limits_spec(target: Mapping[str, str], settings: Settings) -> dict[str, Any]:
    """Body of the TokenRateLimitPolicy. Tokens are counted only under a limit, so that `unlimited` is one, too."""
    return {"targetRef": dict(target), "limits": _limits(settings, lambda limits: limits.tokens, [_METERED])}


def _limits(settings: Settings, of: _Of, without: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One limit for each tier, counted per user, and one for each model that is an exception to it.

    Exactly one of a tier's limits holds for a request. Several windows are several rates of one limit: several limits
    would have each token reported once for each.

    Args:
        settings: The stack.
        of: Which kind of allowance it is about.
        without: The rates of what is unlimited; where they are none, it has no limit.
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
            if allowance is not None and (rates := _rates(allowance) or without):
                predicates = [inference, f"auth.identity.tier == {cel_string(name)}", *conditions]
                limits[limit] = {
                    "rates": [dict(rate) for rate in rates],
                    "when": [{"predicate": predicate} for predicate in predicates],
                    "counters": [{"expression": "auth.identity.userid"}],
                }
    return limits


def _rates(allowance: Allowance) -> list[Mapping[str, Any]]:
    return [{"limit": rate.limit, "window": rate.window} for rate in allowance.rates]


def inference_predicate(*, by_path: bool) -> str:
    """CEL of the filter's dialect: whether a request is one that spends tokens.

    `request.path` has the query in it, so that `?x=1` would be a way around; `request.url_path` has not. Where models
    have paths, the end of it is looked at: once the route has rewritten the path, the start is another.
    """
    paths = cel_list(INFERENCE_PATHS)
    return f"{paths}.exists(p, request.url_path.endsWith(p))" if by_path else f"request.url_path in {paths}"
