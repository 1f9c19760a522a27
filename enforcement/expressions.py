"""CEL in the two dialects that a policy meets: cel-rust in the gateway's filter, cel-go in Authorino (here cel-cpp).

Neither is written here: the engines are `common-expression-language` (the crate that the filter is built on) and
`cel-expr-python`. Only the string functions that the filter adds to its engine are given to it again.
"""

import re
from collections import OrderedDict
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from typing import Any, cast

import cel
from cel_expr_python import cel as cpp
from cel_expr_python.ext import ext_optional, ext_strings
from google.protobuf import struct_pb2

_AUTHORINO_VARIABLES = ("request", "source", "destination", "auth", "metadata")


_VOLATILE = ("time", "id")
"""What is another for each request, be it in all else the same."""
_REQUEST = re.compile(r"\brequest\b(?:\s*\.\s*(\w+))?")
_HAS_VOLATILE = re.compile(r"\bhas\s*\(\s*request\s*\.\s*(?:time|id)\b")


class EvaluationError(Exception):
    """An expression that has no value here; what follows from that is for the caller to know."""


class Clock:
    """Whether something that was evaluated depends on the time, or on the request's own id."""

    def __init__(self) -> None:
        self.was_read = False


_clock: ContextVar[Clock | None] = ContextVar("clock", default=None)


@contextmanager
def watched_clock() -> Generator[Clock]:
    """Find out whether what is evaluated inside would be the same for a like request at any other time.

    An expression that has a value without `request.time` and `request.id` has the same value with them: CEL's functions
    need all of their arguments, and an operator that leaves one aside has been decided by the other. So it is evaluated
    without them first. One that looks whether they are there, or at the request as a whole, counts as reading them.
    """
    clock = Clock()
    token = _clock.set(clock)
    try:
        yield clock
    finally:
        _clock.reset(token)


def read_clock() -> None:
    """Note that something depends on the time that is no CEL: a token's expiry, a rule in Rego."""
    clock = _clock.get()
    if clock is not None:
        clock.was_read = True


class _Text:
    """What an expression's text says about its use of the request."""

    def __init__(self, text: str) -> None:
        fields = [match[1] for match in _REQUEST.finditer(text)]
        self.may_read_clock = any(each is None or each in _VOLATILE for each in fields)
        self.surely_reads_clock = None in fields or _HAS_VOLATILE.search(text) is not None


class FilterExpression:
    """An expression as the gateway's filter evaluates it."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._about = _Text(text)
        try:
            self._program = cel.compile(text)
        except (ValueError, RuntimeError) as error:
            raise EvaluationError(f"{text}: {error}") from error

    def value(self, context: "FilterContext") -> Any:  # noqa: ANN401 - CEL's values are of any type
        """The value.

        Raises:
            EvaluationError: a variable, a key or a function is missing, or the types do not fit.
        """
        clock = _clock.get() if self._about.may_read_clock else None
        if clock is not None:
            if not self._about.surely_reads_clock:
                try:
                    return self._run(context.timeless)
                except EvaluationError:
                    pass
            clock.was_read = True
        return self._run(context.context)

    def _run(self, context: cel.Context) -> Any:  # noqa: ANN401 - CEL's values are of any type
        try:
            return self._program.execute(context)
        except (KeyError, ValueError, RuntimeError, TypeError) as error:
            raise EvaluationError(f"{self.text}: {error}") from error

    def holds(self, context: "FilterContext") -> bool:
        """The truth of a predicate.

        Raises:
            EvaluationError: as for `value`, or the value is no truth.
        """
        value = self.value(context)
        if not isinstance(value, bool):
            raise EvaluationError(f"{self.text}: {value!r} is neither true nor false")
        return value


class FilterContext:
    """The variables and functions of the filter for one request; `auth` joins once Authorino has answered."""

    def __init__(self, attributes: Mapping[str, Any]) -> None:
        self._variables = dict(attributes)
        self._functions: dict[str, Callable[..., Any]] = dict(_FILTER_FUNCTIONS)
        self._context: cel.Context | None = None
        self._timeless: cel.Context | None = None

    @property
    def context(self) -> cel.Context:
        """Everything."""
        if self._context is None:
            self._context = cel.Context(self._variables, self._functions)
        return self._context

    @property
    def timeless(self) -> cel.Context:
        """Everything but what is another for each request."""
        if self._timeless is None:
            request = _without_volatile(self._variables["request"])
            self._timeless = cel.Context({**self._variables, "request": request}, self._functions)
        return self._timeless

    def copy(self) -> "FilterContext":
        """Another with the same variables, for another request's answer."""
        made = FilterContext(self._variables)
        made._functions = dict(self._functions)
        return made

    def authenticated(self, auth: Mapping[str, Any]) -> None:
        """Make what the AuthPolicy published known as `auth`."""
        self._variables["auth"] = dict(auth)
        self._context = self._timeless = None

    def answered(self, body: Mapping[str, Any]) -> None:
        """Make the answer's body known to `responseBodyJSON`."""

        def response_body_json(pointer: str) -> Any:  # noqa: ANN401 - JSON's values are of any type
            return _at(body, pointer)

        self._functions["responseBodyJSON"] = response_body_json
        self._context = self._timeless = None


