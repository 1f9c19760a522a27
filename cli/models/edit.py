"""Puts entries such as a model or a user into a stack file and takes them out, touching no other character of it.

No YAML library writes a file back as its author laid it out: aligned columns, quotes and blank lines go. So the parser
only says where things are, and the text is changed there. Whether the result means what it should is checked by
reading it again.
"""

import copy
import difflib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import yaml

from cli.exits import Exit, MaasError
from config.migrations import Change, Replace, apply
from config.settings import NAMESPACE
from sandbox.go_yaml import load

_MODELS = "models"
_WIDEST = 120
"""Longest line that is still written as one mapping in braces."""
_BREAK = re.compile(r"\r\n|\r|\n")
_PLAIN = re.compile(r"[A-Za-z_/][A-Za-z0-9_./+@%=:-]*(?<!:)")
_NOT_TEXT = frozenset({"true", "false", "yes", "no", "on", "off", "y", "n", "null"})
"""Words that some version of YAML takes for something else than text."""


@dataclass(frozen=True)
class _Node:
    """A value of the file: where it is, and what is in it when it is a mapping."""

    begin: int
    end: int
    """Behind its last character, comments and line breaks after it aside."""
    inside: int
    """Behind the brace that opens it, when it has one."""
    flow: bool = False
    """Written in braces."""
    entries: tuple["_Entry", ...] = ()
    is_mapping: bool = False
    is_alias: bool = False

    def get(self, *names: str) -> "_Entry | None":
        return next((each for each in self.entries if each.name in names), None)


@dataclass(frozen=True)
class _Entry:
    """One key of a mapping and its value."""

    name: str
    begin: int
    key_end: int
    value: _Node

    @property
    def end(self) -> int:
        return max(self.key_end, self.value.end)


def with_model(text: str, name: str, entry: Mapping[str, Any]) -> str:
    """The stack file with one more model; see `with_entries`."""
    return with_entries(text, _MODELS, {name: entry})


def without_model(text: str, name: str) -> str:
    """The stack file without a model: what `with_model` has added, taken away again.

    Raises:
        MaasError: There is no such model, or the file is laid out so that it has to be edited by hand.
    """
    catalogue = _config(text).get(*_keys(_MODELS))
    entry = catalogue.value.get(name) if catalogue else None
    if catalogue is None or entry is None:
        raise MaasError(f"There is no model {name}.", code=Exit.USAGE)
    models = catalogue.value
    if models.flow:
        position = models.entries.index(entry)
        begin, end = entry.begin, entry.end
        if position:
            begin = models.entries[position - 1].end
        elif len(models.entries) > 1:
            end = models.entries[1].begin
        return _checked(text, text[:begin] + text[end:], _MODELS, {}, without=name)
    result = _without_lines(text, entry.begin, entry.end)
    if len(models.entries) == 1:  # a key with nothing below it would be no mapping
        result = _without_lines(result, catalogue.begin, catalogue.key_end)
    return _checked(text, result, _MODELS, {}, without=name)


def with_entries(text: str, section: str, entries: Mapping[str, Mapping[str, Any]]) -> str:
    """The stack file with more entries in a section, such as `users`, written like their neighbours.

    Raises:
        MaasError: There is an entry of one of the names, or the file is laid out so that it has to be edited by hand.
    """
    if not entries:
        return text
    config = _config(text)
    found = config.get(*_keys(section))
    if found is None:
        return _checked(text, _with_section(text, config, section, entries), section, entries)
    here = found.value
    if not here.is_mapping:
        raise MaasError(f"{found.name} is not a mapping: edit the stack file.", code=Exit.CONFIG)
    if taken := sorted(name for name in entries if here.get(name)):
        names = f"{section.removesuffix('s')} {', '.join(taken)}"
        raise MaasError(f"There is a {names} already. Take it out first, or edit the stack file.", code=Exit.USAGE)
    if here.flow:
        new = ", ".join(f"{_flow(name)}: {_flow(entry)}" for name, entry in entries.items())
        at, new = (here.entries[-1].end, f", {new}") if here.entries else (here.inside, new)
        return _checked(text, text[:at] + new + text[at:], section, entries)
    indent = _column(text, here.entries[0].begin)
    lines = [line for name, entry in entries.items() for line in _lines(name, entry, indent, here, text)]
    return _checked(text, _inserted(text, here.end, lines), section, entries)


