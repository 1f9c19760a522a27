"""The models of a stack: read with every default, and changed in the stack file."""

import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import yaml

from cli.exits import Exit, MaasError
from cli.models.edit import difference, with_model, without_model
from cli.paths import ROOT
from cli.stacks.stackfile import PROJECT_FILE, mapping, stack_config, stack_file
from components.exports import exports
from config.models import PROFILES
from config.problems import ConfigError
from config.settings import NAMESPACE, Settings
from config.shared import FOLDER
from config.source import load as load_settings
from config.source import parsed
from sandbox.tools.files import write_whole

_STEP = re.compile(r'([A-Za-z0-9_-]+)|\["([^"]+)"\]')


@dataclass(frozen=True)
class Setting:
    """One value of a model, and who says so."""

    path: str
    value: object
    origin: str
    """`entry`, `profile <name>` or `default`."""


@dataclass(frozen=True)
class Entry:
    """One model of a stack."""

    name: str
    served_name: str
    url: str
    settings: tuple[Setting, ...]

    def value(self, path: str) -> object:
        """One of its settings; None when it has none of that path."""
        return next((each.value for each in self.settings if each.path == path), None)


def load(stack: str, root: Path = ROOT, shared: Path | None = None) -> tuple[Settings, Mapping[str, Any]]:
    """The settings of a stack, and its models as the stack file, and what it extends, have them.

    Args:
        stack: its name.
        root: where the stack file is.
        shared: where the files are that it extends; default: beside it.

    Raises:
        MaasError: The settings are refused.
    """
    values, secrets = stack_config(stack, root)
    encrypted = {key.removeprefix(f"{NAMESPACE}:") for key in secrets}
    folder = shared or root / FOLDER.name
    try:
        return load_settings(stack, values, encrypted, folder), mapping(parsed(values, folder).get("models"))
    except ConfigError as error:
        raise MaasError(str(error), code=Exit.CONFIG) from error


def entries(stack: str, root: Path = ROOT) -> list[Entry]:
    """Every model of a stack, in alphabetical order."""
    settings, written = load(stack, root)
    urls = exports(settings)["endpoints"]
    return [
        Entry(
            name,
            settings.served_name(name),
            urls[name],
            _settings(model.model_dump(mode="json", by_alias=True), mapping(written[name])),
        )
        for name, model in sorted(settings.models.items())
    ]


def entry_of(stack: str, name: str, root: Path = ROOT) -> Entry:
    """One model of a stack.

    Raises:
        MaasError: There is none of that name.
    """
    found = entries(stack, root)
    for each in found:
        if each.name == name:
            return each
    known = ", ".join(each.name for each in found) or "none"
    raise MaasError(f"Stack {stack} has no model {name}. It has: {known}.", code=Exit.USAGE)


def add(stack: str, name: str, entry: Mapping[str, Any], root: Path = ROOT, *, dry_run: bool = False) -> str:
    """Put a model into the stack file.

    Returns:
        The change, as a unified diff.

    Raises:
        MaasError: The settings with that model are refused, or the file cannot be edited.
    """
    return _change(stack, lambda text: with_model(text, name, entry), root, dry_run=dry_run)


def remove(stack: str, name: str, root: Path = ROOT, *, dry_run: bool = False) -> str:
    """Take a model out of the stack file; see `add`.

    Raises:
        MaasError: As `add`; or the model is not the stack file's, but of a file that it extends.
    """
    try:
        return _change(stack, lambda text: without_model(text, name), root, dry_run=dry_run)
    except MaasError as error:
        if error.code is not Exit.USAGE or name not in load(stack, root)[1]:
            raise
    message = (
        f"Model {name} is in a file that stack {stack} extends (maas:extends). Take it out there for every stack, or "
        f"for this one alone write {name}: null below maas:models in its own file."
    )
    raise MaasError(message, code=Exit.USAGE)


def with_settings(entry: Mapping[str, Any], assignments: Sequence[str]) -> dict[str, Any]:
    """An entry with more keys, each `path=value`: paths as Pulumi writes them, values as YAML.

    Raises:
        MaasError: One of them cannot be read.
    """
    result = dict(entry)
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        if '["' in path or "['" in path:  # a key in brackets may have an equals sign
            path, equals, text = assignment.rpartition("]=") if "]=" in assignment else (path, equals, text)
            path += "]" if equals == "]=" else ""
        steps = _steps(path)
        try:
            value = cast("object", yaml.safe_load(text))
        except yaml.YAMLError:
            steps = []
        else:
            _put(result, steps, value)
        if not equals or not steps:
            message = f"{assignment!r} is not key=value, such as gpu.count=2 or 'gpu.nodeSelector[\"zone\"]=a'."
            raise MaasError(message, code=Exit.USAGE)
    return result


def _steps(path: str) -> list[str]:
    steps: list[str] = []
    at = 0
    while at < len(path):
        if at and path[at] == ".":
            at += 1
        match = _STEP.match(path, at)
        if match is None:
            return []
        steps.append(match[1] or match[2])
        at = match.end()
    return steps


def _put(target: dict[str, Any], steps: Sequence[str], value: object) -> None:
    for step in steps[:-1]:
        below: object = target.get(step)
        target[step] = dict(cast("Mapping[str, Any]", below)) if isinstance(below, Mapping) else {}
        target = target[step]
    if steps:
        target[steps[-1]] = value


def _change(stack: str, edit: Callable[[str], str], root: Path, *, dry_run: bool) -> str:
    path = stack_file(stack, root).resolve()
    if not path.is_file():
        load(stack, root)  # says which stacks there are
    # As bytes: reading as text would make Windows' line ends others.
    old = path.read_bytes().decode("utf-8")
    new = edit(old)
    with tempfile.TemporaryDirectory() as folder:
        draft = Path(folder)
        (draft / PROJECT_FILE).write_bytes((root / PROJECT_FILE).read_bytes())
        stack_file(stack, draft).write_bytes(new.encode("utf-8"))
        load(stack, draft, root / FOLDER.name)
    if not dry_run:
        write_whole(path, new.encode("utf-8"), path.stat().st_mode & 0o777)
    return difference(old, new, path.name)


def _settings(effective: Mapping[str, Any], written: Mapping[str, Any]) -> tuple[Setting, ...]:
    name = str(written.get("profile", ""))
    profile: Mapping[str, Any] = PROFILES.get(name, {})
    found: list[Setting] = []

    def walk(value: object, path: tuple[str, ...]) -> None:
        if isinstance(value, Mapping) and value and not _has(written, path, whole=True):
            for key, each in cast("Mapping[str, Any]", value).items():
                walk(each, (*path, key))
        else:
            origin = "entry" if _has(written, path) else f"profile {name}" if _has(profile, path) else "default"
            found.append(Setting(_dotted(path), cast("object", value), origin))

    for key, value in effective.items():
        walk(value, (key,))
    return tuple(found)


def _has(value: Mapping[str, Any], path: Sequence[str], *, whole: bool = False) -> bool:
    """Whether something is written at a path; with `whole`, something that is no mapping itself."""
    here: object = value
    for step in path:
        below = mapping(here)
        if step not in below:
            return False
        here = below[step]
    return not (whole and isinstance(here, Mapping))


def _dotted(path: Sequence[str]) -> str:
    text = ""
    for step in path:
        text += (f".{step}" if text else step) if re.fullmatch(r"[A-Za-z0-9_-]+", step) else f'["{step}"]'
    return text
