import json
import socket
import stat
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from cli.app import app
from cli.deploy import operations
from cli.deploy.kind import KindCluster, Ports, cluster_config, overlay, require_engine
from cli.deploy.operations import Command, Options
from cli.exits import Exit, MaasError
from cli.paths import ROOT
from cli.program.recorder import record
from cli.stacks.stackfile import stack_config
from sandbox.progress import Silent

FAKE = """#!{python}
import json, os, sys
here = os.path.dirname(os.path.abspath(__file__))
words = sys.argv[1:]
clusters = os.path.join(here, "clusters")
with open(os.path.join(here, "calls"), "a") as calls:
    calls.write(json.dumps([os.path.basename(sys.argv[0]), *words]) + "\\n")
if os.path.exists(os.path.join(here, "broken-" + os.path.basename(sys.argv[0]) + "-" + words[0])):
    print("first line", file=sys.stderr)
    print("the reason", file=sys.stderr)
    sys.exit(1)
if words[:2] == ["get", "clusters"] and os.path.exists(clusters):
    print(open(clusters).read())
if words[:2] == ["create", "cluster"]:
    open(clusters, "a").write(words[words.index("--name") + 1] + "\\n")
    open(words[words.index("--kubeconfig") + 1], "w").close()
if words[:2] == ["delete", "cluster"]:
    os.remove(clusters)
"""
runner = CliRunner()


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MAAS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.delenv("KIND_EXPERIMENTAL_PROVIDER", raising=False)
    return tmp_path / "home"


