"""How figures, windows and lists read in a sentence."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from cli.stacks.stackfile import mapping

_PERIODS = {"1s": "a second", "1m": "a minute", "60s": "a minute", "1h": "an hour", "60m": "an hour", "24h": "a day"}
_MOST_NAMES = 5


def per(window: str) -> str:
    """`a minute` for `1m`; `per 2m` for what has no name."""
    return _PERIODS.get(window, f"per {window}")


def rate(limit: object, what: str, window: str) -> str:
    """`100 tokens a minute`, `1 request an hour`."""
    return f"{figure(limit)} {what.removesuffix('s') if limit == 1 else what} {per(window)}"


def figure(value: object) -> str:
    """A whole number with thousands apart; anything else as it is."""
    return f"{value:,}".replace(",", " ") if isinstance(value, int) and not isinstance(value, bool) else str(value)


def count(number: int, one: str, many: str = "") -> str:
    """`1 user`, `3 users`."""
    return f"{figure(number)} {one if number == 1 else many or one + 's'}"


def names(values: Iterable[str], most: int = _MOST_NAMES) -> str:
    """The first few names, and how many more."""
    every = sorted(values)
    more = f" and {len(every) - most} more" if len(every) > most else ""
    return ", ".join(f"`{each}`" for each in every[:most]) + more


def value_of(value: object) -> str:
    """A setting's value, short enough for a sentence."""
    if value is None or value in ("", [], {}):
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    longest = 80
    text = _as_written(value).replace("`", "'")  # a value must not end the quotation that it stands in
    return f"`{text if len(text) <= longest else text[: longest - 1] + '…'}`"


def _as_written(value: object) -> str:
    """As it would stand in a stack file, lists without brackets."""
    if isinstance(value, Mapping):
        entries = cast("Mapping[str, object]", value)
        if set(entries) == {"limit", "window"}:
            return f"{entries['limit']} per {entries['window']}"
        return "{" + ", ".join(f"{key}: {_as_written(each)}" for key, each in entries.items()) + "}"
    if isinstance(value, list):
        return ", ".join(map(_as_written, cast("list[object]", value)))
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    return str(value)


def models_of(*tiers: Mapping[str, Any]) -> list[str]:
    """The models for which one of the tiers has limits of their own."""
    return sorted({model for tier in tiers for model in mapping(tier.get("models"))})


def rates_of(tier: Mapping[str, Any], key: str, model: str = "") -> dict[str, int]:
    """Limit by window; empty for `unlimited`. With a model, what the tier has there: the model's own, or else its."""
    own = mapping(mapping(tier.get("models")).get(model)).get(key)
    found: Sequence[Mapping[str, Any]] = (tier.get(key) if own is None else own) or []
    return {str(each["window"]): int(each["limit"]) for each in found}
