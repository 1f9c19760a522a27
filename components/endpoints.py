"""Models outside of the cluster: an OpenAI-compatible endpoint behind our gateway, tiers and limits.

The mesh knows the endpoint by a ServiceEntry, the gateway speaks TLS to it by a DestinationRule that verifies its
certificate and name, and the route puts the endpoint's key in place of the caller's. The route itself says only which
variable of the gateway's environment the key is in (Envoy's %ENVIRONMENT(...)%); Kubernetes puts it there from the
Secret. A variable that is not set becomes `-`, so that the caller's key never leaves the cluster.

Envoy's own filter for this (credential_injector) was not taken: the mesh's control plane hands out no Secrets but
certificates, and the filter works before the router, which would take its header off again with the caller's.
"""

from collections.abc import Sequence
from typing import Any

from components.layer import short_hash
from components.routes import INFERENCE_PATHS, MODELS_PATH, credential_headers
from config.model_checks import SECRET_PROPERTIES
from config.models import Model, Scheme
from config.models.sources import Endpoint
from config.settings import Settings

KEY_PROPERTY = SECRET_PROPERTIES[Scheme.HTTPS][0]
"""Where in its Secret the key of an endpoint is."""
_KEY_HEADER = "authorization"
_BASE = "/v1"
"""What an endpoint's address ends with stands for this beginning of our paths."""


def endpoints(settings: Settings) -> dict[str, Endpoint]:
    """The endpoints that the stack's models are at, by host: each once."""
    found: dict[str, Endpoint] = {}
    for _, model in sorted(settings.models.items()):
        if model.external and model.source:
            endpoint = Endpoint(model.source)
            found.setdefault(endpoint.host, endpoint)
    return found


def endpoint_name(host: str) -> str:
    """Name of the ServiceEntry and the DestinationRule of an endpoint."""
    return f"external-{host}"


def service_entry_spec(endpoint: Endpoint) -> dict[str, Any]:
    """Body of a ServiceEntry (networking.istio.io/v1)."""
    return {
        "hosts": [endpoint.host],
        "location": "MESH_EXTERNAL",
        "resolution": "DNS",
        "exportTo": ["."],
        # Plain to the route, which has to read and change the request; TLS is the DestinationRule's.
        "ports": [{"name": "http", "number": endpoint.port, "protocol": "HTTP"}],
    }


def destination_rule_spec(endpoint: Endpoint) -> dict[str, Any]:
    """Body of a DestinationRule (networking.istio.io/v1): TLS, with certificate and name verified."""
    return {
        "host": endpoint.host,
        "exportTo": ["."],
        "trafficPolicy": {
            "tls": {
                "mode": "SIMPLE",
                "sni": endpoint.host,
                "subjectAltNames": [endpoint.host],
                # The authorities that the proxy's own image trusts.
                "caCertificates": "system",
            }
        },
    }


def external_rules(model: Model, prefix: str, more_credentials: Sequence[str] = ()) -> list[dict[str, Any]]:
    """The rules of an HTTPRoute that lead to a model outside of the cluster.

    Args:
        model: its settings.
        prefix: what stands before its paths; nothing where it has a host of its own. Without, only the paths of
            inference and the list of models are open; with, the AuthPolicy says which are.
        more_credentials: headers that keys may be in besides the usual ones.
    """
    endpoint = Endpoint(model.source or "")
    backend = {"group": "networking.istio.io", "kind": "Hostname", "name": endpoint.host, "port": endpoint.port}
    credentials = _credentials(endpoint, model, credential_headers(more_credentials))

    def rule(matches: list[dict[str, Any]], path: dict[str, str]) -> dict[str, Any]:
        rewrite = {"type": "URLRewrite", "urlRewrite": {"hostname": endpoint.host, "path": path}}
        return {"matches": matches, "filters": [credentials, rewrite], "backendRefs": [{**backend, "weight": 1}]}

    if prefix:
        place = {"type": "PathPrefix", "value": f"{prefix}{_BASE}"}
        # One match: the CRD allows a rule that rewrites a prefix no more.
        return [rule([{"path": place}], {"type": "ReplacePrefixMatch", "replacePrefixMatch": endpoint.path or "/"})]
    return [
        rule(
            [{"method": method, "path": {"type": "Exact", "value": path}}],
            {"type": "ReplaceFullPath", "replaceFullPath": endpoint.path + path.removeprefix(_BASE)},
        )
        for path, method in (dict.fromkeys(INFERENCE_PATHS, "POST") | {MODELS_PATH: "GET"}).items()
    ]


def _credentials(endpoint: Endpoint, model: Model, headers: list[str]) -> dict[str, Any]:
    # The router applies it after Kuadrant's filter has read the caller's key.
    if model.secret is None:
        return {"type": "RequestHeaderModifier", "requestHeaderModifier": {"remove": headers}}
    key = f"Bearer %ENVIRONMENT({key_variable(endpoint.host, model.secret)})%"
    put = {"name": _KEY_HEADER, "value": key}
    others = [each for each in headers if each != _KEY_HEADER]
    return {"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [put], "remove": others}}


def gateway_environment(settings: Settings) -> list[dict[str, Any]]:
    """The variables of the gateway's proxy with the endpoints' keys, each from its Secret.

    Optional: a Secret that is not there must not keep the gateway, and all other models, from starting.
    """
    found: dict[str, dict[str, Any]] = {}
    for _, model in sorted(settings.models.items()):
        if model.external and model.source and model.secret:
            name = key_variable(Endpoint(model.source).host, model.secret)
            reference = {"name": model.secret, "key": KEY_PROPERTY, "optional": True}
            found[name] = {"name": name, "valueFrom": {"secretKeyRef": reference}}
    return [found[name] for name in sorted(found)]


def key_variable(host: str, secret: str) -> str:
    """The gateway's environment variable with the key of an endpoint: one for each Secret."""
    letters = "".join(each if each.isalnum() else "_" for each in secret.upper())
    return f"MAAS_{letters}_{short_hash(f'{host}/{secret}')[:8].upper()}"
