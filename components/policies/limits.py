"""The RateLimitPolicy and the TokenRateLimitPolicy: how often, and for how many tokens."""

from collections.abc import Mapping
from typing import Any

from components.policies.cel import cel_list, cel_string
from components.routes import INFERENCE_PATHS
from config.values import Allowance


def limits_spec(target: Mapping[str, str], allowances: Mapping[str, Allowance]) -> dict[str, Any] | None:
    """Body of a RateLimitPolicy or a TokenRateLimitPolicy: one limit for each tier that has rates, counted per user.

    Several windows are several rates of one limit: several limits would have each token reported once for each.
    None when no tier is limited, since both CRDs refuse a policy without limits.
    """
    limits = {
        tier: {
            "rates": [{"limit": rate.limit, "window": rate.window} for rate in allowance.rates],
            "when": [{"predicate": _is_tier(tier)}, {"predicate": f"request.url_path in {cel_list(INFERENCE_PATHS)}"}],
            "counters": [{"expression": "auth.identity.userid"}],
        }
        for tier, allowance in sorted(allowances.items())
        if allowance.rates
    }
    return {"targetRef": dict(target), "limits": limits} if limits else None


def _is_tier(name: str) -> str:
    return f"auth.identity.tier == {cel_string(name)}"
