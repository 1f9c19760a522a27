"""An upgrade of Kuadrant below a stack: from a release that has no token limits to the one that is pinned.

The older operator is the one of its own release, with its own CRDs; the operators of Limitador and Authorino, and
Authorino, stay.
"""

import os
import subprocess
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from cli.exits import Exit
from cli.project.build_operators import UPGRADED
from sandbox import crds, processes
from sandbox.kube import Kube
from sandbox.progress import Silent
from sandbox.real.catalogue import KUADRANT, PROGRAMS
from sandbox.toolbox import find
from tests.conformance.scenarios import SCENARIOS
from tests.conformance.stack import (
    POLICIES,
    Cluster,
    Object,
    await_ready,
    await_stopped,
    conditions,
    enforced,
    scale,
    write,
)
from tests.tree import UP_SECONDS, Tree, in_cluster

pytestmark = [pytest.mark.sandbox, pytest.mark.timeout(UP_SECONDS)]

CRDS = crds.Source(
    "github.com/kuadrant/kuadrant-operator@v1.1.0",
    "h1:hak2q1wWm/TwUGdCw/goVmRvGqFr7i7NqTnBRNPkoO4=",
    ("config/crd/bases",),
)
GROUPS = ("kuadrant.io", "extensions.kuadrant.io")
NEW = ("TokenRateLimitPolicy", "TelemetryPolicy")
KNOWN = tuple(kind for kind in POLICIES if kind not in NEW)
SETTINGS = next(iter(SCENARIOS.values())).settings("")
SERVED_SECONDS = 60.0
OPERATOR = next(each for each in PROGRAMS if each.tool == "kuadrant-operator")


@dataclass(frozen=True)
class Upgrade:
    """What was seen before, and after.

    Attributes:
        refusal: What `up` said on the older release.
        before: What was on the cluster then.
        steps: What `up` did on the pinned release.
        after: What is on the cluster now.
    """

    refusal: str
    before: Cluster
    steps: list[Mapping[str, Any]]
    after: Cluster


@pytest.fixture(scope="module")
def upgrade(tree: Tree) -> Generator[Upgrade]:
    program = find(UPGRADED, Silent())
    with Silent().step("CRDs of the older release") as step:
        older = crds.collect([CRDS], crds.module_folders([CRDS], Silent(), step))
    pinned = [each for each in crds.bundle(Silent()).crds if each["spec"]["group"] in GROUPS]
    write(tree, SETTINGS)
    tree.run("destroy", "--yes")  # refused where nothing was deployed before
    scale(tree, [OPERATOR], 0)
    await_stopped(tree, [OPERATOR])
    try:
        serve(tree, older, instead_of=pinned)
        with older_operator(tree, str(program)):
            code, out, err = tree.run("up")
            assert code == Exit.FAILED, out + err
            before = enforced(tree, KNOWN, told=out + err)
    finally:
        serve(tree, pinned)
        scale(tree, [OPERATOR], 1)
    await_ready(tree, [OPERATOR])
    steps = tree.json("up")["steps"]
    yield Upgrade(out + err, before, steps, enforced(tree))
    tree.json("destroy", "--yes")


def serve(tree: Tree, wanted: Iterable[Object], *, instead_of: Iterable[Object] = ()) -> None:
    """Have these CRDs on the cluster as they are, and those that they replace no more."""
    wanted = list(wanted)
    names = {each["metadata"]["name"] for each in wanted}

    async def work(kube: Kube) -> None:
        for crd in instead_of:
            if crd["metadata"]["name"] not in names:
                await kube.delete(crd["apiVersion"], crd["kind"], crd["metadata"]["name"])
        for crd in wanted:
            await kube.apply(crd, field_manager=crds.FIELD_MANAGER, force=True)
        await crds.wait_until_served(kube, wanted, SERVED_SECONDS)

    in_cluster(tree, work)


@contextmanager
def older_operator(tree: Tree, program: str) -> Generator[None]:
    """Have the older release run in the place of the other."""
    folder = tree.sandbox.folder
    environment = {"KUBECONFIG": str(tree.sandbox.kubeconfig), "OPERATOR_NAMESPACE": KUADRANT}
    with (folder / "operators" / f"{UPGRADED}.log").open("ab") as log:
        process = subprocess.Popen(  # noqa: S603 - our own arguments
            [program, "--metrics-bind-address=0", "--health-probe-bind-address=0"],
            env={**os.environ, **processes.environment_of(folder), **environment},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        yield
        assert process.poll() is None, "it has died"
    finally:
        process.terminate()
        process.wait(10)


def test_on_the_older_release_up_names_the_kind_that_is_missing(upgrade: Upgrade) -> None:
    assert any(kind in upgrade.refusal for kind in NEW), upgrade.refusal


@pytest.mark.parametrize("kind", KNOWN)
def test_the_older_release_accepts_and_enforces_what_it_knows(upgrade: Upgrade, kind: str) -> None:
    policy = upgrade.before.one(kind)
    status = conditions(policy)
    assert (status["Accepted"], status["Enforced"]) == ("True", "True"), policy["status"]


def test_the_upgrade_replaces_and_changes_nothing_that_was_there(upgrade: Upgrade) -> None:
    assert {step["op"] for step in upgrade.steps} <= {"same", "create"}
    was = {(each["kind"], each["metadata"]["name"]): each for each in upgrade.before.objects}
    for kind in ("Kuadrant", "Gateway", *KNOWN):
        now = upgrade.after.one(kind)
        before = was[kind, now["metadata"]["name"]]
        assert now["metadata"]["uid"] == before["metadata"]["uid"], kind
        # The newer operator writes defaults of its own into Kuadrant's object.
        assert before["spec"].items() <= now["spec"].items(), kind


@pytest.mark.parametrize("kind", POLICIES)
def test_the_pinned_release_enforces_all_of_it_after_the_upgrade(upgrade: Upgrade, kind: str) -> None:
    policy = upgrade.after.one(kind)
    status = conditions(policy)
    assert (status["Accepted"], status["Enforced"]) == ("True", "True"), policy["status"]