class Machine:
    """A PATH with the programs that a test puts there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()

    def install(self, *names: str) -> None:
        for name in names:
            path = self.folder / name
            path.write_text(FAKE.format(python=sys.executable))
            path.chmod(path.stat().st_mode | stat.S_IXUSR)

    def break_(self, program: str, command: str) -> None:
        (self.folder / f"broken-{program}-{command}").touch()

    def calls(self, program: str = "kind") -> list[list[str]]:
        lines = (self.folder / "calls").read_text().splitlines() if (self.folder / "calls").exists() else []
        return [words[1:] for words in map(json.loads, lines) if words[0] == program]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path / "bin")


@pytest.fixture
def ports() -> tuple[int, int]:
    """Two ports of loopback that nobody uses."""
    found: list[int] = []
    with socket.socket() as one, socket.socket() as two:
        for each in (one, two):
            each.bind(("127.0.0.1", 0))
            found.append(int(each.getsockname()[1]))
    return found[0], found[1]


def test_the_cluster_maps_the_gateways_node_ports_to_loopback_alone() -> None:
    [node] = cluster_config(Ports(80, 443))["nodes"]
    assert node["role"] == "control-plane"
    assert node["labels"] == {"ingress-ready": "true"}
    assert [(each["listenAddress"], each["hostPort"]) for each in node["extraPortMappings"]] == [
        ("127.0.0.1", 80),
        ("127.0.0.1", 443),
    ]


def test_the_dev_stack_on_kind_listens_on_the_ports_that_the_cluster_maps(machine: Machine) -> None:
    machine.install("kind", "docker")
    cluster = KindCluster.open("maas", 8080, 8443)
    cluster.compose()
    recording = record("dev", *stack_config("dev", cluster.project))
    [options] = [each for each in recording.objects if each.metadata_name == "inference-gateway-options"]
    [port] = yaml.safe_load(options.body["data"]["service"])["spec"]["ports"]
    [node] = cluster_config(cluster.ports)["nodes"]
    assert {port["nodePort"]: 8080}.items() <= {
        each["containerPort"]: each["hostPort"] for each in node["extraPortMappings"]
    }.items()
    assert recording.outputs["endpoints"]["simulator"] == "http://simulator.maas.localhost:8080"
    [provider] = [each for each in recording.resources if each.type == "pulumi:providers:kubernetes"]
    assert provider.inputs["context"] == "kind-maas"


def test_keys_that_are_encrypted_for_another_state_are_left_out() -> None:
    assert overlay("maas", Ports(80, 443))["maas:apiKeys"] is None


def test_composing_for_kind_changes_no_tracked_file_and_asks_for_keys(home: Path) -> None:
    before = {path.name: path.read_bytes() for path in ROOT.glob("Pulumi*.yaml")}
    missing = KindCluster.open("maas").compose()
    assert missing == sorted(yaml.safe_load(before["Pulumi.dev.yaml"])["config"]["maas:users"])
    assert {path.name: path.read_bytes() for path in ROOT.glob("Pulumi*.yaml")} == before
    assert (home / "kind" / "maas" / "project" / "Pulumi.dev.yaml").is_file()


def test_the_stack_on_kind_hears_nothing_of_another_state_and_keeps_its_own_beside_the_cluster(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PULUMI_BACKEND_URL", "s3://states")
    monkeypatch.setenv("PULUMI_HOME", "/somewhere")
    target = KindCluster.open("maas").target()
    assert target.environment["PULUMI_BACKEND_URL"] == f"file://{home}/kind/maas/state"
    assert target.environment["KUBECONFIG"] == str(home / "kind" / "maas" / "kubeconfig.yaml")
    assert "PULUMI_BACKEND_URL" in target.without
    assert "PULUMI_HOME" not in target.without, "the plugins are there"


def test_a_cluster_is_made_once_with_its_own_kubeconfig(machine: Machine, home: Path, ports: tuple[int, int]) -> None:
    machine.install("kind", "docker")
    folder = home / "kind" / "maas"
    for _ in range(2):
        KindCluster.open("maas", *ports).create(Silent())
    assert [words for words in machine.calls() if words[0] == "create"] == [
        [
            "create", "cluster", "--name", "maas", "--kubeconfig", f"{folder}/kubeconfig.yaml",
            "--config", f"{folder}/kind.yaml", "--wait", "300s",
        ]
    ]  # fmt: skip
    assert yaml.safe_load((folder / "kind.yaml").read_text()) == cluster_config(Ports(*ports))


def test_ports_need_to_be_said_only_once_and_cannot_be_changed_later(machine: Machine, ports: tuple[int, int]) -> None:
    machine.install("kind", "docker")
    KindCluster.open("maas", *ports).create(Silent())
    assert KindCluster.open("maas").ports == Ports(*ports)
    with pytest.raises(MaasError, match="other ports"):
        KindCluster.open("maas", ports[1], ports[0]).create(Silent())


def test_a_lost_kubeconfig_is_asked_for_again(machine: Machine, ports: tuple[int, int]) -> None:
    machine.install("kind", "docker")
    cluster = KindCluster.open("maas", *ports)
    cluster.create(Silent())
    cluster.kubeconfig.unlink()
    cluster.create(Silent())
    assert machine.calls()[-1][:2] == ["export", "kubeconfig"]


def test_a_cluster_of_somebody_else_is_neither_used_nor_deleted(machine: Machine) -> None:
    machine.install("kind", "docker")
    (machine.folder / "clusters").write_text("maas\n")
    for action in (KindCluster.open("maas").create, KindCluster.open("maas").delete):
        with pytest.raises(MaasError, match="not made from here"):
            action(Silent())
    assert {words[0] for words in machine.calls()} == {"get"}


def test_a_taken_port_is_named_with_the_option_for_another(machine: Machine, ports: tuple[int, int]) -> None:
    machine.install("kind", "docker")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(MaasError, match=f"{port} .* --https-port") as caught:
            KindCluster.open("maas", ports[0], port).create(Silent())
    assert caught.value.code is Exit.USAGE


def test_down_deletes_the_cluster_and_forgets_it(machine: Machine, home: Path, ports: tuple[int, int]) -> None:
    machine.install("kind", "docker")
    KindCluster.open("maas", *ports).create(Silent())
    done = runner.invoke(app, ["kind", "down"])
    assert done.exit_code == Exit.OK, done.output
    assert machine.calls()[-1][:4] == ["delete", "cluster", "--name", "maas"]
    assert not (home / "kind" / "maas").exists()


def test_status_tells_how_to_reach_the_cluster(machine: Machine, ports: tuple[int, int]) -> None:
    machine.install("kind", "docker")
    before: dict[str, Any] = json.loads(runner.invoke(app, ["kind", "status", "--json"]).stdout)
    assert before["running"] is False
    KindCluster.open("maas", *ports).create(Silent())
    after: dict[str, Any] = json.loads(runner.invoke(app, ["kind", "status", "--json"]).stdout)
    assert (after["running"], after["context"], after["http_port"]) == (True, "kind-maas", ports[0])


@pytest.mark.parametrize("command", ["up", "down", "status"])
def test_without_kind_or_docker_a_command_says_what_is_missing_and_what_needs_neither(
    command: str, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def find(*_: object) -> Path:
        raise AssertionError("the engine was looked for, or even built, before it was known that kind is there")

    monkeypatch.setattr(operations, "find", find)
    done = runner.invoke(app, ["kind", command])
    assert done.exit_code == Exit.FAILED
    assert "kind is not installed" in done.output
    assert "./maas up" in done.output
    machine.install("kind")
    done = runner.invoke(app, ["kind", command])
    assert "docker, which is not installed" in " ".join(done.output.split())
    assert "Traceback" not in done.output
    assert machine.calls() == [], "nothing was begun"


def test_an_engine_that_does_not_answer_is_told_from_one_that_is_missing(machine: Machine) -> None:
    machine.install("kind", "docker")
    machine.break_("docker", "info")
    with pytest.raises(MaasError, match="does not answer: first line / the reason"):
        require_engine()


def test_another_engine_is_looked_for_when_kind_is_told_to_use_it(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.install("kind", "podman")
    monkeypatch.setenv("KIND_EXPERIMENTAL_PROVIDER", "podman")
    require_engine()
    assert machine.calls("podman") == [["info"]]


def test_what_kind_says_when_it_fails_is_repeated(machine: Machine, ports: tuple[int, int]) -> None:
    machine.install("kind", "docker")
    machine.break_("kind", "create")
    with pytest.raises(MaasError, match="kind create cluster failed: first line / the reason"):
        KindCluster.open("maas", *ports).create(Silent())


@pytest.mark.parametrize("name", ["..", "a/b", "Maas", "", "-x"])
def test_a_name_that_could_leave_our_folder_is_refused(name: str) -> None:
    with pytest.raises(MaasError, match="no name for a kind cluster"):
        KindCluster.open(name)


@pytest.mark.parametrize("ports", [(8443, 8443), (443, None), (None, 80)])
def test_one_port_for_http_and_https_is_refused_before_an_engine_is_asked(ports: tuple[int | None, int | None]) -> None:
    with pytest.raises(MaasError, match=r"need a port each.*--http-port") as refused:
        KindCluster.open("never-made", *ports)
    assert refused.value.code is Exit.USAGE


def test_a_refused_configuration_makes_no_cluster(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.install("kind", "docker")
    monkeypatch.setattr("cli.deploy.kind.DOMAIN", "not a domain")
    done = runner.invoke(app, ["kind", "up"])
    assert done.exit_code == Exit.CONFIG, done.output
    assert "create" not in {words[0] for words in machine.calls()}


def test_the_closing_words_lead_to_this_cluster() -> None:
    cluster = KindCluster.open("other")
    command = Command(Options(stack="dev", kind=cluster), console=None)  # type: ignore[arg-type]
    hints = dict(command._hints(cluster.target()))  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    assert f"export KUBECONFIG={cluster.kubeconfig}" in hints
    assert "./maas kind down --name other" in hints
    assert not [words for words in hints if "--stack dev" in words], "that would be another cluster"
