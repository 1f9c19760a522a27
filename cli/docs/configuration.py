"""The reference of every key of a stack file, written out of the settings models."""

import ast
import inspect
import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, cast, get_args, get_origin, get_type_hints

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from cli.docs.markdown import inline
from cli.paths import ROOT
from config.gateway import Gateway
from config.identity import Expiry
from config.isolation import Cidr
from config.models.profiles import PROFILES
from config.observability import Prometheus
from config.platform import Profile, ServiceMesh
from config.settings import NAMESPACE, Settings
from config.values import Allowance, DnsLabel, Domain, Quantity, Rate, Window

EXAMPLES = ROOT / "docs" / "reference" / "examples"
"""A file for each section: YAML documents that together have each of its keys, each accepted as it is."""

_INTRODUCTION = """\
# Every key
What may be written under `config:` of `Pulumi.<stack>.yaml`: what each key is, what is allowed, its default, its
meaning, and an example. This page is generated from the program's own models by `./maas docs --write`.
[Configuration](../configuration.md) explains how things go together. A key that is not here is refused, with the one
that was probably meant.

| word | what it is |
|---|---|
"""

WORDS: Mapping[str, tuple[object, str]] = {
    "DNS label": (DnsLabel, "a-z, 0-9 and `-`, at most 63, starting and ending with a letter or digit"),
    "domain": (Domain, "DNS labels with dots between: no scheme, no port, no wildcard"),
    "duration": (Window, "whole numbers with `h`, `m` or `s`: `30s`, `2m`, `24h`; days are refused, as Kuadrant does"),
    "quantity": (Quantity, "of CPU or memory, as Kubernetes writes it: `500m`, `2`, `512Mi`, `12Gi`"),
    "rate": (Rate, "`5 per 2m`, or `{limit: 5, window: 2m}`; the window is a duration"),
    "allowance": (Allowance, "a rate, a list of rates with different windows, or `unlimited`"),
    "CIDR": (Cidr, "a range of addresses: `10.20.0.0/16`"),
    "time": (Expiry, "a date (`2027-12-31`, to its end in UTC) or a time with its zone (`2027-12-31T18:00:00+01:00`)"),
    "secret text": (SecretStr, "encrypted: `pulumi config set --secret --path ...`; in plain text it is refused"),
}

_BY_PROFILE: Mapping[str, Callable[[Profile], str]] = {
    "gateway.className": Gateway().class_on,
    "gateway.expose": Gateway().exposure_on,
    "observability.prometheus.url": Prometheus().url_on,
    "platform.serviceMesh.gatewayClass": lambda profile: (
        "managed" if ServiceMesh().class_managed_on(profile) else "existing"
    ),
}
"""Defaults that the platform's profile decides."""


@dataclass(frozen=True)
class Key:
    """One key of a stack file, with placeholders for names that users choose."""

    path: str
    """Without `maas:`, such as `tiers.<name>.requests`."""
    type: str
    """What it is, and what is allowed."""
    default: str
    meaning: str


def page() -> str:
    """The page, in Markdown."""
    words = "".join(f"| {word} | {text} |\n" for word, (_, text) in WORDS.items())
    sections = "".join(_section(alias, name) for alias, name in _sections())
    return f"{_INTRODUCTION}{words}{sections}{_profiles()}"


def every_key() -> Iterator[Key]:
    """Every key that can be written, in the order of the models."""
    for _, name in _sections():
        yield from _section_keys(name)


def _sections() -> Iterator[tuple[str, str]]:
    for name, field in Settings.model_fields.items():
        yield field.alias or name, name


def _section(alias: str, name: str) -> str:
    found = list(_section_keys(name))
    lines = [f"\n## `{NAMESPACE}:{alias}`\n{_meaning(Settings, name, _hint(Settings, name))}\n"]
    if found:
        lines.append("\n| key | what it is | default | meaning |\n|---|---|---|---|\n")
        lines += [f"| `{each.path}` | {each.type} | {each.default} | {each.meaning} |\n" for each in found]
    example = EXAMPLES / f"{alias}.yaml"
    if example.is_file():
        lines.append(f"\n```yaml\n{example.read_text(encoding='utf-8').rstrip()}\n```\n")
    return "".join(lines)


