"""What the gateway's Envoy does by itself, before and after Kuadrant's filter: an EnvoyFilter (Istio).

Kuadrant's filter (up to wasm-shim 0.14.1) looks a host up as it was written, while Envoy finds the route in any case:
`Simulator.EXAMPLE.com` would reach the model with no policy at all. And the filter refuses with plain text.
"""

from collections.abc import Mapping
from typing import Any

from components.policies.refusals import error_body
from config.gateway import Guard

_TYPES = "type.googleapis.com/envoy.extensions.filters"
_HTTP = "envoy.filters.network.http_connection_manager"
_PRIORITY = 10
"""After Kuadrant's own (0), so that what is inserted first comes before its filter."""

LOWER_CASE_HOST = """\
function envoy_on_request(handle)
  local host = handle:headers():get(":authority")
  if host ~= nil and host ~= string.lower(host) then
    handle:headers():replace(":authority", string.lower(host))
  end
end
"""
_RESET = "%RESP(x-ratelimit-reset)%"
"""Seconds until there is room again, where Limitador told (request limits with `limiter.rateLimitHeaders`)."""
_OWN_ANSWERS: Mapping[int, tuple[str, str, str]] = {
    404: ("not_found", "invalid_request_error", "There is nothing at this path."),
    429: (
        "rate_limit_exceeded",
        "requests",
        "A limit of your tier is reached. Try again when its window has ended.",
    ),
    500: ("gateway_error", "api_error", "The gateway could not decide over this request."),
    503: ("model_unavailable", "api_error", "The model cannot be reached."),
    504: ("model_timeout", "api_error", "The model did not answer in time."),
}
"""What Envoy or a filter in it answers by itself, as code, type and message. Answers of a model stay as they are."""


def guard_spec(gateway: str, guard: Guard) -> dict[str, Any] | None:
    """Body of the EnvoyFilter (networking.istio.io/v1alpha3) for a Gateway's pods; None when nothing is wanted."""
    patches: list[dict[str, Any]] = []
    if guard.lower_case_host:
        lua = {"@type": f"{_TYPES}.http.lua.v3.Lua", "default_source_code": {"inline_string": LOWER_CASE_HOST}}
        value = {"name": "maas.lower-case-host", "typed_config": lua}
        patches.append(_patch("HTTP_FILTER", "INSERT_FIRST", value))
    if guard.error_bodies:
        manager = {"@type": f"{_TYPES}.network.http_connection_manager.v3.HttpConnectionManager"}
        mappers = [_mapper(status, *answer) for status, answer in _OWN_ANSWERS.items()]
        value = {"name": _HTTP, "typed_config": {**manager, "local_reply_config": {"mappers": mappers}}}
        patches.append(_patch("NETWORK_FILTER", "MERGE", value))
    if not patches:
        return None
    return {
        # By label: from Istio 1.26 on, patches of a Gateway by targetRef come before Kuadrant's.
        "workloadSelector": {"labels": {"gateway.networking.k8s.io/gateway-name": gateway}},
        "priority": _PRIORITY,
        "configPatches": patches,
    }


def _patch(what: str, operation: str, value: Mapping[str, Any]) -> dict[str, Any]:
    match = {"context": "GATEWAY", "listener": {"filterChain": {"filter": {"name": _HTTP}}}}
    return {"applyTo": what, "match": match, "patch": {"operation": operation, "value": dict(value)}}


def _mapper(status: int, code: str, kind: str, message: str) -> dict[str, Any]:
    comparison = {"op": "EQ", "value": {"default_value": status, "runtime_key": f"maas.local_reply_{status}"}}
    mapper: dict[str, Any] = {
        "filter": {"status_code_filter": {"comparison": comparison}},
        "body_format_override": {
            "text_format_source": {"inline_string": error_body(code, message, kind) + "\n"},
            "content_type": "application/json",
        },
    }
    if status == 429:  # noqa: PLR2004 - Too Many Requests
        mapper["headers_to_add"] = [
            {
                "header": {"key": "retry-after", "value": _RESET},
                "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
                "keep_empty_value": False,
            }
        ]
    return mapper
