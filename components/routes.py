"""HTTPRoutes: which paths of which host lead to which model."""

from collections.abc import Mapping
from typing import Any

INFERENCE_PATHS = ("/v1/chat/completions", "/v1/completions", "/v1/embeddings")
"""The paths whose answers carry `usage.total_tokens`, the only form of usage that Kuadrant counts.

Others (`/v1/messages`, `/v1/responses`, `/tokenize`) are not routed: they would be answered without being counted.
"""
MODELS_PATH = "/v1/models"
"""The list of models; never counted against a limit."""

ACCEPTED = "jsonpath={.status.parents[*].conditions[?(@.type=='Accepted')].status}=True"
RESOLVED = "jsonpath={.status.parents[*].conditions[?(@.type=='ResolvedRefs')].status}=True"


def model_route_spec(parent: Mapping[str, str], host: str, service: str, port: int) -> dict[str, Any]:
    """Body of a model's HTTPRoute. The caller's credentials are taken off before the model sees the request."""
    matches = [
        *({"method": "POST", "path": {"type": "Exact", "value": path}} for path in INFERENCE_PATHS),
        {"method": "GET", "path": {"type": "PathPrefix", "value": MODELS_PATH}},
    ]
    return {
        "parentRefs": [dict(parent)],
        "hostnames": [host],
        "rules": [
            {
                "matches": matches,
                "filters": [
                    # The router applies it after Kuadrant's filter has read the header.
                    {"type": "RequestHeaderModifier", "requestHeaderModifier": {"remove": ["authorization"]}}
                ],
                "backendRefs": [{"group": "", "kind": "Service", "name": service, "port": port, "weight": 1}],
            }
        ],
    }


def fallback_route_spec(parent: Mapping[str, str], domain: str) -> dict[str, Any]:
    """Body of the HTTPRoute for every host of the domain that is no model's; it leads nowhere (Istio answers 500).

    It gives the gateway's policies a route to be enforced on before the first model has one, so that no model is ever
    reachable without them; and a host that Kuadrant does not know yet, or knows in other case, still falls under them.
    """
    return {
        "parentRefs": [dict(parent)],
        "hostnames": [f"*.{domain}"],
        "rules": [{"matches": [{"path": {"type": "PathPrefix", "value": "/"}}]}],
    }


def redirect_route_spec(parent: Mapping[str, str], domain: str, port: int | None) -> dict[str, Any]:
    """Body of the HTTPRoute that sends every plain request of the domain to HTTPS.

    Args:
        parent: the gateway with the plain listener.
        domain: what stands behind the hosts' first label.
        port: where callers find HTTPS; None for its usual port.
    """
    redirect: dict[str, Any] = {"scheme": "https", "statusCode": 301}
    if port is not None:
        redirect["port"] = port
    return {
        "parentRefs": [dict(parent)],
        "hostnames": [f"*.{domain}"],
        "rules": [
            {
                "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
                "filters": [{"type": "RequestRedirect", "requestRedirect": redirect}],
            }
        ],
    }