def with_setting(text: str, section: str, value: Mapping[str, str]) -> str:
    """The stack file with a section set to a mapping of texts, such as `{secure: <encrypted>}`, whatever it was before.

    Raises:
        MaasError: The file is laid out so that it has to be edited by hand.
    """
    config = _config(text)
    found = config.get(*_keys(section))
    if config.flow:
        raise MaasError("config is written in braces: write it with a line for each key first.", code=Exit.CONFIG)
    indent = _column(text, config.entries[0].begin)
    margin = " " * indent
    lines = [f"{margin}{NAMESPACE}:{section}:", *(f"{margin}  {key}: {_flow(each)}" for key, each in value.items())]
    if found is None:
        result = _inserted(text, config.end, lines)
    else:
        start, newline = _line_start(text, found.begin), _newline(text)
        rest = _without_lines(text, found.begin, found.end)
        ended = start and start > len(rest)  # it was the last, and its file has no line end at its end
        block = newline.join(lines)
        result = rest + newline + block if ended else rest[:start] + block + newline + rest[start:]
    return _checked_setting(text, result, section, value)


def with_first_setting(text: str, key: str, value: int) -> str:
    """The stack file with a number for a key; where there was none, before all other settings.

    Raises:
        MaasError: The file is laid out so that it has to be edited by hand.
    """
    config = _config(text)
    found = config.get(*_keys(key))
    if found is not None:
        result = text[: found.value.begin] + str(value) + text[found.value.end :]
    elif config.flow:
        result = f"{text[: config.inside]}{NAMESPACE}:{key}: {value}, {text[config.inside :]}"
    else:
        first = config.entries[0].begin
        margin = " " * _column(text, first)
        result = f"{text[:first]}{NAMESPACE}:{key}: {value}{_newline(text)}{margin}{text[first:]}"
    return _same_but(text, result, lambda values: {**values, key: value})


def changed(text: str, change: Change) -> str:
    """The stack file with a change of a migration made, and nothing else.

    Raises:
        MaasError: The file is laid out so that it has to be edited by hand.
    """
    place, entry = _config(text), None
    for number, key in enumerate(change.path):
        entry = place.get(*(_keys(key) if number == 0 else (key,)))
        if entry is None or (entry.value.is_alias and number < len(change.path) - 1):
            break
        place = entry.value
    else:
        if entry is not None:
            return _same_but(text, _spliced(text, entry, change), lambda values: _after(values, change))
    raise _by_hand(".".join(change.path))


def _spliced(text: str, entry: _Entry, change: Change) -> str:
    if isinstance(change, Replace):
        begin, end, value = entry.value.begin, entry.value.end, _flow(change.value)
        own_lines = _BREAK.search(text, entry.key_end, begin)
        if own_lines is None:
            return text[:begin] + value + text[end:]
        colon = text.index(":", entry.key_end) + 1
        return f"{text[:colon]} {value}{text[colon : own_lines.start()]}{text[end:]}"
    name = f"{NAMESPACE}:{change.name}" if len(change.path) == 1 else change.name
    return text[: entry.begin] + _flow(name) + text[entry.key_end :]


def _after(values: Mapping[str, Any], change: Change) -> dict[str, Any]:
    result = copy.deepcopy(dict(values))
    apply(result, change)
    return result


def _same_but(old: str, new: str, expected: Callable[[Mapping[str, Any]], Mapping[str, Any]]) -> str:
    """The new text, if its settings are what is expected of the old ones, and all else is the same."""
    by_hand = _by_hand("config")
    try:
        before, after = _read(old), _read(new)
        was, now = (_plain_keys(each.pop("config")) for each in (before, after))
        same = before == after and now == expected(was)
    except (yaml.YAMLError, TypeError, KeyError, RecursionError):
        raise by_hand from None
    if not same:
        raise by_hand
    return new


def _plain_keys(config: Mapping[str, Any]) -> dict[str, Any]:
    return {key.removeprefix(f"{NAMESPACE}:"): value for key, value in config.items()}


def _by_hand(what: str) -> MaasError:
    message = f"The stack file is laid out so that {what} cannot be changed safely: edit it by hand."
    return MaasError(message, code=Exit.CONFIG)


def difference(old: str, new: str, name: str) -> str:
    """What changes in a file, as a unified diff."""
    lines = difflib.unified_diff(old.splitlines(), new.splitlines(), name, name, lineterm="", n=2)
    return "\n".join(lines)


