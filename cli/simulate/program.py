"""The objects and the outputs of a stack, as the program makes them.

Call: `python -m cli.simulate.program <tree>`. So it does the same for another tree of this repository, with that
tree's program: it reads what it is asked for as JSON from stdin.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from cli.paths import ROOT
from cli.program.elsewhere import step_into
from cli.program.recorder import record
from cli.stacks.stackfile import placeholder, stack_config

USERS, KEYS, IDENTITY = "maas:users", "maas:apiKeys", "maas:identity"


def made(stack: str, users: Mapping[str, str], settings: Mapping[str, str], tree: Path = ROOT) -> dict[str, Any]:
    """Run the program with stand-in keys.

    Args:
        stack: which.
        users: users that are added, with their tiers.
        settings: values by path, such as `maas:tiers.free.tokens`; YAML.
        tree: whose program and stack files; another than this one in a process of its own only.

    Returns:
        `objects`, `outputs`, and `keys` by user.

    Raises:
        ValueError: a path leads nowhere.
        Whatever the program raises when it refuses.
    """
    texts, secrets = stack_config(stack, tree)
    config: dict[str, Any] = {key: _value(text) for key, text in texts.items()}
    for path, text in settings.items():
        _set(config, path, text)
    # Where a user is null, the stack takes one away that it shares with others.
    known = cast("dict[str, Any]", config.setdefault(USERS, {}) or {})
    config[USERS] = {**known, **{name: {"tier": tier} for name, tier in users.items()}}
    # Keys that somebody else keeps cannot be read here: the same users get stand-ins from the stack itself.
    _mapping(config.get(IDENTITY)).pop("apiKeys", None)
    given = _mapping(config.get(KEYS))
    config[KEYS] = {
        name: given.get(name) or placeholder(f"{KEYS}.{name}")
        for name, user in config[USERS].items()
        if user is not None
    }
    if not config[KEYS]:
        del config[KEYS]
    values = {key: _text(value) for key, value in config.items()}
    recording = record(stack, values, {*secrets, KEYS}, tree / "__main__.py")
    return {
        "objects": [each.body for each in recording.objects],
        "outputs": dict(recording.outputs),
        "keys": {name: _first_key(value) for name, value in _mapping(config.get(KEYS)).items()},
        "failsOpen": bool(_mapping(config.get("maas:limiter")).get("failOpen")),
    }


def _set(config: dict[str, Any], path: str, text: str) -> None:
    import yaml  # noqa: PLC0415 - not needed without settings

    names = path.split(".")
    if ":" not in names[0]:
        names[0] = f"maas:{names[0]}"
    place: dict[str, Any] = config
    for name in names[:-1]:
        value: object = place.setdefault(name, {})
        if not isinstance(value, dict):
            raise ValueError(  # noqa: TRY004 - what is wrong is what was typed, not our types
                f"{path}: {name} is {value!r}, and has nothing below it"
            )
        place = cast("dict[str, Any]", value)
    value = cast("object", yaml.safe_load(text))
    if value is None:
        place.pop(names[-1], None)
    else:
        place[names[-1]] = value


def _value(text: str) -> object:
    try:
        return cast("object", json.loads(text))
    except ValueError:
        return text


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _mapping(value: object) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _first_key(value: object) -> str:
    """The current key: a text, an entry with its expiry, or the first of several."""
    if isinstance(value, list):
        return _first_key(cast("list[object]", value)[0])
    return str(_mapping(value).get("key", value))


def main() -> None:
    """Answer one question from stdin; a refusal is told on stderr."""
    tree, asked = Path(sys.argv[1]).resolve(), json.load(sys.stdin)
    step_into(tree)
    try:
        answer = made(asked["stack"], asked["users"], asked["settings"], tree)
    except Exception as error:  # noqa: BLE001 - whatever that revision's program raises is told to whoever asked
        sys.stderr.write(f"{error}\n")
        sys.exit(1)
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
