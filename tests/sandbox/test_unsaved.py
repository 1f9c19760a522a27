"""An `up` that writes its state once, at its end, and is killed before that."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Generator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from cli.deploy.unsaved import VARIABLE
from components.layer import STACK_LABEL
from sandbox.kube import Kube
from tests.tree import UP_SECONDS, Tree, in_cluster

pytestmark = [pytest.mark.sandbox, pytest.mark.timeout(UP_SECONDS)]

KEYS = "kuadrant-system"
FOREIGN = "of-somebody-else"
MANY, FEW = 40, 30


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Generator[Tree]:
    tree = Tree(tmp_path_factory.mktemp("unsaved"))
    tree.json("up")
    yield tree
    tree.run("down")


def with_users(tree: Tree, count: int) -> None:
    content = yaml.safe_load(tree.settings.read_text())
    content["config"]["maas:users"] = {f"user{number:02}": {"tier": "free"} for number in range(count)}
    tree.settings.write_text(yaml.safe_dump(content))


def keys(tree: Tree, stack: str = "sandbox") -> dict[str, str]:
    """Uid of each Secret with a key, by its name."""

    async def look(kube: Kube) -> dict[str, str]:
        found = await kube.list("v1", "Secret", KEYS)
        named = [each["metadata"] for each in found if each["metadata"].get("labels", {}).get(STACK_LABEL) == stack]
        return {each["name"]: each["uid"] for each in named if each["name"].startswith("maas-key-")}

    return in_cluster(tree, look)


def kill_all(tree: Tree, command: subprocess.Popen[str]) -> None:
    """Command, engine and provider, all at once."""
    victims = [psutil.Process(command.pid), *psutil.Process(command.pid).children(recursive=True)]
    for each in victims:
        with suppress(psutil.NoSuchProcess):
            os.kill(each.pid, signal.SIGKILL)
    command.communicate()
    psutil.wait_procs(victims, timeout=10)
    assert tree.engines() == []


def killed_once(tree: Tree, word: str, enough: Callable[[], bool]) -> None:
    """Start a command that writes its state once, and kill it when there is enough to see."""
    os.environ[VARIABLE] = "once"
    try:
        command = tree.start(word)
    finally:
        del os.environ[VARIABLE]
    until = time.monotonic() + 120
    while not enough():
        assert command.poll() is None, command.communicate()
        assert time.monotonic() < until, "nothing is made"
        time.sleep(0.05)
    kill_all(tree, command)


def note(tree: Tree) -> Path:
    return tree.sandbox.folder / "state" / "unsaved" / "maas.sandbox.json"


def of_somebody_else(tree: Tree, labels: dict[str, str]) -> None:
    async def make(kube: Kube) -> None:
        body: dict[str, Any] = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": FOREIGN, "namespace": KEYS, "labels": labels},
        }
        await kube.apply(body, field_manager="somebody", force=True)

    in_cluster(tree, make)


def is_there(tree: Tree, name: str) -> bool:
    return in_cluster(tree, lambda kube: kube.get("v1", "Secret", name, KEYS)) is not None


def test_what_a_killed_up_made_is_adopted_or_deleted_and_what_is_not_ours_stays(tree: Tree) -> None:
    before = keys(tree)
    of_somebody_else(tree, {STACK_LABEL: "sandbox"})
    with_users(tree, MANY)
    killed_once(tree, "up", lambda: len(keys(tree).keys() - before.keys()) > FEW)
    made = keys(tree)
    assert note(tree).is_file()

    with_users(tree, FEW)
    code, _, said = tree.run("preview")
    assert code == 0
    assert "It would delete, of that run: Secret kuadrant-system/maas-key-" in said
    assert keys(tree) == made, "a preview deletes nothing"

    tree.json("up")
    after = keys(tree)
    assert len(after) == FEW
    assert {name: made[name] for name in after if name in made} == {
        name: uid for name, uid in after.items() if name in made
    }, "adopted, not made anew"
    assert is_there(tree, FOREIGN), "our label alone does not make it ours: the run did not make it"
    assert not note(tree).exists()
    assert tree.json("preview", "--expect-no-changes")["steps"] == []
    assert tree.json("refresh", "--expect-no-changes")["steps"] == []


def test_up_makes_anew_what_a_killed_destroy_took_away_and_destroy_takes_what_a_killed_up_made(tree: Tree) -> None:
    before = keys(tree)
    killed_once(tree, "destroy", lambda: len(keys(tree)) < len(before))
    tree.json("up")
    assert len(keys(tree)) == len(before)
    with_users(tree, MANY)
    killed_once(tree, "up", lambda: len(keys(tree)) > len(before))
    tree.json("destroy")
    assert keys(tree) == {}
    assert is_there(tree, FOREIGN)
    assert not note(tree).exists()
