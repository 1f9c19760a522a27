"""The bundle of CRDs: what is read, what is refused, what an installation asks of a cluster."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from sandbox import crds
from sandbox.crds import Bundle, Source
from sandbox.kube import ApiError, NoMatchError, Object, Resource
from sandbox.progress import Silent
from sandbox.tools.errors import ToolError

CRD = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: {name}
spec:
  group: example.com
  names: {{kind: Thing}}
  versions: [{{name: v1, served: true}}]
status: {{conditions: []}}
"""
SOURCE = Source("example.com/m@v1.0.0", "h1:right", ("crds",))


class Ignored:
    def update(self, detail: str, done: int | None = None, total: int | None = None) -> None:
        del detail, done, total


def module(folder: Path, **files: str) -> dict[str, Path]:
    (folder / "crds").mkdir()
    for name, text in files.items():
        (folder / "crds" / f"{name}.yaml").write_text(text, encoding="utf-8")
    return {SOURCE.module: folder}


def test_template_lines_go_and_the_rest_stays() -> None:
    text = "# START {{- if .Values.x }}\nkind: A\n  app: '{{ template \"n\" . }}'\n  keep: '{ { }'\n# END {{- end }}\n"
    assert crds.strip_template_lines(text) == "kind: A\n  keep: '{ { }'\n"


def test_only_crds_are_collected_sorted_and_without_status(tmp_path: Path) -> None:
    folders = module(
        tmp_path,
        a=CRD.format(name="z.example.com") + "---\nkind: Kustomization\n---\n",
        b=CRD.format(name="a.example.com"),
    )
    found = crds.collect([SOURCE], folders)
    assert [crd["metadata"]["name"] for crd in found] == ["a.example.com", "z.example.com"]
    assert all("status" not in crd for crd in found), "a status is the cluster's to write"


def test_values_are_read_as_go_reads_them(tmp_path: Path) -> None:
    text = CRD.format(name="a.example.com") + "operators: [=, '!=']\nsince: 2020-01-01\n"
    (crd,) = crds.collect([SOURCE], module(tmp_path, a=text))
    assert crd["operators"] == ["=", "!="], "Prometheus' matchers have this"
    assert crd["since"] == "2020-01-01"


def test_a_path_without_crds_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match=r"example.com/m@v1.0.0 has no CRD in crds"):
        crds.collect([SOURCE], module(tmp_path, a="kind: ConfigMap\n"))


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"Sum": "h1:wrong", "Dir": "d"}, "its sum is h1:wrong, pinned is h1:right"),
        ({"Dir": "d"}, "its sum is None"),
        ({"Error": "no such host"}, "no such host"),
        (None, "did not mention it"),
    ],
)
def test_a_module_that_is_not_the_pinned_one_is_refused(said: dict[str, str] | None, message: str) -> None:
    with pytest.raises(ToolError, match=message):
        crds.verify([SOURCE], {SOURCE.module: said} if said else {})


def test_a_module_that_is_the_pinned_one_is_used() -> None:
    assert crds.verify([SOURCE], {SOURCE.module: {"Sum": "h1:right", "Dir": "d"}}) == {SOURCE.module: Path("d")}


def test_every_source_has_a_version_and_a_sum() -> None:
    for source in crds.SOURCES:
        assert "@v" in source.module, source
        assert source.sum.startswith("h1:"), source
    assert len({source.module for source in crds.SOURCES}) == len(crds.SOURCES)


