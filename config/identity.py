"""Users and their API keys."""

import re
from typing import Annotated

from pydantic import AfterValidator, SecretStr

from config.model import Model
from config.problems import RefusalError
from config.values import DnsLabel

_KEY_SHORTEST = 32
_KEY_LONGEST = 256
_KEY = re.compile(r"^[A-Za-z0-9._~+/=-]+$")


class User(Model):
    """Someone, or some program, that calls models."""

    tier: str
    """Name of the tier whose limits hold for this user."""
    team: str = ""
    """Team that the user belongs to, for reports."""
    cost_centre: str = ""
    """Who pays, as the company's books name it."""


def _api_key(value: SecretStr) -> SecretStr:
    text = value.get_secret_value()
    if not _KEY_SHORTEST <= len(text) <= _KEY_LONGEST or not _KEY.match(text):
        raise RefusalError(
            "not an API key that can be sent in a header and not be guessed",
            allowed=f"{_KEY_SHORTEST} to {_KEY_LONGEST} letters, digits and . _ ~ + / = -",
            fix="a random key: openssl rand -hex 32",
        )
    return value


ApiKey = Annotated[SecretStr, AfterValidator(_api_key)]
Users = dict[DnsLabel, User]
"""The users by name; the name is the user id that limits count by."""
ApiKeys = dict[str, ApiKey]
"""The API key of each user that has one."""
