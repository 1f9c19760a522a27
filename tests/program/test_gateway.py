"""The gateway and its surroundings in the whole program: each way of exposing it, and what belongs to no other way."""

import json
from functools import cache
from pathlib import Path

import pytest
import yaml

from cli.program.recorder import Recording, Resource
from tests.golden import check_golden
from tests.program.test_stacks import key, named, reaches
from tests.variants import VARIANTS, changed, variant

recorded = cache(variant)
ROUTED = sorted(name for name in VARIANTS if name.startswith("route-") or name == "original-scc")


def of_kind(recording: Recording, *kinds: str) -> list[str]:
    return sorted(each.metadata_name for each in recording.objects if each.kind in kinds)


def test_each_variant_has_exactly_the_gateway_objects_that_were_reviewed() -> None:
    found = {
        name: sorted(key(each) for each in recorded(name).objects if each.layer in {"gateway", "platform"})
        for name in VARIANTS
    }
    check_golden(Path(__file__).parent / "goldens" / "gateway-variants.yaml", found)


@pytest.mark.parametrize("name", VARIANTS)
def test_no_gateway_has_two_listeners(name: str) -> None:
    for gateway in (each for each in recorded(name).objects if each.kind == "Gateway"):
        assert len(gateway.body["spec"]["listeners"]) == 1, "two for one host make Kuadrant loop"


@pytest.mark.parametrize("name", VARIANTS)
def test_policies_and_models_keep_to_the_gateway_that_does_not_redirect(name: str) -> None:
    recording = recorded(name)
    for each in recording.objects:
        if each.layer == "policies" and each.kind == "EnvoyFilter":
            labels = each.body["spec"]["workloadSelector"]["labels"]
            assert labels == {"gateway.networking.k8s.io/gateway-name": "inference-gateway"}
        elif each.layer == "policies":
            assert each.body["spec"]["targetRef"]["name"] == "inference-gateway"
        if each.layer == "models" and each.kind == "HTTPRoute":
            assert [parent["name"] for parent in each.body["spec"]["parentRefs"]] == ["inference-gateway"]


@pytest.mark.parametrize("name", VARIANTS)
def test_the_program_never_writes_a_private_key_or_a_tls_secret(name: str) -> None:
    for each in recorded(name).objects:
        assert each.body.get("type") != "kubernetes.io/tls", key(each)
        assert "PRIVATE KEY" not in json.dumps(each.inputs), key(each)


@pytest.mark.parametrize("name", VARIANTS)
def test_a_gateway_waits_for_its_options_and_its_certificate(name: str) -> None:
    recording = recorded(name)
    gateway = named(recording, "Gateway", "inference-gateway")
    before = {recording.by_urn(urn).name for urn in reaches(recording, gateway)}
    if "infrastructure" in gateway.body["spec"]:
        options = gateway.body["spec"]["infrastructure"]["parametersRef"]["name"]
        assert options in of_kind(recording, "ConfigMap")
        assert options in before, "Istio would make the Deployment twice"
    assert set(of_kind(recording, "Certificate")) <= before


@pytest.mark.parametrize("stack", ["dev", "ocp", "sandbox"])
def test_a_gateway_has_memory_for_whole_answers_unless_the_stack_says_otherwise(stack: str) -> None:
    options = yaml.safe_load(
        named(changed(stack, {}), "ConfigMap", "inference-gateway-options").body["data"]["deployment"]
    )
    [proxy] = options["spec"]["template"]["spec"]["containers"]
    assert proxy["resources"]["limits"]["memory"] == "2Gi"


@pytest.mark.parametrize("name", VARIANTS)
def test_certificates_and_issuers_are_awaited_within_a_time_limit(name: str) -> None:
    for each in (each for each in recorded(name).objects if each.kind in {"Certificate", "Issuer"}):
        assert each.metadata["annotations"]["pulumi.com/waitFor"] == "condition=Ready"
        assert each.request.customTimeouts.create, key(each)


def test_certificates_wait_for_cert_manager_and_nothing_else_of_the_gateway_does() -> None:
    by_helm = {"platform": {"certManager": {"install": "helm"}}}
    with_tls = changed("dev", {**by_helm, "gateway": {"tls": {"mode": "self-signed"}}})
    issuer = named(with_tls, "Issuer", "maas-self-signed")
    certificate = named(with_tls, "Certificate", "inference-gateway-tls")
    assert issuer.urn in reaches(with_tls, certificate)
    for each in (issuer, certificate):
        assert _waits_for_cert_manager(with_tls, each), key(each)
    by_issuer = changed("dev", {**by_helm, "gateway": {"tls": {"mode": "cert-manager", "issuer": "ours"}}})
    assert _waits_for_cert_manager(by_issuer, named(by_issuer, "Certificate", "inference-gateway-tls"))
    plain = changed("dev", by_helm)
    assert not _waits_for_cert_manager(plain, named(plain, "Gateway", "inference-gateway"))


