"""CEL as text: literals that cannot break out of their place, and what the standard has no word for."""

import json
from collections.abc import Iterable, Mapping, Sequence


def cel_string(text: str) -> str:
    """A CEL string literal; JSON's escapes are a subset of CEL's, but for pairs of surrogates."""
    return json.dumps(text, ensure_ascii=False)


def cel_list(texts: Iterable[str]) -> str:
    """A CEL list of string literals."""
    return "[" + ", ".join(cel_string(text) for text in texts) + "]"


def cel_map(texts: Mapping[str, str]) -> str:
    """A CEL map of strings to expressions."""
    return "{" + ", ".join(f"{cel_string(key)}: {value}" for key, value in texts.items()) + "}"


def cel_let(name: str, value: str, body: str) -> str:
    """`body` with `value` known as `name` in it: CEL itself has no word for it, a list of one does."""
    return f"[{value}].map({name}, {body})[0]"


def cel_choose(cases: Iterable[tuple[str, str]], otherwise: str) -> str:
    """The value of the first condition that holds."""
    text = "".join(f"{condition} ? {value} : " for condition, value in cases)
    return f"({text}{otherwise})"


def cel_made_of(name: str, letters: str, longest: int) -> str:
    """Whether a text is made of such letters, of one at least and so many at most.

    The length is no part of the pattern: engines compile patterns again at each evaluation, and to count to a hundred
    in one takes more time than the rest of a policy.
    """
    return f"size({name}) <= {longest} && {name}.matches({cel_string(f'^[{letters}]+$')})"


def cel_at(start: str, path: Sequence[str], otherwise: str = '""') -> str:
    """The value at the end of a path of keys; `otherwise` where one of them is missing."""
    if not path:
        return otherwise
    places = [start]
    for key in path:
        places.append(f"{places[-1]}[{cel_string(key)}]")
    there = " && ".join(f"{cel_string(key)} in {place}" for key, place in zip(path, places, strict=False))
    return f"({there} ? {places[-1]} : {otherwise})"
