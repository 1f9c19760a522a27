"""The AuthPolicy: who may call."""

import json
from collections.abc import Mapping
from typing import Any

from components.identity import (
    COST_CENTRE_ANNOTATION,
    GROUPS_ANNOTATION,
    TEAM_ANNOTATION,
    USER_ANNOTATION,
)
from components.policies.cel import cel_list, cel_string
from config.tiers import Tier

_ANNOTATIONS = "auth.identity.metadata.annotations"


def auth_policy_spec(
    target: Mapping[str, str], tiers: Mapping[str, Tier], selector: Mapping[str, str]
) -> dict[str, Any]:
    """Body of the AuthPolicy (kuadrant.io/v1) for API keys.

    A key is sent as `Authorization: Bearer <key>` or `Authorization: APIKEY <key>`. The filter named `identity`
    publishes `auth.identity.*` for limits and telemetry, with every field always set. `selector` are the labels of the
    Secrets that hold the keys.
    """
    return {
        "targetRef": dict(target),
        "rules": {
            "authentication": {
                f"api-key-{prefix.lower()}": {
                    "apiKey": {"selector": {"matchLabels": dict(selector)}},
                    "credentials": {"authorizationHeader": {"prefix": prefix}},
                }
                for prefix in ("Bearer", "APIKEY")
            },
            "authorization": {
                "has-a-tier": {
                    "patternMatching": {
                        "patterns": [{"predicate": f"{_annotation(GROUPS_ANNOTATION)} in {cel_list(sorted(tiers))}"}]
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


def _annotation(name: str) -> str:
    """CEL for an annotation of the key's Secret; empty where a key made by hand lacks it."""
    key = cel_string(name)
    return f'({key} in {_ANNOTATIONS} ? {_ANNOTATIONS}[{key}] : "")'


def _denial(status: int, code: str, message: str) -> dict[str, Any]:
    """A refusal in the shape that OpenAI's clients understand."""
    body = {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": code}}
    return {
        "code": status,
        "headers": {"content-type": {"value": "application/json"}},
        "body": {"value": json.dumps(body)},
    }
