import asyncio
from pathlib import Path

import pulumi
import pytest

from cli.program.recorder import RecordingError, record

PROGRAM = """
import pulumi
import pulumi_kubernetes as k

config = pulumi.Config("maas")


class Layer(pulumi.ComponentResource):
    def __init__(self, name, opts=None):
        super().__init__(f"maas:{name}:{name.title()}", name, None, opts)


one = Layer("platform")
namespace = k.core.v1.Namespace("n", metadata={"name": "llm"}, opts=pulumi.ResourceOptions(parent=one))
two = Layer("identity", pulumi.ResourceOptions(depends_on=[one]))
k.core.v1.Secret(
    "key",
    metadata={"name": "key", "namespace": namespace.metadata.name},
    string_data={"api_key": config.require_secret("key")},
    opts=pulumi.ResourceOptions(parent=two),
)
k.apiextensions.CustomResource(
    "policy",
    api_version="kuadrant.io/v1",
    kind="RateLimitPolicy",
    metadata={"name": "p", "namespace": "llm"},
    spec={"limit": 5, "share": 0.5, "whole": 1.0},
    opts=pulumi.ResourceOptions(parent=two),
)
k.core.v1.ConfigMapPatch(
    "patch", metadata={"name": "c", "namespace": "kserve"}, data={"a": "b"}, opts=pulumi.ResourceOptions(parent=two)
)
pulumi.export("stack", pulumi.get_stack())
pulumi.export("key", config.require_secret("key"))
"""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "__main__.py"
    path.write_text(PROGRAM)
    return path


def test_objects_come_with_layer_body_and_place(program: Path) -> None:
    objects = {each.name: each for each in record("dev", {"maas:key": "hush"}, {"maas:key"}, program).objects}
    assert sorted(objects) == ["key", "n", "patch", "policy"]
    assert (objects["n"].layer, objects["key"].layer) == ("platform", "identity")
    assert objects["policy"].body["spec"] == {"limit": 5, "share": 0.5, "whole": 1}
    assert isinstance(objects["policy"].body["spec"]["limit"], int), "protobuf makes every number a double"
    assert (objects["key"].namespace, objects["n"].namespace) == ("llm", ""), "an output of the namespace has flowed in"
    assert (objects["patch"].kind, objects["patch"].is_patch) == ("ConfigMap", True)


def test_secret_inputs_are_unwrapped_and_marked(program: Path) -> None:
    (key,) = [each for each in record("dev", {"maas:key": "hush"}, {"maas:key"}, program).objects if each.name == "key"]
    assert key.body["stringData"] == {"api_key": "hush"}
    assert key.secrets == {"stringData"}


def test_exports_are_resolved_and_their_secrecy_known(program: Path) -> None:
    recording = record("dev", {"maas:key": "hush"}, {"maas:key"}, program)
    assert recording.outputs == {"key": "hush", "stack": "dev"}
    assert recording.secret_outputs == {"key"}


def test_a_second_stack_starts_from_nothing(program: Path, tmp_path: Path) -> None:
    record("dev", {"maas:key": "a"}, (), program)
    empty = tmp_path / "empty.py"
    empty.write_text("import pulumi\npulumi.export('mine', 1)\n")
    second = record("ocp", {}, (), empty)
    assert second.outputs == {"mine": 1}, "exports of the first stack are not among them"
    assert second.resources == (), "absence can be asserted"


def test_the_parent_of_a_second_recording_is_its_own_stack(program: Path) -> None:
    record("dev", {"maas:key": "a"}, (), program)
    parents = {each.parent for each in record("ocp", {"maas:key": "a"}, (), program).components}
    assert parents == {"urn:pulumi:ocp::maas::pulumi:pulumi:Stack::maas-ocp"}


def test_dependencies_of_a_component_are_on_its_own_request(program: Path) -> None:
    recording = record("dev", {"maas:key": "a"}, (), program)
    namespace = "urn:pulumi:dev::maas::maas:platform:Platform$kubernetes:core/v1:Namespace::n"
    identity = recording.by_urn("urn:pulumi:dev::maas::maas:identity:Identity::identity")
    assert identity.dependencies == (namespace,), "the SDK puts, for a component, the objects below it"


def test_two_resources_of_one_name_are_refused_as_the_engine_would(tmp_path: Path) -> None:
    path = tmp_path / "twice.py"
    path.write_text(
        "import pulumi_kubernetes as k\n"
        "for name in ('a', 'b'):\n    k.core.v1.Namespace('n', metadata={'name': name})\n"
    )
    with pytest.raises(RecordingError, match="'n'"):
        record("dev", {}, (), path)


def test_what_the_program_refuses_reaches_the_caller(tmp_path: Path) -> None:
    path = tmp_path / "refuses.py"
    path.write_text("import pulumi\nraise pulumi.RunError('maas:domain is missing')\n")
    with pytest.raises(pulumi.RunError, match="maas:domain is missing"):
        record("dev", {}, (), path)


def test_an_error_inside_an_apply_is_not_lost(tmp_path: Path) -> None:
    path = tmp_path / "late.py"
    path.write_text("import pulumi\npulumi.Output.from_input(1).apply(lambda _: 1 / 0)\n")
    with pytest.raises(ZeroDivisionError):
        record("dev", {}, (), path)


def test_the_callers_kubeconfig_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "provider.py"
    path.write_text("import pulumi_kubernetes as k\nk.Provider('c')\n")
    monkeypatch.setenv("KUBECONFIG", "/somewhere/else")
    monkeypatch.setenv("PULUMI_K8S_ENABLE_PATCH_FORCE", "true")
    (cluster,) = record("dev", {}, (), path).resources
    assert cluster.inputs == {}


def test_a_recording_works_where_something_else_has_used_up_the_event_loop(program: Path) -> None:
    asyncio.run(asyncio.sleep(0))
    assert record("dev", {"maas:key": "hush"}, {"maas:key"}, program).objects
