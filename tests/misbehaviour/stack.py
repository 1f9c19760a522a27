"""A small stack for a double: tiers that are quickly used up, and somebody in each."""

import json
from functools import cache

from cli.program.recorder import Recording, record, stack_config
from enforcement.objects import Object

DOMAIN = "maas.localhost"
CHAT, COMPLETIONS, MODELS = "/v1/chat/completions", "/v1/completions", "/v1/models"
TIERS = {
    "few": {"level": 0, "requests": "3 per 1h", "tokens": "100000 per 1h"},
    "short": {"level": 1, "requests": "1000 per 1h", "tokens": ["30 per 1m", "100000 per 1h"]},
    "many": {"level": 2, "requests": "100000 per 1h", "tokens": "10000000 per 1h"},
}
USERS = {
    "ada": {"tier": "few"},
    "bob": {"tier": "few"},
    "cleo": {"tier": "short"},
    "eve": {"tier": "many"},
    "old": {"tier": "many", "expires": "2020-01-01"},
    "pat": {"tier": "many", "models": ["simulator"]},
}
MODELS_OF_STACK = {
    "simulator": {"profile": "simulator"},
    "other": {"profile": "simulator"},
    "costly": {"profile": "simulator", "tiers": ["many"]},
}
KEYS = {user: f"test-only-{user}-".ljust(40, "x") for user in USERS}


@cache
def recording() -> Recording:
    """What the program makes of it."""
    config, secrets = stack_config("sandbox")
    config |= {
        "maas:tiers": json.dumps(TIERS),
        "maas:users": json.dumps(USERS),
        "maas:models": json.dumps(MODELS_OF_STACK),
        "maas:apiKeys": json.dumps(KEYS),
    }
    return record("sandbox", config, [*secrets, "maas:apiKeys"])


@cache
def objects() -> tuple[Object, ...]:
    """Its objects."""
    return tuple(each.body for each in recording().objects)