def _waits_for_cert_manager(recording: Recording, each: Resource) -> bool:
    found = (recording.by_urn(urn) for urn in reaches(recording, each))
    return any("Release" in other.type and "cert-manager" in other.urn for other in found)


def test_a_plain_stack_has_no_trace_of_tls() -> None:
    recording = recorded("plain")
    assert of_kind(recording, "Certificate", "Issuer", "Route", "SecurityContextConstraints") == []
    assert of_kind(recording, "Gateway") == ["inference-gateway"]


def test_redirects_stand_on_a_gateway_of_their_own_and_only_when_asked_for() -> None:
    assert {name for name in VARIANTS if len(of_kind(recorded(name), "Gateway")) > 1} == {
        "self-signed-redirect",
        "secret-redirect",
    }
    recording = recorded("self-signed-redirect")
    route = named(recording, "HTTPRoute", "redirect-to-https")
    assert [parent["name"] for parent in route.body["spec"]["parentRefs"]] == ["inference-gateway-redirect"]
    [rule] = route.body["spec"]["rules"]
    assert "backendRefs" not in rule
    assert rule["filters"] == [
        {"type": "RequestRedirect", "requestRedirect": {"scheme": "https", "statusCode": 301}},
    ]


def test_an_issuer_is_made_for_self_signed_certificates_only() -> None:
    assert {name for name in VARIANTS if of_kind(recorded(name), "Issuer")} == {
        "self-signed",
        "self-signed-redirect",
        "route-passthrough",
    }
    assert of_kind(recorded("secret"), "Certificate") == [], "the Secret is there already"
    assert of_kind(recorded("route-reencrypt"), "Certificate") == [], "OpenShift makes it"


@pytest.mark.parametrize("name", ROUTED)
def test_a_route_speaks_to_the_gateway_what_its_listener_understands(name: str) -> None:
    recording = recorded(name)
    [listener] = named(recording, "Gateway", "inference-gateway").body["spec"]["listeners"]
    routes = [each for each in recording.objects if each.kind == "Route"]
    assert routes
    for route in routes:
        spec = route.body["spec"]
        assert spec["port"]["targetPort"] == listener["port"]
        assert (spec["tls"]["termination"] == "edge") == (listener["protocol"] == "HTTP")
        if spec["tls"]["termination"] == "reencrypt":
            assert "hostname" not in listener, "the router sends no SNI"


def test_the_service_ca_is_asked_for_a_certificate_of_the_name_that_the_listener_has() -> None:
    recording = recorded("route-reencrypt")
    [listener] = named(recording, "Gateway", "inference-gateway").body["spec"]["listeners"]
    options = named(recording, "ConfigMap", "inference-gateway-options").body["data"]
    annotations = yaml.safe_load(options["service"])["metadata"]["annotations"]
    assert annotations == {
        "service.beta.openshift.io/serving-cert-secret-name": listener["tls"]["certificateRefs"][0]["name"]
    }
    assert "destinationCACertificate" not in named(recording, "Route", "simulator").body["spec"]["tls"]


def test_a_gateway_class_that_is_not_istios_gets_no_options() -> None:
    recording = recorded("other-class")
    assert "infrastructure" not in named(recording, "Gateway", "inference-gateway").body["spec"]
    assert "inference-gateway-options" not in of_kind(recording, "ConfigMap")


@pytest.mark.parametrize("name", VARIANTS)
def test_istio_knows_every_key_of_the_options(name: str) -> None:
    known = {"deployment", "service", "serviceAccount", "horizontalPodAutoscaler", "podDisruptionBudget"}
    for each in recorded(name).objects:
        if each.kind == "ConfigMap" and each.layer == "gateway":
            assert each.body["data"].keys() <= known, "Istio refuses all of them for one that it does not know"
            for patch in each.body["data"].values():
                assert "name" not in yaml.safe_load(patch).get("metadata", {}), "Istio refuses to rename"