def _section_keys(name: str) -> Iterator[Key]:
    field, hint = Settings.model_fields[name], _hint(Settings, name)
    alias = field.alias or name
    below = list(_below(hint, alias))
    if below:
        yield from below
    else:
        yield Key(alias, _type(hint, field), _default(alias, field, hint), _meaning(Settings, name, hint))


def _below(hint: object, path: str) -> Iterator[Key]:
    """The keys below a place whose value has the type."""
    bare = _bare(hint)
    if (model := _as_model(bare)) and not _word(bare):
        for name, field in model.model_fields.items():
            here, inner = f"{path}.{field.alias or name}", _hint(model, name)
            yield Key(here, _type(inner, field), _default(here, field, inner), _meaning(model, name, inner))
            yield from _below(inner, here)
    elif _is_mapping(bare):
        yield from _below(get_args(bare)[1], f"{path}.<name>")
    elif _is_list(bare):
        yield from _below(get_args(bare)[0], f"{path}[]")


def _hint(model: type[BaseModel], name: str) -> object:
    return get_type_hints(model, include_extras=True)[name]


def _is_mapping(hint: object) -> bool:
    return get_origin(hint) is dict


def _is_list(hint: object) -> bool:
    return get_origin(hint) in {list, tuple, frozenset}


def _as_model(hint: object) -> type[BaseModel] | None:
    return hint if isinstance(hint, type) and issubclass(hint, BaseModel) else None


def _as_words(hint: object) -> type[Enum] | None:
    return hint if isinstance(hint, type) and issubclass(hint, Enum) else None


def _word(hint: object) -> str:
    """The word of this page for a type; empty when it has none."""
    for word, (type_, _) in WORDS.items():
        if hint == type_:
            return word
    return ""


def _bare(hint: object) -> object:
    """A type without `| None` and without what validators add, down to a model, a mapping, a list or a word."""
    if _word(hint):
        return hint
    if get_origin(hint) is Annotated:
        return _bare(get_args(hint)[0])
    if get_origin(hint) in {UnionType, Union}:
        return _bare(next(each for each in get_args(hint) if each is not NoneType))
    return hint


def _type(hint: object, field: FieldInfo | None = None) -> str:
    """What may be written, in words."""
    if word := _word(hint):
        return word
    rules = list(field.metadata) if field else []
    if get_origin(hint) is Annotated:
        inner, *extras = get_args(hint)
        rules += [rule for each in extras for rule in (each.metadata if isinstance(each, FieldInfo) else [each])]
        return _with_rules(_type(inner), rules)
    if get_origin(hint) in {UnionType, Union}:
        return _with_rules(_type(next(each for each in get_args(hint) if each is not NoneType)), rules)
    return _with_rules(_plain_type(hint), rules)


def _plain_type(hint: object) -> str:
    arguments = get_args(hint)
    if get_origin(hint) is Literal:
        return ", ".join(f"`{each}`" for each in arguments)
    if _is_mapping(hint):
        return f"mapping of {_type(arguments[0])} to {_type(arguments[1])}"
    if _is_list(hint):
        return f"list of {_type(arguments[0])}"
    if words := _as_words(hint):
        return ", ".join(f"`{each.value}`" for each in words)
    return "mapping, below" if _as_model(hint) else _SIMPLE.get(cast("type", hint), "anything")


_SIMPLE: Mapping[type, str] = {
    str: "text", bool: "`true`, `false`", int: "whole number", float: "number", Decimal: "number",
}  # fmt: skip


def _with_rules(text: str, rules: list[Any]) -> str:
    """The type with its bounds: pydantic keeps them as objects with one of these attributes."""
    words = {"ge": "at least {}", "gt": "more than {}", "le": "at most {}", "pattern": "like `{}`"}
    found = [
        form.format(str(getattr(rule, name)).replace("|", "\\|"))
        for rule in rules
        for name, form in words.items()
        if getattr(rule, name, None) is not None
    ]
    return ", ".join(dict.fromkeys([text, *found]))


