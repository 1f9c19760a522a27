"""The AuthPolicy: who may call what."""

from collections.abc import Mapping
from typing import Any

from components.identity import key_selector
from components.policies.called import called_endpoint
from components.policies.cel import cel_list
from components.policies.identities import (
    PUBLISHED,
    account_identity,
    anonymous_identity,
    api_key_identity,
    oidc_identity,
)
from components.policies.refusals import authorization, error_body, refusal_body, refusals
from config.settings import Settings
from config.values import window_seconds

_BEARER = "Bearer"
_API_KEYS, _OIDC, _ACCOUNTS, _NOBODY = range(4)
"""Priorities: a kind of credential is tried when those before it did not accept it. So the API server reviews no token
that an identity provider signed, and none of either sees an API key."""
_LOOKS_LIKE_A_JWT = (
    '"authorization" in request.headers && '
    'request.headers["authorization"].matches("^Bearer ey[A-Za-z0-9_-]+[.][A-Za-z0-9_-]+[.][A-Za-z0-9_-]+$")'
)
_NO_CREDENTIAL = "No valid credential was sent. Send it as: Authorization: Bearer <key>"
_REMOVED = "removed"
"""What a model would see of the caller's credential, were it not for the route, which takes the header off."""


def auth_policy_spec(target: Mapping[str, str], settings: Settings, stack: str) -> dict[str, Any]:
    """Body of the AuthPolicy (kuadrant.io/v1).

    A credential is sent as `Authorization: Bearer <key or token>`, a key also as `Authorization: APIKEY <key>`. The
    filter named `identity` publishes `auth.identity.*` for limits and telemetry, with every field always set.
    """
    rules = refusals(settings)
    return {
        "targetRef": dict(target),
        "rules": {
            "authentication": _authentication(settings, stack),
            "authorization": authorization(rules),
            "response": {
                "success": {
                    "filters": {
                        "identity": {
                            "json": {
                                "properties": {name: {"expression": f"auth.identity.{name}"} for name in PUBLISHED}
                            }
                        }
                    },
                    # Replaces the header from Kuadrant 1.4.2 on, before any other filter; the route removes it whole.
                    "headers": {"authorization": {"plain": {"value": _REMOVED}}},
                },
                "unauthenticated": _denial(
                    401,
                    {"value": error_body("invalid_api_key", _NO_CREDENTIAL)},
                    # What is set here replaces Authorino's own challenge.
                    {"www-authenticate": {"value": 'Bearer realm="maas"'}},
                ),
                "unauthorized": _denial(403, {"expression": refusal_body(rules)}, {}),
            },
        },
    }


def _authentication(settings: Settings, stack: str) -> dict[str, Any]:
    identity = settings.identity
    key = {"apiKey": {"selector": {"matchLabels": key_selector(identity.api_keys, stack)}}, "priority": _API_KEYS}
    who = api_key_identity(settings)
    methods: dict[str, Any] = {
        f"api-key-{prefix.lower()}": {**key, **_in_authorization(prefix), "overrides": who}
        for prefix in (_BEARER, "APIKEY")
    }
    for header in identity.api_keys.headers:
        methods[f"api-key-{header}"] = {**key, "credentials": {"customHeader": {"name": header}}, "overrides": who}
    for name, issuer in sorted(identity.oidc.items()):
        methods[f"oidc-{name}"] = {
            "jwt": {"issuerUrl": issuer.issuer_url, "ttl": window_seconds(issuer.ttl)},
            "priority": _OIDC,
            "when": [{"predicate": _LOOKS_LIKE_A_JWT}],
            **_in_authorization(_BEARER),
            "overrides": oidc_identity(settings, name, issuer),
        }
    if identity.kubernetes.accounts:
        methods["service-account"] = {
            "kubernetesTokenReview": {"audiences": list(identity.kubernetes.audiences)},
            "priority": _ACCOUNTS,
            "when": [{"predicate": _LOOKS_LIKE_A_JWT}],
            **_in_authorization(_BEARER),
            "overrides": account_identity(settings),
        }
    if identity.anonymous:
        methods["anonymous"] = {
            "anonymous": {},
            "priority": _NOBODY,
            "when": [{"predicate": f"{called_endpoint(settings)} in {cel_list(sorted(identity.anonymous))}"}],
            "overrides": anonymous_identity(settings),
        }
    return methods


def _in_authorization(prefix: str) -> dict[str, Any]:
    return {"credentials": {"authorizationHeader": {"prefix": prefix}}}


def _denial(status: int, body: dict[str, str], headers: dict[str, Any]) -> dict[str, Any]:
    return {"code": status, "headers": {"content-type": {"value": "application/json"}, **headers}, "body": body}
