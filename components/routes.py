"""HTTPRoutes: which paths of which host lead to which model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

INFERENCE_PATHS = ("/v1/chat/completions", "/v1/completions", "/v1/embeddings")
"""The paths whose answers carry `usage.total_tokens`, the only form of usage that Kuadrant counts.

Others (`/v1/messages`, `/v1/responses`, `/tokenize`) are not routed: they would be answered without being counted.
"""
MODELS_PATH = "/v1/models"
"""The list of models; never counted against a limit."""
HEALTH_PATH = "/health"
"""Whether the model answers; never counted against a limit."""
CREDENTIAL_HEADERS = ("authorization", "proxy-authorization", "cookie", "x-api-key", "api-key")
"""Where clients put what proves who they are, for this gateway or for anything else on the domain."""

ACCEPTED = "jsonpath={.status.parents[*].conditions[?(@.type=='Accepted')].status}=True"
RESOLVED = "jsonpath={.status.parents[*].conditions[?(@.type=='ResolvedRefs')].status}=True"


@dataclass(frozen=True)
class Backend:
    """Where a model is called, and the Service that answers."""

    prefix: str
    """What stands before the model's own paths: nothing where it has a host of its own, or `/simulator`."""
    service: str
    port: int


def model_route_spec(
    parent: Mapping[str, str],
    host: str,
    backends: Sequence[Backend],
    more_credentials: Sequence[str] = (),
    more_rules: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """Body of an HTTPRoute to one model or, where each has a prefix, to several.

    The caller's credentials are taken off before the model sees the request.

    Args:
        parent: the gateway.
        host: of the model, or of all of them.
        backends: the models; a rule for each.
        more_credentials: headers that keys may be in besides the usual ones.
        more_rules: those of models outside of the cluster.
    """
    return {
        "parentRefs": [dict(parent)],
        "hostnames": [host],
        "rules": [*(_model_rule(backend, more_credentials) for backend in backends), *map(dict, more_rules)],
    }


def credential_headers(more: Sequence[str]) -> list[str]:
    """Every header that a caller's credentials may be in."""
    return [*CREDENTIAL_HEADERS, *(name for name in more if name not in CREDENTIAL_HEADERS)]


def _model_rule(backend: Backend, more_credentials: Sequence[str]) -> dict[str, Any]:
    remove = credential_headers(more_credentials)
    # The router applies it after Kuadrant's filter has read the headers.
    filters: list[dict[str, Any]] = [{"type": "RequestHeaderModifier", "requestHeaderModifier": {"remove": remove}}]
    if backend.prefix:
        # The CRD lets a rule that rewrites a prefix have one match: the AuthPolicy alone says what there is below it.
        matches: list[dict[str, Any]] = [{"path": {"type": "PathPrefix", "value": backend.prefix}}]
        rewritten = {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"}
        filters.append({"type": "URLRewrite", "urlRewrite": {"path": rewritten}})
    else:
        matches = [
            *({"method": "POST", "path": {"type": "Exact", "value": path}} for path in INFERENCE_PATHS),
            {"method": "GET", "path": {"type": "PathPrefix", "value": MODELS_PATH}},
            {"method": "GET", "path": {"type": "Exact", "value": HEALTH_PATH}},
        ]
    service = {"group": "", "kind": "Service", "name": backend.service, "port": backend.port, "weight": 1}
    return {"matches": matches, "filters": filters, "backendRefs": [service]}


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
