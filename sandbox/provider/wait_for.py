"""The `pulumi.com/waitFor` annotation: what it may say, and whether an object satisfies it."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import jsonpath_rfc9535 as jsonpath

from sandbox.kube import Object, conditions

_FORMS = "condition=TYPE, condition=TYPE=STATUS, jsonpath={.path}, jsonpath={.path}=VALUE, or a JSON array of those"


class WaitForError(Exception):
    """The annotation is malformed; the message says how it should look."""


@dataclass(frozen=True)
class Verdict:
    """Whether an object is ready.

    Attributes:
        ready: It is.
        message: What is awaited and what was seen instead.
        failed: It will never be.
    """

    ready: bool
    message: str
    failed: bool = False


Check = Callable[[Object], Verdict]
"""One thing to wait for: judges an object as it is now."""


@dataclass(frozen=True)
class Condition:
    """Waits for a status condition. Type and status are compared without case, as `kubectl wait` does.

    A condition that was observed at an older generation of the object does not count.
    """

    type: str
    status: str = "True"

    def __call__(self, obj: Object) -> Verdict:
        """Judge the object."""
        awaited = f"condition {self.type}={self.status}"
        found = next((c for c in conditions(obj) if str(c.get("type")).lower() == self.type.lower()), None)
        if found is None:
            present = ", ".join(str(c.get("type")) for c in conditions(obj))
            return Verdict(
                ready=False, message=f"{awaited}: not reported yet" + (f" (there are {present})" * bool(present))
            )
        seen = describe_condition(found)
        generation = obj["metadata"].get("generation")
        observed = found.get("observedGeneration", _status(obj).get("observedGeneration"))
        if generation is not None and observed is not None and observed < generation:
            return Verdict(ready=False, message=f"{awaited}: {seen}, of generation {observed}, now it is {generation}")
        return Verdict(ready=str(found.get("status")).lower() == self.status.lower(), message=f"{awaited}: {seen}")


@dataclass(frozen=True)
class JsonPath:
    """Waits for an RFC 9535 path to select anything, or its first result to equal a value."""

    path: str
    query: jsonpath.JSONPathQuery
    value: str | None = None

    def __call__(self, obj: Object) -> Verdict:
        """Judge the object."""
        awaited = f"jsonpath {self.path}" + (f"={self.value}" if self.value is not None else "")
        node = self.query.find_one(cast("Any", obj))
        if node is None:
            return Verdict(ready=False, message=f"{awaited}: selects nothing yet")
        if self.value is None:
            return Verdict(ready=True, message=f"{awaited}: found")
        found: object = node.value
        if isinstance(found, dict | list):
            return Verdict(ready=False, failed=True, message=f"{awaited}: selects a structure, not a single value")
        return Verdict(ready=_text(found) == self.value, message=f"{awaited}: found {_text(found)}")


def parse(annotation: str) -> list[Check]:
    """Read the annotation's value.

    Raises:
        WaitForError: It has none of the forms that are understood.
    """
    try:
        parsed: object = json.loads(annotation)
    except ValueError:
        parsed = None
    expressions = cast("list[object]", parsed) if isinstance(parsed, list) else [annotation]
    if not expressions:
        raise WaitForError(f"pulumi.com/waitFor is an empty array; expected {_FORMS}")
    return [_parse_one(expression) for expression in expressions]


def describe_condition(condition: Object) -> str:
    """A condition as people say it: `Ready=False, reason NoRoute: the message`."""
    reason, message = condition.get("reason"), condition.get("message")
    text = f"{condition.get('type')}={condition.get('status')}"
    if reason:
        text += f", reason {reason}"
    return f"{text}: {message}" if message else text


def _parse_one(expression: object) -> Check:
    if not isinstance(expression, str):
        raise WaitForError(f"pulumi.com/waitFor: {expression!r} is not a string; expected {_FORMS}")
    prefix, _, rest = expression.partition("=")
    if prefix == "condition" and rest:
        kind, _, status = rest.partition("=")
        return Condition(kind, status or "True")
    if prefix == "jsonpath":
        return _parse_jsonpath(rest)
    raise WaitForError(f'expected a "jsonpath=" or "condition=" prefix, got {expression!r}; expected {_FORMS}')


def _parse_jsonpath(text: str) -> JsonPath:
    end = _closing_brace(text)
    if end is None:
        raise WaitForError(f"pulumi.com/waitFor: {text!r} should be wrapped in braces: jsonpath={{.path}}=VALUE")
    path, rest = text[: end + 1], text[end + 1 :]
    if rest and (not rest.startswith("=") or rest == "="):
        raise WaitForError(f"pulumi.com/waitFor: {text!r} should be {{.path}} or {{.path}}=VALUE")
    value = rest[1:] or None
    if value and ("=" in value or value.startswith("{")):
        raise WaitForError(f"pulumi.com/waitFor: {text!r} compares with {value!r}, which is not a plain value")
    inner = path[1:-1].strip()
    try:
        query = jsonpath.compile(inner if inner.startswith("$") else f"${inner}")
    except jsonpath.JSONPathError as error:
        raise WaitForError(f"pulumi.com/waitFor: {path!r} is not an RFC 9535 path: {error}") from error
    return JsonPath(path, query, value)


def _closing_brace(text: str) -> int | None:
    """Where the brace closes that opens the text; braces inside string literals do not count."""
    if not text.startswith("{"):
        return None
    depth, quote, escaped = 0, "", False
    for index, char in enumerate(text):
        if escaped:
            escaped = False
        elif quote:
            escaped = char == "\\"
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        elif char in "{}":
            depth += 1 if char == "{" else -1
            if depth == 0:
                return index
    return None


def _status(obj: Object) -> Object:
    status: object = obj.get("status")
    return cast("Object", status) if isinstance(status, dict) else {}


def _text(value: object) -> str:
    """A scalar as Kubernetes writes it: JSON's true, not Python's True."""
    return value if isinstance(value, str) else json.dumps(value)
