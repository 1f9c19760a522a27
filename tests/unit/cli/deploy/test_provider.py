import os
import stat
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest

import sandbox.provider
from cli.deploy import provider
from cli.deploy.provider import Choice, attached
from cli.deploy.target import Target, of_sandbox
from cli.exits import MaasError
from sandbox.instance import Sandbox
from sandbox.progress import Silent

DAY = 24 * 3600


@pytest.fixture
def target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Target:
    monkeypatch.setenv("MAAS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PULUMI_HOME", str(tmp_path / "user-pulumi"))
    monkeypatch.setattr(provider, "PLUGIN", "no-such-plugin-on-any-path")

    def serve(_kubeconfig: Path) -> nullcontext[int]:
        return nullcontext(4711)

    monkeypatch.setattr(sandbox.provider, "serve", serve)
    return of_sandbox(Sandbox.open("sandbox", tmp_path / "home"))


@pytest.fixture
def pulumi(tmp_path: Path) -> Path:
    """A `pulumi` that cannot install anything, and counts how often it is asked."""
    path = tmp_path / "pulumi"
    path.write_text(f"#!/bin/sh\necho x >> {tmp_path}/asked\necho no network >&2\nexit 1\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def asked(pulumi: Path) -> int:
    path = pulumi.parent / "asked"
    return len(path.read_text().splitlines()) if path.exists() else 0


def test_the_sandbox_falls_back_to_the_stand_in_and_tries_the_plugin_once_a_day(target: Target, pulumi: Path) -> None:
    for _ in range(2):
        with attached(Choice.AUTO, target, pulumi, Silent()) as environment:
            assert environment == {"PULUMI_DEBUG_PROVIDERS": "kubernetes:4711"}
    assert asked(pulumi) == 1
    (mark,) = (pulumi.parent / "cache").glob("*.unavailable")
    assert mark.read_text() == "no network\n"
    long_ago = mark.stat().st_mtime - DAY - 1
    os.utime(mark, (long_ago, long_ago))
    with attached(Choice.AUTO, target, pulumi, Silent()):
        pass
    assert asked(pulumi) == 2


def test_an_installed_plugin_is_used_without_asking_anybody(target: Target, pulumi: Path, tmp_path: Path) -> None:
    folder = tmp_path / "user-pulumi" / "plugins" / f"resource-kubernetes-v{provider.version()}"
    folder.mkdir(parents=True)
    (folder / provider.PLUGIN).touch()
    with attached(Choice.AUTO, target, pulumi, Silent()) as environment:
        assert environment == {}
    assert asked(pulumi) == 0


def test_a_real_cluster_is_never_given_to_the_stand_in_unasked(target: Target, pulumi: Path) -> None:
    real = replace(target, sandbox=None)
    with pytest.raises(MaasError, match="--stand-in"), attached(Choice.AUTO, real, pulumi, Silent()):
        pass
    with attached(Choice.STAND_IN, real, pulumi, Silent()) as environment:
        assert "PULUMI_DEBUG_PROVIDERS" in environment


def test_the_official_plugin_or_nothing(target: Target, pulumi: Path) -> None:
    with pytest.raises(MaasError, match="neither installed nor to be had"):
        attached(Choice.OFFICIAL, target, pulumi, Silent()).__enter__()
