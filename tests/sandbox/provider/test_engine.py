"""The real engine with the stand-in attached: a small program, changed and interfered with."""

import json
import signal
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import psutil
import pulumi
import pulumi_kubernetes as kubernetes
import pytest
from pulumi import automation as auto

from tests.engine import engine_stack
from tests.sandbox.provider.conftest import Cluster

pytestmark = pytest.mark.sandbox

PASSWORD = "engine-test-pw"  # noqa: S105  (what must not be found anywhere)


@dataclass
class Program:
    """A program of a few objects; what it declares can be changed between runs."""

    namespace: str
    data: dict[str, str] = field(default_factory=lambda: {"k": "v"})
    wait_for: str = "jsonpath={.data.k}"
    names: tuple[str, ...] = ("one", "two", "three")
    timeout: str = "2s"

    def __call__(self) -> None:
        provider = kubernetes.Provider(
            "cluster",
            cluster_identifier="test",
            enable_config_map_mutable=True,
            enable_secret_mutable=True,
            upsert_existing_objects=True,
        )
        timeouts = pulumi.CustomTimeouts(create=self.timeout, update="20s")
        opts = pulumi.ResourceOptions(provider=provider, custom_timeouts=timeouts)
        for name in self.names:
            metadata: Any = {"name": name, "namespace": self.namespace}
            if name == "one":
                metadata["annotations"] = {"pulumi.com/waitFor": self.wait_for}
            data = self.data if name == "one" else {"k": "v"}
            kubernetes.core.v1.ConfigMap(name, metadata=metadata, data=data, opts=opts)
        kubernetes.core.v1.Secret(
            "secret",
            metadata=cast("Any", {"name": "secret", "namespace": self.namespace}),
            string_data={"password": pulumi.Output.secret(PASSWORD)},
            opts=opts,
        )


@dataclass(frozen=True)
class Run:
    """A stack and where its state lies."""

    stack: auto.Stack
    program: Program
    state: Path

    def up(self) -> dict[str, int]:
        return dict(cast("Any", self.stack.up().summary.resource_changes))


@pytest.fixture
def run(kubeconfig: Path, namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[Run]:
    program = Program(namespace)
    with engine_stack("test", program, kubeconfig, tmp_path, monkeypatch) as stack:
        yield Run(stack, program, tmp_path)


@contextmanager
def failing() -> Generator[Callable[[], str]]:
    """Expect a failed run; yields a function that returns what the engine said."""
    with pytest.raises(auto.CommandError) as error:
        yield lambda: str(error.value)


def test_one_change_is_one_update_of_one_field_and_nothing_leaks(run: Run, cluster: Cluster, namespace: str) -> None:
    assert run.up() == {"create": 6}
    assert run.up() == {"same": 6}
    run.program.data = {"k": "w"}
    changed: list[dict[str, Any]] = []

    def listen(event: auto.EngineEvent) -> None:
        step = event.resource_pre_event
        if step and step.metadata.op == auto.OpType.UPDATE:
            changed.append(dict(step.metadata.detailed_diff or {}))

    preview = run.stack.preview(on_event=listen)
    assert {str(op): count for op, count in preview.change_summary.items()} == {"same": 5, "update": 1}
    assert [list(diff) for diff in changed] == [["data.k"]]
    assert run.up() == {"same": 5, "update": 1}
    cluster(
        lambda kube: kube.patch("v1", "ConfigMap", "two", {"data": {"k": "x"}}, namespace, field_manager="kubectl-edit")
    )
    assert run.up() == {"same": 6}, "without a refresh, drift goes unnoticed"
    assert run.stack.refresh().summary.resource_changes == {"same": 5, "update": 1}
    assert run.up() == {"same": 5, "update": 1}
    found = cluster(lambda kube: kube.get("v1", "ConfigMap", "two", namespace))
    assert found["data"] == {"k": "v"}
    stored = [path for path in run.state.rglob("*.json*") if PASSWORD in path.read_text(errors="ignore")]
    assert stored == [], "the password lies in the state in clear text"


def test_an_object_that_someone_deleted_comes_back(run: Run, cluster: Cluster, namespace: str) -> None:
    run.up()
    cluster(lambda kube: kube.delete("v1", "ConfigMap", "three", namespace))
    assert run.stack.refresh().summary.resource_changes == {"same": 5, "delete": 1}
    assert run.up() == {"same": 5, "create": 1}


def test_a_run_that_failed_to_wait_is_taken_up_where_it_stopped(run: Run) -> None:
    run.program.wait_for = "pulumi.com is not an expression"
    with failing() as said:
        run.up()
    assert "prefix" in said()
    run.program.wait_for = "jsonpath={.data.never}"
    run.program.names = ("one",)
    with failing() as said:
        run.up()
    assert "is not ready after 2 s. Waited for jsonpath {.data.never}: selects nothing yet." in said()
    state = json.dumps(run.stack.export_stack().deployment)
    assert "initErrors" in state, "the object is recorded as created but not ready"
    run.program.wait_for = "jsonpath={.data.k}"
    assert run.up().get("update") == 1, "the same object is updated, not created a second time"


def test_ctrl_c_ends_a_wait_and_the_next_run_goes_on(run: Run) -> None:
    run.program.names, run.program.wait_for = ("one",), "jsonpath={.data.never}"
    run.program.timeout = "500s"

    interrupted: list[int] = []

    def interrupt(line: str) -> None:
        # Once only: the engine takes a second one as a wish to stop without recording anything.
        if "waiting for jsonpath" in line and not interrupted:
            for child in psutil.Process().children():
                if child.name() == "pulumi":
                    child.send_signal(signal.SIGINT)
                    interrupted.append(child.pid)

    with failing() as said:
        run.stack.up(on_output=interrupt)
    assert "cancelled while waiting for jsonpath {.data.never}" in said()
    run.program.wait_for = "jsonpath={.data.k}"
    assert run.up().get("update") == 1
