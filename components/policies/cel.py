"""CEL as text: literals that cannot break out of their place."""

import json
from collections.abc import Iterable


def cel_string(text: str) -> str:
    """A CEL string literal; JSON's escapes are a subset of CEL's."""
    return json.dumps(text)


def cel_list(texts: Iterable[str]) -> str:
    """A CEL list of string literals."""
    return "[" + ", ".join(cel_string(text) for text in texts) + "]"
