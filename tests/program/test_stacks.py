"""The whole program, for each stack file: what it registers, in which order, with which secrets, and what not."""

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import pulumi
import pytest

from cli.program.recorder import Object, Recording, record, stack_config
from cli.stacks.stackfile import stack_names
from components import operators
from components.layer import Site
from components.objects import ConfigMap
from components.operators.catalogue import Declaration
from config.platform import Install
from tests.golden import check_golden
from tests.keys import key_secret
from tests.program.graph import installed_by, key, listed, reaches

STACKS = stack_names()
CLUSTER_SCOPED = {"CertManager", "ClusterRoleBinding", "GatewayClass", "Namespace"}
# What means something only once its controller has accepted it, and the condition to wait for.
AWAITED = {
    "AuthPolicy": "Enforced",
    "CatalogSource": "READY",
    "CertManager": "cert-manager-webhook-deploymentAvailable",
    "ClusterServiceVersion": "Succeeded",
    "Gateway": "Programmed",
    "GatewayClass": "Accepted",
    "HTTPRoute": "Accepted",
    "InferenceService": "Ready",
    "Kuadrant": "Ready",
    "RateLimitPolicy": "Enforced",
    "Route": "Admitted",
    "Subscription": "AtLatestKnown",
    "TelemetryPolicy": "Enforced",
    "TokenRateLimitPolicy": "Enforced",
}
# Which operator must be there before an object of each API group.
SERVED_BY = {
    "gateway.networking.k8s.io": "service-mesh",
    "serving.kserve.io": "kserve",
    "kuadrant.io": "kuadrant",
    "extensions.kuadrant.io": "kuadrant",
    "limitador.kuadrant.io": "kuadrant",
    "monitoring.coreos.com": "monitoring",
    "grafana.integreatly.org": "grafana",
}


@cache
def recorded(stack: str) -> Recording:
    return record(stack, *stack_config(stack))


def changed(stack: str, **values: object) -> Recording:
    config, secrets = stack_config(stack)
    return record(stack, config | {f"maas:{key}": json.dumps(value) for key, value in values.items()}, secrets)


def bodies(recording: Recording) -> dict[str, Any]:
    return {key(each): each.body for each in recording.objects}


def named(recording: Recording, kind: str, name: str) -> Object:
    return next(each for each in recording.objects if each.kind == kind and each.metadata_name == name)


@pytest.mark.parametrize("stack", STACKS)
def test_a_stack_has_exactly_the_objects_that_were_reviewed(stack: str) -> None:
    check_golden(Path(__file__).parent / "goldens" / f"{stack}.yaml", listed(recorded(stack)))


@pytest.mark.parametrize("stack", STACKS)
def test_the_same_stack_twice_gives_the_same_objects(stack: str) -> None:
    again = record(stack, *stack_config(stack))
    assert json.dumps(bodies(again)) == json.dumps(bodies(recorded(stack)))


@pytest.mark.parametrize("stack", STACKS)
def test_every_object_goes_through_the_stacks_own_provider(stack: str) -> None:
    recording = recorded(stack)
    [provider] = [each.urn for each in recording.resources if each.type == "pulumi:providers:kubernetes"]
    for each in recording.objects:
        assert each.provider.split("::")[:4] == provider.split("::")[:4], f"{key(each)} uses another provider"


@pytest.mark.parametrize("stack", STACKS)
def test_every_object_has_a_name_and_a_namespace(stack: str) -> None:
    for each in recorded(stack).objects:
        assert each.metadata_name, f"{each.urn} has no name"
        assert bool(each.namespace) != (each.kind in CLUSTER_SCOPED), f"{key(each)}: namespace forgotten or too much"


@pytest.mark.parametrize("stack", STACKS)
def test_every_object_of_ours_carries_the_labels_of_its_layer_and_stack(stack: str) -> None:
    for each in recorded(stack).objects:
        if each.is_patch:
            continue
        expected = {
            "app.kubernetes.io/part-of": "maas",
            "app.kubernetes.io/component": each.layer,
            "app.kubernetes.io/managed-by": "pulumi",
            "maas.kuadrant.io/stack": stack,
        }
        assert expected.items() <= each.metadata["labels"].items(), key(each)


