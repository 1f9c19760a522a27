"""Every way of installing every operator: exactly its objects, in order, and nothing of another way."""

import json
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import combinations

import pytest

from cli.program.recorder import Object, Recording, record, stack_config
from components.operators.catalogue import DECLARATIONS
from components.operators.environment import OPERATOR
from config.platform import AVAILABLE_INSTALLS, Install
from tests.program.graph import installed_by, key, listed, reaches

OPERATORS = ("certManager", "serviceMesh", "kserve", "kuadrant", "monitoring")
NAMES = {declaration.key: declaration.name for declaration in DECLARATIONS}
# What each way puts onto the cluster, per profile; all in the operators layer.
OBJECTS: dict[str, dict[tuple[str, Install], set[str]]] = {
    "kubernetes": {
        ("certManager", Install.HELM): {"Namespace//cert-manager", "Release/cert-manager/cert-manager"},
        ("certManager", Install.OLM): {
            "Namespace//cert-manager",
            "OperatorGroup/cert-manager/cert-manager-operators",
            "Subscription/cert-manager/cert-manager",
            "ClusterServiceVersion/cert-manager/cert-manager",
        },
        ("serviceMesh", Install.HELM): {
            "Namespace//istio-system",
            "Release/istio-system/istio-base",
            "Release/istio-system/istiod",
        },
        ("monitoring", Install.HELM): {"Namespace//monitoring", "Release/monitoring/kube-prometheus-stack"},
    },
    "openshift": {
        ("certManager", Install.HELM): {"Namespace//cert-manager", "Release/cert-manager/cert-manager"},
        ("certManager", Install.OLM): {
            "Namespace//cert-manager-operator",
            "OperatorGroup/cert-manager-operator/cert-manager-operator-operators",
            "Subscription/cert-manager-operator/openshift-cert-manager-operator",
            "ClusterServiceVersion/cert-manager-operator/openshift-cert-manager-operator",
            "CertManager//cluster",
        },
        ("serviceMesh", Install.PREINSTALLED): {"GatewayClass//openshift-default"},
    },
}
EVERYWHERE: dict[tuple[str, Install], set[str]] = {
    ("kserve", Install.HELM): {"Namespace//kserve", "Release/kserve/kserve-crd", "Release/kserve/kserve"},
    ("kuadrant", Install.HELM): {
        "Namespace//kuadrant-system",
        "Release/kuadrant-system/kuadrant-operator",
        "Deployment/kuadrant-system/kuadrant-operator-controller-manager (patch)",
    },
    ("kuadrant", Install.OLM): {
        "Namespace//kuadrant-system",
        "OperatorGroup/kuadrant-system/kuadrant-system-operators",
        "CatalogSource/kuadrant-system/kuadrant-operator-catalog",
        "Subscription/kuadrant-system/kuadrant-operator",
        "ClusterServiceVersion/kuadrant-system/kuadrant-operator",
    },
}
NOT_ON_OPENSHIFT = {("serviceMesh", Install.HELM), ("monitoring", Install.HELM)}
# Which operator must be there before an object of each API group, and of the service's own namespaces' objects.
SERVED_BY = {
    "gateway.networking.k8s.io": "serviceMesh",
    "serving.kserve.io": "kserve",
    "kuadrant.io": "kuadrant",
    "extensions.kuadrant.io": "kuadrant",
    "limitador.kuadrant.io": "kuadrant",
    "monitoring.coreos.com": "monitoring",
}
# Which operators must be there before one is installed: they make certificates, or are looked for at its start.
NEEDS = {
    "service-mesh": ("gateway-api",),
    "kserve": ("cert-manager", "gateway-api"),
    "kuadrant": ("gateway-api", "service-mesh", "cert-manager", "monitoring"),
}

Mix = tuple[tuple[str, Install], ...]


def allowed(profile: str) -> dict[str, list[Install]]:
    """The ways of installing each operator that are not refused."""
    return {
        name: sorted(
            each for each in AVAILABLE_INSTALLS[name] if profile != "openshift" or (name, each) not in NOT_ON_OPENSHIFT
        )
        for name in OPERATORS
    }


def pairwise(choices: Mapping[str, list[Install]]) -> Iterator[Mix]:
    """Mixes in which every two choices of two operators meet at least once; greedy, in stable order."""
    open_pairs = {
        frozenset([(first, one), (second, other)])
        for first, second in combinations(choices, 2)
        for one in choices[first]
        for other in choices[second]
    }
    while open_pairs:
        mix: dict[str, Install] = dict(min(open_pairs, key=sorted))
        for name in choices:
            if name not in mix:
                mix[name] = max(choices[name], key=lambda each: _met(open_pairs, {**mix, name: each}))
        open_pairs -= _pairs(mix)
        yield tuple(sorted(mix.items()))


