"""The values that we give to charts: rendered by a real Helm, accepted by the API server, and seen in the result."""

import asyncio
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, cast

import pytest

from components.kserve import CONFIG_MAP, CONTROLLER, inferenceservice_settings
from components.models.pods import STORAGE_SECRETS
from components.operators import environment
from components.operators.catalogue import DECLARATIONS, releases
from components.operators.helm import Release
from config.settings import Settings
from config.versions import KUADRANT_VERSION, WASM_SHIM_IMAGES
from sandbox.charts import CHARTS, Object, images, module, objects, render, unpacked, version
from sandbox.kube import ApiError, Kube
from tests.namespaces import namespaces_present
from tests.unit.config.bad import GOOD

pytestmark = pytest.mark.sandbox

MANAGER = "chart-check"
HELM = {"install": "helm"}
OPERATORS = ("certManager", "serviceMesh", "kserve", "kuadrant", "monitoring", "grafana")
EVERYTHING_BY_HELM: dict[str, object] = {"profile": "kubernetes", **dict.fromkeys(OPERATORS, HELM)}
MIRROR = {
    "registries": {
        "docker.io": "mirror.example.com/docker",
        "quay.io": "mirror.example.com/quay",
        "ghcr.io": "mirror.example.com/ghcr",
        "gcr.io": "mirror.example.com/gcr",
        "registry.k8s.io": "mirror.example.com/k8s",
    },
    "pullSecret": "mirror-key",
}
SETTINGS = Settings.load("charts", GOOD | {"platform": EVERYTHING_BY_HELM})
MIRRORED = Settings.load("charts", GOOD | {"platform": EVERYTHING_BY_HELM, "mirror": MIRROR})
NAMES = sorted(CHARTS)


def release_of(name: str, settings: Settings) -> Release:
    """The release of one chart, as the operators layer makes it."""
    every = [
        release for declaration in DECLARATIONS if declaration.charts for release in releases(declaration, settings)
    ]
    return next(release for release in every if release.chart.rpartition("/")[2] == name)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("charts")


class Renderer:
    """Renders a release, each chart being unpacked once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def text(self, name: str, release: Release, *, crds: bool = True) -> str:
        chart = self._folder / name
        if not chart.exists():
            unpacked(CHARTS[name], chart)
        where = (release.name, release.namespace, release.values)
        return render(chart, *where, postrender=release.postrender, include_crds=crds)

    def objects(self, name: str, settings: Settings) -> list[Object]:
        return objects(self.text(name, release_of(name, settings)))


@pytest.fixture(scope="module")
def renderer(folder: Path) -> Renderer:
    return Renderer(folder)


def one(rendered: list[Object], kind: str, name: str) -> Object:
    (found,) = [obj for obj in rendered if obj["kind"] == kind and obj["metadata"]["name"] == name]
    return found


def test_every_chart_that_we_install_is_checked_here() -> None:
    installed = {
        chart.name for declaration in DECLARATIONS if declaration.charts for chart in declaration.charts.charts
    }
    assert installed - set(CHARTS) == {"kube-prometheus-stack"}, "no Go module carries that one"


DEFINITION = "CustomResourceDefinition"
POLICY = "helm.sh/resource-policy"


@pytest.mark.parametrize("name", NAMES)
def test_no_chart_takes_its_crds_with_it_when_it_goes(name: str, renderer: Renderer) -> None:
    """Helm deletes what a chart has among its templates unless it is marked to be kept."""
    found = objects(renderer.text(name, release_of(name, SETTINGS), crds=False))
    crds = [obj for obj in found if obj["kind"] == DEFINITION]
    lost = [obj["metadata"]["name"] for obj in crds if obj["metadata"].get("annotations", {}).get(POLICY) != "keep"]
    assert lost == [], "uninstalling would delete every object of these kinds"


@pytest.mark.parametrize("name", ["kserve-crd", "kserve", "kuadrant-operator"])
def test_what_is_sent_through_our_program_is_otherwise_as_the_chart_says(name: str, renderer: Renderer) -> None:
    release = release_of(name, SETTINGS)
    assert release.postrender
    plain = objects(renderer.text(name, replace(release, postrender=None), crds=False))
    ours = objects(renderer.text(name, release, crds=False))
    unkept = [obj for obj in plain if obj["kind"] == DEFINITION]
    assert name == "kserve" or unkept, "its CRDs are among its templates, which is why"
    for obj in ours:
        if obj["kind"] == DEFINITION:
            assert obj["metadata"]["annotations"].pop(POLICY) == "keep"
            if not obj["metadata"]["annotations"]:
                del obj["metadata"]["annotations"]
    assert ours == [obj for obj in plain if obj["kind"] != "ClusterServingRuntime"]


@pytest.fixture(scope="module")
def empty_namespace(kubeconfig: Path) -> Iterator[str]:
    """A namespace to install into: in the usual ones are the sandbox's own, whose selectors cannot be changed."""
    with namespaces_present(kubeconfig, ["charts"]):
        yield "charts"


