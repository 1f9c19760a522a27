"""A figure that stands for something else. This module needs no other, so that every part can read it."""

NEVER_REACHED = 2**53
"""The token limit of who has none.

Kuadrant counts only the tokens of requests that fall under a token limit. So `unlimited` is a limit that nobody comes
to: usage, bills and budgets see its tokens like any others. Limitador takes up to 2^64 - 1 and the CRD up to 2^63 - 1;
this is the last whole number that passes unchanged through whatever reads JSON numbers as floats. At a million tokens
a second it would take 285 years to reach, and its window is a minute.
"""
NEVER_REACHED_WINDOW = "1m"
"""Of that limit: short, so that its counters do not pile up in the limiter."""


def is_reached(limit: int) -> bool:
    """Whether a limit is one, and not the figure that stands for none."""
    return limit < NEVER_REACHED
