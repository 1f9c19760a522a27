"""Each manual step of the original demonstration, and what does it now: an object of a stack, or why none is needed."""

import json
from dataclasses import dataclass
from functools import cache

import pytest

from cli.program.recorder import Recording, record, stack_config
from tests.program.graph import listed


@dataclass(frozen=True)
class Step:
    """One step that somebody did by hand."""

    step: str
    line: str
    """The object that does it, as the goldens list it: layer/kind/namespace/name."""
    stack: str = "ocp"


@dataclass(frozen=True)
class NotNeeded:
    """One step that nobody does any more."""

    step: str
    reason: str
    absent: str
    """What must not be in any stack, or the reason would not hold: a part of a golden's line."""


STEPS = (
    # 1. Istio and the Gateway API
    Step("the cluster has the Gateway API", "operators/ConfigFile//gateway-api", "dev"),
    Step("the cluster has Istio", "operators/Release/istio-system/istiod", "dev"),
    Step("the cluster has Istio (OpenShift)", "operators/GatewayClass//openshift-default"),
    Step("apply 00-namespaces.yaml: llm", "platform/Namespace//llm"),
    Step("apply 00-namespaces.yaml: kuadrant-system", "operators/Namespace//kuadrant-system"),
    # 2. KServe
    Step("apply cert-manager.yaml", "operators/Release/cert-manager/cert-manager", "dev"),
    Step(
        "apply cert-manager.yaml (OpenShift)",
        "operators/Subscription/cert-manager-operator/openshift-cert-manager-operator",
    ),
    Step("wait for cert-manager's three deployments", "operators/Release/cert-manager/cert-manager", "dev"),
    Step("apply kserve.yaml: CRDs", "operators/Release/kserve/kserve-crd"),
    Step("apply kserve.yaml: controller", "operators/Release/kserve/kserve"),
    Step("apply 01-kserve-config.yaml", "kserve/ConfigMap/kserve/inferenceservice-config (patch)", "sandbox"),
    Step(
        "rollout restart kserve-controller-manager",
        "kserve/Deployment/kserve/kserve-controller-manager (patch)",
        "sandbox",
    ),
    Step("apply 01-kserve-config-openshift.yaml, and restart", "operators/Release/kserve/kserve"),
    # 3. gateway and routing
    Step("apply 02-gateway-configuration.yaml", "gateway/Gateway/llm/inference-gateway"),
    Step("apply 03-model-routing-domains.yaml: simulator", "models/HTTPRoute/llm/simulator"),
    Step("apply 03-model-routing-domains.yaml: qwen3", "models/HTTPRoute/llm/qwen3"),
    Step("apply 02a-openshift-routes.yaml: simulator", "gateway/Route/llm/simulator"),
    Step("apply 02a-openshift-routes.yaml: qwen3", "gateway/Route/llm/qwen3"),
    # 4. Kuadrant
    Step("apply -k olm/install: catalog", "operators/CatalogSource/kuadrant-system/kuadrant-operator-catalog"),
    Step("check that the catalog is READY", "operators/CatalogSource/kuadrant-system/kuadrant-operator-catalog"),
    Step("apply -k olm/install: group", "operators/OperatorGroup/kuadrant-system/kuadrant-system-operators"),
    Step("apply -k olm/install: subscription", "operators/Subscription/kuadrant-system/kuadrant-operator"),
    Step("check subscriptions and CSVs", "operators/ClusterServiceVersion/kuadrant-system/kuadrant-operator"),
    Step("helm install kuadrant-operator", "operators/Release/kuadrant-system/kuadrant-operator", "dev"),
    Step("apply -k olm/configure, 04-kuadrant-operator.yaml", "kuadrant/Kuadrant/kuadrant-system/kuadrant"),
    Step("wait for the Kuadrant object in a loop", "kuadrant/Kuadrant/kuadrant-system/kuadrant"),
    Step(
        "kick the operator when the status does not become ready",
        "operators/Deployment/kuadrant-system/kuadrant-operator-controller-manager (patch)",
        "dev",
    ),
    Step("kick the operator (OpenShift: an annotation)", "operators/Subscription/kuadrant-system/kuadrant-operator"),
    Step(
        "delete the Sail operator's subscription, CSV, deployment and its istiod in gateway-system",
        "housekeeping/Job/llm/maas-housekeeping-sail-operator",
        "everything",
    ),
    Step(
        "delete the ConfigMap istio-ca-root-cert in llm",
        "housekeeping/Role/llm/maas-housekeeping-sail-operator",
        "everything",
    ),
    Step(
        "delete leftover replica sets, restart the gateway",
        "housekeeping/RoleBinding/llm/maas-housekeeping-sail-operator",
        "everything",
    ),
    # 7. models
    Step("apply 02b-openshift-scc.yaml: service account", "platform/ServiceAccount/llm/models"),
    Step("apply vllm-simulator-kserve-openshift.yaml: runtime", "models/ServingRuntime/llm/maas-simulator"),
    Step("apply vllm-simulator-kserve-openshift.yaml: model", "models/InferenceService/llm/simulator"),
    Step("apply vllm-latest-runtime-openshift.yaml", "models/ServingRuntime/llm/maas-vllm"),
    Step("apply qwen3-0.6b-vllm-raw-openshift.yaml", "models/InferenceService/llm/qwen3"),
    Step(
        "delete the webhook mutating.odh-model-controller.opendatahub.io",
        "housekeeping/Job/llm/maas-housekeeping-odh-webhook",
        "everything",
    ),
    # 8. authentication and limits
    Step("apply 06-auth-policies-apikey.yaml", "policies/AuthPolicy/llm/gateway-auth"),
    Step("apply 07-rate-limit-policies.yaml", "policies/RateLimitPolicy/llm/gateway-request-limits"),
    Step("apply 08-token-rate-limit-policy.yaml", "policies/TokenRateLimitPolicy/llm/gateway-token-limits"),
    # 9. observability
    Step("apply -k kustomize/prometheus: limitador", "observability/ServiceMonitor/kuadrant-system/maas-limitador"),
    Step("apply -k kustomize/prometheus: authorino", "observability/ServiceMonitor/kuadrant-system/maas-authorino"),
    Step("apply 09-token-rate-limit-servicemonitor-envoy-shim.yaml", "observability/PodMonitor/llm/maas-gateway"),
    Step(
        "the cluster has user-workload monitoring",
        "housekeeping/Job/llm/maas-housekeeping-user-workload-monitoring",
    ),
    Step("label namespace llm openshift.io/user-monitoring=true", "platform/Namespace//llm"),
    Step("the cluster has a Prometheus operator", "operators/Release/monitoring/kube-prometheus-stack", "dev"),
    Step("the cluster has the Grafana operator", "operators/Subscription/grafana/grafana-operator"),
)

