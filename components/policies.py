"""The policies layer: who may call, how often, for how many tokens, and what is counted about it."""

import json
from collections.abc import Mapping
from typing import Any

import pulumi
from pulumi_kubernetes.apiextensions import CustomResource

from components.gateway import parent_ref
from components.identity import (
    COST_CENTRE_ANNOTATION,
    GROUPS_ANNOTATION,
    TEAM_ANNOTATION,
    USER_ANNOTATION,
    key_labels,
)
from components.layer import Layer, Site, wait_for
from components.routes import INFERENCE_PATHS
from config.observability import TelemetryLabels
from config.tiers import Tier
from config.values import Allowance

AUTH_POLICY = "gateway-auth"
REQUEST_LIMITS = "gateway-request-limits"
TOKEN_LIMITS = "gateway-token-limits"  # noqa: S105 - a policy's name
TELEMETRY = "gateway-telemetry"

_ANNOTATIONS = "auth.identity.metadata.annotations"
_ACCEPTED_AND_ENFORCED = ("condition=Accepted", "condition=Enforced")


def auth_policy_spec(target: Mapping[str, str], tiers: Mapping[str, Tier], stack: str) -> dict[str, Any]:
    """Body of the AuthPolicy (kuadrant.io/v1) for API keys.

    A key is sent as `Authorization: Bearer <key>` or `Authorization: APIKEY <key>`. The filter named `identity`
    publishes `auth.identity.*` for limits and telemetry, with every field always set.
    """
    return {
        "targetRef": dict(target),
        "rules": {
            "authentication": {
                f"api-key-{prefix.lower()}": {
                    "apiKey": {"selector": {"matchLabels": key_labels(stack)}},
                    "credentials": {"authorizationHeader": {"prefix": prefix}},
                }
                for prefix in ("Bearer", "APIKEY")
            },
            "authorization": {
                "has-a-tier": {
                    "patternMatching": {
                        "patterns": [{"predicate": f"{_annotation(GROUPS_ANNOTATION)} in {_cel_list(sorted(tiers))}"}]
                    }
                }
            },
            "response": {
                "success": {
                    "filters": {
                        "identity": {
                            "json": {
                                "properties": {
                                    "userid": {"expression": _annotation(USER_ANNOTATION)},
                                    "tier": {"expression": _annotation(GROUPS_ANNOTATION)},
                                    "team": {"expression": _annotation(TEAM_ANNOTATION)},
                                    "costCentre": {"expression": _annotation(COST_CENTRE_ANNOTATION)},
                                }
                            }
                        }
                    }
                },
                "unauthenticated": _denial(
                    401, "invalid_api_key", "No valid API key was sent. Send it as: Authorization: Bearer <key>"
                ),
                "unauthorized": _denial(403, "no_tier", "This API key belongs to no tier that may use this service."),
            },
        },
    }


def limits_spec(target: Mapping[str, str], allowances: Mapping[str, Allowance]) -> dict[str, Any] | None:
    """Body of a RateLimitPolicy or a TokenRateLimitPolicy: one limit for each tier that has rates, counted per user.

    Several windows are several rates of one limit: several limits would have each token reported once for each.
    None when no tier is limited, since both CRDs refuse a policy without limits.
    """
    limits = {
        tier: {
            "rates": [{"limit": rate.limit, "window": rate.window} for rate in allowance.rates],
            "when": [{"predicate": _is_tier(tier)}, {"predicate": f"request.url_path in {_cel_list(INFERENCE_PATHS)}"}],
            "counters": [{"expression": "auth.identity.userid"}],
        }
        for tier, allowance in sorted(allowances.items())
        if allowance.rates
    }
    return {"targetRef": dict(target), "limits": limits} if limits else None


def telemetry_spec(target: Mapping[str, str], chosen: TelemetryLabels) -> dict[str, Any]:
    """Body of the TelemetryPolicy (extensions.kuadrant.io/v1alpha1): labels on Limitador's counters.

    `model` is known only from the answer, so it is on token counts alone: that is what tells them from request counts.
    """
    every = {
        "user": (chosen.user, "auth.identity.userid"),
        "tier": (chosen.tier, "auth.identity.tier"),
        "cost_centre": (chosen.cost_centre, "auth.identity.costCentre"),
        "model": (chosen.model, 'responseBodyJSON("/model")'),
    }
    return {
        "targetRef": dict(target),
        "metrics": {"default": {"labels": {name: expression for name, (on, expression) in every.items() if on}}},
    }


def _annotation(name: str) -> str:
    """CEL for an annotation of the key's Secret; empty where a key made by hand lacks it."""
    key = _cel(name)
    return f'({key} in {_ANNOTATIONS} ? {_ANNOTATIONS}[{key}] : "")'


def _is_tier(name: str) -> str:
    return f"auth.identity.tier == {_cel(name)}"


def _cel(text: str) -> str:
    """A CEL string literal; JSON's escapes are a subset of CEL's."""
    return json.dumps(text)


def _cel_list(texts: list[str] | tuple[str, ...]) -> str:
    return "[" + ", ".join(_cel(text) for text in texts) + "]"


def _denial(status: int, code: str, message: str) -> dict[str, Any]:
    """A refusal in the shape that OpenAI's clients understand."""
    body = {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": code}}
    return {
        "code": status,
        "headers": {"content-type": {"value": "application/json"}},
        "body": {"value": json.dumps(body)},
    }


class Policies(Layer):
    """Authentication first: the limits' expressions are valid only where an AuthPolicy is in effect."""

    def __init__(self, site: Site, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("policies", site, opts)
        settings = site.settings
        target = parent_ref(settings)
        auth = self._policy(
            AUTH_POLICY, "kuadrant.io/v1", "AuthPolicy", auth_policy_spec(target, settings.tiers, site.stack)
        )
        requests = limits_spec(target, {name: tier.requests for name, tier in settings.tiers.items()})
        if requests is not None:
            self._policy(REQUEST_LIMITS, "kuadrant.io/v1", "RateLimitPolicy", requests, auth)
        tokens = limits_spec(target, {name: tier.tokens for name, tier in settings.tiers.items()})
        if tokens is not None:
            self._policy(TOKEN_LIMITS, "kuadrant.io/v1alpha1", "TokenRateLimitPolicy", tokens, auth)
        telemetry = telemetry_spec(target, settings.observability.telemetry_labels)
        if telemetry["metrics"]["default"]["labels"]:
            self._policy(TELEMETRY, "extensions.kuadrant.io/v1alpha1", "TelemetryPolicy", telemetry, auth)
        self.register_outputs({})

    def _policy(
        self, name: str, api_version: str, kind: str, spec: dict[str, Any], *after: pulumi.Resource
    ) -> CustomResource:
        return CustomResource(
            name,
            api_version=api_version,
            kind=kind,
            metadata=self.metadata(name, self.namespace, annotations=wait_for(*_ACCEPTED_AND_ENFORCED)),
            spec=spec,
            opts=self.options(depends_on=after, ready_within=self.settings.timeouts.policy),
        )
