"""What the doctor says of a cluster with one thing broken: that thing, and nothing else."""

import json
from collections.abc import Callable

import pytest

from cli.doctor import report
from cli.doctor.causes import causes
from cli.doctor.checks.models import no_place
from cli.doctor.findings import Finding, Level, settle
from cli.exits import Exit
from tests.keys import key_secret
from tests.unit.cli.doctor.healthy import GENERATION, Cluster, Manifest, false, set_condition, true

KEYS = "kuadrant-system"


def test_a_healthy_cluster_has_nothing_to_complain_of() -> None:
    cluster = Cluster()
    assert cluster.bad() == []
    assert [each for each in cluster.findings() if each.level is Level.WAITS] == []
    subjects = {each.check for each in cluster.findings()}
    assert {"cluster", "gateway", "routes", "kuadrant", "policies", "keys", "models", "kserve"} <= subjects


def test_before_the_first_up_only_what_it_needs_is_looked_at() -> None:
    cluster = Cluster(deployed=False)
    assert cluster.bad() == []
    cluster.remove("GatewayClass", "istio")
    assert [each.object for each in cluster.bad()] == ["GatewayClass istio"]


def _secret(cluster: Cluster, user: str) -> Manifest:
    return cluster.of("Secret", key_secret(user))


def _class_deleted(cluster: Cluster) -> None:
    cluster.remove("GatewayClass", "istio")
    for each in ("Accepted", "Programmed"):
        set_condition(cluster.of("Gateway", "inference-gateway"), false(each, "Pending", "no class"))
    _routes_unaccepted(cluster)


def _routes_unaccepted(cluster: Cluster) -> None:
    for each in cluster.objects["gateway.networking.k8s.io/v1", "HTTPRoute"]:
        each["status"] = {}
    for kind in ("AuthPolicy", "TokenRateLimitPolicy"):
        for each in [each for key, found in cluster.objects.items() if key[1] == kind for each in found]:
            set_condition(each, false("Enforced", "Unknown", "no route"))


def _wrong_class(cluster: Cluster) -> None:
    cluster.of("Gateway", "inference-gateway")["spec"]["gatewayClassName"] = "nginx"
    set_condition(cluster.of("Gateway", "inference-gateway"), false("Programmed", "Pending"))
    _routes_unaccepted(cluster)


def _missing_dependency(cluster: Cluster) -> None:
    bad = false("Ready", "MissingDependency", "[Gateway API provider (istio)] is not installed")
    set_condition(cluster.of("Kuadrant", "kuadrant"), bad)
    for kind, name in (("AuthPolicy", "gateway-auth"), ("TokenRateLimitPolicy", "gateway-token-limits")):
        set_condition(cluster.of(kind, name), false("Accepted", "MissingDependency"))


def _condition(kind: str, name: str, bad: Manifest) -> Callable[[Cluster], None]:
    return lambda cluster: set_condition(cluster.of(kind, name), bad)


def _rival(cluster: Cluster) -> None:
    target = {"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": "qwen3"}
    metadata = {"name": "mine", "namespace": "llm"}
    cluster.add(
        {"apiVersion": "kuadrant.io/v1", "kind": "AuthPolicy", "metadata": metadata, "spec": {"targetRef": target}}
    )
    set_condition(cluster.of("AuthPolicy", "gateway-auth"), false("Enforced", "Overridden"))


def _no_token_limits(cluster: Cluster) -> None:
    cluster.unserve("TokenRateLimitPolicy")


def _another_version(cluster: Cluster) -> None:
    cluster.unserve("InferenceService", "v1alpha1")


def _label_taken_off(cluster: Cluster) -> None:
    del _secret(cluster, "freeuser1")["metadata"]["labels"]["authorino.kuadrant.io/managed-by"]


def _tier_changed(cluster: Cluster) -> None:
    _secret(cluster, "freeuser1")["metadata"]["annotations"]["kuadrant.io/groups"] = "enterprise"


def _key_deleted(cluster: Cluster) -> None:
    cluster.remove("Secret", key_secret("freeuser2"))


def _same_key(cluster: Cluster) -> None:
    _secret(cluster, "freeuser2")["data"] = _secret(cluster, "premiumuser1")["data"]


def _empty_key(cluster: Cluster) -> None:
    _secret(cluster, "freeuser2")["data"] = {"api_key": ""}


