import errno
import stat
from pathlib import Path
from typing import Any

import pytest

from cli.deploy import same_cluster
from cli.deploy.recovery import Backend
from cli.deploy.target import Target
from cli.exits import MaasError
from tests.unit.cli.state.states import export

KUBECONFIG = Path("/kubeconfig")


@pytest.fixture
def target(tmp_path: Path) -> Target:
    found = Target(
        stack="dev",
        project="maas",
        work_dir=tmp_path,
        environment={"PULUMI_BACKEND_URL": f"file://{tmp_path}/state"},
        without=frozenset(),
        kubeconfig=None,
        sandbox=None,
        lock=tmp_path / ".lock",
        backups=tmp_path / "backups",
        words=" --stack dev",
    )
    backend = found.backend
    assert backend
    backend.write(export("a"))
    return found


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The cluster that every kubeconfig leads to: its uid, empty when it does not answer."""
    answers: dict[str, Any] = {"uid": "one"}

    def uid(_way: object) -> tuple[str, str]:
        return answers["uid"], "https://api"

    monkeypatch.setattr(same_cluster, "_uid", uid)
    return answers


def way() -> tuple[Path, str | None]:
    return KUBECONFIG, None


def test_another_cluster_than_that_of_the_last_up_is_refused(target: Target, cluster: dict[str, Any]) -> None:
    same_cluster.require(target, way)
    same_cluster.remember(target, way)
    same_cluster.require(target, way)
    assert stat.S_IMODE((target.backups / "cluster-uid").stat().st_mode) == 0o600
    cluster["uid"] = "another"
    with pytest.raises(MaasError, match="leads to another cluster") as caught:
        same_cluster.require(target, way)
    for words in ("uid another", "it was one", "maas:cluster.context", "./maas state adopt --stack dev"):
        assert words in str(caught.value)


@pytest.mark.usefixtures("cluster")
def test_what_is_noted_already_needs_no_room(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_path: Path, _text: str) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    same_cluster.remember(target, way)
    monkeypatch.setattr(same_cluster, "write_private", full)
    same_cluster.remember(target, way)


def test_a_cluster_that_does_not_answer_is_left_to_the_run_itself(target: Target, cluster: dict[str, Any]) -> None:
    same_cluster.remember(target, way)
    cluster["uid"] = ""
    same_cluster.require(target, way)
    same_cluster.remember(target, way)
    cluster["uid"] = "another"
    with pytest.raises(MaasError):
        same_cluster.require(target, way)


def test_a_stack_with_nothing_on_its_cluster_may_go_anywhere(target: Target, cluster: dict[str, Any]) -> None:
    same_cluster.remember(target, way)
    cluster["uid"] = "another"
    backend = target.backend
    assert isinstance(backend, Backend)
    backend.begin()
    same_cluster.require(target, way)


def test_without_a_kubeconfig_nothing_is_said(target: Target) -> None:
    def none() -> tuple[Path, str | None]:
        raise MaasError("No kubeconfig")

    same_cluster.remember(target, none)
    same_cluster.require(target, none)
