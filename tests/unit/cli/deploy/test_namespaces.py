"""What `up` does about namespaces that are going or gone; tests/faults shows it with a real one."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import pytest

from cli.console import Console
from cli.deploy import namespaces
from cli.deploy.unsaved import Ref
from cli.exits import MaasError
from cli.program.recorder import record, stack_config
from sandbox.kube import ApiError
from sandbox.provider import waiting
from sandbox.provider.waiting import NotReadyError

PROGRAM = record("sandbox", *stack_config("sandbox"))
IN_THE_STATE = [Ref("v1", "Namespace", "", "llm")]


def way() -> tuple[Path, str | None]:
    return Path("/kubeconfig"), None


GOING = {"deletionTimestamp": "2026-01-01T00:00:00Z"}


def there(name: str, **metadata: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "uid": name, **metadata}}


class Cluster:
    """Answers for namespaces as `answer` does, and notes which were waited for."""

    def __init__(self) -> None:
        self.answer: Callable[[str], dict[str, Any] | None] = there
        self.waited: list[tuple[str, float]] = []
        self.goes = True

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.sleep(0)

    async def get(self, _version: str, _kind: str, name: str) -> dict[str, Any] | None:
        await asyncio.sleep(0)
        return self.answer(name)

    async def until_gone(self, _kube: Self, obj: dict[str, Any], *, seconds: float, cancelled: asyncio.Event) -> None:
        await asyncio.sleep(0)
        assert not cancelled.is_set()
        self.waited.append((obj["metadata"]["name"], seconds))
        if not self.goes:
            raise NotReadyError(obj, "Namespace llm is not gone after 60 s. Finalizers that hold it: kubernetes")


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    cluster = Cluster()

    def connect(*_: object, **__: object) -> Cluster:
        return cluster

    monkeypatch.setattr(namespaces.Kube, "connect", connect)
    monkeypatch.setattr(waiting, "until_gone", cluster.until_gone)
    return cluster


def settle(known: list[Ref] = IN_THE_STATE) -> bool:
    return namespaces.settle(way, PROGRAM, lambda: known, Console(quiet=True))


def test_the_program_uses_the_namespaces_that_it_makes_and_those_that_its_objects_are_in() -> None:
    assert {"llm", "kuadrant-system"} <= namespaces.used(PROGRAM)
    assert "" not in namespaces.used(PROGRAM)
    assert namespaces.patience(PROGRAM) == 60, "Pulumi.sandbox.yaml: timeouts.delete"


def test_nothing_is_waited_for_where_all_namespaces_stand(cluster: Cluster) -> None:
    assert not settle()
    assert cluster.waited == []


def test_a_namespace_that_is_going_is_waited_for_and_then_one_has_to_look(cluster: Cluster) -> None:
    cluster.answer = lambda name: there(name, **GOING) if name == "llm" else there(name)
    assert settle([])
    assert cluster.waited == [("llm", 60)]


def test_one_that_does_not_go_is_told_with_what_holds_it(cluster: Cluster) -> None:
    cluster.answer = lambda name: there(name, **GOING)
    cluster.goes = False
    with pytest.raises(MaasError, match=r"is being deleted\. Namespace llm is not gone .* Finalizers that hold it"):
        settle()


def test_one_that_is_in_the_state_and_gone_means_that_one_has_to_look(cluster: Cluster) -> None:
    cluster.answer = lambda name: None if name == "llm" else there(name)
    assert settle()
    assert not settle([]), "a first `up` is about to make it"
    assert not settle([Ref("v1", "ConfigMap", "llm", "llm")])


def test_a_cluster_that_cannot_be_asked_is_left_to_the_run(cluster: Cluster) -> None:
    def refuse(_name: str) -> None:
        raise ApiError(403, "Forbidden", "namespaces is forbidden", "Namespace llm")

    cluster.answer = refuse
    assert not settle()

    def nowhere() -> tuple[Path, str | None]:
        raise MaasError("There is no kubeconfig.")

    assert not namespaces.settle(nowhere, PROGRAM, lambda: IN_THE_STATE, Console(quiet=True)), (
        "the provider may be in a pod"
    )
