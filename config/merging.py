"""Values that stand over others: a model over its profile, a stack's chart values over ours, a cluster over a file."""

from collections.abc import Mapping
from typing import Any, cast


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Both, with `above` winning: mappings are merged key by key, anything else is replaced."""
    result = dict(below)
    for key, value in above.items():
        old: object = result.get(key)
        if isinstance(old, Mapping) and isinstance(value, Mapping):
            result[key] = merged(cast("Mapping[str, Any]", old), cast("Mapping[str, Any]", value))
        else:
            result[key] = value
    return result
