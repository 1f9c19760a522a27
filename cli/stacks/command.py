"""`./maas stack`: one stack per cluster, and what there is of them."""

import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import yaml
from rich.table import Table

from cli.deploy.target import of_sandbox, of_stack
from cli.exits import Exit, MaasError
from cli.models.catalogue import load
from cli.paths import ROOT
from cli.stacks import drift
from cli.stacks.stackfile import (
    SANDBOX,
    full_keys,
    has_secret,
    mapping,
    read,
    stack_file,
    stack_names,
    users_of,
    with_shared,
)
from cli.stacks.typed import typed
from components.operators.catalogue import DECLARATIONS, offered
from config.platform import Install
from config.settings import Settings
from config.values import Domain
from sandbox.instance import Sandbox, home_folder

_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$")
_OF_ONE_STACK = ("encryptionsalt", "encryptedkey", "secretsprovider")
"""What encrypts the values of one stack, and must not encrypt another's."""
_KEYS = ("maas:apiKeys", "apiKeys")
_CLUSTER = ("maas:cluster", "cluster")
"""Which cluster a stack is on: in a copy it would lead to the other's."""


@dataclass(frozen=True)
class Row:
    """One stack of this project, from its file and, where that is a folder, its backend."""

    stack: str
    profile: str
    domain: str
    context: str
    protected: bool
    models: int
    users: int
    versions: Mapping[str, str]
    """What the stack installs of each operator, or who else does; empty when its settings are refused."""
    secrets: str
    """What encrypts its secrets."""
    deployed: str
    """When its state was last written, in UTC; empty when its state is elsewhere, or not there yet."""
    drift: str
    """Whether its cluster was as its state says, when somebody last looked; empty when that is not known here."""


UNKNOWN = "unknown"
_IN_TABLE = ("kserve", "kuadrant")
"""The operators that a row of the table has room for; JSON has all."""


def rows(root: Path = ROOT) -> list[Row]:
    """The stacks that have a file, in alphabetical order."""
    return [_row(name, root) for name in stack_names(root)]


def look(found: Iterable[Row], refresh: Callable[[str], object]) -> Iterator[str]:
    """Have each stack that was deployed from here compared with its cluster; yields a sentence for each that was not.

    Args:
        found: the stacks.
        refresh: compares one, and remembers what it found; whatever it raises as MaasError is told.
    """
    for each in found:
        if not each.deployed:
            yield f"{each.stack}: its state is not in a folder here; look with its own backend: ./maas refresh"
            continue
        try:
            refresh(each.stack)
        except MaasError as error:
            yield f"{each.stack}: {error}"


def versions(settings: Settings) -> dict[str, str]:
    """The version of each operator that a stack installs; `preinstalled` for those that are there already."""
    platform, found = settings.platform, dict[str, str]()
    for declaration in DECLARATIONS:
        operator = declaration.of(platform)
        match operator.install:
            case Install.PREINSTALLED:
                version = operator.install.value
            case Install.HELM:
                version = operator.version or (declaration.charts.version if declaration.charts else "")
            case Install.OLM:
                offer = offered(declaration, platform)
                version = operator.version or offer.version or f"channel {operator.channel or offer.channel}"
        found[declaration.key] = version.removeprefix("v")
    return found


def new_text(text: str, domain: str, context: str) -> str:
    """The stack file of another cluster, made from this one: its domain, its context, and none of its secrets.

    Raises:
        MaasError: The domain is none; the file has encrypted values elsewhere than in apiKeys, or has to be copied by
            hand.
    """
    typed(Domain, domain, "--domain")
    text = without_secrets(text, (*_KEYS, *_CLUSTER))
    if secret := still_secret(text):
        raise MaasError(
            f"{', '.join(secret)}: encrypted for the other stack. Take it out, copy, and set it anew.", code=Exit.USAGE
        )

    def ours(match: re.Match[str]) -> str:
        cluster = f"\n{match['indent']}maas:cluster: {{context: {json.dumps(context)}}}" if context else ""
        return f"{match['indent']}{match['key']}{domain}{match['rest']}{cluster}"

    line = r"(?m)^(?P<indent>[ ]+)(?P<key>(?:maas:)?domain:[ ]+)[^\s#]+(?P<rest>.*)$"
    text, found = re.subn(line, ours, text)
    if found != 1:
        raise MaasError("The file has no line 'maas:domain: ...' of its own: copy it by hand.", code=Exit.USAGE)
    return text


def without_secrets(text: str, keys: Collection[str] = _KEYS) -> str:
    """A stack file without its API keys, and without what encrypts; every other byte is as it was.

    Args:
        text: the file.
        keys: what goes of its settings.
    """
    for first, last in sorted(_without(text, keys), reverse=True):
        text = "".join(line for number, line in enumerate(text.splitlines(keepends=True)) if not first <= number < last)
    return text


