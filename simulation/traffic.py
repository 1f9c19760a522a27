"""What is replayed: requests in the order of their time, from a trace or made up."""

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple, cast

_EARLIEST, _LATEST = -6e10, 1e11
"""Seconds since the epoch: the years 68 and 5138. What is later is in milliseconds."""
_MOST = 10**12
"""Of tokens, and of the seconds that an answer takes: a million times what anything needs."""
FIELDS = ("time", "user", "model", "prompt_tokens", "completion_tokens", "stream", "seconds", "status")


class TrafficError(Exception):
    """The traffic cannot be read; says where and why."""


class Ask(NamedTuple):
    """One request, and what its answer would be worth."""

    time: float
    """Seconds since the epoch, or since any other beginning."""
    user: str
    model: str
    prompt: int
    """Tokens of the prompt, which are counted if the request is answered."""
    completion: int
    """Tokens of the completion."""
    stream: bool = False
    seconds: float | None = None
    """From the request to the end of its answer; None where the trace does not say."""
    status: int | None = None
    """What it was answered with when it was recorded."""
    counted: bool = True
    """Whether the answer named its tokens; if not, nothing is counted."""


def read(path: Path) -> Iterator[Ask]:
    """The requests of a trace, one JSON object a line.

    Raises:
        TrafficError: a line is no request, or is earlier than the one before; named by its number. Or there is none.
    """
    earlier = float("-inf")
    try:
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                if not line.strip():
                    continue
                try:
                    ask = parsed(json.loads(line))
                except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
                    raise TrafficError(f"{path}:{number}: {_reason(error)}") from error
                if ask.time < earlier:
                    raise TrafficError(f"{path}:{number}: earlier than the line before; sort the trace by time")
                earlier = ask.time
                yield ask
    except (OSError, UnicodeDecodeError) as error:
        raise TrafficError(f"{path}: {error}") from error
    if earlier == float("-inf"):
        raise TrafficError(f"{path}: has no requests; a trace is one JSON object a line")


def parsed(line: object) -> Ask:
    """One request.

    Raises:
        KeyError: a field is missing.
        ValueError: a field makes no sense.
    """
    if not isinstance(line, dict):
        raise TypeError("not a JSON object")
    fields = cast("Mapping[str, Any]", line)
    seconds, status = fields.get("seconds"), fields.get("status")
    ask = Ask(
        _time(fields["time"]),
        _name(fields, "user"),
        _name(fields, "model"),
        int(fields.get("prompt_tokens") or 0),
        int(fields.get("completion_tokens") or 0),
        bool(fields.get("stream", False)),
        None if seconds is None else float(seconds),
        None if status is None else int(status),
        fields.get("prompt_tokens") is not None or fields.get("completion_tokens") is not None,
    )
    if not all(0 <= each < _MOST for each in (ask.prompt, ask.completion, ask.seconds or 0)):
        raise ValueError(f"tokens and seconds cannot be less than none, and have to be below {_MOST}")
    return ask


def written(ask: Ask) -> str:
    """The line of a trace that reads as this request."""
    fields: dict[str, object] = {
        "time": ask.time,
        "user": ask.user,
        "model": ask.model,
        "stream": ask.stream,
    }
    if ask.counted:
        fields |= {"prompt_tokens": ask.prompt, "completion_tokens": ask.completion}
    if ask.seconds is not None:
        fields["seconds"] = ask.seconds
    if ask.status is not None:
        fields["status"] = ask.status
    return json.dumps(fields, separators=(",", ":"))


def _name(fields: Mapping[str, Any], field: str) -> str:
    value = fields[field]
    if not isinstance(value, str | int) or isinstance(value, bool):
        raise TypeError(f"{field} is no name: {json.dumps(value)}")
    return str(value)


def _time(value: object) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        if not _EARLIEST < value < _LATEST:
            raise ValueError(f"time is {value}: not seconds since the epoch; are they milliseconds?")
        return float(value)
    try:
        moment = datetime.fromisoformat(value if isinstance(value, str) else "")
    except ValueError as error:
        raise ValueError("time is neither seconds since the epoch nor a date: 2026-01-31T09:00:00Z") from error
    if moment.tzinfo is None:
        raise ValueError("time has no zone: write seconds since the epoch, or 2026-01-31T09:00:00Z")
    return moment.timestamp()


def _reason(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"has no {error.args[0]}; fields are {', '.join(FIELDS)}"
    return str(error)