def test_the_bundle_is_made_once_and_its_file_is_the_same_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = module(tmp_path, b=CRD.format(name="b.example.com"), a=CRD.format(name="a.example.com"))
    calls: list[int] = []

    def folders_of(*_: object) -> dict[str, Path]:
        calls.append(1)
        return folders

    monkeypatch.setattr(crds, "SOURCES", (SOURCE,))
    monkeypatch.setattr(crds, "module_folders", folders_of)
    contents: list[bytes] = []
    bundles: list[Bundle] = []
    for cache in ("one", "two", "two"):
        monkeypatch.setenv("MAAS_CACHE", str(tmp_path / cache))
        bundles.append(crds.bundle(Silent()))
        (file,) = (tmp_path / cache / "crds").glob("*.json")
        contents.append(file.read_bytes())
    assert contents[0] == contents[1] == contents[2]
    assert bundles[0] == bundles[1] == bundles[2]
    assert len(calls) == 2, "the second bundle of a cache needs neither Go nor a network"


def test_the_fingerprint_changes_with_the_table() -> None:
    other = Source(SOURCE.module, SOURCE.sum, SOURCE.paths, template=True)
    assert crds.fingerprint([SOURCE]) != crds.fingerprint([other])
    assert crds.fingerprint([SOURCE]) == crds.fingerprint([Source(SOURCE.module, SOURCE.sum, SOURCE.paths)])


class Cluster:
    """As much of an API server as the installation asks for."""

    def __init__(self, served_after: int) -> None:
        self.applied: list[str] = []
        self.stored: dict[str, Object] = {}
        self.asked = 0
        self.served_after = served_after

    async def get(self, _version: str, _kind: str, name: str, _namespace: str) -> Object | None:
        return self.stored.get(name)

    async def apply(self, obj: Object, **_: Any) -> Object:  # noqa: ANN401  (Kube's options)
        name = str(obj["metadata"]["name"])
        self.applied.append(name)
        self.stored[name] = obj
        return obj

    async def create(self, obj: Object, **options: Any) -> Object:  # noqa: ANN401  (Kube's options)
        name = str(obj["metadata"]["name"])
        if name in self.stored:
            raise ApiError(409, "AlreadyExists", "already exists", name)
        return await self.apply(obj, **options)

    async def resource(self, version: str, kind: str) -> Resource:
        self.asked += 1
        if self.asked <= self.served_after:
            raise NoMatchError(version, kind, kind)
        return Resource("things", namespaced=True)


def bundle_of(*names: str) -> Bundle:
    made = [
        {
            "metadata": {"name": name},
            "spec": {"group": "e.com", "names": {"kind": "T"}, "versions": [{"name": "v1", "served": True}]},
        }
        for name in names
    ]
    return Bundle(json.dumps(made).encode())


def install(cluster: Cluster, bundle: Bundle, timeout_seconds: float = 5) -> bool:
    return asyncio.run(crds.install(cluster, bundle, Ignored(), timeout_seconds=timeout_seconds))  # pyright: ignore[reportArgumentType]


def test_the_installation_waits_until_the_kinds_are_served() -> None:
    cluster = Cluster(served_after=3)
    assert install(cluster, bundle_of("a", "b"))
    assert sorted(cluster.applied[:2]) == ["a", "b"]
    assert cluster.asked > 3
    assert cluster.applied[-1] == "maas-sandbox-crds", "the record comes last: an interrupted run is repeated"


def test_a_second_installation_applies_nothing() -> None:
    cluster = Cluster(served_after=0)
    install(cluster, bundle_of("a"))
    before = list(cluster.applied)
    assert not install(cluster, bundle_of("a"))
    assert cluster.applied == before
    assert install(cluster, bundle_of("a", "b")), "another bundle is installed"


def test_a_crd_that_is_there_already_is_brought_up_to_date() -> None:
    cluster = Cluster(served_after=0)
    cluster.stored["a"] = {"metadata": {"name": "a"}, "spec": {"group": "old.com"}}
    install(cluster, bundle_of("a"))
    assert cluster.stored["a"]["spec"]["group"] == "e.com"


def test_a_crd_that_is_never_served_is_named() -> None:
    cluster = Cluster(served_after=1_000_000)
    with pytest.raises(TimeoutError, match=r"not served after 0 s: a;"):
        install(cluster, bundle_of("a"), timeout_seconds=0)
    assert "maas-sandbox-crds" not in cluster.stored
