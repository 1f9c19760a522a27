"""Finds the usage in an answer the way Kuadrant's filter does: from the body, or from the last event but one."""

import json
from collections.abc import Mapping
from typing import Any, cast

_LONGEST_EVENT = 1 << 20
"""Bytes of one event that are kept; a longer one has no usage in it that the filter would read."""
_TOO_LONG = b"too long"


class StreamedUsage:
    """Follows a stream of server-sent events without keeping more of it than two events."""

    def __init__(self) -> None:
        self._rest = b""
        self._too_long = False
        self._events: tuple[bytes, bytes] = (b"", b"")
        self.ended = False
        """Whether the last event so far is `[DONE]`."""

    def feed(self, chunk: bytes) -> None:
        """Take note of a piece of the stream, wherever it was cut."""
        whole = (self._rest + chunk).replace(b"\r\n", b"\n")
        *events, self._rest = whole.split(b"\n\n")
        if len(self._rest) > _LONGEST_EVENT:
            self._rest, self._too_long = b"", True
        for event in events:
            data = _TOO_LONG if self._too_long else _data(event)
            self._too_long = False
            # Without data it is no event: such is a comment that keeps the connection open.
            if data:
                self._events = (self._events[1], data)
        self.ended = self._events[1].strip() == b"[DONE]"

    def body(self) -> Mapping[str, Any] | None:
        """The JSON of the last event but one; None when it has none."""
        return parsed(self._events[0])


def parsed(body: bytes) -> Mapping[str, Any] | None:
    """A body that is one JSON object; None for anything else."""
    try:
        value: object = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return cast("Mapping[str, Any]", value) if isinstance(value, dict) else None


def _data(event: bytes) -> bytes:
    lines = [line[5:].removeprefix(b" ") for line in event.split(b"\n") if line.startswith(b"data:")]
    return b"\n".join(lines)
