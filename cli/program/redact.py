"""Keep secrets out of everything that is written or shown."""

from collections.abc import Collection, Mapping
from typing import cast

REDACTED = "<redacted>"
# How the engine marks a secret in events and state (pulumi.runtime.rpc).
_SIGNATURE = "4dabf18193072939515e22adb298388d"
_MASKED = "[secret]"


def manifest(body: Mapping[str, object], secrets: Collection[str] = ()) -> dict[str, object]:
    """A Kubernetes object that can be shown: everything at `secrets` redacted, and the values of a Secret always.

    Args:
        body: The object.
        secrets: Paths such as `spec.template.password` or `stringData`; all below a path is redacted, keys are kept.
    """
    shown = cast("dict[str, object]", _redact(body, "", frozenset(secrets)))
    if body.get("kind") == "Secret" and body.get("apiVersion") == "v1":
        for key in ("data", "stringData"):
            if key in shown:
                shown[key] = _mask(shown[key])
    return shown


def event_value(value: object) -> object:
    """A value from the engine's events, with each secret in it replaced."""
    if isinstance(value, Mapping):
        mapping = cast("Mapping[str, object]", value)
        if _SIGNATURE in mapping:
            return REDACTED
        return {key: event_value(each) for key, each in mapping.items()}
    if isinstance(value, list):
        return [event_value(each) for each in cast("list[object]", value)]
    return REDACTED if value == _MASKED else value


def _redact(value: object, path: str, secrets: frozenset[str]) -> object:
    if path in secrets:
        return _mask(value)
    if isinstance(value, Mapping):
        mapping = cast("Mapping[str, object]", value)
        return {key: _redact(each, f"{path}.{key}" if path else key, secrets) for key, each in mapping.items()}
    if isinstance(value, list):
        return [_redact(each, f"{path}[{i}]", secrets) for i, each in enumerate(cast("list[object]", value))]
    return value


def _mask(value: object) -> object:
    """The same keys with nothing readable behind them."""
    if isinstance(value, Mapping):
        return {key: _mask(each) for key, each in cast("Mapping[str, object]", value).items()}
    return REDACTED
