"""Sections of a stack with every source of identities, quotas across models, and limits of a model's own."""

import copy
from typing import Any

from tests.unit.config.bad import GOOD

ISSUER = "https://sso.example.com/realms/maas"
OTHER_ISSUER = "https://partner.example.com"

TIERS: dict[str, Any] = {
    "free": {
        "level": 0,
        "requests": "5 per 2m",
        "tokens": "100 per 1m",
        "models": {"qwen3": {"tokens": ["50 per 1m", "1000 per 24h"]}},
    },
    "premium": {
        "level": 1,
        "requests": "20 per 2m",
        "tokens": ["500 per 1m", "200000 per 24h"],
        "models": {"qwen3": {"tokens": "unlimited"}},
    },
    "enterprise": {"level": 2, "requests": "unlimited", "tokens": "unlimited"},
}
IDENTITY: dict[str, Any] = {
    "apiKeys": {"headers": ["x-api-key"]},
    "oidc": {
        "keycloak": {
            "issuerUrl": ISSUER,
            "audiences": ["maas"],
            "clients": ["maas-cli"],
            "claims": {
                "user": "preferred_username",
                "groups": ["realm_access", "roles"],
                "team": "team",
                "costCentre": "cost_centre",
                "models": "models",
            },
            "groups": {"maas-free": "free", "/llm/premium": "premium", "llm-enterprise": "enterprise"},
        },
        "partner": {"issuerUrl": OTHER_ISSUER, "audiences": ["maas"], "defaultTier": "free"},
    },
    "kubernetes": {
        "accounts": {
            "team-a": {"tier": "free", "team": "a"},
            "team-a/crawler": {"tier": "premium", "team": "a", "costCentre": "4711", "models": ["simulator"]},
        }
    },
    "anonymous": ["models", "health"],
}
MODELS: dict[str, Any] = {
    **copy.deepcopy(GOOD["models"]),
    "large": {"source": "hf://a/b", "profile": "small-gpu", "tiers": ["premium", "enterprise"]},
}
PER_MODEL: dict[str, Any] = {"tiers": TIERS, "identity": IDENTITY, "models": MODELS}
"""Each model at a host of its own."""
EVERY_SOURCE: dict[str, Any] = {**PER_MODEL, "routing": {"quota": "acrossModels"}}
"""All models at one host."""