NOT_NEEDED = (
    NotNeeded(
        "apply gateway, routes and Routes again",
        "the gateway is made once, after its class is accepted by the one controller",
        "ReplicaSet",
    ),
    NotNeeded(
        "patch the CSV with another image of the wasm-shim, and back",
        "its metrics are Kuadrant's own since 1.3 (TelemetryPolicy); `platform.kuadrant.wasmShim` sets one yet",
        "WasmPlugin",
    ),
    NotNeeded(
        "annotate the TokenRateLimitPolicy, or delete the WasmPlugin, to force a reconciliation",
        "the operator restarts when its environment changes, and reconciles everything when it starts",
        "force-reconcile",
    ),
    NotNeeded(
        "grant the SCC kserve-scc to the models",
        "they run under restricted-v2; `platform.scc: original` grants what was granted",
        "SecurityContextConstraints",
    ),
    NotNeeded(
        "label namespaces istio-injection=enabled",
        "the gateway is the only proxy; a sidecar in a model's pod needs privileges",
        "istio-injection",
    ),
)


@cache
def recorded(stack: str) -> Recording:
    """A stack; `everything` is ocp with what is off there unless somebody asks for it."""
    if stack != "everything":
        return record(stack, *stack_config(stack))
    config, secrets = stack_config("ocp")
    platform = json.loads(config["maas:platform"])
    platform["cleanUp"] = {"odhWebhook": True, "sailOperator": True}
    return record("ocp", config | {"maas:platform": json.dumps(platform)}, secrets)


def test_nothing_of_others_is_removed_unless_the_stack_asks_for_it() -> None:
    for stack in ("dev", "ocp", "sandbox"):
        assert not [line for line in listed(recorded(stack)) if "sail-operator" in line or "odh-webhook" in line]


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.step)
def test_a_manual_step_of_the_original_is_an_object_now(step: Step) -> None:
    assert step.line in listed(recorded(step.stack))


@pytest.mark.parametrize("step", NOT_NEEDED, ids=lambda step: step.step)
def test_a_step_that_nobody_needs_any_more_has_no_object(step: NotNeeded) -> None:
    for stack in ("dev", "ocp", "sandbox"):
        assert not [line for line in listed(recorded(stack)) if step.absent in line], step.reason


def test_the_settings_that_were_patched_in_are_part_of_the_objects() -> None:
    ocp = {each.name: each.inputs for each in recorded("ocp").resources if each.request.custom}
    environment = {each["name"]: each["value"] for each in ocp["kuadrant-operator"]["spec"]["config"]["env"]}
    assert environment["ISTIO_GATEWAY_CONTROLLER_NAMES"] == "openshift.io/gateway-controller/v1"
    assert ocp["kuadrant-system-operators"]["spec"] == {}, "Kuadrant has no other install mode"
    controller = ocp["kserve"]["values"]["kserve"]["controller"]
    assert controller["deploymentMode"] == "RawDeployment"
    assert controller["gateway"]["ingressGateway"]["kserveGateway"] == "llm/inference-gateway"
    [namespace] = [each for each in recorded("ocp").objects if each.kind == "Namespace" and each.metadata_name == "llm"]
    assert namespace.metadata["labels"]["openshift.io/user-monitoring"] == "true"


def test_each_api_key_of_a_file_is_a_secret_now() -> None:
    config, secrets = stack_config("ocp")
    keys = '{"freeuser1": "' + "k" * 40 + '"}'
    recording = record("ocp", config | {"maas:apiKeys": keys}, [*secrets, "maas:apiKeys"])
    assert any(each.startswith("identity/Secret/kuadrant-system/maas-key-freeuser1.") for each in listed(recording))
