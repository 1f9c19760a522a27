"""The Secrets that hold API keys, by user: their names change with what they say of the user."""

from cli.stacks.stackfile import stack_config
from components.identity import key_names
from config.settings import Settings
from config.source import parsed


def key_secret(user: str, stack: str = "sandbox") -> str:
    """Name of the Secret with a user's key, as the stack's file in this tree has the user."""
    values, secrets = stack_config(stack)
    encrypted = {key.removeprefix("maas:") for key in secrets}
    return key_names(Settings.load(stack, parsed(values), encrypted), user)[0]
