"""Keeps secret values out of what people read: the API server quotes offending values in its refusals."""

import base64
import re
from collections.abc import Iterable, Iterator
from typing import Any, cast

from sandbox.provider.values import Properties, Secret, leaves

_MASK = "[secret]"
_SHORT = 4
"""Shorter values are masked only where they stand alone, or every word that contains them would go."""


def secret_texts(properties: Iterable[Properties]) -> frozenset[str]:
    """All texts that must not be shown: secret values as given, and as base64, both ways."""
    return frozenset(text for one in properties for value in _secret_values(one) for text in _spellings(value))


def redact(message: str, texts: Iterable[str]) -> str:
    """Replace each text in the message by a mask, the longest first so that no rest of one remains."""
    for text in sorted(texts, key=len, reverse=True):
        if len(text) >= _SHORT:
            message = message.replace(text, _MASK)
        else:
            message = re.sub(rf"(?<!\w){re.escape(text)}(?!\w)", _MASK, message)
    return message


def _secret_values(value: Any) -> Iterator[Any]:  # noqa: ANN401  (any JSON value)
    if isinstance(value, Secret):
        yield from leaves(value.value)
    elif isinstance(value, dict):
        mapping = cast("Properties", value)
        for key, item in mapping.items():
            # The data of a Secret object is secret whether or not the program said so.
            if mapping.get("kind") == "Secret" and key in {"data", "stringData"}:
                yield from leaves(item)
            else:
                yield from _secret_values(item)
    elif isinstance(value, list):
        for item in cast("list[Any]", value):
            yield from _secret_values(item)


def _spellings(value: Any) -> Iterator[str]:  # noqa: ANN401
    if isinstance(value, bool) or not isinstance(value, str | int | float) or value == "":
        return
    text = str(value)
    yield text
    yield base64.b64encode(text.encode()).decode()
    try:
        decoded = base64.b64decode(text, validate=True).decode()
    except ValueError:
        return
    if len(decoded) >= _SHORT:
        yield decoded
