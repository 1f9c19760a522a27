"""The pure parts of installing operators."""

from typing import Any

import pytest
import yaml

from components.operators import catalogue, environment, helm, olm, values
from components.operators.catalogue import Declaration
from components.operators.postrender import post_rendered
from config.settings import Settings
from tests.unit.config.bad import GOOD


def settings(platform: dict[str, Any] | None = None, **changes: object) -> Settings:
    return Settings.load("test", GOOD | {"platform": platform or {}} | changes)


def declared(name: str) -> Declaration:
    return next(each for each in catalogue.DECLARATIONS if each.name == name)


def kuadrant_package(**operator: object) -> olm.Package:
    platform = {"profile": "openshift", "kuadrant": {"install": "olm", **operator}}
    return catalogue.package(declared("kuadrant"), settings(platform))


def test_the_upstream_catalog_is_an_image_with_the_version_as_its_tag() -> None:
    assert kuadrant_package().catalog.image == "quay.io/kuadrant/kuadrant-operator-catalog:v1.4.2"
    assert kuadrant_package().starting_csv is None, "the catalog's tag decides"
    pinned = kuadrant_package(version="1.4.3")
    assert pinned.catalog.image == "quay.io/kuadrant/kuadrant-operator-catalog:v1.4.3"
    assert pinned.starting_csv == "kuadrant-operator.v1.4.3"


def test_the_nightly_build_of_the_original_can_still_be_had() -> None:
    nightly = kuadrant_package(channel="preview", catalog="quay.io/kuadrant/kuadrant-operator-catalog:latest")
    assert nightly.channel == "preview"
    assert nightly.catalog.image == "quay.io/kuadrant/kuadrant-operator-catalog:latest"


def test_the_product_comes_from_the_clusters_own_catalog() -> None:
    product = kuadrant_package(package="rhcl-operator", version="1.4.1")
    assert product.catalog == olm.Catalog("redhat-operators", "openshift-marketplace")
    assert product.starting_csv == "rhcl-operator.v1.4.1"


def test_a_catalog_that_is_no_image_is_the_name_of_one_on_the_cluster() -> None:
    assert kuadrant_package(catalog="mirror-operators").catalog == olm.Catalog(
        "mirror-operators", "openshift-marketplace"
    )


def test_a_version_is_awaited_by_name_where_nothing_newer_can_come_by_itself() -> None:
    by_name = "jsonpath={.status.installedCSV}=kuadrant-operator.v1.4.3"
    assert olm.subscription_ready(kuadrant_package(version="1.4.3")) == by_name, "the catalog is of that version"
    assert olm.subscription_ready(kuadrant_package(version="1.4.3", approval="Manual")) == by_name
    assert olm.subscription_ready(kuadrant_package()) == olm.AT_LATEST
    moves_on = kuadrant_package(package="rhcl-operator", version="1.4.1")
    assert olm.subscription_ready(moves_on) == olm.AT_LATEST, "the cluster's catalog goes on, and OLM with it"
    held = kuadrant_package(package="rhcl-operator", version="1.4.1", approval="Manual")
    assert olm.subscription_ready(held) == "jsonpath={.status.installedCSV}=rhcl-operator.v1.4.1"


@pytest.mark.parametrize("status", [None, {}, {"installedCSV": ""}])
def test_where_no_cluster_answers_the_package_stands_for_its_version(status: dict[str, Any] | None) -> None:
    assert olm.installed_csv(status, "kuadrant-operator") == "kuadrant-operator"
    assert olm.installed_csv({"installedCSV": "kuadrant-operator.v1.4.2"}, "x") == "kuadrant-operator.v1.4.2"


def test_a_chart_of_a_folder_or_a_registry_has_no_repository() -> None:
    assert helm.located("istiod", "oci://gcr.io/charts/") == ("oci://gcr.io/charts/istiod", None)
    assert helm.located("istiod", "vendor/charts") == ("vendor/charts/istiod", None)
    assert helm.located("cert-manager", "https://charts.jetstack.io") == ("cert-manager", "https://charts.jetstack.io")


def test_a_chart_from_another_place_is_that_place_and_several_are_in_it() -> None:
    platform = {
        "certManager": {"install": "helm", "chart": "vendor/cert-manager.tgz"},
        "serviceMesh": {"install": "helm", "chart": "vendor/istio", "version": "1.26.3"},
    }
    stack = settings(platform)
    assert [each.chart for each in catalogue.releases(declared("cert-manager"), stack)] == ["vendor/cert-manager.tgz"]
    mesh = catalogue.releases(declared("service-mesh"), stack)
    assert [(each.name, each.chart) for each in mesh] == [
        ("istio-base", "vendor/istio/base"),
        ("istiod", "vendor/istio/istiod"),
    ]
    assert {each.version for each in mesh} == {"1.26.3"}
    assert mesh[1].values["global"]["tag"] == "1.26.3", "chart and images are of one version"


def test_the_stacks_values_win_over_ours_and_leave_the_others() -> None:
    values = {"crds": {"keep": False}, "replicaCount": 2}
    [release] = catalogue.releases(
        declared("cert-manager"), settings({"certManager": {"install": "helm", "values": values}})
    )
    assert release.values["crds"] == {"enabled": True, "keep": False}
    assert release.values["replicaCount"] == 2
    assert release.values["startupapicheck"]["enabled"] is True


