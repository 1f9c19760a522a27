"""Operators that die, come late or are gone while the stack comes and goes.

`MAAS_TEST_OPERATOR_KILLS=10` kills ten of them, each in an `up` of its own with a `destroy` behind it; the ordinary run
kills three.
"""

import os
import random
import time
from typing import Any

import psutil
import pytest
import yaml

from cli.exits import Exit
from cli.paths import ROOT
from sandbox.real.catalogue import ISTIO, KSERVE, KUADRANT, PROGRAMS, Program
from tests.conformance.scenarios import SCENARIOS
from tests.conformance.stack import (
    PATIENCE,
    await_ready,
    await_stopped,
    deploy,
    enforced,
    left_over,
    scale,
    state,
    write,
)
from tests.tree import UP_SECONDS, Tree

pytestmark = [pytest.mark.sandbox, pytest.mark.timeout(UP_SECONDS)]

Object = dict[str, Any]

SEED = 20251125
KILLS = int(os.environ.get("MAAS_TEST_OPERATOR_KILLS", "3"))
LONGEST_MOMENT = 25.0
"""Seconds after the start of `up` by which the operator is killed; it takes somewhat longer."""
LATE_SECONDS = 10
"""How long the program is at work before the operators come."""
DELETE_SECONDS = 10
SANDBOX_TIMEOUTS = yaml.safe_load((ROOT / "Pulumi.sandbox.yaml").read_text())["config"]["maas:timeouts"]
SETTINGS = next(iter(SCENARIOS.values())).settings("")


@pytest.fixture(scope="module", autouse=True)
def nothing_deployed(tree: Tree) -> None:
    write(tree, SETTINGS)
    tree.run("destroy", "--yes")  # refused where nothing was deployed before


def test_operators_that_are_killed_during_up_do_no_harm_and_destroy_leaves_nothing(tree: Tree) -> None:
    moments = random.Random(SEED)  # noqa: S311 - the same moments in each run
    victims = [moments.choice(PROGRAMS) for _ in range(KILLS)]
    for victim in victims:
        moment = moments.uniform(1, LONGEST_MOMENT)
        run = tree.start("up", "--json")
        time.sleep(moment)
        pid = state(tree, victim.name).pid
        if pid is not None:
            psutil.Process(pid).kill()
        out, err = run.communicate(timeout=UP_SECONDS)
        told = f"{victim.name} killed after {moment:.1f} s\n{out}\n{err}"
        if run.returncode != 0:
            again = tree.json("up")
            assert again["result"] == "succeeded", told
        await_ready(tree, [victim])
        enforced(tree, told=told)
        tree.json("destroy", "--yes")
        assert left_over(tree) == []


def test_operators_that_start_after_the_program_find_what_it_made(tree: Tree) -> None:
    late = operators_of(KUADRANT, ISTIO)
    scale(tree, late, 0)
    await_stopped(tree, late)
    run = tree.start("up", "--json")
    try:
        deadline = time.monotonic() + PATIENCE
        while not tree.engines():
            assert time.monotonic() < deadline, "the program has not begun without them"
            time.sleep(0.2)
        time.sleep(LATE_SECONDS)
        assert all(state(tree, each.name).pid is None for each in late)
    finally:
        scale(tree, late, 1)
    out, err = run.communicate(timeout=UP_SECONDS)
    assert run.returncode == 0, out + err
    enforced(tree, told=out)


@pytest.mark.parametrize(
    ("namespace", "finalizer", "held"),
    [
        (KUADRANT, "kuadrant.io/extensions", "telemetrypolicy.extensions.kuadrant.io gateway-telemetry"),
        (KSERVE, "inferenceservice.finalizers", "inferenceservice.serving.kserve.io simulator"),
    ],
)
def test_a_destroy_without_operators_names_the_finalizer_and_the_way_out_in_time(
    tree: Tree, namespace: str, finalizer: str, held: str
) -> None:
    limits = SANDBOX_TIMEOUTS | {"delete": f"{DELETE_SECONDS}s"}
    # After the first of these, the state has objects that went as soon as their operator was back.
    assert deploy(tree, SETTINGS | {"maas:timeouts": limits})["result"] == "succeeded"
    enforced(tree)
    gone = operators_of(namespace)
    scale(tree, gone, 0)
    await_stopped(tree, gone)
    try:
        code, out, err = tree.run("destroy", "--yes")
    finally:
        scale(tree, gone, 1)
    await_ready(tree, gone)
    assert code == Exit.FAILED, out + err
    said = " ".join((out + err).split())
    assert f"is not gone after {DELETE_SECONDS} s" in said, said
    assert finalizer in said, said
    assert f"kubectl patch {held} -n llm --type merge" in said, said


def test_a_destroy_with_the_operators_back_leaves_nothing(tree: Tree) -> None:
    tree.json("destroy", "--yes")
    assert left_over(tree) == []


def operators_of(*namespaces: str) -> list[Program]:
    """The programs that are installed there; Authorino is not one of them, its operator makes it."""
    return [each for each in PROGRAMS if each.namespace in namespaces and each.tool != "authorino"]
