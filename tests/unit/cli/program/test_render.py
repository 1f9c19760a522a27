from pathlib import Path

import pytest
import yaml
from pulumi.runtime.proto import resource_pb2

from cli.exits import MaasError
from cli.program import render
from cli.program.recorder import Object, Recording


def an_object(kind: str, name: str, namespace: str = "llm", layer: str = "models", **body: object) -> Object:
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    manifest: dict[str, object] = {"kind": kind, "apiVersion": "v1", "metadata": metadata, **body}
    token = f"kubernetes:core/v1:{kind}" + ("Patch" if body.get("patch") else "")
    manifest.pop("patch", None)
    return Object(
        urn=f"urn:pulumi:dev::maas::maas:{layer}:Layer${token}::{name}",
        type=token,
        name=name,
        parent="",
        layer=layer,
        inputs=manifest,
        secrets=frozenset(),
        dependencies=(),
        provider="",
        request=resource_pb2.RegisterResourceRequest(),
        body=manifest,
    )


def recording(*objects: Object) -> Recording:
    return Recording("dev", objects, {}, frozenset())


def written(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_each_object_is_one_file_named_by_layer_kind_namespace_and_name(tmp_path: Path) -> None:
    render.write(
        recording(
            an_object("ConfigMap", "script"),
            an_object("Namespace", "llm", namespace="", layer="platform"),
            an_object("ConfigMap", "settings", namespace="kserve", layer="kserve", patch=True),
            an_object("ClusterRole", "system:reader", namespace="", layer="platform"),
        ),
        tmp_path,
    )
    assert written(tmp_path) == [
        "kserve/configmappatch-kserve-settings.yaml",
        "models/configmap-llm-script.yaml",
        "platform/clusterrole-system_reader.yaml",
        "platform/namespace-llm.yaml",
        "rendered.index",
    ]


def test_the_bytes_do_not_depend_on_the_order_of_registration(tmp_path: Path) -> None:
    one, two = an_object("ConfigMap", "a", data={"z": "1", "a": "2"}), an_object("ConfigMap", "b")
    render.write(recording(one, two), tmp_path / "x")
    render.write(recording(two, one), tmp_path / "y")
    assert {p: (tmp_path / "x" / p).read_bytes() for p in written(tmp_path / "x")} == {
        p: (tmp_path / "y" / p).read_bytes() for p in written(tmp_path / "y")
    }


def test_what_an_earlier_render_wrote_and_this_one_does_not_is_removed_and_nothing_else(tmp_path: Path) -> None:
    render.write(recording(an_object("ConfigMap", "a"), an_object("ConfigMap", "b", layer="gone")), tmp_path)
    (tmp_path / "models" / "notes.txt").write_text("mine")
    render.write(recording(an_object("ConfigMap", "a")), tmp_path)
    assert written(tmp_path) == ["models/configmap-llm-a.yaml", "models/notes.txt", "rendered.index"]
    assert not (tmp_path / "gone").exists(), "a layer's folder goes with its last file"


def test_an_index_that_points_outside_removes_nothing(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine")
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / render.INDEX).write_text('{"objects": [{"file": "../precious"}]}')
    with pytest.raises(MaasError, match="outside"):
        render.write(recording(), folder)
    assert (tmp_path / "precious").read_text() == "mine"


def test_secrets_do_not_reach_the_file(tmp_path: Path) -> None:
    render.write(recording(an_object("Secret", "key", stringData={"api_key": "hush"})), tmp_path)
    text = (tmp_path / "models" / "secret-llm-key.yaml").read_text()
    assert "hush" not in text
    assert yaml.safe_load(text)["stringData"] == {"api_key": "<redacted>"}


def test_two_resources_for_one_object_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MaasError, match="same object"):
        render.write(recording(an_object("ConfigMap", "a"), an_object("ConfigMap", "a")), tmp_path)
