"""Read Pulumi.yaml and Pulumi.<stack>.yaml the way the engine does, without the engine."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import yaml

from cli.exits import Exit, MaasError
from cli.paths import ROOT
from sandbox.go_yaml import load

PROJECT_FILE = "Pulumi.yaml"
SANDBOX = "sandbox"
API_KEYS = "maas:apiKeys"
EXTENDS = "maas:extends"


def stack_file(stack: str, root: Path = ROOT) -> Path:
    """Where the settings of a stack are."""
    return root / f"Pulumi.{stack}.yaml"


def stack_names(root: Path = ROOT) -> list[str]:
    """The stacks that have a settings file, in alphabetical order."""
    return sorted(path.name.removeprefix("Pulumi.").removesuffix(".yaml") for path in root.glob("Pulumi.*.yaml"))


def read(path: Path) -> dict[str, Any]:
    """A YAML mapping; empty for an empty file.

    Raises:
        MaasError: The file is missing, is no YAML, or is no mapping.
    """
    try:
        content = load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        known = ", ".join(stack_names(path.parent)) or "none"
        raise MaasError(
            f"{path.name} does not exist. Stack files in {path.parent}: {known}.", code=Exit.USAGE
        ) from None
    except UnicodeDecodeError as error:
        raise MaasError(f"{path.name} is not UTF-8 text: {error}", code=Exit.CONFIG) from error
    except yaml.YAMLError as error:
        raise MaasError(f"{path.name} is not YAML: {error}", code=Exit.CONFIG) from error
    except RecursionError:
        raise MaasError(f"{path.name} nests too deep to be read.", code=Exit.CONFIG) from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise MaasError(f"{path.name} must be a mapping, not a {type(content).__name__}.", code=Exit.CONFIG)
    return cast("dict[str, Any]", content)


def stack_config(stack: str, root: Path = ROOT) -> tuple[dict[str, str], frozenset[str]]:
    """What the program would be given for a stack: defaults of Pulumi.yaml, then the stack file.

    Encrypted values cannot be read without the stack's passphrase and are not needed here: each becomes a placeholder
    that has the form of an API key. Where all keys are one encrypted text, which does not tell whose they are, and for
    the sandbox stack, whose keys are generated on `up`, every user has one.

    Returns:
        Values by full key (`maas:domain`; objects as JSON text), and the keys that hold a secret.

    Raises:
        MaasError: A file is missing, or is no YAML mapping, or holds what no setting can be.
    """
    project = read(root / PROJECT_FILE)
    name = str(project.get("name", "maas"))
    given = with_shared(full_keys(_config(stack_file(stack, root)), name), root)
    if stack == SANDBOX or is_secure(given.get(API_KEYS)):
        given = _with_a_key_for_each_user(given)
    values = {**_defaults(project, name), **given}
    secrets = frozenset(key for key, value in values.items() if has_secret(value))
    return {key: as_text(without_secrets(value, key)) for key, value in values.items()}, secrets


def _config(path: Path) -> dict[str, Any]:
    """What stands under `config:`, in values that JSON has.

    Raises:
        MaasError: See `read`; or it is something else.
    """
    config = cast("object", read(path).get("config"))
    if config is not None and not isinstance(config, Mapping):
        raise MaasError(f"{path.name}: config must be a mapping, not a {type(config).__name__}.", code=Exit.CONFIG)
    try:
        return cast("dict[str, Any]", _plain(cast("object", config or {}), "config", path.name))
    except RecursionError:
        raise MaasError(f"{path.name} refers to itself, or nests too deep to be read.", code=Exit.CONFIG) from None


def _plain(value: object, where: str, file: str) -> object:
    if isinstance(value, Mapping):
        mapping = cast("Mapping[object, object]", value)
        named = {key if isinstance(key, str) else json.dumps(key, default=str): each for key, each in mapping.items()}
        return {key: _plain(each, f"{where}.{key}", file) for key, each in named.items()}
    if isinstance(value, list):
        return [_plain(each, f"{where}[{at}]", file) for at, each in enumerate(cast("list[object]", value))]
    if value is None or isinstance(value, str | int | float):
        return value
    what = f"{where!r} is a {type(value).__name__}, which no setting can be"
    raise MaasError(f"{file}: {what}: write it without a tag.", code=Exit.CONFIG)


def full_keys(config: Mapping[str, Any], project: str) -> dict[str, Any]:
    """The same settings with each key in its namespace: `domain` means `maas:domain`."""
    return {key if ":" in key else f"{project}:{key}": value for key, value in config.items()}


def with_shared(config: Mapping[str, Any], root: Path = ROOT) -> dict[str, Any]:
    """A stack's settings by full key, over those of the files that it extends; see config/shared.py.

    A `null` that takes something away stays one, as the program does the same again.
    """
    if not config.get(EXTENDS):
        return dict(config)
    from config.shared import FOLDER, stacked  # noqa: PLC0415 - of the revision that is looked at, which may have none

    prefix = EXTENDS.removesuffix("extends")
    ours = {key.removeprefix(prefix): value for key, value in config.items() if key.startswith(prefix)}
    others = {key: value for key, value in config.items() if not key.startswith(prefix)}
    # A composed project folder has none: its program is this one.
    folder = root / FOLDER.name if (root / FOLDER.name).is_dir() else FOLDER
    return {**others, **{prefix + key: value for key, value in stacked(ours, folder).items()}}


def users_without_key(config: Mapping[str, Any]) -> list[str]:
    """The users of `maas:users` that `maas:apiKeys` says nothing of, in alphabetical order."""
    return sorted(users_of(config) - mapping(config.get(API_KEYS)).keys())


def users_of(config: Mapping[str, Any]) -> set[str]:
    """The names of the users of a stack."""
    return {name for name, user in mapping(config.get("maas:users")).items() if user is not None}


def mapping(value: object) -> Mapping[str, Any]:
    """The value when it is a mapping, else an empty one."""
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else {}


def is_secure(value: object) -> bool:
    """Whether a setting is one encrypted value."""
    found = mapping(value)
    return set(found) == {"secure"} and isinstance(found["secure"], str)


def has_secret(value: object) -> bool:
    """Whether a setting is, or holds, an encrypted value."""
    if isinstance(value, Mapping):
        mapping = cast("Mapping[str, object]", value)
        return is_secure(mapping) or any(has_secret(each) for each in mapping.values())
    if isinstance(value, list):
        return any(has_secret(each) for each in cast("list[object]", value))
    return False


def without_secrets(value: object, path: str) -> object:
    """A setting with a placeholder for each encrypted value in it."""
    if isinstance(value, Mapping):
        mapping = cast("Mapping[str, object]", value)
        if is_secure(mapping):
            return placeholder(path)
        return {key: without_secrets(each, f"{path}.{key}") for key, each in mapping.items()}
    if isinstance(value, list):
        return [without_secrets(each, f"{path}.{index}") for index, each in enumerate(cast("list[object]", value))]
    return value


def placeholder(path: str) -> str:
    """Stands for a secret: tells which, differs from every other, and passes for an API key."""
    return "placeholder-for-the-secret-value-of-" + re.sub(r"[^A-Za-z0-9.-]", ".", path)


def as_text(value: object) -> str:
    """A setting as the engine hands it over: text as it is, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


def _defaults(project: Mapping[str, Any], name: str) -> dict[str, Any]:
    """`default` of each declared key, `value` of keys of other namespaces, or the value itself in the short form."""
    declared = full_keys(project.get("config") or {}, name)
    result: dict[str, Any] = {}
    for key, entry in declared.items():
        if not isinstance(entry, Mapping):
            result[key] = entry
            continue
        declaration = cast("Mapping[str, Any]", entry)
        for form in ("default", "value"):
            if form in declaration:
                result[key] = declaration[form]
    return result


def _with_a_key_for_each_user(config: dict[str, Any]) -> dict[str, Any]:
    given = config.get(API_KEYS)
    keys = {} if is_secure(given) else dict(mapping(given))
    missing = users_of(config) - keys.keys()
    if not missing and not is_secure(given):
        return config
    return {**config, API_KEYS: keys | {user: {"secure": "generated"} for user in sorted(missing)}}
