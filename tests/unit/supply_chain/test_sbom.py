"""The bill of materials: everything that is locked is in it, and it is the same each time."""

import json
import re
from pathlib import Path
from typing import Any, cast

import pytest
from cyclonedx.model.bom import Bom
from typer.testing import CliRunner

from cli.app import app
from cli.deploy.operations import Command
from cli.exits import Exit
from cli.program.recorder import Recording, record, stack_config
from cli.sbom.bom import document
from cli.sbom.inventory import LOCK, Image, Inventory, image_of, inventory, modules, packages
from config.versions import KUADRANT_VERSION, SIMULATOR_IMAGE
from sandbox.tools.declarations import TOOLS, TOOLS_FOLDER

runner = CliRunner()


@pytest.fixture(scope="module")
def recording() -> Recording:
    return record("dev", *stack_config("dev"))


@pytest.fixture(scope="module")
def found(recording: Recording) -> Inventory:
    return inventory(recording)


@pytest.fixture(scope="module")
def text(found: Inventory) -> str:
    return document(found, "dev", "1.2.3")


@pytest.fixture(scope="module")
def bom(text: str) -> dict[str, Any]:
    return json.loads(text)


def test_every_locked_package_is_in_it_with_its_hashes(found: Inventory) -> None:
    lock = LOCK.read_text(encoding="utf-8")
    assert len(found.packages) == len(re.findall(r"^\S+==", lock, re.MULTILINE)) > 100
    assert sum(len(each.hashes) for each in found.packages) == lock.count("--hash=sha256:")
    assert all(each.hashes for each in found.packages)


def test_a_lock_with_markers_and_several_hashes_is_read() -> None:
    one, two = "a" * 64, "b" * 64
    hashes = f" \\\n    --hash=sha256:{one} \\\n    --hash=sha256:{two}\n"
    lock = f"one==1.0 ; sys_platform == 'linux'{hashes}two==2.0.post1 \\\n    --hash=sha256:{two}\n"
    assert [(each.name, each.version, each.hashes) for each in packages(lock)] == [
        ("one", "1.0", (one, two)),
        ("two", "2.0.post1", (two,)),
    ]


def test_every_tool_is_in_it_with_the_modules_it_is_built_from(found: Inventory, bom: dict[str, Any]) -> None:
    assert {tool for each in found.programs for tool in each.tools} == set(TOOLS)
    for program in found.programs:
        versions = {each.path: each.version for each in program.modules}
        assert versions[program.module] == (program.family.module_version or program.family.version), program.module
    depends = {each["ref"]: each.get("dependsOn", []) for each in bom["dependencies"]}
    assert len(depends["tools:etcd"]) > 50
    first = f"pypi:{found.packages[0].name}@{found.packages[0].version}"
    assert {first, "tools:etcd", f"image:{SIMULATOR_IMAGE}@"} <= set(depends["maas"])


def test_modules_have_the_sums_that_go_holds_them_to_and_replacements_are_none() -> None:
    etcd = {each.path: each for each in modules(TOOLS_FOLDER / "etcd")}
    assert etcd["go.etcd.io/etcd/server/v3"].sum.startswith("h1:")
    assert all(each.sum for each in etcd.values())


def test_images_and_charts_are_those_of_the_stack(found: Inventory, bom: dict[str, Any]) -> None:
    assert image_of(SIMULATOR_IMAGE) in found.images
    charts = {each.name: each.version for each in found.charts}
    assert charts["kuadrant-operator"] == KUADRANT_VERSION
    kinds = {each["bom-ref"]: each["type"] for each in bom["components"]}
    assert kinds[f"image:{SIMULATOR_IMAGE}@"] == "container"


@pytest.mark.parametrize(
    ("text", "image"),
    [
        ("docker.io/library/python:3.12", Image("docker.io/library/python", "3.12", "")),
        ("localhost:5000/a/b@sha256:00", Image("localhost:5000/a/b", "", "sha256:00")),
        ("oci://quay.io/a/b:v1@sha256:00", Image("quay.io/a/b", "v1", "sha256:00")),
        ("python", Image("python", "", "")),
    ],
)
def test_an_images_name_has_a_tag_a_digest_or_both(text: str, image: Image) -> None:
    assert image_of(text) == image


def test_the_same_is_the_same_text_and_something_else_has_another_number(
    found: Inventory, text: str, bom: dict[str, Any]
) -> None:
    assert document(found, "dev", "1.2.3") == text
    other = json.loads(document(Inventory(found.packages[:1], (), (), ()), "dev", "1.2.3"))
    assert other["serialNumber"] != bom["serialNumber"]
    assert "timestamp" not in bom["metadata"]


def test_every_reference_leads_to_one_component(bom: dict[str, Any]) -> None:
    refs = [each["bom-ref"] for each in bom["components"]]
    assert len(refs) == len(set(refs)) > 1000
    named = {each for one in bom["dependencies"] for each in (one["ref"], *one["dependsOn"])}
    assert named == {*refs, "maas"}, "nothing leads nowhere, and nothing is of no use"


def test_the_library_for_cyclonedx_reads_it(found: Inventory) -> None:
    programs = tuple(each for each in found.programs if each.family.name == "actionlint")
    few = json.loads(document(Inventory(found.packages[:5], programs, found.images, found.charts), "dev", "1.2.3"))
    read: Any = cast("Any", Bom).from_json(few)  # a decorator makes it, which no type checker sees through
    assert {each.bom_ref.value for each in read.components} == {each["bom-ref"] for each in few["components"]}
    pod, filter_ = sorted(each.purl.to_string() for each in read.components if each.type.value == "container")
    assert pod.startswith("pkg:oci/python?repository_url=docker.io/library/python&tag=3.12")
    assert filter_.startswith("pkg:oci/wasm-shim?"), "what the operator is told to run in the gateway"
    assert {str(each.value) for one in read.components for each in one.licenses} >= {"MIT"}
    assert read.serial_number.urn == few["serialNumber"]


def test_the_command_writes_a_file_and_says_what_is_named_by_tag_only(
    recording: Recording, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def check(_: Command) -> Recording:
        return recording

    monkeypatch.setattr(Command, "check", check)
    file = tmp_path / "bom.json"
    done = runner.invoke(app, ["sbom", "--stack", "dev", "--out", str(file)])
    assert done.exit_code == Exit.OK, done.output
    written = json.loads(file.read_text(encoding="utf-8"))
    assert written["components"] == json.loads(text)["components"]
    assert f"Named by tag, not by digest: {SIMULATOR_IMAGE}" in " ".join(done.output.split())