def test_a_scaled_gateway_leaves_its_number_of_pods_to_the_autoscaler() -> None:
    options = named(recorded("cluster-issuer"), "ConfigMap", "inference-gateway-options").body["data"]
    assert "replicas" not in yaml.safe_load(options["deployment"])["spec"], "each run would undo the autoscaler"
    assert yaml.safe_load(options["horizontalPodAutoscaler"])["spec"]["maxReplicas"] == 6


def test_one_pod_has_no_disruption_budget_and_two_have() -> None:
    one = named(recorded("plain"), "ConfigMap", "inference-gateway-options").body["data"]
    two = named(recorded("self-signed-redirect"), "ConfigMap", "inference-gateway-options").body["data"]
    assert "podDisruptionBudget" not in one, "it would only keep nodes from being drained"
    assert "podDisruptionBudget" in two


@pytest.mark.parametrize(
    ("stack", "hosts"),
    [
        ("dev", {"simulator": "simulator.maas.example.com", "qwen3": "qwen3.maas.example.com"}),
        ("ocp", {"simulator": "simulator-llm.apps.cluster.example.com", "qwen3": "qwen3-llm.apps.cluster.example.com"}),
    ],
)
def test_models_have_the_hosts_of_the_original(stack: str, hosts: dict[str, str]) -> None:
    models = {"qwen3": {"source": "hf://Qwen/Qwen3-0.6B", "profile": "small-gpu", "servedName": "qwen3-0-6b-instruct"}}
    recording = changed(stack, {"models": models})
    for model, host in hosts.items():
        assert named(recording, "HTTPRoute", model).body["spec"]["hostnames"] == [host]
        assert host in recording.outputs["endpoints"][model]
        if stack == "ocp":
            assert named(recording, "Route", model).body["spec"]["host"] == host
            assert recording.outputs["endpoints"][model] == f"https://{host}"


@pytest.mark.parametrize("stack", ["dev", "ocp"])
def test_namespaces_and_accounts_are_those_of_the_original(stack: str) -> None:
    recording = changed(stack, {})
    namespace = named(recording, "Namespace", "llm")
    assert (namespace.metadata["labels"].get("openshift.io/user-monitoring") == "true") == (stack == "ocp")
    assert "istio-injection" not in namespace.metadata["labels"], "a sidecar breaks model pods on OpenShift"
    for each in recording.objects:
        if each.kind == "InferenceService":
            assert each.body["spec"]["predictor"]["serviceAccountName"] == "models"
        if each.kind in {"Gateway", "HTTPRoute", "Route", "InferenceService", "ServingRuntime", "AuthPolicy"}:
            assert each.namespace == "llm", key(each)


def test_models_need_nothing_beyond_the_clusters_restricted_constraints() -> None:
    for name in VARIANTS:
        constraints = of_kind(recorded(name), "SecurityContextConstraints")
        assert constraints == (["maas-llm-models"] if name == "original-scc" else []), name


def test_pod_security_stands_in_the_way_of_the_original_constraints_only_when_nobody_asked_for_them() -> None:
    for name in VARIANTS:
        enforced = named(recorded(name), "Namespace", "llm").metadata["labels"]["pod-security.kubernetes.io/enforce"]
        assert enforced == ("privileged" if name == "original-scc" else "baseline"), name


def test_the_original_constraints_are_for_the_models_account_alone() -> None:
    recording = recorded("original-scc")
    constraints = named(recording, "SecurityContextConstraints", "maas-llm-models")
    assert constraints.type == "kubernetes:security.openshift.io/v1:SecurityContextConstraints"
    assert constraints.body["users"] == ["system:serviceaccount:llm:models"], "never the default account"
    assert constraints.body["groups"] == []
    assert constraints.body["allowPrivilegedContainer"] is False
    assert not [field for field, value in constraints.body.items() if field.startswith("allowHost") and value]
    assert constraints.namespace == ""
    assert constraints.metadata["labels"]["maas.kuadrant.io/stack"] == "ocp"
    assert constraints.provider


def test_addresses_name_the_port_that_callers_use() -> None:
    def simulator(**gateway: object) -> str:
        return str(changed("dev", {"gateway": gateway}).outputs["endpoints"]["simulator"])

    host = "simulator.maas.example.com"
    assert simulator() == f"http://{host}"
    assert simulator(tls={"mode": "self-signed"}) == f"https://{host}"
    assert simulator(publicPorts={"http": 8080, "https": 8443}) == f"http://{host}:8080"
    assert simulator(publicPorts={"https": 8443}, tls={"mode": "self-signed"}) == f"https://{host}:8443"
    assert simulator(publicPorts={"http": 80}) == f"http://{host}"