def _default(path: str, field: FieldInfo, hint: object) -> str:
    if path in _BY_PROFILE:
        by = _BY_PROFILE[path]
        return f"`{by(Profile.KUBERNETES)}`, on OpenShift `{by(Profile.OPENSHIFT)}`"
    value: object = _made(field) if field.default_factory else field.get_default()
    if value is PydanticUndefined or value is _REQUIRED:
        return "**required**"
    if _as_model(_bare(hint)) and not _word(_bare(hint)):
        return "none" if value is None else ""
    return f"`{written}`" if (written := _written(value)) else "none"


_REQUIRED = object()


def _made(field: FieldInfo) -> object:
    """What a default's factory makes; a factory that gives nothing stands for a key that must be written."""
    made = cast("Callable[[], object]", field.default_factory)()
    return _REQUIRED if made is None else made


def _written(value: object) -> str:
    """A default as the stack file would have it; empty for nothing."""
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, BaseModel):
        return "{" + ", ".join(f"{field.alias or name}: {_written(getattr(value, name)) or 'none'}"
                               for name, field in type(value).model_fields.items()
                               if getattr(value, name) is not None) + "}"  # fmt: skip
    if isinstance(value, dict):
        entries = cast("dict[object, object]", value)
        return "{" + ", ".join(f"{key}: {_written(each)}" for key, each in entries.items()) + "}" if entries else ""
    if isinstance(value, list | tuple):
        items = cast("list[object]", value)
        return "[" + ", ".join(_written(each) for each in items) + "]" if items else ""
    return "" if value is None else str(value)


def _meaning(model: type[BaseModel], name: str, hint: object) -> str:
    """What the key means: its own words, or those of its type, and what each of a few words stands for."""
    bare = _bare(hint)
    while _is_mapping(bare) or _is_list(bare):
        bare = _bare(get_args(bare)[1 if _is_mapping(bare) else 0])
    owner, words = _as_model(bare), _as_words(bare)
    text = _attributes(model).get(name, "") or inspect.getdoc(owner or words or _Nothing) or ""
    if words:
        described = _attributes(words)
        text += "".join(f" `{each.value}`: {described[each.name]}" for each in words if each.name in described)
    return inline(text)


class _Nothing:
    __doc__ = ""


@cache
def _attributes(owner: type) -> Mapping[str, str]:
    """The words below the attributes of a class and of those that it is made from."""
    found: dict[str, str] = {}
    for each in reversed(owner.__mro__):
        if each.__module__.partition(".")[0] not in {"config", "policy"}:
            continue
        tree = _tree(inspect.getsourcefile(each) or "")
        body = next(node.body for node in tree.body if isinstance(node, ast.ClassDef) and node.name == each.__name__)
        for statement, after in itertools.pairwise(body):
            match statement, after:
                case (
                    (ast.AnnAssign(target=ast.Name(id=name)) | ast.Assign(targets=[ast.Name(id=name)])),
                    ast.Expr(value=ast.Constant(value=str(text))),
                ):
                    found[name] = text
                case _:
                    pass
    return found


@cache
def _tree(path: str) -> ast.Module:
    return ast.parse(Path(path).read_text(encoding="utf-8"))


def _profiles() -> str:
    """What each profile of models sets."""
    names = sorted({key for profile in PROFILES.values() for key in profile})
    lines = [
        "\n## Profiles of models\nWhat `models.<name>.profile` fills in; whatever an entry says itself wins.\n",
        f"\n| profile | {' | '.join(f'`{name}`' for name in names)} |\n|{'---|' * (len(names) + 1)}\n",
    ]
    for profile, values in PROFILES.items():
        cells = [f"`{_written(values[name])}`" if name in values else "" for name in names]
        lines.append(f"| `{profile}` | {' | '.join(cells)} |\n")
    return "".join(lines)
