"""The versions of a stack that are simulated: as it is, with other settings, or of another revision."""

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import pulumi
import yaml

from cli.diff.revisions import exported
from cli.exits import Exit, MaasError
from cli.program import elsewhere
from cli.simulate import program
from enforcement.semantics import Semantics
from simulation.service import Service

_SECONDS = 300
_WORKING_TREE = ""


def service(
    stack: str, *, revision: str = _WORKING_TREE, users: Mapping[str, str], settings: Mapping[str, str]
) -> Service:
    """One version of a stack, made by the program of a revision.

    Args:
        stack: which.
        revision: anything that git knows as a commit; empty for the files as they are.
        users: users that are added, with their tiers.
        settings: values that stand over those of the stack file, by path.

    Raises:
        MaasError: the program refuses, or git does not know the revision.
    """
    found = _of_revision(revision, stack, users, settings) if revision else _of_tree(stack, users, settings)
    outputs = found["outputs"]
    gateway = outputs["gateway"]
    return Service(
        objects=found["objects"],
        gateway=f"{gateway['namespace']}/{gateway['name']}",
        kuadrant_namespace=_kuadrant_namespace(found["objects"]),
        endpoints=outputs["endpoints"],
        users={name: each["tier"] for name, each in outputs["users"].items()},
        prices={name: Decimal(str(each.get("price", 0))) for name, each in outputs["tiers"].items()},
        keys=found["keys"],
        semantics=Semantics.of(fail_open=found["failsOpen"]),
    )


def parsed_settings(pairs: Sequence[str]) -> dict[str, str]:
    """`maas:tiers.free.tokens=50 per 1m` by path.

    Raises:
        MaasError: one has no `=`, or a value that is no YAML.
    """
    settings: dict[str, str] = {}
    for pair in pairs:
        path, equals, value = pair.partition("=")
        if not equals or not path:
            raise MaasError(f"--set {pair}: write it as maas:tiers.free.tokens='50 per 1m'", code=Exit.USAGE)
        try:
            yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise MaasError(
                f"--set {pair}: the value is no YAML: {' '.join(str(error).split())}", code=Exit.USAGE
            ) from error
        settings[path.strip()] = value
    return settings


def _of_tree(stack: str, users: Mapping[str, str], settings: Mapping[str, str]) -> dict[str, Any]:
    try:
        return program.made(stack, users, settings)
    except (pulumi.RunError, ValueError) as error:
        raise MaasError(str(error), code=Exit.CONFIG) from error


def _of_revision(revision: str, stack: str, users: Mapping[str, str], settings: Mapping[str, str]) -> dict[str, Any]:
    with exported(revision) as folder:
        asked = json.dumps({"stack": stack, "users": dict(users), "settings": dict(settings)})
        done = elsewhere.run("cli.simulate.program", folder, asked=asked, seconds=_SECONDS)
    if done.returncode != 0:
        raise MaasError(
            f"The program of {revision} refuses stack {stack}: {_last_words(done.stderr.decode(errors='replace'))}"
        )
    return json.loads(done.stdout)


def _kuadrant_namespace(objects: Sequence[Mapping[str, Any]]) -> str:
    kuadrant = next((each for each in objects if each["kind"] == "Kuadrant"), None)
    return str(kuadrant["metadata"]["namespace"]) if kuadrant else "kuadrant-system"


def _last_words(said: str) -> str:
    return said.strip()[-2000:] or "it said nothing"