@pytest.mark.parametrize("stack", STACKS)
def test_no_two_resources_are_one_object_on_the_cluster(stack: str) -> None:
    places = [(each.api_version, each.kind, each.namespace, each.metadata_name) for each in recorded(stack).objects]
    assert len(places) == len(set(places)), "the later would overwrite the earlier"


@pytest.mark.parametrize("stack", STACKS)
def test_what_a_controller_must_accept_is_awaited_within_a_time_limit(stack: str) -> None:
    seen: set[str] = set()
    for each in recorded(stack).objects:
        if each.kind in AWAITED:
            seen.add(each.kind)
            assert AWAITED[each.kind] in each.metadata["annotations"]["pulumi.com/waitFor"], key(each)
            assert each.request.customTimeouts.create, key(each)
            assert each.request.customTimeouts.update, key(each)
        else:
            assert "pulumi.com/waitFor" not in each.metadata.get("annotations", {}), f"{key(each)} is not in the table"
        assert each.request.customTimeouts.delete, key(each)
    installed_by_olm = {"CatalogSource", "CertManager", "ClusterServiceVersion", "Subscription"}
    assert seen >= set(AWAITED) - {"GatewayClass", "Route"} - installed_by_olm


@pytest.mark.parametrize("stack", STACKS)
def test_every_object_waits_for_the_operator_that_serves_it(stack: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # A preinstalled operator is a component without objects, and nobody can wait for nothing: give each one object.
    monkeypatch.setitem(operators.INSTALLERS, Install.PREINSTALLED, _WithOneObject)
    recording = record(stack, *stack_config(stack))
    for each in recording.objects:
        operator = SERVED_BY.get(each.api_version.split("/")[0])
        if operator:
            installed = installed_by(recording, operator)
            assert installed
            if each.urn not in installed:
                assert installed <= reaches(recording, each), f"{key(each)} may be created before {operator}"


class _WithOneObject(operators.Preinstalled):
    def __init__(self, declaration: Declaration, site: Site, opts: pulumi.ResourceOptions) -> None:
        super().__init__(declaration, site, opts)
        ConfigMap(
            f"installed-{declaration.name}",
            metadata={"name": declaration.name, "namespace": "x"},
            opts=pulumi.ResourceOptions(parent=self),
        )


@pytest.mark.parametrize("stack", STACKS)
def test_no_resource_waits_for_itself(stack: str) -> None:
    recording = recorded(stack)
    edges = {each.urn: reaches(recording, each) for each in recording.resources}
    for each in recording.resources:
        for urn in edges[each.urn]:
            is_own_parent = urn.count("$") < each.urn.count("$")
            assert each.urn not in edges[urn] or is_own_parent, f"{each.urn} and {urn} wait for each other"


@pytest.mark.parametrize("stack", STACKS)
def test_no_model_is_reachable_before_the_policies_hold(stack: str) -> None:
    recording = recorded(stack)
    policies = {each.urn for each in recording.objects if each.layer == "policies"}
    routes = [each for each in recording.objects if each.kind == "HTTPRoute" and each.layer == "models"]
    assert routes
    for route in routes:
        assert policies <= reaches(recording, route), f"{key(route)} opens before the policies"


@pytest.mark.parametrize("stack", STACKS)
def test_limits_come_after_authentication(stack: str) -> None:
    recording = recorded(stack)
    [auth] = [each.urn for each in recording.objects if each.kind == "AuthPolicy"]
    for each in recording.objects:
        if each.kind in {"RateLimitPolicy", "TokenRateLimitPolicy", "TelemetryPolicy"}:
            assert auth in reaches(recording, each), "auth.identity is unknown where no AuthPolicy is in effect"


@pytest.mark.parametrize("stack", STACKS)
def test_models_start_while_the_policies_are_still_on_their_way(stack: str) -> None:
    recording = recorded(stack)
    policies = {each.urn for each in recording.objects if each.layer == "policies"}
    for each in recording.objects:
        if each.kind == "InferenceService":
            assert not policies & reaches(recording, each), "loading weights takes minutes and needs no policy"


def test_api_keys_are_secret_wherever_they_are() -> None:
    config, secrets = stack_config("sandbox")
    keys = {user: f"test-only-{user}-" + "k" * 32 for user in json.loads(config["maas:users"])}
    recording = record("sandbox", config | {"maas:apiKeys": json.dumps(keys)}, secrets)
    secret_objects = [each for each in recording.objects if each.kind == "Secret"]
    assert len(secret_objects) == len(keys)
    for each in secret_objects:
        assert any(path.startswith("stringData") for path in each.secrets), f"{key(each)} is not a Pulumi secret"
    for each in recording.resources:
        if each not in secret_objects:
            text = json.dumps(each.inputs, default=str)
            assert not [user for user, value in keys.items() if value in text], f"a key is in {each.urn}"
    outputs = json.dumps(recording.outputs, default=str)
    assert not [user for user, value in keys.items() if value in outputs]


def test_a_user_without_a_key_has_no_secret_and_the_outputs_say_so() -> None:
    recording = changed("sandbox", apiKeys={"freeuser1": "k" * 40})
    assert [each.metadata_name for each in recording.objects if each.kind == "Secret"] == [key_secret("freeuser1")]
    assert recording.outputs["users"]["freeuser1"]["keySecret"] == f"kuadrant-system/{key_secret('freeuser1')}"
    assert recording.outputs["users"]["freeuser2"]["keySecret"] is None


def test_two_keys_of_a_user_are_two_secrets_and_the_older_ends_first() -> None:
    recording = changed("sandbox", apiKeys={"freeuser1": ["n" * 40, {"key": "o" * 40, "expires": "2027-01-01"}]})
    secrets = {each.name: each for each in recording.objects if each.kind == "Secret"}
    assert set(secrets) == {"key-freeuser1", "key-freeuser1.previous"}
    values = {name: each.body["stringData"]["api_key"][0] for name, each in secrets.items()}
    assert values == {"key-freeuser1": "n", "key-freeuser1.previous": "o"}
    ends = {name: each.metadata["annotations"]["maas.kuadrant.io/expires"] for name, each in secrets.items()}
    assert ends == {"key-freeuser1": "", "key-freeuser1.previous": "2027-01-01T23:59:59Z"}


def test_in_a_rotation_the_key_that_was_the_present_one_never_stops_being_valid() -> None:
    recording = changed("sandbox", apiKeys={"freeuser1": ["n" * 40, {"key": "o" * 40, "expires": "2027-01-01"}]})
    present, previous = (
        next(each for each in recording.objects if each.name == name)
        for name in ("key-freeuser1", "key-freeuser1.previous")
    )
    assert previous.urn in reaches(recording, present), "its second Secret is there before its first has another key"
    assert present.urn not in reaches(recording, previous)


def test_the_old_secret_goes_before_the_one_in_its_place_comes() -> None:
    secrets = [each for each in recorded("sandbox").objects if each.kind == "Secret"]
    assert secrets
    assert all(each.request.deleteBeforeReplace for each in secrets)


def test_no_annotation_of_a_key_is_ever_missing() -> None:
    for each in recorded("sandbox").objects:
        if each.kind == "Secret":
            assert set(each.metadata["annotations"]) == {
                "secret.kuadrant.io/user-id",
                "kuadrant.io/groups",
                "maas.kuadrant.io/team",
                "maas.kuadrant.io/cost-centre",
                "maas.kuadrant.io/models",
                "maas.kuadrant.io/expires",
            }


def test_keys_that_somebody_else_makes_are_looked_for_and_not_made() -> None:
    config, _ = stack_config("dev")
    source = {"apiKeys": {"backend": "existing", "selector": {"app": "our-keys"}}}
    recording = record("dev", config | {"maas:identity": json.dumps(source)})
    assert not [each for each in recording.objects if each.layer == "identity"]
    [policy] = [each for each in recording.objects if each.kind == "AuthPolicy"]
    text = json.dumps(policy.body)
    assert '"matchLabels": {"app": "our-keys"}' in text
    assert "maas.kuadrant.io/credential" not in text
    assert {each["keySecret"] for each in recording.outputs["users"].values()} == {None}


def test_keys_out_of_a_store_have_an_external_secret_for_each_user_and_no_value_here() -> None:
    config, _ = stack_config("dev")
    source = {"apiKeys": {"backend": "externalSecrets", "store": {"name": "vault"}}}
    recording = record("dev", config | {"maas:identity": json.dumps(source)})
    made = [each for each in recording.objects if each.layer == "identity"]
    users = json.loads(config["maas:users"])
    assert [each.kind for each in made] == ["ExternalSecret"] * len(users)
    for each in made:
        target = each.body["spec"]["target"]
        assert target["name"] == each.metadata_name
        assert target["template"]["metadata"]["labels"]["authorino.kuadrant.io/managed-by"] == "authorino"
        assert {"maas.kuadrant.io/credential": "api-key"}.items() <= target["template"]["metadata"]["labels"].items()
        assert each.metadata["annotations"]["pulumi.com/waitFor"] == "condition=Ready"
        told = [user["keySecret"] for user in recording.outputs["users"].values()]
        assert f"kuadrant-system/{target['name']}" in told


def test_a_changed_token_limit_changes_that_policy_and_what_rules_know_of_it() -> None:
    tiers = json.loads(stack_config("sandbox")[0]["maas:tiers"])
    tiers["free"]["tokens"] = "80 per 1m"
    before, after = bodies(recorded("sandbox")), bodies(changed("sandbox", tiers=tiers))
    assert {name for name in before | after if before.get(name) != after.get(name)} == {
        "policies/TokenRateLimitPolicy/llm/gateway-token-limits",
        "observability/PrometheusRule/kuadrant-system/maas-quotas",
    }


def test_a_new_model_adds_its_own_objects_and_changes_no_other() -> None:
    models = json.loads(stack_config("ocp")[0]["maas:models"]) | {"second": {"profile": "simulator"}}
    before, after = bodies(recorded("ocp")), bodies(changed("ocp", models=models))
    assert set(after) - set(before) == {
        "gateway/Route/llm/second",
        "models/InferenceService/llm/second",
        "models/HTTPRoute/llm/second",
    }
    # The policy says which models there are.
    policy = "policies/AuthPolicy/llm/gateway-auth"
    assert "second-llm" in json.dumps(after.pop(policy))
    del before[policy]
    # Prices of models and the list of those that should be there are values of rules.
    assert {name for name in before if after[name] != before[name]} == {
        "observability/PrometheusRule/kuadrant-system/maas-prices",
        "observability/PrometheusRule/llm/maas-catalogue",
    }


def test_without_models_the_policies_hold_all_the_same() -> None:
    recording = changed("dev", models={})
    assert {each.kind for each in recording.objects if each.layer == "models"} == set()
    assert {each.kind for each in recording.objects if each.layer == "policies"} >= {"AuthPolicy", "RateLimitPolicy"}


def test_routes_exist_on_openshift_only() -> None:
    kinds = {stack: {each.kind for each in recorded(stack).objects} for stack in STACKS}
    assert {stack for stack in STACKS if "Route" in kinds[stack]} == {"ocp"}


def test_monitors_can_be_turned_off() -> None:
    recording = changed("dev", observability={"monitors": False})
    assert not [each for each in recording.objects if each.kind.endswith("Monitor")]
    assert [each for each in recording.objects if each.kind == "PrometheusRule"]
    recording = changed("dev", observability={"monitors": False, "rules": False, "dashboards": "none"})
    assert not [each for each in recording.objects if each.layer == "observability"]


def test_kuadrants_own_monitors_take_the_place_of_ours() -> None:
    recording = changed("dev", observability={"kuadrantMonitors": "kuadrant"})
    assert [each.metadata_name for each in recording.objects if each.kind.endswith("Monitor")] == ["maas-models"]
    assert named(recording, "Kuadrant", "kuadrant").body["spec"] == {"observability": {"enable": True}}
    assert named(recorded("dev"), "Kuadrant", "kuadrant").body["spec"] == {}


def test_dashboards_come_by_the_operator_or_by_a_sidecar() -> None:
    def found(recording: Recording) -> list[str]:
        kinds = [each.kind for each in recording.objects if each.layer == "observability"]
        return sorted(kind for kind in kinds if kind.startswith(("Grafana", "ConfigMap")))

    objects = ["Grafana", *["GrafanaDashboard"] * 5, "GrafanaDatasource", "GrafanaFolder"]
    assert found(recorded("dev")) == objects
    assert found(recorded("sandbox")) == objects[1:], "a Grafana of somebody else is not ours to make"
    assert found(changed("dev", observability={"dashboards": "sidecar"})) == ["ConfigMap"] * 5


def test_grafana_gets_a_token_that_is_renewed_and_never_written_down() -> None:
    recording = recorded("ocp")
    secret = named(recording, "Secret", "maas-grafana-token")
    assert not {"data", "stringData"} & secret.body.keys()
    source = named(recording, "GrafanaDatasource", "maas-prometheus").body["spec"]
    assert source["datasource"]["secureJsonData"]["httpHeaderValue1"] == "Bearer ${token}"
    assert "tlsSkipVerify" not in json.dumps(source)
    rules = named(recording, "Role", "maas-token-rotator").body["rules"]
    assert all(rule["resourceNames"] for rule in rules)
    assert not [each for each in recorded("dev").objects if each.kind == "CronJob"], "no token, nothing to renew"


def test_usage_is_read_where_it_is_counted() -> None:
    """OpenShift shows a rule only the series of its own namespace."""
    fork = "ghcr.io/nerdalert/wasm-shim:latest"
    platform = json.loads(stack_config("ocp")[0]["maas:platform"])
    platform["kuadrant"] |= {"wasmShim": fork}
    places = {
        name: {each.metadata_name: each.namespace for each in recording.objects if each.kind == "PrometheusRule"}
        for name, recording in (("limitador", recorded("ocp")), ("gateway", changed("ocp", platform=platform)))
    }
    for name in ("cost", "prices", "limits"):
        assert places["limitador"][f"maas-{name}"] == "kuadrant-system"
        assert places["gateway"][f"maas-{name}"] == "llm"
    assert places["limitador"]["maas-usage"] == places["gateway"]["maas-limiter"] == "kuadrant-system"
    assert "maas-usage" not in places["gateway"]
    assert places["gateway"]["maas-usage-by-gateway"] == "llm"


def test_tokens_without_any_limit_are_counted_and_requests_need_not_be() -> None:
    tiers = {"free": {"level": 0, "requests": "unlimited", "tokens": "unlimited"}}
    recording = changed("dev", tiers=tiers, users={})
    assert "TokenRateLimitPolicy" in {each.kind for each in recording.objects}, "nobody would count them"
    assert "RateLimitPolicy" not in {each.kind for each in recording.objects}, "the CRD refuses it without limits"
    assert recording.outputs["tiers"]["free"]["tokens"] == "unlimited"


def test_kserve_is_left_alone_when_its_owner_has_configured_it() -> None:
    recording = changed("dev", platform={"kserve": {"configure": False}})
    assert not [each for each in recording.objects if each.layer == "kserve"]


def test_an_existing_kuadrant_object_is_not_taken_over() -> None:
    recording = changed("dev", platform={"kuadrant": {"instance": "existing"}})
    assert "Kuadrant" not in {each.kind for each in recording.objects}


def test_limitador_is_patched_only_when_the_stack_wants_it_different() -> None:
    limiter = {"replicas": 2, "storage": "redis", "redisSecret": "limiter-redis"}
    assert "Limitador" not in {each.kind for each in recorded("dev").objects}
    patch = named(changed("dev", limiter=limiter), "Limitador", "limitador")
    assert patch.is_patch, "Kuadrant owns the object"
    assert patch.body["spec"]["storage"] == {"redis": {"configSecretRef": {"name": "limiter-redis"}}}


def test_nothing_is_said_of_tls_between_the_gateway_authorino_and_limitador() -> None:
    changes = changed("sandbox", platform={"kuadrant": {"authorino": {"replicas": 2}}})
    assert set(named(changes, "Authorino", "authorino").body["spec"]) == {"replicas"}, "its listener stays as it is"
    for stack in STACKS:
        assert "mtls" not in named(recorded(stack), "Kuadrant", "kuadrant").body["spec"]
        assert "DestinationRule" not in {each.kind for each in recorded(stack).objects}


def test_every_monitor_and_rule_has_the_label_that_a_prometheus_looks_for() -> None:
    recording = changed("sandbox", observability={"monitorLabels": {"release": "ours"}})
    found = [each for each in recording.objects if each.type.startswith("kubernetes:monitoring.coreos.com/")]
    assert {each.kind for each in found} == {"PodMonitor", "PrometheusRule", "ServiceMonitor"}
    for each in found:
        assert each.metadata["labels"]["release"] == "ours", key(each)


def test_several_limitadors_and_authorinos_are_drained_one_at_a_time() -> None:
    limiter = {"replicas": 2, "storage": "redis", "redisSecret": "limiter-redis"}
    kuadrant = {"authorino": {"replicas": 2}}
    recording = changed("sandbox", limiter=limiter, platform={"kuadrant": kuadrant})
    assert named(recording, "Limitador", "limitador").body["spec"]["pdb"] == {"maxUnavailable": 1}
    budget = named(recording, "PodDisruptionBudget", "authorino").body["spec"]
    assert budget["selector"]["matchLabels"]["authorino-resource"] == "authorino"
    assert "PodDisruptionBudget" not in {each.kind for each in recorded("sandbox").objects}, "or no node is drained"


def test_a_redis_of_the_stacks_own_keeps_its_random_password_and_shows_it_nowhere() -> None:
    recordings = [changed("dev", limiter={"storage": "redis", "redis": {}}) for _ in range(2)]
    secrets = [named(each, "Secret", "maas-redis") for each in recordings]
    passwords = [each.body["stringData"]["password"] for each in secrets]
    assert passwords[0] != passwords[1]
    assert all(len(each) >= 43 for each in passwords), "256 random bits"
    for recording, secret, password in zip(recordings, secrets, passwords, strict=True):
        assert list(secret.request.ignoreChanges) == ["stringData"], "or each run would draw another one"
        assert {path.partition(".")[0] for path in secret.secrets} == {"stringData"}
        assert secret.body["stringData"]["URL"] == f"redis://:{password}@maas-redis:6379"
        others = [each.body for each in recording.objects if each.urn != secret.urn]
        assert password not in json.dumps(others)
        patch = named(recording, "Limitador", "limitador")
        assert patch.body["spec"]["storage"] == {"redis": {"configSecretRef": {"name": "maas-redis"}}}
        assert named(recording, "StatefulSet", "maas-redis").urn in reaches(recording, patch)


@pytest.mark.parametrize("stack", STACKS)
def test_what_operators_and_others_need_stays_when_the_stack_goes(stack: str) -> None:
    for each in recorded(stack).objects:
        stays = each.kind in {"CertManager", "GatewayClass"} or (
            each.is_patch and each.layer in {"kserve", "operators"}
        )
        assert each.request.retainOnDelete == stays, key(each)


def test_the_gateway_apis_crds_stay_with_every_gateway_of_others() -> None:
    [file] = [each for each in recorded("dev").resources if each.type == "kubernetes:yaml/v2:ConfigFile"]
    assert file.request.retainOnDelete is True


@pytest.mark.parametrize("stack", STACKS)
def test_no_image_floats_and_no_pod_is_privileged(stack: str) -> None:
    for each in recorded(stack).objects:
        for container in each.body.get("spec", {}).get("containers", []):
            assert re.search(r":[v0-9][^:]*$", container["image"]), f"{container['image']} is not pinned"
            assert container["securityContext"]["allowPrivilegeEscalation"] is False
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
            assert ("runAsUser" in container["securityContext"]) == (stack != "ocp"), "OpenShift gives out user ids"