def _strange_key(cluster: Cluster) -> None:
    labels = _secret(cluster, "freeuser1")["metadata"]["labels"]
    metadata = {"name": "by-hand", "namespace": KEYS, "labels": labels}
    cluster.add({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": {"api_key": "digest"}})


def _scaled_to_nothing(cluster: Cluster) -> None:
    controller = cluster.of("Deployment", "kserve-controller-manager")
    controller["spec"]["replicas"] = 0
    set_condition(cluster.of("InferenceService", "qwen3"), false("Ready", "Unknown"))


def _kserve_settings(cluster: Cluster) -> None:
    data = cluster.of("ConfigMap", "inferenceservice-config")["data"]
    data["deploy"] = json.dumps({"defaultDeploymentMode": "Serverless"})


def _not_restarted(cluster: Cluster) -> None:
    cluster.of("Deployment", "kserve-controller-manager")["spec"]["template"]["metadata"]["annotations"] = {}


def _no_gpu_label(cluster: Cluster) -> None:
    for each in cluster.objects["v1", "Node"]:
        each["metadata"]["labels"].pop("nvidia.com/gpu.present", None)
    _pending_pod(cluster)


def _pending_pod(cluster: Cluster) -> None:
    labels = {"serving.kserve.io/inferenceservice": "qwen3"}
    pod = {"metadata": {"name": "qwen3-predictor-x", "namespace": "llm", "labels": labels}}
    scheduled = false("PodScheduled", "Unschedulable", "0/4 nodes are available")
    cluster.add({"apiVersion": "v1", "kind": "Pod", **pod, "status": {"conditions": [scheduled]}})
    set_condition(cluster.of("InferenceService", "qwen3"), false("Ready", "Unknown"))
    parents = cluster.of("HTTPRoute", "qwen3")["status"]["parents"]
    set_condition({"status": parents[0]}, false("ResolvedRefs", "BackendNotFound"))


def _image(cluster: Cluster) -> None:
    labels = {"serving.kserve.io/inferenceservice": "simulator"}
    pod = {"metadata": {"name": "simulator-x", "namespace": "llm", "labels": labels}}
    container = {"name": "kserve-container", "ready": False, "state": {"waiting": {"reason": "ImagePullBackOff"}}}
    cluster.add({"apiVersion": "v1", "kind": "Pod", **pod, "status": {"containerStatuses": [container]}})
    set_condition(cluster.of("InferenceService", "simulator"), false("Ready", "Unknown"))


def _no_room(cluster: Cluster) -> None:
    labels = {"serving.kserve.io/inferenceservice": "simulator"}
    pod = {"metadata": {"name": "simulator-x", "namespace": "llm", "labels": labels}}
    scheduled = false("PodScheduled", "Unschedulable", "0/4 nodes are available: 4 Insufficient cpu.")
    cluster.add({"apiVersion": "v1", "kind": "Pod", **pod, "status": {"conditions": [scheduled]}})
    set_condition(cluster.of("InferenceService", "simulator"), false("Ready", "Unknown"))


def _not_let_in(cluster: Cluster) -> None:
    metadata = {"name": "qwen3-predictor", "namespace": "llm"}
    failure = true("ReplicaFailure")[0] | {"message": 'denied the request: secrets "hugging-face" not found'}
    status = {"conditions": [failure, false("Available", "MinimumReplicasUnavailable")]}
    cluster.add({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "status": status})
    set_condition(cluster.of("InferenceService", "qwen3"), false("Ready", "MinimumReplicasUnavailable"))


def _no_download(cluster: Cluster) -> None:
    labels = {"serving.kserve.io/inferenceservice": "qwen3"}
    pod = {"metadata": {"name": "qwen3-x", "namespace": "llm", "labels": labels}}
    ended = {"terminated": {"reason": "Error", "message": "Traceback\nGatedRepoError: 401 Client Error"}}
    waits = {"waiting": {"reason": "CrashLoopBackOff"}}
    container = {"name": "storage-initializer", "ready": False, "state": waits, "lastState": ended}
    cluster.add({"apiVersion": "v1", "kind": "Pod", **pod, "status": {"initContainerStatuses": [container]}})
    set_condition(cluster.of("InferenceService", "qwen3"), false("Ready", "Unknown"))


def _webhook(cluster: Cluster) -> None:
    hook = {
        "name": "minferenceservice-v1beta1.odh-model-controller.opendatahub.io",
        "rules": [{"resources": ["inferenceservices"]}],
    }
    metadata = {"name": "mutating.odh-model-controller.opendatahub.io"}
    version = "admissionregistration.k8s.io/v1"
    cluster.add(
        {"apiVersion": version, "kind": "MutatingWebhookConfiguration", "metadata": metadata, "webhooks": [hook]}
    )


def _olm(kind: str, name: str, namespace: str = KEYS, version: str = "v1alpha1", **body: object) -> Manifest:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": f"operators.coreos.com/{version}", "kind": kind, "metadata": metadata, **body}


def _two_groups(cluster: Cluster) -> None:
    for name in ("one", "two"):
        cluster.add(_olm("OperatorGroup", name, version="v1"))
    failed = {"phase": "Failed", "reason": "TooManyOperatorGroups", "message": "csv created in namespace with many"}
    cluster.add(_olm("ClusterServiceVersion", "kuadrant-operator.v1.5.2", status=failed))
    set_condition(cluster.of("Deployment", "authorino-operator"), false("Available", "MinimumReplicasUnavailable"))


def _connectivity_link(cluster: Cluster) -> None:
    cluster.add(_olm("ClusterServiceVersion", "rhcl-operator.v1.4.0", status={"phase": "Succeeded"}))


def _stray_mesh(cluster: Cluster) -> None:
    cluster.add(_olm("Subscription", "sailoperator", "gateway-system", spec={"name": "sailoperator"}))


def _terminating(cluster: Cluster) -> None:
    metadata = cluster.of("Namespace", KEYS)["metadata"]
    metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    held = cluster.of("Kuadrant", "kuadrant")["metadata"]
    held |= {"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["kuadrant.io/developerportal"]}
    _key_deleted(cluster)


def _old_kuadrant(cluster: Cluster) -> None:
    operator = cluster.of("Deployment", "kuadrant-operator-controller-manager")
    operator["spec"]["template"]["spec"]["containers"][0]["image"] = "quay.io/kuadrant/kuadrant-operator:v1.2.0"


def _from_anywhere(cluster: Cluster) -> None:
    methods = cluster.of("AuthPolicy", "gateway-auth")["spec"]["rules"]["authentication"]
    methods["api-key-bearer"]["apiKey"]["allNamespaces"] = True


def _privileged(cluster: Cluster) -> None:
    subject = {"kind": "ServiceAccount", "name": "models", "namespace": "llm"}
    role = {"name": "system:openshift:scc:privileged"}
    body = {"metadata": {"name": "too-much", "namespace": "llm"}, "roleRef": role, "subjects": [subject]}
    cluster.add({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", **body})


def _edited_limit(cluster: Cluster) -> None:
    cluster.of("TokenRateLimitPolicy", "gateway-token-limits")["spec"]["limits"]["free"]["rates"][0]["limit"] = 7


def _second_kuadrant(cluster: Cluster) -> None:
    metadata, ready = {"name": "other", "namespace": "elsewhere"}, {"conditions": true("Ready")}
    cluster.add({"apiVersion": "kuadrant.io/v1beta1", "kind": "Kuadrant", "metadata": metadata, "status": ready})


def _not_resolved(cluster: Cluster) -> None:
    bad = false("ResolvedRefs", "BackendNotFound", "no service")
    set_condition({"status": cluster.of("HTTPRoute", "simulator")["status"]["parents"][0]}, bad)


def _stale_route(cluster: Cluster) -> None:
    stale = true("Accepted", "ResolvedRefs", stale=True)
    cluster.of("HTTPRoute", "simulator")["status"]["parents"][0]["conditions"] = stale


def _no_address(cluster: Cluster) -> None:
    cluster.of("Gateway", "inference-gateway")["status"]["addresses"] = []


def _conflicted(cluster: Cluster) -> None:
    conflict = {"type": "Conflicted", "status": "True", "reason": "HostnameConflict"}
    cluster.of("Gateway", "inference-gateway")["status"]["listeners"][0]["conditions"].append(conflict)


def _sidecars(cluster: Cluster) -> None:
    cluster.of("Namespace", KEYS)["metadata"]["labels"]["istio-injection"] = "enabled"


def _old_cluster(cluster: Cluster) -> None:
    cluster.version = "v1.27.3"


def _elsewhere(cluster: Cluster) -> None:
    cluster.of("Deployment", "limitador-operator-controller-manager")["metadata"]["namespace"] = "operators"


def _no_istiod(cluster: Cluster) -> None:
    set_condition(cluster.of("Deployment", "istiod"), false("Available", "MinimumReplicasUnavailable"))
    _class_deleted(cluster)


def _going(cluster: Cluster) -> None:
    held = {"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["kuadrant.io/developerportal"]}
    cluster.of("Kuadrant", "kuadrant")["metadata"] |= held


BREAKAGES: dict[str, tuple[Callable[[Cluster], None], str, str]] = {
    "the class is gone": (_class_deleted, "GatewayClass istio", "does not exist"),
    "the gateway has another class": (_wrong_class, "Gateway llm/inference-gateway", "of class nginx"),
    "the gateway has no address": (_no_address, "Gateway llm/inference-gateway", "no address"),
    "a listener conflicts": (_conflicted, "Gateway llm/inference-gateway", "HostnameConflict"),
    "the mesh is down": (_no_istiod, "Deployment istio-system/istiod", "not available"),
    "a route leads nowhere": (_not_resolved, "HTTPRoute llm/simulator", "BackendNotFound"),
    "a route is not looked at": (_stale_route, "HTTPRoute llm/simulator", "not looked at its last change"),
    "kuadrant misses something": (_missing_dependency, f"Kuadrant {KEYS}/kuadrant", "only when it starts"),
    "two kuadrants": (_second_kuadrant, "Kuadrant elsewhere/other", "a second one"),
    "the limiter is down": (
        _condition("Limitador", "limitador", false("Ready", "Pending")),
        f"Limitador {KEYS}/limitador",
        "limits are not enforced",
    ),
    "the authoriser is down": (
        _condition("Authorino", "authorino", false("Ready", "Pending")),
        f"Authorino {KEYS}/authorino",
        "every request is refused",
    ),
    "a policy is overridden": (
        _condition("AuthPolicy", "gateway-auth", false("Enforced", "Overridden")),
        "AuthPolicy llm/gateway-auth",
        "takes its place",
    ),
    "a rival policy": (_rival, "AuthPolicy llm/mine", "not the stack's"),
    "an expression is wrong": (
        _condition("TokenRateLimitPolicy", "gateway-token-limits", false("Enforced", "InvalidCelExpression")),
        "TokenRateLimitPolicy llm/gateway-token-limits",
        "expression",
    ),
    "kuadrant is too old": (
        _no_token_limits,
        "CustomResourceDefinition tokenratelimitpolicies.kuadrant.io",
        "older than 1.3",
    ),
    "kserve has another version": (
        _another_version,
        "CustomResourceDefinition inferenceservices.serving.kserve.io",
        "served as v1alpha1",
    ),
    "kuadrant's image is old": (_old_kuadrant, f"Deployment {KEYS}/kuadrant-operator-controller-manager", "too old"),
    "a key lacks a label": (_label_taken_off, f"Secret {KEYS}/{key_secret('freeuser1')}", "lacks the label"),
    "a key has another tier": (_tier_changed, f"Secret {KEYS}/{key_secret('freeuser1')}", "tier is enterprise"),
    "a key is gone": (_key_deleted, f"Secret {KEYS}/{key_secret('freeuser2')}", "is not there"),
    "a key is empty": (_empty_key, f"Secret {KEYS}/{key_secret('freeuser2')}", "no value"),
    "one key for two": (
        _same_key,
        f"Secret {KEYS}/{key_secret('freeuser2')}",
        f"same key as {key_secret('premiumuser1')}",
    ),
    "a key made by hand": (_strange_key, f"Secret {KEYS}/by-hand", "does not know"),
    "kserve is scaled to 0": (_scaled_to_nothing, "Deployment kserve/kserve-controller-manager", "scaled to 0"),
    "kserve is not restarted": (_not_restarted, "Deployment kserve/kserve-controller-manager", "not been restarted"),
    "kserve has other settings": (_kserve_settings, "ConfigMap kserve/inferenceservice-config", "Serverless"),
    "no node for a model": (_no_gpu_label, "InferenceService llm/qwen3", "nvidia.com/gpu.present=true"),
    "the GPUs are taken": (_pending_pod, "InferenceService llm/qwen3", "in use by other pods"),
    "an image is missing": (_image, "InferenceService llm/simulator", "cannot be pulled"),
    "no room for a model on processors": (_no_room, "InferenceService llm/simulator", "the cpu and memory left"),
    "a pod is not let in": (_not_let_in, "InferenceService llm/qwen3", 'secrets "hugging-face" not found'),
    "weights cannot be had": (
        _no_download,
        "InferenceService llm/qwen3",
        "(storage-initializer: CrashLoopBackOff): it starts and ends again: see its log; it said last: GatedRepo",
    ),
    "OpenDataHub's webhook": (
        _webhook,
        "MutatingWebhookConfiguration mutating.odh-model-controller.opendatahub.io",
        "OpenDataHub",
    ),
    "two operator groups": (_two_groups, f"OperatorGroup {KEYS}/one, two", "one and two"),
    "Connectivity Link 1.4.0": (_connectivity_link, f"ClusterServiceVersion {KEYS}/rhcl-operator.v1.4.0", "without"),
    "a stray mesh": (_stray_mesh, "Subscription gateway-system/sailoperator", "second mesh"),
    "a namespace does not go": (_terminating, f"Namespace {KEYS}", "kuadrant.io/developerportal"),
    "an object does not go": (_going, f"Kuadrant {KEYS}/kuadrant", "held by kuadrant.io/developerportal"),
    "keys from anywhere": (_from_anywhere, "AuthPolicy llm/gateway-auth", "all namespaces"),
    "too many rights": (_privileged, "RoleBinding llm/too-much", "privileged containers"),
    "somebody changed a limit": (
        _edited_limit,
        "TokenRateLimitPolicy llm/gateway-token-limits",
        "spec.limits.free.rates[0].limit",
    ),
    "sidecars": (_sidecars, f"Namespace {KEYS}", "sidecars"),
    "the cluster is too old": (_old_cluster, "API server", "too old"),
    "an operator lives elsewhere": (
        _elsewhere,
        f"Deployment {KEYS}/limitador-operator-controller-manager",
        "runs in namespace operators",
    ),
}


@pytest.mark.parametrize(("breaks", "object_", "text"), BREAKAGES.values(), ids=BREAKAGES)
def test_one_broken_thing_is_named_and_nothing_else(breaks: Callable[[Cluster], None], object_: str, text: str) -> None:
    cluster = Cluster()
    breaks(cluster)
    bad = cluster.bad()
    assert [each.object for each in bad] == [object_], "\n".join(f"{each.object}: {each.message}" for each in bad)
    assert text in bad[0].message
    assert bad[0].fix, "a finding without a way out is half a finding"


def test_an_llm_inference_service_is_looked_at_as_others_are() -> None:
    entry = {"source": "hf://Qwen/Qwen3-0.6B", "profile": "small-gpu", "api": "llmInferenceService"}
    cluster = Cluster(changes={"models": {"qwen3": entry}})
    assert not cluster.bad()
    assert "LLMInferenceService llm/qwen3" in {each.object for each in cluster.findings() if each.check == "models"}
    labels = {
        "app.kubernetes.io/part-of": "llminferenceservice",
        "kserve.io/component": "workload",
        "app.kubernetes.io/name": "qwen3",
    }
    pod = {"metadata": {"name": "qwen3-kserve-x", "namespace": "llm", "labels": labels}}
    container = {"name": "main", "ready": False, "state": {"waiting": {"reason": "ImagePullBackOff"}}}
    cluster.add({"apiVersion": "v1", "kind": "Pod", **pod, "status": {"containerStatuses": [container]}})
    set_condition(cluster.of("LLMInferenceService", "qwen3"), false("Ready", "Unknown"))
    parents = cluster.of("HTTPRoute", "qwen3")["status"]["parents"]
    set_condition({"status": parents[0]}, false("ResolvedRefs", "BackendNotFound"))
    (bad,) = cluster.bad()
    assert bad.object == "LLMInferenceService llm/qwen3"
    assert "cannot be pulled" in bad.message


@pytest.mark.parametrize(
    ("said", "fix"),
    [
        ("unable to validate against any security context constraint: []", "maas:platform.scc"),
        ('pods "a" is forbidden: exceeded quota: gpus', "ResourceQuota"),
        ("maximum memory usage per Container is 4Gi in LimitRange", "maas:models.simulator.resources"),
        ("something else", "kubectl describe replicaset -n llm"),
    ],
)
def test_why_a_pod_is_not_let_in_has_its_own_fix(said: str, fix: str) -> None:
    cluster = Cluster()
    _not_let_in(cluster)
    deployment = cluster.of("Deployment", "qwen3-predictor")
    deployment["metadata"]["name"] = "simulator-predictor"
    deployment["status"]["conditions"][0]["message"] = said
    (bad,) = (each for each in cluster.bad() if "not let in" in each.message)
    assert bad.object == "InferenceService llm/simulator"
    assert fix in bad.fix


MODELCAR = {"source": "oci://quay.io/models/granite:1.0", "profile": "modelcar"}
GATED = {"source": "hf://google/gemma-3-4b-it", "profile": "small-gpu", "secret": "hugging-face"}


@pytest.mark.parametrize(
    ("profile", "entry", "key", "value", "says"),
    [
        ("kubernetes", MODELCAR, "storageInitializer", {"enableModelcar": False}, "other cannot be served from an"),
        ("kubernetes", MODELCAR, "storageInitializer", {"enableModelcar": True, "uidModelcar": 1010}, ""),
        ("openshift", MODELCAR, "storageInitializer", {"enableModelcar": True, "uidModelcar": 1010}, "1010, a user"),
        ("kubernetes", GATED, "credentials", {"storageSecretNameAnnotation": "a/b"}, "the Secret of other is not read"),
        ("kubernetes", GATED, "credentials", {"storageSecretNameAnnotation": "serving.kserve.io/secretName"}, ""),
        ("kubernetes", {"profile": "simulator"}, "storageInitializer", {"enableModelcar": False}, ""),
    ],
)
def test_settings_of_kserve_that_keep_weights_from_a_model_are_told(
    profile: str, entry: dict[str, str], key: str, value: dict[str, object], says: str
) -> None:
    cluster = Cluster(changes={"models": {"other": entry}, "platform": {"profile": profile}})
    cluster.of("ConfigMap", "inferenceservice-config")["data"][key] = json.dumps(value)
    bad = [each.message for each in cluster.bad() if each.check == "kserve"]
    assert len(bad) == (1 if says else 0), bad
    assert says in "".join(bad)


def test_a_download_that_is_killed_is_not_blamed_on_the_models_own_memory() -> None:
    cluster = Cluster()
    _no_download(cluster)
    (container,) = cluster.of("Pod", "qwen3-x")["status"]["initContainerStatuses"]
    container["lastState"]["terminated"]["reason"] = "OOMKilled"
    (bad,) = cluster.bad()
    assert "more memory than KServe lets a download use" in bad.message
    assert "maas:models.qwen3.cache: {size: <of the weights>, ephemeral: true}" in bad.fix


def test_a_model_that_scales_says_between_how_many() -> None:
    entry = {"source": "hf://Qwen/Qwen3-0.6B", "profile": "small-gpu", "autoscaling": {"min": 0, "max": 3}}
    cluster = Cluster(changes={"models": {"qwen3": entry}, "serving": {"autoscaler": "keda"}})
    said = [each.message for each in cluster.findings() if each.object == "InferenceService llm/qwen3"]
    assert "ready, 0 to 3 wanted" in said


def test_a_user_without_a_key_is_a_warning() -> None:
    named = [each for each in Cluster("dev").bad() if each.object.startswith("user ")]
    assert [each.object for each in named] == ["user freeuser1", "user premiumuser1"]
    assert {each.level for each in named} == {Level.WARNING}


def test_plain_http_on_a_load_balancer_is_a_warning() -> None:
    assert any("plain HTTP" in each.message for each in Cluster("dev").bad())
    assert not any("plain HTTP" in each.message for each in Cluster().bad())


def test_what_may_not_be_read_is_said_and_not_judged() -> None:
    cluster = Cluster()
    for kind in (("v1", "Secret"), ("v1", "Node")):
        del cluster.objects[kind]
        cluster.denied[kind] = "forbidden"
    assert sorted(each.object for each in cluster.bad()) == ["Node", "Secret"]
    assert {each.level for each in cluster.bad()} == {Level.WARNING}


def _gpu_nodes(**changes: object) -> tuple[Manifest, ...]:
    spec = {"taints": [{"key": "nvidia.com/gpu", "effect": "NoSchedule"}], **changes}
    status = {"allocatable": {"nvidia.com/gpu": "1"}, "conditions": true("Ready")}
    metadata = {"name": "gpu-1", "labels": {"nvidia.com/gpu.present": "true"}, "generation": GENERATION}
    return ({"kind": "Node", "metadata": metadata, "spec": spec, "status": status},)


def test_why_no_node_can_take_a_model_is_said_in_plain_words() -> None:
    gpu = Cluster().settings.models["qwen3"].gpu
    assert gpu is not None
    assert no_place(gpu, _gpu_nodes()) == ""
    assert "cordoned" in no_place(gpu, _gpu_nodes(unschedulable=True))
    assert "dedicated:NoExecute" in no_place(gpu, _gpu_nodes(taints=[{"key": "dedicated", "effect": "NoExecute"}]))
    assert "2 x nvidia.com/gpu wanted, but a node has 1" in no_place(gpu.model_copy(update={"count": 2}), _gpu_nodes())
    down = _gpu_nodes()
    down[0]["status"]["conditions"] = [false("Ready", "KubeletNotReady")]
    assert "not ready: gpu-1" in no_place(gpu, down)


def test_what_an_object_has_wrong_itself_is_shown_even_beside_another_trouble() -> None:
    cluster = Cluster()
    _tier_changed(cluster)
    _missing_dependency(cluster)
    assert [each.object for each in cluster.bad()] == [
        f"Kuadrant {KEYS}/kuadrant",
        f"Secret {KEYS}/{key_secret('freeuser1')}",
    ]


@pytest.mark.parametrize("stack", ["sandbox", "dev", "ocp"])
def test_no_object_is_its_own_cause(stack: str) -> None:
    """Two that blame each other would both fall silent."""
    edges = causes(Cluster(stack).case())

    def reached(start: str) -> set[str]:
        seen: set[str] = set()
        queue = list(edges.get(start, ()))
        while queue:
            name = queue.pop()
            if name not in seen:
                seen.add(name)
                queue += edges.get(name, ())
        return seen

    assert [name for name in list(edges) if name in reached(name)] == []


def test_a_symptom_waits_for_the_nearest_trouble_below_it() -> None:
    top, middle, ground = (
        Finding("x", Level.PROBLEM, name, "is bad", "repair it", symptom=True) for name in ("top", "middle", "ground")
    )
    edges = {"top": ["well", "middle"], "middle": ["ground"]}
    settled = settle([top, middle, ground], edges)
    assert [each.level for each in settled] == [Level.WAITS, Level.WAITS, Level.PROBLEM]
    assert settled[0].message.startswith("waits for middle")
    assert settled[0].fix == "", "the fix is that of what it waits for"


def test_the_exit_code_says_whether_there_is_a_problem() -> None:
    ok, warning, problem = (Finding("x", level, "it", "") for level in (Level.OK, Level.WARNING, Level.PROBLEM))
    assert report.code([ok]) is report.code([ok, warning]) is Exit.OK
    assert report.code([ok, problem]) is Exit.FAILED


def test_the_json_has_the_result_the_counts_and_every_finding() -> None:
    cluster = Cluster()
    _key_deleted(cluster)
    content = json.loads(report.as_json(cluster.findings(), "sandbox", "https://example"))
    assert content["result"] == "problems"
    assert content["counts"]["problem"] == 1
    assert {"check", "level", "object", "message", "fix"} == set(content["findings"][0])


@pytest.mark.parametrize("stack", ["dev", "ocp"])
def test_what_the_stack_installs_by_itself_is_not_missed_on_an_empty_cluster(stack: str) -> None:
    cluster = Cluster(stack, deployed=False)
    built_in = {"route.openshift.io", "operators.coreos.com", "monitoring.coreos.com", "gateway.networking.k8s.io"}
    for api_version, kind in list(cluster.objects):
        group = api_version.rpartition("/")[0]
        if "." in group and not group.endswith("k8s.io") and not (stack == "ocp" and group in built_in):
            cluster.unserve(kind)
    cluster.objects["apps/v1", "Deployment"].clear()
    cluster.objects["gateway.networking.k8s.io/v1", "GatewayClass"].clear()
    problems = [each for each in cluster.bad() if each.level is Level.PROBLEM]
    assert [f"{each.object}: {each.message}" for each in problems if "qwen3" not in each.object] == []


def test_a_subscription_that_waits_for_approval_says_so() -> None:
    cluster = Cluster("ocp")
    waits = {"type": "InstallPlanPending", "status": "True", "reason": "RequiresApproval", "message": ""}
    cluster.of("Subscription", "kuadrant-operator")["status"] = {"conditions": [waits]}
    said = [each for each in cluster.findings() if each.object == f"Subscription {KEYS}/kuadrant-operator"]
    assert any(each.level is Level.PROBLEM and "waits for approval" in each.message for each in said)


def test_what_others_added_to_an_object_of_theirs_is_no_difference() -> None:
    cluster = Cluster("dev", deployed=False)
    for wanted in cluster.wanted:
        if not wanted.is_patch:
            cluster.deploy(wanted)
    name = "kuadrant-operator-controller-manager"
    operator = cluster.of("Deployment", name)["spec"]["template"]
    (patch,) = (each for each in cluster.wanted if each.is_patch and each.metadata_name == name)
    operator["metadata"] |= patch.body["spec"]["template"]["metadata"]
    ours = patch.body["spec"]["template"]["spec"]["containers"]
    containers = json.loads(json.dumps(list(ours)))
    containers[0]["env"].insert(0, {"name": "THEIRS", "value": "1"})
    operator["spec"]["containers"] = [{"name": "sidecar"}, *containers]
    assert not [each for each in cluster.bad() if each.object.endswith(name) and "differs" in each.message]
    containers[0]["env"][1]["value"] = "changed"
    assert [each for each in cluster.bad() if each.object.endswith(name) and "differs" in each.message]


MONITORING = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "cluster-monitoring-config", "namespace": "openshift-monitoring"},
}


def monitoring(cluster: Cluster) -> list[Finding]:
    return [each for each in cluster.findings() if each.check == "monitoring"]


@pytest.mark.parametrize(
    "data", [None, {}, {"config.yaml": "a: [\n"}, {"config.yaml": "enableUserWorkload: false\n"}, {"other": "x"}]
)
def test_monitors_that_nobody_reads_on_openshift_are_a_problem(data: Manifest | None) -> None:
    cluster = Cluster("ocp")
    if data is not None:
        cluster.add(MONITORING | {"data": data})
    [finding] = monitoring(cluster)
    assert finding.level is Level.PROBLEM
    assert "beside what is there" in finding.fix


def test_user_workload_monitoring_that_is_on_is_well_and_before_the_first_up_it_is_not_missed() -> None:
    cluster = Cluster("ocp")
    cluster.add(MONITORING | {"data": {"config.yaml": "a: 1\nenableUserWorkload: true\n"}})
    assert [each.level for each in monitoring(cluster)] == [Level.OK]
    [finding] = monitoring(Cluster("ocp", deployed=False))
    assert "`up` turns it on" in finding.message


def test_what_may_not_be_read_of_monitoring_is_not_judged_and_elsewhere_nothing_is_looked_for() -> None:
    cluster = Cluster("ocp")
    cluster.denied["v1", "ConfigMap"] = "forbidden"
    assert monitoring(cluster) == monitoring(Cluster("dev")) == []


def on_another_release(name: str = "", namespace: str = "") -> Cluster:
    """The stack `dev` before its first `up`, on a cluster that has cert-manager already."""
    cluster = Cluster("dev", deployed=False)
    cluster.objects["apps/v1", "Deployment"].clear()
    annotations = {"meta.helm.sh/release-name": name, "meta.helm.sh/release-namespace": namespace} if name else {}
    metadata = {"name": "cert-manager", "namespace": "cert-manager", "annotations": annotations}
    status = {"conditions": true("Available")}
    cluster.add({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": {}, "status": status})
    return cluster


@pytest.mark.parametrize(
    ("release", "how"), [(("cert-manager", "cert-manager"), "as release cert-manager"), ((), "not by Helm")]
)
def test_an_operator_that_somebody_else_installed_is_told_before_helm_fails_on_it(
    release: tuple[str, ...], how: str
) -> None:
    cluster = on_another_release(*release)
    [problem] = [each for each in cluster.bad() if "takes over no release" in each.message]
    assert problem.object == "Deployment cert-manager/cert-manager"
    assert how in problem.message
    assert "maas:platform.certManager.install: preinstalled" in problem.fix


def test_an_operator_of_our_own_release_is_none_of_somebody_elses() -> None:
    cluster = on_another_release("cert-manager", "cert-manager")
    for wanted in cluster.wanted:
        if not wanted.is_patch:
            cluster.deploy(wanted)
    assert not [each for each in cluster.bad() if "takes over no release" in each.message]
    cluster = on_another_release("their-own", "cert-manager")
    for wanted in cluster.wanted:
        if not wanted.is_patch:
            cluster.deploy(wanted)
    assert [each for each in cluster.bad() if "as release their-own" in each.message]
