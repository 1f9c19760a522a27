"""What is wrong with a configuration, said so that a person can mend it: key, value, why, what is allowed, a fix."""

import difflib
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Annotated, cast, get_args, get_origin

from pydantic import BaseModel, SecretStr, ValidationError
from pydantic_core import ErrorDetails

HIDDEN = "[hidden]"


@dataclass(frozen=True, order=True)
class Problem:
    """One thing that must change before the stack can be deployed."""

    key: str
    value: str
    why: str
    allowed: str = ""
    fix: str = ""
    file: str = ""
    """Where the value is from, when it is not from the stack file."""

    def __str__(self) -> str:
        """One line: `maas:tiers.free.requests = "5 per 1d": <why>; allowed: <allowed>; try: <fix>`."""
        line = f"{self.key} = {self.value}" if self.value else self.key
        line += f" (in {self.file}): {self.why}" if self.file else f": {self.why}"
        if self.allowed:
            line += f"; allowed: {self.allowed}"
        if self.fix:
            line += f"; try: {self.fix}"
        # Keys may have anything in them; a terminal must not obey it.
        return "".join(each if each.isprintable() else repr(each)[1:-1] for each in line)


class ConfigError(Exception):
    """All the problems of a stack's configuration together. Its text is what the user reads."""

    def __init__(self, stack: str, problems: Iterable[Problem]) -> None:
        self.stack = stack
        self.problems = sorted(set(problems))
        count = len(self.problems)
        lines = "\n".join(f"  - {problem}" for problem in self.problems)
        noun = "problem" if count == 1 else "problems"
        super().__init__(f"{count} {noun} in the configuration of stack '{stack}':\n{lines}")


class RefusalError(ValueError):
    """Raised by a validator that knows more than "invalid": what is allowed and what the user probably meant."""

    def __init__(self, why: str, *, allowed: str = "", fix: str = "") -> None:
        self.why, self.allowed, self.fix = why, allowed, fix
        super().__init__(why)


def closest(wrong: str, known: Iterable[str]) -> str:
    """The known word that `wrong` most likely meant, or nothing."""
    by_lower = {word.lower(): word for word in sorted(known)}
    found = difflib.get_close_matches(wrong.lower(), by_lower, n=1, cutoff=0.5)
    return by_lower[found[0]] if found else ""


def one_of(words: Iterable[str]) -> str:
    """The words as a list to read, in stable order."""
    return ", ".join(sorted(words)) or "(none)"


def shown(value: object) -> str:
    """The value as the user wrote it, short enough for one line. Secrets never show."""
    if isinstance(value, SecretStr):
        return HIDDEN
    text = json.dumps(value, default=str, sort_keys=True, ensure_ascii=False)
    longest = 80
    return text if len(text) <= longest else text[: longest - 1] + "…"


def from_pydantic(key: str, annotation: object, error: ValidationError, *, hide: bool = False) -> list[Problem]:
    """The problems that pydantic found in the value of one stack key.

    Args:
        key: the stack key, such as `maas:tiers`.
        annotation: the type that the value was checked against; tells which keys are known at each place.
        error: what pydantic found.
        hide: keep every value out of the text.
    """
    return [_from_detail(key, annotation, detail, hide=hide) for detail in error.errors(include_url=False)]


def keys_at(annotation: object, location: Sequence[int | str]) -> list[str]:
    """The keys that may be written at a place below a type: `keys_at(Tiers, ("free",))` are a tier's."""
    here = _unwrapped(annotation)
    if isinstance(here, type) and issubclass(here, BaseModel):
        aliases = {field.alias or name: field.annotation for name, field in here.model_fields.items()}
        if not location:
            return sorted(aliases)
        return keys_at(aliases.get(str(location[0])), location[1:])
    arguments = get_args(here)
    if location and arguments:  # dict[K, V] goes on with V, list[V] and tuple[V, ...] with V
        return keys_at(arguments[1] if get_origin(here) is dict else arguments[0], location[1:])
    return []


def _unwrapped(annotation: object) -> object:
    """The type below Annotated, below `| None`, and inside a RootModel."""
    if get_origin(annotation) is Annotated:
        return _unwrapped(get_args(annotation)[0])
    if get_origin(annotation) is UnionType:
        return _unwrapped(next(each for each in get_args(annotation) if each is not NoneType))
    fields = annotation.model_fields if isinstance(annotation, type) and issubclass(annotation, BaseModel) else {}
    # pydantic calls the one field of a RootModel `root`; no settings model has a key of that name.
    return _unwrapped(fields["root"].annotation) if "root" in fields else cast("object", annotation)