def with_root_keys(text: str, values: Mapping[str, str]) -> str:
    """The stack file with what the engine keeps beside `config`, such as `encryptionsalt`; what is there stays."""
    root = _parse(text)
    missing = {key: value for key, value in values.items() if root is None or root.get(key) is None}
    if not missing:
        return text
    newline = _newline(text)
    if text and not _BREAK.search(text[-1]):
        text += newline
    return text + "".join(f"{key}: {_flow(value)}{newline}" for key, value in missing.items())


def _keys(section: str) -> tuple[str, str]:
    """A section's key, in full and as the engine allows it in this project's own stack files."""
    return f"{NAMESPACE}:{section}", section


def _with_section(text: str, config: _Node, section: str, entries: Mapping[str, Mapping[str, Any]]) -> str:
    if config.flow:
        raise MaasError(f"config is written in braces: add {_keys(section)[0]}: {{}} to it first.", code=Exit.CONFIG)
    indent = _column(text, config.entries[0].begin)
    lines = [" " * indent + f"{_keys(section)[0]}:"]
    for name, entry in entries.items():
        lines += _lines(name, entry, indent + 2, None, text)
    return _inserted(text, config.end, lines)


def _lines(name: str, entry: Mapping[str, Any], indent: int, models: _Node | None, text: str) -> list[str]:
    """The entry as its neighbours are written: in braces on one line, in their column, or a line for each key."""
    neighbours = models.entries if models else ()
    key, margin = f"{_flow(name)}:", " " * indent
    columns = {_column(text, each.value.begin) for each in neighbours if each.value.end > each.key_end}
    column = columns.pop() - indent if len(columns) == 1 and len(neighbours) > 1 else 0
    in_braces = all(each.value.flow for each in neighbours)
    one_line = f"{margin}{key.ljust(column - 1)} {_flow(entry)}"
    if in_braces and len(one_line) <= _WIDEST:
        return [one_line]
    return [margin + key, *(f"{margin}  {_flow(each)}: {_flow(value)}" for each, value in entry.items())]