@pytest.mark.parametrize("settings", [SETTINGS, MIRRORED], ids=["plain", "mirrored"])
@pytest.mark.parametrize("name", NAMES)
def test_every_object_of_a_chart_passes_strict_validation(
    name: str, settings: Settings, renderer: Renderer, kubeconfig: Path, empty_namespace: str
) -> None:
    release = replace(release_of(name, settings), namespace=empty_namespace)
    rendered = objects(renderer.text(name, release))
    assert rendered, "a chart without objects would pass any check"

    async def refusals() -> dict[str, str]:
        found: dict[str, str] = {}
        async with Kube.connect(kubeconfig) as kube:
            for obj in rendered:
                body = await placed(kube, obj, release.namespace)
                try:
                    await kube.apply(body, field_manager=MANAGER, force=True, dry_run=True, strict=True)
                except ApiError as error:
                    found[f"{obj['kind']} {obj['metadata']['name']}"] = str(error)
        return found

    assert asyncio.run(refusals()) == {}


async def placed(kube: Kube, obj: Object, namespace: str) -> Object:
    """The object in its namespace: charts leave that to Helm."""
    if obj["metadata"].get("namespace") or not (await kube.resource(obj["apiVersion"], obj["kind"])).namespaced:
        return obj
    return obj | {"metadata": obj["metadata"] | {"namespace": namespace}}


def leaves(values: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """The values that are no mappings, by path."""
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from leaves(cast("Mapping[str, Any]", value), (*path, key))
        else:
            yield (*path, key), value


def with_leaf(values: Mapping[str, Any], path: tuple[str, ...], value: object) -> dict[str, Any]:
    key, *rest = path
    inner = with_leaf(values[key], tuple(rest), value) if rest else value
    return dict(values) | {key: inner}


def another(value: object) -> object:
    """A value of the same shape that is not the same."""
    match value:
        case bool():
            return not value
        case str():
            return f"{value}-other"
        case [{"name": str(name)}]:
            return [{"name": f"{name}-other"}]
        case [str(name)]:
            return [f"{name}-other"]
        case _:
            raise AssertionError(f"no other value for {value!r}")


@cache
def set_values() -> list[tuple[str, tuple[str, ...]]]:
    return [(name, path) for name in NAMES for path, _ in leaves(release_of(name, MIRRORED).values)]


NOT_IN_THE_MODULE = {
    # The module's chart gets its CRDs, and with them these switches, only when it is released.
    ("cert-manager", ("crds", "enabled")),
    ("cert-manager", ("crds", "keep")),
}


@pytest.mark.parametrize(
    ("name", "path"), set_values(), ids=lambda part: part if isinstance(part, str) else ".".join(part)
)
def test_a_value_that_we_set_is_read_by_the_chart(name: str, path: tuple[str, ...], renderer: Renderer) -> None:
    if (name, path) in NOT_IN_THE_MODULE:
        return
    release = release_of(name, MIRRORED)
    value = dict(leaves(release.values))[path]
    changed = replace(release, values=with_leaf(release.values, path, another(value)))
    assert effect(renderer, name, changed) != effect(renderer, name, release), f"the chart does not know {path}"


def effect(renderer: Renderer, name: str, release: Release) -> list[Object]:
    """What a release's values come to: all that is rendered, but for istiod's own record of the values it was given."""
    rendered = objects(renderer.text(name, release))
    return [obj for obj in rendered if (obj["kind"], obj["metadata"]["name"]) != ("ConfigMap", "values")]


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"cert-manager"}))  # whose schema refuses it
def test_the_check_above_would_see_a_value_that_no_chart_knows(name: str, renderer: Renderer) -> None:
    release = release_of(name, MIRRORED)
    misspelt = replace(
        release, values={**release.values, "imagePulSecrets": ["a"], "kserv": {"controller": {"a": "b"}}}
    )
    assert effect(renderer, name, misspelt) == effect(renderer, name, release)


def test_kserve_is_made_for_raw_deployments_behind_our_gateway(renderer: Renderer) -> None:
    rendered = renderer.objects("kserve", SETTINGS)
    data = one(rendered, "ConfigMap", CONFIG_MAP)["data"]
    for key, text in inferenceservice_settings(SETTINGS).items():
        made, wanted = json.loads(data[key]), json.loads(text)
        assert {name: made.get(name) for name in wanted} == wanted, (
            f"{key} is as a preinstalled KServe would be given it"
        )
    assert json.loads(data["deploy"])["defaultDeploymentMode"] == "RawDeployment"
    ingress = json.loads(data["ingress"])
    assert (ingress["enableGatewayApi"], ingress["kserveIngressGateway"]) == (True, "llm/inference-gateway")
    assert ingress["ingressDomain"] == "maas.example.com"
    assert "Gateway" not in {obj["kind"] for obj in rendered}, "the gateway is the gateway layer's"
    assert "ClusterServingRuntime" not in {obj["kind"] for obj in rendered}, "their webhook would not answer yet"


