"""How figures, windows and lists read in a sentence."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

_PERIODS = {"1s": "a second", "1m": "a minute", "60s": "a minute", "1h": "an hour", "60m": "an hour", "24h": "a day"}
_MOST_NAMES = 5


def per(window: str) -> str:
    """`a minute` for `1m`; `per 2m` for what has no name."""
    return _PERIODS.get(window, f"per {window}")


def rate(limit: object, what: str, window: str) -> str:
    """`100 tokens a minute`."""
    return f"{figure(limit)} {what} {per(window)}"


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
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType] - any list
    longest = 80
    text = text.replace("`", "'")  # a value must not end the quotation that it stands in
    return f"`{text if len(text) <= longest else text[: longest - 1] + '…'}`"


def rates_of(tier: Mapping[str, Any], key: str) -> dict[str, int]:
    """Limit by window; empty for `unlimited`."""
    found: Sequence[Mapping[str, Any]] = tier.get(key) or []
    return {str(each["window"]): int(each["limit"]) for each in found}