def dotted(key: str, location: Sequence[int | str]) -> str:
    """The path a user would give to `pulumi config set --path`: `maas:tiers.free.tokens[1].window`."""
    path = key
    for part in location:
        path += f"[{part}]" if isinstance(part, int) else f".{part}"
    return path


def _from_detail(key: str, annotation: object, detail: ErrorDetails, *, hide: bool) -> Problem:
    location = [part for part in detail["loc"] if part != "[key]"]
    path = dotted(key, location)
    value = HIDDEN if hide else shown(detail["input"])
    context = cast("dict[str, object]", detail.get("ctx", {}))
    match detail["type"], context.get("error"):
        case _, RefusalError() as refusal:
            return Problem(path, value, refusal.why, refusal.allowed, refusal.fix)
        case "extra_forbidden", _:
            known = keys_at(annotation, location[:-1])
            return Problem(path, value, "unknown key", one_of(known), closest(str(location[-1]), known))
        case "missing", _:
            return Problem(path, "", "required, but not set")
        case (("enum" | "literal_error"), _):
            words = re.findall(r"'([^']+)'", str(context.get("expected", "")))
            return Problem(
                path, value, "not one of the known values", one_of(words), closest(str(detail["input"]), words)
            )
        case kind, _:
            why, allowed, fix = _SHAPES.get(kind) or (_sentence(detail), _bounds(context), _nothing)
            keys = keys_at(annotation, location) if kind in _SHAPES else []
            likely = "" if hide else fix(detail["input"])
            return Problem(path, value, why, f"{{{', '.join(keys)}}}" if keys else allowed, likely)


def _sentence(detail: ErrorDetails) -> str:
    if detail["type"] == "string_pattern_mismatch":
        return "not written as it has to be"
    return detail["msg"][:1].lower() + detail["msg"][1:]


def _bounds(context: Mapping[str, object]) -> str:
    return ", ".join(f"{words} {context[key]}" for key, words in _BOUNDS.items() if key in context)


def _is_scalar(value: object) -> bool:
    return isinstance(value, str | int | float | bool)


def _number(value: object) -> str:
    return value if isinstance(value, str) and re.fullmatch(r"[0-9]+", value) else ""


def _text(value: object) -> str:
    return json.dumps(value if isinstance(value, str) else json.dumps(value)) if _is_scalar(value) else ""


def _list(value: object) -> str:
    return f"[{json.dumps(value)}]" if _is_scalar(value) else ""


def _boolean(value: object) -> str:
    return {"yes": "true", "on": "true", "true": "true", "no": "false", "off": "false", "false": "false"}.get(
        str(value).lower(), ""
    )


def _nothing(_: object) -> str:
    return ""


_WHOLE = ("not a whole number", "a whole number, without quotes", _number)
_MAPPING = ("not a mapping", "keys with values below them", _nothing)
_LISTED = ("not a list", "a list: [<one>, <another>]", _list)
_TRUTH = ("neither true nor false", "true, false", _boolean)
_FRACTION = ("not a number", "a number, without quotes", _number)
_SHAPES: Mapping[str, tuple[str, str, Callable[[object], str]]] = {
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float"), _WHOLE),
    **dict.fromkeys(("float_type", "float_parsing", "decimal_type", "decimal_parsing"), _FRACTION),
    **dict.fromkeys(("model_type", "model_attributes_type", "dict_type"), _MAPPING),
    **dict.fromkeys(("tuple_type", "list_type", "set_type", "frozen_set_type"), _LISTED),
    **dict.fromkeys(("bool_type", "bool_parsing"), _TRUTH),
    "string_type": ("not a text", "a text, in quotes where it looks like a number", _text),
}
"""What a value of the wrong kind is told, by pydantic's name for it: why, what is allowed, and the likely fix."""
_BOUNDS = {
    "ge": "at least",
    "gt": "more than",
    "le": "at most",
    "lt": "less than",
    "pattern": "what fits",
}
"""What is allowed, in words, by pydantic's name for the bound."""