def test_a_prometheus_of_ours_takes_every_monitor() -> None:
    spec = values.prometheus_stack(settings())["prometheus"]["prometheusSpec"]
    assert {key: value for key, value in spec.items() if key.endswith("SelectorNilUsesHelmValues")} == {
        f"{kind}SelectorNilUsesHelmValues": False for kind in ("serviceMonitor", "podMonitor", "rule", "probe")
    }, "the chart's own choice would be those with its release's label"


def test_without_the_limiter_nobody_is_served_unless_the_stack_says_so() -> None:
    checks = ("RATELIMIT_SERVICE_FAILURE_MODE", "RATELIMIT_CHECK_SERVICE_FAILURE_MODE")
    closed = environment.kuadrant_environment(settings({"kuadrant": {"install": "helm"}}))
    opened = environment.kuadrant_environment(settings({"kuadrant": {"install": "helm"}}, limiter={"failOpen": True}))
    assert [closed[name] for name in checks] == ["deny", "deny"]
    assert [opened[name] for name in checks] == ["allow", "allow"]
    for each in (closed, opened):
        assert each["AUTH_SERVICE_FAILURE_MODE"] == "deny", "no knob opens authentication"
        assert each["RATELIMIT_REPORT_SERVICE_FAILURE_MODE"] == "allow", "an answer without usage is no error"


def test_the_gateway_waits_longer_for_its_services_than_kuadrant_would_by_itself() -> None:
    found = environment.kuadrant_environment(settings({"kuadrant": {"install": "helm"}}))
    waits = {name: value for name, value in found.items() if name.endswith("_TIMEOUT")}
    assert waits.pop("AUTH_SERVICE_TIMEOUT") == "2s", "not the 200ms of Kuadrant"
    assert len(waits) == 3
    assert set(waits.values()) == {"1s"}, "not the 100ms of Kuadrant"


def test_taking_the_filters_image_away_puts_the_releases_own_back() -> None:
    patched = {"install": "helm"}
    own = environment.kuadrant_environment(settings({"kuadrant": patched}))
    other = environment.kuadrant_environment(settings({"kuadrant": patched | {"wasmShim": "oci://example.com/shim:1"}}))
    assert other["RELATED_IMAGE_WASMSHIM"] == "oci://example.com/shim:1"
    assert own["RELATED_IMAGE_WASMSHIM"] == "quay.io/kuadrant/wasm-shim:v0.12.1", "a patch cannot restore a value"
    by_olm = environment.kuadrant_environment(settings({"kuadrant": {"install": "olm"}}))
    assert "RELATED_IMAGE_WASMSHIM" not in by_olm, "OLM restores the package's own"


def test_kuadrant_restarts_when_what_it_looks_for_at_its_start_changes_and_only_then() -> None:
    def hashed(**platform: object) -> dict[str, str]:
        return environment.boot_annotations(settings({"kuadrant": {"install": "helm"}, **platform}))

    before = hashed()
    assert before == hashed(kserve={"install": "helm"}, grafana={"install": "helm"}, namespace="models")
    for changed in (
        {"monitoring": {"install": "helm"}},
        {"serviceMesh": {"install": "helm"}},
        {"certManager": {"install": "helm"}},
        {"gatewayApi": {"install": "manifest"}},
    ):
        assert hashed(**changed) != before, changed


def test_the_post_renderer_leaves_out_the_runtimes_and_nothing_else() -> None:
    rendered = (
        "---\napiVersion: v1\nkind: Service\nmetadata:\n  name: a\n"
        "---\napiVersion: serving.kserve.io/v1alpha1\nkind: ClusterServingRuntime\nmetadata:\n  name: b\n"
        "---\napiVersion: v1\nkind: ConfigMap\ndata:\n  text: |\n    kind: ClusterServingRuntime\n"
    )
    kept = post_rendered(rendered)
    assert "name: b" not in kept
    assert "kind: Service\n" in kept
    assert "    kind: ClusterServingRuntime" in kept, "text inside an object is not an object"


@pytest.mark.parametrize(
    "metadata",
    [
        "  name: a.b\n",
        "  annotations:\n    other: '1'\n  name: a.b\n",
        "  annotations: {}\n  name: a.b\n",
        "  name: a.b\n  annotations:\n    helm.sh/resource-policy: delete\n    other: '1'\n",
        "    labels:\n      x: y\n    # of its own\n\n    name: a.b\n",
    ],
)
def test_the_post_renderer_keeps_a_definition_whatever_its_chart_says_and_changes_nothing_else(metadata: str) -> None:
    text = (
        f"apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata:\n{metadata}"
        "spec:\n  versions:\n  - schema:\n      metadata:\n        annotations: {}\n"
    )
    before, after = yaml.safe_load(text), yaml.safe_load(post_rendered(text))
    assert after["metadata"]["annotations"].pop("helm.sh/resource-policy") == "keep"
    before["metadata"].setdefault("annotations", {}).pop("helm.sh/resource-policy", None)
    assert after == before


def test_a_definition_that_the_post_renderer_cannot_read_is_an_error_and_no_silent_loss() -> None:
    text = "kind: CustomResourceDefinition\nmetadata: {name: a.b}\n"
    with pytest.raises(ValueError, match="no metadata"):
        post_rendered(text)
    text = "kind: CustomResourceDefinition\nmetadata:\n  annotations: {a: b}\n"
    with pytest.raises(ValueError, match="annotations"):
        post_rendered(text)
