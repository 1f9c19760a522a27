"""YAML as programs written in Go read it."""

import re
from typing import cast

import yaml

_BOOLEAN = re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$")
_INTEGER = re.compile(r"^(?:[-+]?0b[0-1_]+|[-+]?0[xX][0-9a-fA-F_]+|[-+]?0o?[0-7_]+|[-+]?(?:0|[1-9][0-9_]*))$")
_NUMBER = re.compile(
    r"^(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"
)
_RESOLVED = (
    ("tag:yaml.org,2002:bool", _BOOLEAN, "tTfF"),
    ("tag:yaml.org,2002:int", _INTEGER, "-+0123456789"),
    ("tag:yaml.org,2002:float", _NUMBER, "-+.0123456789"),
)
"""Tag, form, and the characters that a value of it can begin with."""


def _resolvers() -> dict[str, list[tuple[str, re.Pattern[str]]]]:
    others = ("null", "merge")
    found = {
        first: [(tag, pattern) for tag, pattern in known if tag.endswith(others)]
        for first, known in yaml.CSafeLoader.yaml_implicit_resolvers.items()
    }
    for tag, pattern, firsts in _RESOLVED:
        for first in firsts:
            found.setdefault(first, []).append((tag, pattern))
    return found


class GoLoader(yaml.CSafeLoader):
    """YAML in which `=`, dates, `yes`, `off` and `1:30` are texts, and `1e3` is a number, as in gopkg.in/yaml.v3."""

    yaml_implicit_resolvers = _resolvers()


def load(text: str) -> object:
    """The one document of a text.

    Raises:
        yaml.YAMLError: It is no YAML, or a tag in it does not fit its value.
    """
    try:
        return cast("object", yaml.load(text, Loader=GoLoader))  # noqa: S506 - a safe loader
    except (ValueError, LookupError, AttributeError, TypeError) as error:  # how constructors fail: `!!int x`
        raise yaml.YAMLError(f"a value is not what its tag says: {error}") from error