def test_kserves_own_name_for_a_models_secret_is_among_those_that_models_say(renderer: Renderer) -> None:
    data = one(renderer.objects("kserve", SETTINGS), "ConfigMap", CONFIG_MAP)["data"]
    assert json.loads(data["credentials"])["storageSecretNameAnnotation"] in STORAGE_SECRETS


def test_kserves_controller_restarts_when_its_settings_change(renderer: Renderer) -> None:
    def annotations(domain: str) -> dict[str, str]:
        settings = Settings.load("charts", GOOD | {"platform": EVERYTHING_BY_HELM, "domain": domain})
        return one(renderer.objects("kserve", settings), "Deployment", CONTROLLER)["spec"]["template"]["metadata"][
            "annotations"
        ]

    assert annotations("maas.example.com") == annotations("maas.example.com")
    assert annotations("maas.example.com") != annotations("other.example.com")


def test_istios_control_plane_and_its_gateways_come_from_the_mirror(renderer: Renderer) -> None:
    rendered = renderer.objects("istiod", MIRRORED)
    assert images(rendered) == {"mirror.example.com/gcr/istio-release/pilot:1.26.2"}
    injected = json.loads(one(rendered, "ConfigMap", "istio-sidecar-injector")["data"]["values"])["global"]
    assert (injected["hub"], injected["tag"]) == ("mirror.example.com/gcr/istio-release", "1.26.2")
    assert injected["imagePullSecrets"] == ["mirror-key"], "the gateway's pods are made from this template"


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"kuadrant-operator"}))
def test_with_a_mirror_no_image_comes_from_elsewhere(name: str, renderer: Renderer) -> None:
    used = images(renderer.objects(name, MIRRORED))
    assert {image for image in used if not image.startswith("mirror.example.com/")} == set()


def test_settings_of_the_mirror_reach_kserves_own_pods(renderer: Renderer) -> None:
    data = one(renderer.objects("kserve", MIRRORED), "ConfigMap", CONFIG_MAP)["data"]
    for key in ("agent", "batcher", "logger", "router", "storageInitializer"):
        assert json.loads(data[key])["image"].startswith("mirror.example.com/docker/kserve/"), key


def test_the_versions_of_charts_and_modules_agree() -> None:
    for name in ("cert-manager", "kserve-crd", "kserve", "kuadrant-operator"):
        wanted = (release_of(name, SETTINGS).version or "").removeprefix("v")
        assert version(CHARTS[name]).removeprefix("v") == wanted, f"{name}: what is checked is what is installed"
    assert version(CHARTS["kuadrant-operator"]) == f"v{KUADRANT_VERSION}"


def test_kuadrants_environment_is_patched_into_a_container_that_the_chart_has(renderer: Renderer) -> None:
    containers = operator_containers(renderer)
    patched = environment.operator_patch(SETTINGS)["template"]["spec"]["containers"]
    assert [container["name"] for container in patched] == [container["name"] for container in containers], (
        "by another name the patch would add a container, without an image"
    )


def operator_containers(renderer: Renderer) -> list[Object]:
    rendered = renderer.objects("kuadrant-operator", SETTINGS)
    return one(rendered, "Deployment", environment.OPERATOR)["spec"]["template"]["spec"]["containers"]


def test_the_filter_that_counts_as_the_releases_own_is_the_charts(renderer: Renderer) -> None:
    (container,) = operator_containers(renderer)
    (shim,) = [entry["value"] for entry in container["env"] if entry["name"] == "RELATED_IMAGE_WASMSHIM"]
    assert WASM_SHIM_IMAGES[KUADRANT_VERSION] == shim


def test_kuadrants_operator_reads_each_variable_that_we_set() -> None:
    mirrored = environment.kuadrant_environment(MIRRORED)
    assert "RELATED_IMAGE_WASMSHIM" in mirrored
    known = read_by(module(CHARTS["kuadrant-operator"]))
    assert set(mirrored) - known == set(), "the operator would not notice"
    assert "AUTH_SERVICE_TIME_OUT" not in known, "the check would see a misspelt one"


def read_by(source: Path) -> set[str]:
    """The names of environment variables that a Go program's source speaks of, tests aside."""
    literal = re.compile(r'"([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)"')
    files = [file for folder in ("cmd", "internal") for file in (source / folder).rglob("*.go")]
    return {
        name
        for file in files
        if not file.name.endswith("_test.go")
        for name in literal.findall(file.read_text(encoding="utf-8"))
    }
