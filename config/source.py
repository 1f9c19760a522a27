"""Reads the stack's configuration out of a running Pulumi program."""

import json
from collections.abc import Mapping
from typing import Any, cast

from pulumi.runtime import config as runtime_config

from config.settings import NAMESPACE, SECRET_KEYS, Settings

_TEXT_KEYS = frozenset({"domain"})
"""Keys whose value is a text; those of all others are JSON."""


def settings(stack: str) -> Settings:
    """The settings of the stack that runs now.

    Raises:
        ConfigError: when the stack file asks for what cannot work.
    """
    # pulumi.Config answers for one known key; only the whole bag can show that a key is misspelt.
    everything = {**runtime_config.get_config_env(), **runtime_config.CONFIG.get()}
    encrypted = {key for key in SECRET_KEYS if runtime_config.is_config_secret(f"{NAMESPACE}:{key}")}
    return Settings.load(stack, parsed(everything), encrypted)


def parsed(everything: Mapping[str, str]) -> dict[str, Any]:
    """The `maas:` keys as values; a text that is not JSON stays a text and is refused by its own rule."""
    prefix = f"{NAMESPACE}:"
    return {
        key.removeprefix(prefix): text if key.removeprefix(prefix) in _TEXT_KEYS else _from_json(text)
        for key, text in everything.items()
        if key.startswith(prefix)
    }


def _from_json(text: str) -> object:
    try:
        return cast("object", json.loads(text))
    except ValueError:
        return text
