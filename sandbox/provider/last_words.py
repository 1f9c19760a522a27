"""What an object's status says of itself, for the error of a wait that ran out."""

from collections.abc import Mapping
from typing import Final, cast

from sandbox.kube import Object, conditions
from sandbox.provider.wait_for import describe_condition

_STATES: Final = ("phase", "state")
_SHOWN: Final = 4
"""How many conditions are told of."""
_LONGEST: Final = 400
"""Characters of one statement."""


def last_words(obj: Object, said: str = "") -> str:
    """State, reason, message, conditions and what the status refers to; empty when it says nothing.

    A path that is awaited shows one value only. Why that is not the right one stands beside it: the message of a
    ClusterServiceVersion whose phase is Failed, the InstallPlan for which a Subscription waits.

    Args:
        obj: The object as last seen.
        said: What the error has said already; conditions that are in it are not said again.
    """
    status: object = obj.get("status")
    if not isinstance(status, dict):
        return ""
    known = cast("Object", status)
    words = [_summary(known), *_conditions(obj, said), *_references(known)]
    return "; ".join(_shortened(word) for word in words if word)


def _summary(status: Object) -> str:
    """`phase Failed, reason InstallCheckFailed: the message`; nothing when there is only the state that was awaited."""
    reason, message = _text(status, "reason"), _text(status, "message")
    states = [f"{name} {text}" for name in _STATES if (text := _text(status, name))]
    summary = ", ".join([*states, *([f"reason {reason}"] if reason else [])])
    return ": ".join(part for part in (summary, message) if part)


def _conditions(obj: Object, said: str) -> list[str]:
    """Those with a reason or a message. Which are bad cannot be known: some are good when True, some when not."""
    found = [describe_condition(c) for c in conditions(obj) if c.get("reason") or c.get("message")]
    return [text for text in found if text not in said][:_SHOWN]


def _references(status: Object) -> list[str]:
    """Other objects that the status points to by kind and name, such as `installPlanRef`."""
    found = [cast("Object", value) for key, value in status.items() if key.endswith("Ref") and isinstance(value, dict)]
    return [f"see {ref['kind']} {ref['name']}" for ref in found if ref.get("kind") and ref.get("name")]


def _text(status: Mapping[str, object], name: str) -> str:
    value = status.get(name)
    return value if isinstance(value, str) else ""


def _shortened(text: str) -> str:
    one_line = " ".join(text.split())
    return one_line if len(one_line) <= _LONGEST else f"{one_line[: _LONGEST - 1]}…"