@lru_cache(maxsize=4096)
def filter_expression(text: str) -> FilterExpression:
    """A compiled expression; each text is compiled once."""
    return FilterExpression(text)


class AuthorinoExpression:
    """An expression as Authorino evaluates it: every variable is a protobuf Struct, so every number is a double."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._about = _Text(text)
        try:
            self._expression = _authorino().compile(text)
        except Exception as error:  # the binding raises plain exceptions
            raise EvaluationError(f"{text}: {error}") from error

    def value(self, attributes: Mapping[str, Any]) -> Any:  # noqa: ANN401 - CEL's values are of any type
        """The value, with `attributes` by name of the variable; what they hold must not be changed afterwards.

        Raises:
            EvaluationError: a key is missing, or the types do not fit.
        """
        clock = _clock.get() if self._about.may_read_clock else None
        if clock is not None:
            if not self._about.surely_reads_clock:
                try:
                    return self._run(attributes, timeless=True)
                except EvaluationError:
                    pass
            clock.was_read = True
        return self._run(attributes, timeless=False)

    def _run(self, attributes: Mapping[str, Any], *, timeless: bool) -> Any:  # noqa: ANN401 - CEL's values are of any type
        result = self._expression.eval(activation=_activations.of(attributes, timeless=timeless))
        if result.type() == cpp.Type.ERROR:
            raise EvaluationError(f"{self.text}: {result.plain_value()}")
        return _plain(result.plain_value())

    def holds(self, attributes: Mapping[str, Any]) -> bool:
        """The truth of a predicate; anything that is not true is false (Authorino's own reading)."""
        return self.value(attributes) is True


@lru_cache(maxsize=4096)
def authorino_expression(text: str) -> AuthorinoExpression:
    """A compiled expression; each text is compiled once."""
    return AuthorinoExpression(text)


@lru_cache(maxsize=1)
def _authorino() -> cpp.Env:
    struct = cpp.Type("google.protobuf.Struct")
    return cpp.NewEnv(
        variables=dict.fromkeys(_AUTHORINO_VARIABLES, struct),
        extensions=[ext_strings.ExtStrings(), ext_optional.ExtOptional()],
    )


class _Structs:
    """The last mappings that were converted: many expressions are evaluated over the same ones, one after the other."""

    _KEPT = 16

    def __init__(self) -> None:
        # Each with its mapping, so that no other can get its identity.
        self._made: OrderedDict[tuple[int, bool], tuple[object, struct_pb2.Struct]] = OrderedDict()

    def of(self, value: Mapping[str, Any], *, timeless: bool) -> struct_pb2.Struct:
        key = (id(value), timeless)
        known = self._made.get(key)
        if known is None:
            made = struct_pb2.Struct()
            made.update(_without_volatile(value) if timeless else dict(value))
            known = self._made[key] = (value, made)
            if len(self._made) > self._KEPT:
                self._made.popitem(last=False)
        return known[1]


class _Activations:
    """The last variables that the engine was given: to hand them over takes five times as long as most evaluations."""

    _KEPT = 16

    def __init__(self) -> None:
        # Each with its mappings, so that no others can get their identities.
        self._made: OrderedDict[tuple[object, ...], tuple[object, cpp.Activation]] = OrderedDict()

    def of(self, attributes: Mapping[str, Any], *, timeless: bool) -> cpp.Activation:
        values = [attributes.get(name) for name in _AUTHORINO_VARIABLES]
        key = (timeless, *map(id, values))
        known = self._made.get(key)
        if known is None:
            data = {
                name: _structs.of(value, timeless=timeless and name == "request") if value else _EMPTY
                for name, value in zip(_AUTHORINO_VARIABLES, values, strict=True)
            }
            known = self._made[key] = (values, _authorino().Activation(data))
            if len(self._made) > self._KEPT:
                self._made.popitem(last=False)
        return known[1]


_structs = _Structs()
_activations = _Activations()
_EMPTY = struct_pb2.Struct()


def _without_volatile(request: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in request.items() if name not in _VOLATILE}


def _plain(value: object) -> Any:  # noqa: ANN401 - CEL's values are of any type
    """Lists and mappings of protobuf's as Python's own; whole doubles as integers, as JSON would print them."""
    if isinstance(value, Mapping):
        entries = cast("Mapping[str, object]", value)
        return {key: _plain(each) for key, each in entries.items()}
    if isinstance(value, list):
        return [_plain(each) for each in cast("list[object]", value)]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def _at(body: Mapping[str, Any], pointer: str) -> str | float | bool:
    """The text, number or truth at a JSON pointer (RFC 6901); the filter takes nothing else from an answer."""
    value: Any = body
    for part in pointer.split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        value = cast("list[Any]", value)[int(key)] if isinstance(value, list) else value[key]
    if not isinstance(value, str | float | int):
        raise TypeError(f"{pointer} is neither a text, a number nor a truth")
    return value


# The filter's own string functions, as its source has them (src/data/cel/strings.rs): places are counted in bytes by
# some and in characters by others, and what is less than nothing is a very large number.


_HUGE = 1 << 64


def _char_at(text: str, index: int) -> str:
    if not 0 <= index < len(text):
        raise ValueError(f"no index {index}")
    return text[index]


def _index_of(text: str, part: str, start: int | None = None) -> int:
    whole = text.encode()
    if start is not None and not 0 <= start < len(whole):
        return -1
    return whole.find(part.encode(), start)


def _last_index_of(text: str, part: str, start: int | None = None) -> int:
    whole = text.encode()
    if start is None:
        return whole.rfind(part.encode())
    # Counted from `start`, and not from the beginning of the text.
    return whole[start:].rfind(part.encode()) if 0 <= start < len(whole) else -1


def _join(parts: list[str], by: str = "") -> str:
    return by.join(parts)


def _lower_ascii(text: str) -> str:
    return text.encode().lower().decode()


def _upper_ascii(text: str) -> str:
    return text.encode().upper().decode()


def _split(text: str, by: str, most: int = -1) -> list[str]:
    if most == 0:
        return []
    parts = text.split(by) if by else ["", *text, ""]
    if 0 < most < len(parts):
        parts[most - 1 :] = [by.join(parts[most - 1 :])]
    return parts


def _substring(text: str, start: int, end: int | None = None) -> str:
    first, last = start % _HUGE, len(text) if end is None else end % _HUGE
    if last < first:
        raise ValueError(f"no part from {start} to {end}")
    return text[first:last]


_FILTER_FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "charAt": _char_at,
    "indexOf": _index_of,
    "lastIndexOf": _last_index_of,
    "join": _join,
    "lowerAscii": _lower_ascii,
    "upperAscii": _upper_ascii,
    "trim": str.strip,
    "replace": str.replace,
    "split": _split,
    "substring": _substring,
}
"""What the filter adds to its engine (Kuadrant's documentation of CEL in wasm-shim)."""
