"""CEL in the two dialects that a policy meets: cel-rust in the gateway's filter, cel-go in Authorino (here cel-cpp).

Neither is written here: the engines are `common-expression-language` (the crate that the filter is built on) and
`cel-expr-python`. Only the string functions that the filter adds to its engine are given to it again.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, cast

import cel
from cel_expr_python import cel as cpp
from cel_expr_python.ext import ext_optional, ext_strings
from google.protobuf import struct_pb2

_AUTHORINO_VARIABLES = ("request", "source", "destination", "auth", "metadata")


class EvaluationError(Exception):
    """An expression that has no value here; what follows from that is for the caller to know."""


class FilterExpression:
    """An expression as the gateway's filter evaluates it."""

    def __init__(self, text: str) -> None:
        self.text = text
        try:
            self._program = cel.compile(text)
        except (ValueError, RuntimeError) as error:
            raise EvaluationError(f"{text}: {error}") from error
        references = self._program.references()
        self.needs_auth = "auth" in references["variables"]
        self.needs_response = "responseBodyJSON" in references["functions"]

    def value(self, context: "FilterContext") -> Any:  # noqa: ANN401 - CEL's values are of any type
        """The value.

        Raises:
            EvaluationError: a variable, a key or a function is missing, or the types do not fit.
        """
        try:
            return self._program.execute(context.context)
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
        self.context = cel.Context(dict(attributes), dict(_FILTER_FUNCTIONS))

    def authenticated(self, auth: Mapping[str, Any]) -> None:
        """Make what the AuthPolicy published known as `auth`."""
        self.context.add_variable("auth", dict(auth))

    def answered(self, body: Mapping[str, Any]) -> None:
        """Make the answer's body known to `responseBodyJSON`."""

        def response_body_json(pointer: str) -> Any:  # noqa: ANN401 - JSON's values are of any type
            return _at(body, pointer)

        self.context.add_function("responseBodyJSON", response_body_json)


@lru_cache(maxsize=4096)
def filter_expression(text: str) -> FilterExpression:
    """A compiled expression; each text is compiled once."""
    return FilterExpression(text)


class AuthorinoExpression:
    """An expression as Authorino evaluates it: every variable is a protobuf Struct, so every number is a double."""

    def __init__(self, text: str) -> None:
        self.text = text
        try:
            self._expression = _authorino().compile(text)
        except Exception as error:  # the binding raises plain exceptions
            raise EvaluationError(f"{text}: {error}") from error

    def value(self, attributes: Mapping[str, Any]) -> Any:  # noqa: ANN401 - CEL's values are of any type
        """The value, with `attributes` by name of the variable.

        Raises:
            EvaluationError: a key is missing, or the types do not fit.
        """
        data = {name: _struct(attributes.get(name) or {}) for name in _AUTHORINO_VARIABLES}
        result = self._expression.eval(data=data)
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


def _struct(value: Mapping[str, Any]) -> struct_pb2.Struct:
    made = struct_pb2.Struct()
    made.update(dict(value))
    return made


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


def _at(body: Mapping[str, Any], pointer: str) -> Any:  # noqa: ANN401 - JSON's values are of any type
    """The value at a JSON pointer (RFC 6901)."""
    value: Any = body
    for part in pointer.split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        value = cast("list[Any]", value)[int(key)] if isinstance(value, list) else value[key]
    return value


def _substring(text: str, start: int, end: int | None = None) -> str:
    return text[start:end]


def _join(parts: list[str], by: str = "") -> str:
    return by.join(parts)


def _char_at(text: str, index: int) -> str:
    return text[index : index + 1]


_FILTER_FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "charAt": _char_at,
    "indexOf": str.find,
    "lastIndexOf": str.rfind,
    "join": _join,
    "lowerAscii": str.lower,
    "upperAscii": str.upper,
    "trim": str.strip,
    "replace": str.replace,
    "split": str.split,
    "substring": _substring,
}
"""What the filter adds to its engine (Kuadrant's documentation of CEL in wasm-shim)."""