def _pairs(mix: Mapping[str, Install]) -> set[frozenset[tuple[str, Install]]]:
    return {frozenset(pair) for pair in combinations(mix.items(), 2)}


def _met(open_pairs: set[frozenset[tuple[str, Install]]], mix: Mapping[str, Install]) -> int:
    return len(open_pairs & _pairs(mix))


MATRIX = [(profile, mix) for profile in ("kubernetes", "openshift") for mix in pairwise(allowed(profile))]


def named(case: str | Mix) -> str:
    return case if isinstance(case, str) else "-".join(install for _, install in case)


@cache
def recorded(profile: str, mix: Mix) -> Recording:
    stack = "ocp" if profile == "openshift" else "dev"
    platform: dict[str, str | dict[str, str]] = {"profile": profile}
    platform |= {name: {"install": install.value} for name, install in mix}
    if profile == "kubernetes":
        platform["gatewayApi"] = {"install": "manifest"}
    config, secrets = stack_config(stack)
    keys = {"freeuser1": "k" * 40}
    return record(
        stack,
        config | {"maas:platform": json.dumps(platform), "maas:apiKeys": json.dumps(keys)},
        [*secrets, "maas:apiKeys"],
    )


def test_the_matrix_meets_every_allowed_pair() -> None:
    for profile in ("kubernetes", "openshift"):
        choices = allowed(profile)
        met: set[frozenset[tuple[str, Install]]] = set()
        for each, mix in MATRIX:
            if each == profile:
                met |= _pairs(dict(mix))
        wanted = {
            frozenset([(first, one), (second, other)])
            for first, second in combinations(choices, 2)
            for one in choices[first]
            for other in choices[second]
        }
        assert met == wanted


def brings_what_kuadrant_looks_for(profile: str, mix: Mix) -> bool:
    """Whether a Kuadrant that was there before has to be restarted: the Gateway API is installed on Kubernetes."""
    others = {install for name, install in mix if name in {"certManager", "serviceMesh", "monitoring"}}
    return profile == "kubernetes" or others != {Install.PREINSTALLED}


@pytest.mark.parametrize(
    ("profile", "mix"), [case for case in MATRIX if dict(case[1])["kuadrant"] is Install.PREINSTALLED], ids=named
)
def test_a_kuadrant_that_was_there_before_is_restarted_by_what_the_stack_brings_and_keeps_its_environment(
    profile: str, mix: Mix
) -> None:
    recording = recorded(profile, mix)
    patches = [each for each in recording.objects if each.is_patch and each.metadata_name == OPERATOR]
    assert bool(patches) == brings_what_kuadrant_looks_for(profile, mix)
    for each in patches:
        assert set(each.body["spec"]["template"]) == {"metadata"}, "its environment is its owner's"
        for needed in NEEDS["kuadrant"]:
            assert installed_by(recording, needed) <= reaches(recording, each), f"restarted before {needed} is there"


@pytest.mark.parametrize(("profile", "mix"), MATRIX, ids=named)
def test_a_mix_has_the_objects_of_its_ways_of_installing_and_no_others(profile: str, mix: Mix) -> None:
    expected = {"ConfigFile//gateway-api"} if profile == "kubernetes" else set[str]()
    for choice in mix:
        expected |= OBJECTS[profile].get(choice, EVERYWHERE.get(choice, set()))
    if dict(mix)["kuadrant"] is Install.PREINSTALLED and brings_what_kuadrant_looks_for(profile, mix):
        expected.add("Deployment/kuadrant-system/kuadrant-operator-controller-manager (patch)")
    found = {
        line.removeprefix("operators/") for line in listed(recorded(profile, mix)) if line.startswith("operators/")
    }
    assert found == expected
    assert len(listed(recorded(profile, mix))) == len(set(listed(recorded(profile, mix)))), "an object is there twice"


@pytest.mark.parametrize(("profile", "mix"), MATRIX, ids=named)
def test_kserve_is_patched_only_where_it_was_there_before(profile: str, mix: Mix) -> None:
    patches = [each for each in recorded(profile, mix).objects if each.layer == "kserve"]
    assert bool(patches) == (dict(mix)["kserve"] is Install.PREINSTALLED)


@pytest.mark.parametrize(("profile", "mix"), MATRIX, ids=named)
def test_each_object_waits_for_all_of_the_operator_that_serves_it(profile: str, mix: Mix) -> None:
    recording = recorded(profile, mix)
    for each in recording.objects:
        operator = SERVED_BY.get(each.api_version.split("/")[0])
        if each.kind == "Secret":  # an API key, in Kuadrant's namespace
            operator = "kuadrant"
        if operator is None:
            continue
        installed = installed_by(recording, NAMES[operator])
        if each.urn not in installed:
            assert installed <= reaches(recording, each), f"{key(each)} may be created before {operator}"


