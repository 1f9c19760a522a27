"""Read the engine's names of resources."""

STACK_TYPE = "pulumi:pulumi:Stack"
"""The type of the one resource that stands for the stack itself."""

_PARTS = 4  # urn:pulumi:<stack> :: <project> :: <chain of types> :: <name>


def layer_of(urn: str) -> str:
    """The layer in a URN's chain of types: `models` for `...::maas:models:Models$kubernetes:core/v1:Secret::x`.

    Empty for what belongs to none, such as the stack itself.
    """
    parts = urn.split("::", _PARTS - 1)
    if len(parts) < _PARTS:
        return ""
    tokens = [token.split(":") for token in parts[2].split("$")]
    layers = [token[1] for token in tokens if token[0] == "maas" and len(token) > 1]
    return layers[-1] if layers else ""


def type_of(urn: str) -> str:
    """The resource's own type token: `kubernetes:core/v1:Secret`."""
    parts = urn.split("::", _PARTS - 1)
    return parts[2].split("$")[-1] if len(parts) == _PARTS else ""


def name_of(urn: str) -> str:
    """The resource's logical name; the URN itself when it is none."""
    return urn.split("::", _PARTS - 1)[-1]


def label(urn: str) -> str:
    """How a person would call it: `Secret key-alice`."""
    kind = type_of(urn).split(":")[-1]
    return f"{kind} {name_of(urn)}".strip()