def _flow(value: object) -> str:
    """A value on one line, as people write it: quotes only where they are needed."""
    if isinstance(value, Mapping):
        mapping = cast("Mapping[object, object]", value)
        return "{" + ", ".join(f"{_flow(key)}: {_flow(each)}" for key, each in mapping.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_flow(each) for each in cast("list[object]", value)) + "]"
    if isinstance(value, str):
        return value if _PLAIN.fullmatch(value) and value.lower() not in _NOT_TEXT else _quoted(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    text = "null" if value is None else str(value)
    # Without a point YAML 1.1 takes an exponent for text.
    return text.replace("e", ".0e") if isinstance(value, float) and "." not in text else text


def _quoted(value: str) -> str:
    escaped = "".join(
        {'"': '\\"', "\\": "\\\\"}.get(each, each) if each.isprintable() else f"\\U{ord(each):08x}" for each in value
    )
    return f'"{escaped}"'


def _inserted(text: str, behind: int, lines: list[str]) -> str:
    """Lines after the line that a position is in. A file whose last line has no end keeps it so."""
    newline = _newline(text)
    ending = _BREAK.search(text, behind)
    if ending is None:
        return text + "".join(newline + each for each in lines)
    at = ending.end()
    return text[:at] + "".join(each + newline for each in lines) + text[at:]


def _newline(text: str) -> str:
    return found[0] if (found := _BREAK.search(text)) else "\n"


def _without_lines(text: str, begin: int, end: int) -> str:
    """Take the lines away that two positions are in, and those between them."""
    start = _line_start(text, begin)
    ending = _BREAK.search(text, end)
    if ending is not None:
        return text[:start] + text[ending.end() :]
    return re.sub(r"(\r\n|\r|\n)\Z", "", text[:start])


def _line_start(text: str, position: int) -> int:
    return max((each.end() for each in _BREAK.finditer(text, 0, position)), default=0)


def _column(text: str, position: int) -> int:
    return position - _line_start(text, position)


def _checked(
    old: str, new: str, section: str, entries: Mapping[str, Mapping[str, Any]], *, without: str | None = None
) -> str:
    """The new text, if it differs in those entries and in nothing else."""
    names = ", ".join(entries) or without
    by_hand = MaasError(
        f"The stack file is laid out so that {section.removesuffix('s')} {names} cannot be put in or taken out safely: "
        "edit it by hand.",
        code=Exit.CONFIG,
    )
    was, now = _apart(old, new, section, by_hand)
    expected = {key: value for key, value in was.items() if key != without}
    if now != expected | {name: dict(entry) for name, entry in entries.items()}:
        raise by_hand
    return new


def _checked_setting(old: str, new: str, section: str, value: Mapping[str, str]) -> str:
    """The new text, if it has that section so and differs in nothing else."""
    message = f"The stack file is laid out so that {NAMESPACE}:{section} cannot be set safely: edit it by hand."
    by_hand = MaasError(message, code=Exit.CONFIG)
    if _apart(old, new, section, by_hand)[1] != value:
        raise by_hand
    return new


def _apart(old: str, new: str, section: str, by_hand: MaasError) -> tuple[dict[str, Any], dict[str, Any]]:
    """A section before and after, when all else is the same.

    Raises:
        MaasError: `by_hand`.
    """
    try:
        before, after = _read(old), _read(new)
        parts = _taken_out(before, _keys(section)), _taken_out(after, _keys(section))
        same = before == after
    except (yaml.YAMLError, TypeError, RecursionError):  # what is left is no YAML, or no mapping, or has no end
        raise by_hand from None
    if not same:
        raise by_hand
    return parts


def _read(text: str) -> dict[str, Any]:
    return cast("dict[str, Any]", load(text))


def _taken_out(content: dict[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    """A section, which is taken out of the content."""
    config = cast("dict[str, Any]", content["config"])
    found = [cast("dict[str, Any] | None", config.pop(key)) for key in keys if key in config]
    return (found[0] or {}) if found else {}


def _config(text: str) -> _Node:
    """The mapping `config` of a stack file.

    Raises:
        MaasError: The file is no YAML, or has no such mapping.
    """
    try:
        root = _parse(text)
    except yaml.YAMLError as error:
        raise MaasError(f"The stack file is not YAML: {error}", code=Exit.CONFIG) from error
    except RecursionError:
        raise MaasError("The stack file nests too deep to be read.", code=Exit.CONFIG) from None
    found = root.get("config") if root else None
    if found is None or not found.value.entries:
        raise MaasError("The stack file has no settings yet: it needs config: with maas:domain.", code=Exit.CONFIG)
    return found.value


def _parse(text: str) -> _Node | None:
    """The file's mappings with their places; None when it is empty.

    From the events of the parser that reads the settings, and not its nodes, so that an alias is where it is written.
    """
    # The parser does not count a byte order mark; an empty line in its place keeps all others where they are.
    events = yaml.parse(re.sub("\\A\ufeff", "\n", text), Loader=yaml.CSafeLoader)
    for event in events:
        if isinstance(event, yaml.NodeEvent):
            return _node(event, events, text)
    return None


def _node(event: yaml.NodeEvent, events: Iterator[yaml.Event], text: str) -> _Node:
    begin, end = _index(event.start_mark), _index(event.end_mark)
    if isinstance(event, yaml.MappingStartEvent):
        entries: list[_Entry] = []
        while not isinstance(key := next(events), yaml.MappingEndEvent):
            name = str(key.value) if isinstance(key, yaml.ScalarEvent) else ""
            where = _node(cast("yaml.NodeEvent", key), events, text)
            value = _node(cast("yaml.NodeEvent", next(events)), events, text)
            entries.append(_Entry(name, where.begin, where.end, value))
        # A block has no end of its own: the parser gives it the place where the next thing begins.
        last = _index(key.end_mark) if event.flow_style else max((each.end for each in entries), default=end)
        return _Node(begin, last, end, bool(event.flow_style), tuple(entries), is_mapping=True)
    if isinstance(event, yaml.SequenceStartEvent):
        last = end
        while not isinstance(item := next(events), yaml.SequenceEndEvent):
            last = _node(cast("yaml.NodeEvent", item), events, text).end
        return _Node(begin, _index(item.end_mark) if event.flow_style else last, end)
    if isinstance(event, yaml.ScalarEvent) and event.style in {"|", ">"}:
        return _Node(begin, begin + len(re.sub(r"(\r\n|\r|\n)\Z", "", text[begin:end])), end)
    return _Node(begin, end, end, is_alias=isinstance(event, yaml.AliasEvent))


def _index(mark: object) -> int:
    """How many characters are before a mark."""
    return int(cast("yaml.Mark", mark).index)