@pytest.mark.parametrize(("profile", "mix"), MATRIX, ids=named)
def test_each_operator_waits_for_what_it_needs_and_for_its_namespace(profile: str, mix: Mix) -> None:
    recording = recorded(profile, mix)
    namespaces = {each.metadata_name: each.urn for each in recording.objects if each.kind == "Namespace"}
    for declaration in DECLARATIONS:
        for urn in installed_by(recording, declaration.name):
            each = recording.by_urn(urn)
            waits_for = reaches(recording, each)
            for needed in NEEDS.get(declaration.name, ()):
                assert installed_by(recording, needed) <= waits_for, f"{urn} may come before {needed}"
            namespace = each.namespace if isinstance(each, Object) else each.inputs.get("namespace")
            if namespace in namespaces:
                assert namespaces[namespace] in waits_for, f"{urn} may come before its namespace"


@pytest.mark.parametrize(("profile", "mix"), MATRIX, ids=named)
def test_nothing_waits_for_itself_so_that_destroying_is_the_exact_reverse(profile: str, mix: Mix) -> None:
    recording = recorded(profile, mix)
    edges = {each.urn: reaches(recording, each) for each in recording.resources}
    for urn, found in edges.items():
        for other in found:
            is_own_parent = other.count("$") < urn.count("$")
            assert urn not in edges[other] or is_own_parent, f"{urn} and {other} wait for each other"


@pytest.mark.parametrize(("profile", "mix"), MATRIX, ids=named)
def test_policies_go_before_kuadrant_and_kuadrant_before_its_operator_and_namespace(profile: str, mix: Mix) -> None:
    recording = recorded(profile, mix)
    [kuadrant] = [each for each in recording.objects if each.kind == "Kuadrant"]
    for each in recording.objects:
        if each.layer == "policies":
            assert kuadrant.urn in reaches(recording, each), "its finalizers are Kuadrant's to take away"
    assert installed_by(recording, "kuadrant") <= reaches(recording, kuadrant), "it has a finalizer from 1.4 on"


@pytest.mark.parametrize("operator", ["certManager", "kserve", "kuadrant", "grafana"])
def test_a_release_waits_for_its_workloads_and_undoes_itself_when_they_fail(operator: str) -> None:
    config, secrets = stack_config("dev")
    platform = {operator: {"install": "helm"}}
    recording = record("dev", config | {"maas:platform": json.dumps(platform)}, secrets)
    releases = [each for each in recording.resources if each.type == "kubernetes:helm.sh/v3:Release"]
    assert releases
    for each in releases:
        assert each.inputs["name"], "Helm would be given a random name"
        assert each.inputs["namespace"]
        assert each.inputs["version"]
        assert each.inputs["skipAwait"] is False
        assert each.inputs["atomic"] is True
        assert each.inputs["createNamespace"] is False
        assert each.inputs["timeout"] == 600
        assert each.request.customTimeouts.create == "10m", "Pulumi must not give up before Helm does"


def test_an_upgrade_of_an_operator_is_one_line_and_changes_that_release_and_the_restart_of_kuadrant() -> None:
    config, secrets = stack_config("dev")
    platform = json.loads(config["maas:platform"])
    platform["certManager"]["version"] = "v1.18.3"
    before = record("dev", config, secrets)
    after = record("dev", config | {"maas:platform": json.dumps(platform)}, secrets)
    old = {each.urn: each.inputs for each in before.resources}
    changed = {each.name for each in after.resources if each.inputs != old[each.urn]}
    assert changed == {"cert-manager", "kuadrant-operator-controller-manager"}


def test_an_operators_namespace_is_made_once_although_two_live_in_it() -> None:
    config, secrets = stack_config("dev")
    platform = json.loads(config["maas:platform"])
    platform["kuadrant"] = {"install": "olm", "namespace": "grafana"}
    platform["grafana"] = {"install": "olm"}
    recording = record("dev", config | {"maas:platform": json.dumps(platform)}, secrets)
    assert listed(recording).count("operators/Namespace//grafana") == 1
    assert len([line for line in listed(recording) if "OperatorGroup/grafana/" in line]) == 1, "OLM refuses two"


def test_nothing_is_made_in_openshift_operators_but_the_subscription() -> None:
    config, secrets = stack_config("ocp")
    platform = {"profile": "openshift", "kuadrant": {"install": "olm", "namespace": "openshift-operators"}}
    recording = record("ocp", config | {"maas:platform": json.dumps(platform)}, secrets)
    kinds = {each.kind for each in recording.objects if each.layer == "operators"}
    assert kinds == {"CatalogSource", "ClusterServiceVersion", "GatewayClass", "Subscription"}
