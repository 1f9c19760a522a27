"""Operators that die, come late or are gone while the stack comes and goes.

`MAAS_TEST_OPERATOR_KILLS=10` kills ten of them, each in an `up` of its own; the ordinary run kills fewer.
"""

import os
import random
import time
from typing import Any

import psutil
import pytest

from sandbox.kube import Kube
from sandbox.real.catalogue import PROGRAMS, Program
from tests.conformance.scenarios import SCENARIOS
from tests.conformance.stack import POLICIES, conditions, left_over, look, state, write
from tests.tree import UP_SECONDS, Tree, in_cluster

pytestmark = [pytest.mark.sandbox, pytest.mark.timeout(UP_SECONDS)]

Object = dict[str, Any]

SEED = 20251125
KILLS = int(os.environ.get("MAAS_TEST_OPERATOR_KILLS", "1"))
LONGEST_MOMENT = 25.0
"""Seconds after the start of `up` by which the operator is killed; it takes somewhat longer."""
LATE = ("kuadrant-system", "istio-system")
PATIENCE = 60.0
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
        await_ready(tree, victim)
        assert_enforced(tree, told)
        tree.json("destroy", "--yes")
        assert left_over(tree) == []


def test_operators_that_start_after_the_program_find_what_it_made(tree: Tree) -> None:
    late = [
        each for each in PROGRAMS if each.namespace in {"kuadrant-system", "istio-system"} and each.tool != "authorino"
    ]
    scale(tree, late, 0)
    await_stopped(tree, late)
    run = tree.start("up", "--json")
    try:
        time.sleep(10)
    finally:
        scale(tree, late, 1)
    out, err = run.communicate(timeout=UP_SECONDS)
    assert run.returncode == 0, out + err
    assert_enforced(tree, out)


def await_ready(tree: Tree, program: Program) -> None:
    deadline = time.monotonic() + PATIENCE
    while not state(tree, program.name).ready:
        assert time.monotonic() < deadline, state(tree, program.name)
        time.sleep(0.2)


def await_stopped(tree: Tree, programs: list[Program]) -> None:
    deadline = time.monotonic() + PATIENCE
    while any(state(tree, each.name).pid is not None for each in programs):
        assert time.monotonic() < deadline
        time.sleep(0.2)


def assert_enforced(tree: Tree, told: str) -> None:
    """What `up` has said stays so, or is so again, once the operator is back."""
    deadline = time.monotonic() + PATIENCE
    while True:
        cluster = look(tree)
        status = {kind: conditions(cluster.one(kind)).get("Enforced") for kind in POLICIES}
        if set(status.values()) == {"True"}:
            return
        assert time.monotonic() < deadline, f"{status}\n{told}"
        time.sleep(1)


def scale(tree: Tree, programs: list[Program], replicas: int) -> None:
    async def work(kube: Kube) -> None:
        for each in programs:
            patch = {"spec": {"replicas": replicas}}
            await kube.patch("apps/v1", "Deployment", each.deployment, patch, each.namespace, field_manager="test")

    in_cluster(tree, work)
