"""Reads the stack's configuration out of a running Pulumi program."""

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, cast

from pulumi.runtime import config as runtime_config

from config.problems import Problem
from config.settings import NAMESPACE, SECRET_KEYS, Settings
from config.shared import EXTENDS, FOLDER, layered

_TEXT_KEYS = frozenset({"domain"})
"""Keys whose value is a text; those of all others are JSON."""


def settings(stack: str) -> Settings:
    """The settings of the stack that runs now.

    Raises:
        ConfigError: when the stack file asks for what cannot work.
    """
    # pulumi.Config answers for one known key; only the whole bag can show that a key is misspelt.
    everything = {**runtime_config.get_config_env(), **runtime_config.CONFIG.get()}
    prefix = f"{NAMESPACE}:"
    encrypted = {
        key.removeprefix(prefix)
        for key in everything
        if key.startswith(prefix) and runtime_config.is_config_secret(key)
    }
    return load(stack, everything, encrypted)


def load(
    stack: str, everything: Mapping[str, str], encrypted: Collection[str] = SECRET_KEYS, folder: Path = FOLDER
) -> Settings:
    """The settings of a stack, over those that it shares with others.

    Args:
        stack: name of the stack, for messages.
        everything: values by full key (`maas:domain`); objects as JSON text.
        encrypted: the keys, without `maas:`, that the stack file keeps encrypted.
        folder: where the files are that `maas:extends` names.

    Raises:
        ConfigError: when the stack file, or what it extends, asks for what cannot work.
    """
    found = layered(_values(everything), folder)
    flaws = [Problem(f"{NAMESPACE}:{EXTENDS}", each.value, each.why, each.allowed, each.fix) for each in found.flaws]
    return Settings.load(stack, found.values, encrypted, flaws, found.origin)


def parsed(everything: Mapping[str, str], folder: Path = FOLDER) -> dict[str, Any]:
    """The `maas:` keys as values, with what the stack shares; what cannot be read is as if it were not there."""
    return layered(_values(everything), folder).values


def _values(everything: Mapping[str, str]) -> dict[str, Any]:
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
