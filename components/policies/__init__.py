"""The policies layer: who may call, how often, for how many tokens, and what is counted about it."""

from typing import Any

import pulumi

from components.gateway import parent_ref
from components.layer import Layer, Site, wait_for
from components.objects import CustomResource
from components.policies.auth import auth_policy_spec
from components.policies.guard import guard_spec
from components.policies.limits import request_limits_spec, token_limits_spec
from components.policies.telemetry import telemetry_spec

AUTH_POLICY = "gateway-auth"
REQUEST_LIMITS = "gateway-request-limits"
TOKEN_LIMITS = "gateway-token-limits"  # noqa: S105 - a policy's name
TELEMETRY = "gateway-telemetry"
GUARD = "gateway-guard"

_ACCEPTED_AND_ENFORCED = ("condition=Accepted", "condition=Enforced")


class Policies(Layer):
    """Authentication first: the limits' expressions are valid only where an AuthPolicy is in effect."""

    def __init__(self, site: Site, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("policies", site, opts)
        settings = site.settings
        target = parent_ref(settings)
        auth = self._policy(AUTH_POLICY, "kuadrant.io/v1", "AuthPolicy", auth_policy_spec(target, settings, site.stack))
        requests = request_limits_spec(target, settings)
        if requests is not None:
            self._policy(REQUEST_LIMITS, "kuadrant.io/v1", "RateLimitPolicy", requests, auth)
        tokens = token_limits_spec(target, settings)
        self._policy(TOKEN_LIMITS, "kuadrant.io/v1alpha1", "TokenRateLimitPolicy", tokens, auth)
        telemetry = telemetry_spec(target, settings.observability.telemetry_labels)
        if telemetry["metrics"]["default"]["labels"]:
            self._policy(TELEMETRY, "extensions.kuadrant.io/v1alpha1", "TelemetryPolicy", telemetry, auth)
        guard = guard_spec(settings.gateway.name, settings.gateway.guard)
        if guard is not None:
            CustomResource(
                GUARD,
                api_version="networking.istio.io/v1alpha3",
                kind="EnvoyFilter",
                metadata=self.metadata(GUARD, self.namespace),
                spec=guard,
                opts=self.options(),
            )
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