def still_secret(text: str) -> list[str]:
    """The settings of a stack file that have encrypted values."""
    config = full_keys(mapping(cast("dict[str, Any]", yaml.safe_load(text)).get("config")), "maas")
    return [key for key, value in config.items() if has_secret(value)]


def create(name: str, source: str, domain: str, context: str, root: Path = ROOT) -> Path:
    """Write the file of a new stack, as a copy of another's; says where it is.

    Raises:
        MaasError: The name is taken or none, or the other's file cannot be copied.
    """
    target = stack_file(name, root)
    if not _NAME.match(name):
        raise MaasError(f"{name!r} is no name of a stack: letters, digits and - _ . only.", code=Exit.USAGE)
    if target.exists():
        raise MaasError(f"{target.name} is there already.", code=Exit.USAGE)
    read(stack_file(source, root))  # says which stacks there are
    text = new_text(stack_file(source, root).read_text(encoding="utf-8"), domain, context)
    target.write_text(text, encoding="utf-8")
    return target


def table(found: list[Row]) -> Table:
    """For people."""
    shown = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("stack", "cluster", "domain", "versions", "models", "users", "protected", "last update", "drift"):
        shown.add_column(heading, overflow="fold")
    for each in found:
        shown.add_row(
            each.stack,
            f"{each.profile}, {each.context}" if each.context else each.profile,
            each.domain,
            "\n".join(f"{name} {each.versions[name]}" for name in _IN_TABLE if name in each.versions) or "refused",
            str(each.models),
            str(each.users),
            "yes" if each.protected else "-",
            each.deployed or UNKNOWN,
            each.drift or UNKNOWN,
        )
    return shown


def as_json(found: list[Row]) -> str:
    """The table for a program."""
    return json.dumps({"result": "succeeded", "stacks": [asdict(each) for each in found]}, indent=2)


def _without(text: str, keys: Collection[str]) -> Iterator[tuple[int, int]]:
    """The lines of what belongs to one stack alone: first, and the one behind the last."""
    for name, first, last in _entries(text, yaml.compose(text)):
        if name in _OF_ONE_STACK:
            yield first, last
        if name == "config":
            root = cast("yaml.MappingNode", yaml.compose(text))
            section = next(value for key, value in root.value if key.value == "config")
            yield from ((a, b) for key, a, b in _entries(text, section) if key in keys)


def _entries(text: str, node: object) -> Iterator[tuple[str, int, int]]:
    if not isinstance(node, yaml.MappingNode):
        return
    pairs = cast("list[tuple[yaml.Node, yaml.Node]]", node.value)
    ends = [key.start_mark.line for key, _ in pairs[1:]] + [_behind(text, pairs[-1][1])] if pairs else []
    for (key, _), end in zip(pairs, ends, strict=True):
        yield str(key.value), key.start_mark.line, end


def _behind(text: str, node: yaml.Node) -> int:
    """The line behind a value; a block ends where the next line begins."""
    mark = node.end_mark
    at_start = mark.column == 0 and mark.line > node.start_mark.line
    return min(mark.line if at_start else mark.line + 1, len(text.splitlines()))


def _row(name: str, root: Path) -> Row:
    try:
        content = read(stack_file(name, root))
    except MaasError:  # what cannot be read has a row that says so
        content = {}
    config = with_shared(full_keys(mapping(content.get("config")), "maas"), root)
    platform, cluster = mapping(config.get("maas:platform")), mapping(config.get("maas:cluster"))
    return Row(
        stack=name,
        profile=str(platform.get("profile", "kubernetes")),
        domain=str(config.get("maas:domain", "")),
        context=str(cluster.get("context", "")),
        protected=mapping(config.get("maas:policy")).get("protected") is True,
        models=len(mapping(config.get("maas:models"))),
        users=len(users_of(config)),
        versions=_versions(name, root),
        secrets=str(content.get("secretsprovider") or "passphrase").split(":", 1)[0],
        deployed=_deployed(name),
        drift=str(drift.last(name) or ""),
    )


def _versions(name: str, root: Path) -> dict[str, str]:
    try:
        return versions(load(name, root)[0])
    except MaasError:  # ./maas policy or diff say what is wrong with it; a table of all stacks goes on
        return {}


def _deployed(name: str) -> str:
    try:
        if name == SANDBOX and not (home_folder() / SANDBOX).is_dir():
            return ""
        backend = (of_sandbox(Sandbox.open(SANDBOX)) if name == SANDBOX else of_stack(name)).backend
        if backend is None or not backend.exists:
            return ""
        state = json.loads(backend.snapshot.read_text(encoding="utf-8"))
        return str(state["checkpoint"]["latest"]["manifest"]["time"])[:19] + "Z"
    except (MaasError, OSError, ValueError, KeyError, TypeError):
        return ""
