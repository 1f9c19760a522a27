"""The programs themselves: kept running, asked by the API server, and at peace with what the stack applies."""

import time
from typing import Any

import psutil
import pytest

from sandbox import processes
from sandbox.instance import LOOPBACK, Sandbox
from sandbox.kube import ApiError, Kube
from sandbox.real.places import SOCKETS, extension_of
from sandbox.real.supervisor import states
from tests.conformance.scenarios import SCENARIOS
from tests.conformance.stack import PATIENCE, conditions, deploy, left_over, look, state
from tests.tree import UP_SECONDS, Tree, in_cluster

pytestmark = [pytest.mark.sandbox, pytest.mark.timeout(UP_SECONDS)]

EVERYWHERE = {"authorino", "kserve-controller", "cert-manager-webhook"}
"""Programs that can be told a port and no address."""
EPHEMERAL = 32_768
SETTINGS = next(iter(SCENARIOS.values())).settings("")


@pytest.fixture(scope="module", autouse=True)
def stack(tree: Tree) -> None:
    deploy(tree, SETTINGS)


def refusal(tree: Tree, obj: dict[str, Any]) -> str:
    async def apply(kube: Kube) -> str:
        try:
            await kube.apply(obj, field_manager="test", dry_run=True)
        except ApiError as error:
            return str(error)
        return ""

    return str(in_cluster(tree, apply))


@pytest.mark.parametrize(
    ("obj", "words"),
    [
        (
            {
                "apiVersion": "cert-manager.io/v1",
                "kind": "Certificate",
                "metadata": {"name": "for-nobody", "namespace": "llm"},
                "spec": {"secretName": "x", "issuerRef": {"name": "x"}},
            },
            "at least one of commonName",
        ),
        (
            {
                "apiVersion": "networking.istio.io/v1alpha3",
                "kind": "EnvoyFilter",
                "metadata": {"name": "of-nothing", "namespace": "llm"},
                "spec": {"configPatches": [{"applyTo": "HTTP_FILTER", "patch": {"operation": "ADD"}}]},
            },
            "missing patch value",
        ),
    ],
    ids=["cert-manager", "istiod"],
)
def test_the_api_server_asks_the_operators_webhooks(tree: Tree, obj: dict[str, Any], words: str) -> None:
    assert words in refusal(tree, obj)


def test_programs_listen_where_they_are_told_to_and_nowhere_else(tree: Tree) -> None:
    for each in states(tree.sandbox):
        assert each.pid is not None
        process = psutil.Process(each.pid)
        heard = processes.listening([process, *process.children(recursive=True)])
        assert heard, each
        # What asks for any free port is in nobody's way.
        assert {port for _, port in heard if port < EPHEMERAL} <= set(each.ports.values()), each
        if each.program not in EVERYWHERE:
            assert {address for address, _ in heard} == {LOOPBACK}, each
    assert (SOCKETS / extension_of(tree.sandbox, "telemetry-policy") / ".grpc.sock").is_socket()


def test_another_sandbox_with_real_operators_stands_beside_the_first(tree: Tree) -> None:
    before = {each.program: (each.pid, each.starts) for each in states(tree.sandbox)}
    try:
        code, out, err = tree.run("sandbox", "up", "--name", "beside", "--operators", "real")
        assert code == 0, out + err
        others = states(Sandbox.open("beside", tree.home))
        assert {each.program for each in others if each.ready} == set(before) - {"authorino"}
        assert {each.program: (each.pid, each.starts) for each in states(tree.sandbox)} == before
        assert all(each.ready for each in states(tree.sandbox))
    finally:
        tree.run("sandbox", "down", "--name", "beside")


def test_an_operator_that_dies_is_started_again_and_says_that_it_is_ready(tree: Tree) -> None:
    first = state(tree, "kuadrant-operator")
    assert first.pid is not None
    psutil.Process(first.pid).kill()
    deadline = time.monotonic() + PATIENCE
    while not ((now := state(tree, "kuadrant-operator")).pid not in {None, first.pid} and now.ready):
        assert time.monotonic() < deadline, now
        time.sleep(0.2)
    log = (tree.sandbox.folder / "operators" / "supervisor.log").read_text()
    assert "kuadrant-operator: ended with code -9" in log


def test_a_rollout_ends_with_a_new_program_that_is_ready(tree: Tree) -> None:
    before = state(tree, "istiod")

    async def roll_out(kube: Kube) -> None:
        template = {"template": {"metadata": {"annotations": {"restarted": str(time.time())}}}}
        await kube.patch("apps/v1", "Deployment", "istiod", {"spec": template}, "istio-system", field_manager="test")
        deadline = time.monotonic() + PATIENCE
        while True:
            deployment = await kube.get("apps/v1", "Deployment", "istiod", "istio-system")
            assert deployment is not None
            status = deployment["status"]
            if status.get("observedGeneration") == deployment["metadata"]["generation"] and (
                status.get("updatedReplicas") == status.get("availableReplicas") == status.get("replicas") == 1
            ):
                return
            assert time.monotonic() < deadline, status

    in_cluster(tree, roll_out)
    after = state(tree, "istiod")
    assert after.ready
    assert (after.starts, after.pid != before.pid) == (before.starts + 1, True)


def test_a_second_up_changes_nothing_and_a_destroy_leaves_nothing(tree: Tree) -> None:
    again = tree.json("up")
    assert {step["op"] for step in again["steps"]} <= {"same"}, "operators and program fight over a field"
    assert conditions(look(tree).one("Gateway"))["Programmed"] == "True"
    tree.json("destroy", "--yes")
    assert left_over(tree) == []
