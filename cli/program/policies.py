"""`./maas policy`: the rules of the policy pack on what a stack would deploy, or on files that `render` wrote."""

import filecmp
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import yaml

from cli.exits import Exit, MaasError
from cli.paths import ROOT
from cli.program.recorder import Recording
from cli.program.render import INDEX
from cli.stacks.stackfile import stack_config
from policy.rules import Level, Resource, Stack, Violation, check
from policy.rules.resource import config_of, mapping

PACK = ROOT / "policy"


def of_recording(recording: Recording, values: Mapping[str, str]) -> Stack:
    """A recorded stack as the rules see it."""
    resources = [
        Resource(each.type, each.inputs, each.urn, each.secrets) for each in recording.resources if each.request.custom
    ]
    return Stack(resources, config_of(values))


def of_rendered(folder: Path, stack: str) -> Stack:
    """Rendered files as the rules see them, with the settings of the stack that they are of.

    Raises:
        MaasError: They are not what `render` wrote, or not of this stack.
    """
    try:
        index = cast("dict[str, Any]", json.loads((folder / INDEX).read_text(encoding="utf-8")))
        files = [(str(each["file"]), bool(each["patch"])) for each in index["objects"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise MaasError(f"{folder} has no {INDEX} that can be read: make it with ./maas render --out.") from error
    if index.get("stack") != stack:
        raise MaasError(f"{folder} is of stack {index.get('stack')}, not of {stack}.", code=Exit.USAGE)
    return Stack([_from_file(folder, name, patch=patch) for name, patch in files], config_of(stack_config(stack)[0]))


def is_protected(values: Mapping[str, str]) -> bool:
    """Whether a stack with these settings is one that callers depend on: `maas:policy: {protected: true}`."""
    return mapping(config_of(values).get("policy")).get("protected") is True


def result(found: list[Violation]) -> Exit:
    """FAILED when something mandatory is violated."""
    return Exit.FAILED if any(each.level is Level.MANDATORY for each in found) else Exit.OK


def lines(found: list[Violation], stack: str) -> list[str]:
    """What to say of it."""
    told = [f"{each.level.value}  {each.rule}  {each.where}: {each.text}" for each in found]
    count = sum(each.level is Level.MANDATORY for each in found)
    summary = f"{count} mandatory, {len(found) - count} advisory" if found else "no rule is violated"
    return [*told, f"Stack {stack}: {summary}."]


def as_json(found: list[Violation], stack: str) -> dict[str, object]:
    """The same for a program."""
    violations = [
        {"rule": each.rule, "level": each.level.value, "where": each.where, "text": each.text} for each in found
    ]
    return {"result": "failed" if result(found) is Exit.FAILED else "succeeded", "stack": stack, "found": violations}


def install() -> None:
    """Make the environment that the pack runs in under the engine: policy/.venv, from policy/requirements.lock.

    Raises:
        MaasError: It could not be made; why is on stderr.
    """
    done = subprocess.run([sys.executable, "-I", str(ROOT / "cli" / "bootstrap.py"), str(PACK)], check=False)  # noqa: S603 - our own words
    if done.returncode:
        raise MaasError("The policy pack's environment could not be made.")


def pack() -> Path:
    """The pack as the engine starts it, its environment made when it is not there or not of the present lock."""
    stamp = PACK / ".venv" / "requirements.lock"
    if not stamp.is_file() or not filecmp.cmp(stamp, PACK / "requirements.lock", shallow=False):
        install()
    return PACK / "pack"


def violations(stack: str, recording: Recording) -> list[Violation]:
    """What the rules find in a stack that was just recorded."""
    return check(of_recording(recording, stack_config(stack)[0]))


def _from_file(folder: Path, name: str, *, patch: bool) -> Resource:
    content = cast("dict[str, Any]", yaml.safe_load((folder / name).read_text(encoding="utf-8")))
    return Resource(f"kubernetes:{content['apiVersion']}:{content['kind']}{'Patch' if patch else ''}", content, name)
