"""The command itself on a real sandbox: what it proves, what it leaves behind, what it takes."""

import json
import signal
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from cli.exits import Exit
from cli.verify.scenarios import SCENARIOS
from cli.verify.users import TEMPORARY_LABEL
from sandbox.kube import Kube
from tests.tree import UP_SECONDS, Tree, in_cluster

pytestmark = [pytest.mark.sandbox, pytest.mark.timeout(UP_SECONDS)]

WHERE = "kuadrant-system"
PATIENCE = 60.0


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Generator[Tree]:
    tree = Tree(tmp_path_factory.mktemp("verify"))
    try:
        code, out, err = tree.run("up")
        assert code == 0, out + err
        yield tree
    finally:
        tree.run("down")


def made(tree: Tree) -> list[str]:
    """The Secrets that verify has made and not deleted."""

    async def look(kube: Kube) -> list[str]:
        found = await kube.list("v1", "Secret", WHERE, label_selector=TEMPORARY_LABEL)
        return [each["metadata"]["name"] for each in found]

    return in_cluster(tree, look)


def replicas(tree: Tree) -> list[Any]:
    async def look(kube: Kube) -> list[Any]:
        found = await kube.list("limitador.kuadrant.io/v1alpha1", "Limitador", WHERE)
        return [each["spec"].get("replicas") for each in found]

    return in_cluster(tree, look)


def interrupted(tree: Tree, number: signal.Signals) -> tuple[int, list[str]]:
    """A run that is stopped while it waits for the end of a window: how it ended, and what it had made by then."""
    process = tree.start("verify", "--only", "token-limit")
    deadline = time.monotonic() + PATIENCE
    while not (there := made(tree)) and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(number)
    process.communicate(timeout=PATIENCE)
    return process.returncode, there


def test_a_right_sandbox_passes_and_what_was_made_is_gone(
    tree: Tree, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    junit, before = tmp_path / "verify.xml", replicas(tree)
    began = time.monotonic()
    content = tree.json("verify", "--allow-disruption", "--junit", str(junit))
    took = time.monotonic() - began
    with capsys.disabled():
        print(f"\nverify: {took:.0f} s, {content['requests']} requests, {content['tokens']} tokens")  # noqa: T201 - asked for
    assert content["result"] == "passed", content
    skipped = {each["name"]: each["remark"] for each in content["scenarios"] if each["outcome"] == "skipped"}
    assert {name.partition("[")[0] for name in skipped} == {"certificate", "wrong-tier"}, skipped
    assert {each["name"].partition("[")[0] for each in content["scenarios"]} == {each.name for each in SCENARIOS}
    assert ET.parse(junit).getroot().get("failures") == "0"  # noqa: S314 - our own text
    assert made(tree) == []
    assert replicas(tree) == before


def test_an_interrupted_run_takes_away_what_it_made(tree: Tree) -> None:
    code, there = interrupted(tree, signal.SIGINT)
    assert there
    assert code == Exit.INTERRUPTED
    assert made(tree) == []


def test_what_a_killed_run_left_is_swept_by_the_next(tree: Tree) -> None:
    _, there = interrupted(tree, signal.SIGKILL)
    assert set(there) <= set(made(tree)), "nobody could take it away"
    code, out, err = tree.run("verify", "--only", "no-key")
    assert code == 0, out + err
    assert "keys that an earlier run had left" in err
    assert made(tree) == []


def test_a_policy_that_somebody_took_away_is_told_with_the_doctors_cause(tree: Tree) -> None:
    async def delete(kube: Kube) -> None:
        for each in await kube.list("kuadrant.io/v1", "RateLimitPolicy", "llm"):
            await kube.delete("kuadrant.io/v1", "RateLimitPolicy", each["metadata"]["name"], "llm")

    in_cluster(tree, delete)
    content = tree.json("verify", "--only", "request-limit", code=Exit.FAILED)
    failed = [each for each in content["scenarios"] if each["outcome"] == "failed"]
    assert {each["name"].partition("[")[0] for each in failed} == {"request-limit"}
    assert all("RateLimitPolicy" in each["cause"] and each["requestId"] for each in failed), json.dumps(failed)
    assert tree.run("refresh")[0] == 0
    assert tree.run("up")[0] == 0
