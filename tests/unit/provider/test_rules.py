"""Replacement, field ownership, provider options, type tokens, redaction."""

from pathlib import Path
from typing import Any

import pytest

from sandbox.kube import ApiError
from sandbox.provider import field_managers
from sandbox.provider.diff import parse_path
from sandbox.provider.kinds import ResourceType, UnsupportedTypeError
from sandbox.provider.options import OptionError, Options
from sandbox.provider.redaction import redact, secret_texts
from sandbox.provider.replacement import forces_replacement, immutable_fields
from sandbox.provider.values import Secret


def replaces(kind: str, path: str, value: Any = None, api_version: str = "v1", **rules: Any) -> bool:  # noqa: ANN401
    new = {"apiVersion": api_version, "kind": kind}
    given = {"config_map_mutable": True, "secret_mutable": True, "patch": False} | rules
    immutable = immutable_fields({"immutable": given.pop("sealed", False)}, new, **given)
    return forces_replacement(parse_path(path), value, immutable)


@pytest.mark.parametrize(
    ("kind", "path", "api_version", "expected"),
    [
        ("ConfigMap", "metadata.name", "v1", True),
        ("ConfigMap", "metadata.namespace", "v1", True),
        ("ConfigMap", "metadata.labels.a", "v1", False),
        ("ConfigMap", "data.a", "v1", False),
        ("Secret", "stringData.a", "v1", False),
        ("Secret", "type", "v1", True),
        ("Job", "spec.template.spec.containers[0].image", "batch/v1", True),
        ("Job", "spec.backoffLimit", "batch/v1", False),
        ("Deployment", "spec.selector.matchLabels.app", "apps/v1", True),
        ("Deployment", "spec.template.spec.containers[0].image", "apps/v1", False),
        ("StatefulSet", "spec.volumeClaimTemplates[0].spec", "apps/v1", True),
        ("PersistentVolumeClaim", "spec.resources.requests.storage", "v1", True),
        ("Service", "spec.clusterIP", "v1", True),
        ("Service", "spec.ports[0].port", "v1", False),
        ("Pod", "spec.containers[1].image", "v1", True),
        ("Pod", "spec.tolerations", "v1", False),
        ("RoleBinding", "roleRef.name", "rbac.authorization.k8s.io/v1", True),
        ("AuthPolicy", "spec.targetRef.name", "kuadrant.io/v1", False),
    ],
)
def test_a_change_replaces_where_the_official_provider_does(
    kind: str, path: str, api_version: str, *, expected: bool
) -> None:
    assert replaces(kind, path, api_version=api_version) is expected


def test_a_config_map_is_replaced_when_it_is_not_declared_mutable_or_is_sealed() -> None:
    assert replaces("ConfigMap", "data.a", config_map_mutable=False)
    assert replaces("ConfigMap", "data.a", sealed=True)
    assert replaces("ConfigMap", "immutable", sealed=True)
    assert replaces("Secret", "data.a", secret_mutable=False)


def test_a_patch_is_replaced_only_when_it_moves_to_another_object() -> None:
    assert not replaces("Job", "spec.template", api_version="batch/v1", patch=True)
    assert replaces("Job", "metadata.name", api_version="batch/v1", patch=True)


def test_adding_a_whole_subtree_replaces_when_it_holds_an_immutable_field() -> None:
    assert replaces("Service", "spec", {"clusterIP": "10.0.0.1"})
    assert not replaces("Service", "spec", {"ports": []})


URN = "urn:pulumi:dev::maas::maas:gateway:Gateway$kubernetes:core/v1:ConfigMap::name"


def test_the_owner_of_a_resources_fields_is_always_the_same_and_differs_between_resources() -> None:
    assert field_managers.field_manager(URN, {}) == field_managers.field_manager(URN, {})
    assert field_managers.field_manager(URN, {}) != field_managers.field_manager(f"{URN}2", {})
    assert field_managers.field_manager(URN, {}, "recorded") == "recorded"
    named = {"metadata": {"annotations": {"pulumi.com/patchFieldManager": "mine"}}}
    assert field_managers.field_manager(URN, named, "recorded") == "mine"


def entry(manager: str, operation: str, *fields: str, **more: str) -> dict[str, Any]:
    owned_fields: dict[str, Any] = {f"f:{name}": {} for name in fields}
    return {"manager": manager, "operation": operation, "fieldsV1": {"f:data": owned_fields}, **more}


def owned(*entries: dict[str, Any]) -> dict[str, Any]:
    return {"metadata": {"resourceVersion": "5", "managedFields": list(entries)}}


def test_fields_of_kubectl_and_our_own_post_become_ours() -> None:
    other = entry("controller", "Update", "x")
    status = entry("kubectl", "Update", "s", subresource="status")
    live = owned(
        entry("me", "Apply", "a"), entry("kubectl-edit", "Update", "b"), entry("me", "Update", "c"), other, status
    )
    patch = field_managers.adopted(live, "me")
    assert patch is not None
    assert patch["metadata"]["managedFields"] == [other, status, entry("me", "Apply", "a", "b", "c")]
    assert patch["metadata"]["resourceVersion"] == "5", "someone else's change in between must not be lost"


def test_nothing_is_taken_over_from_other_managers() -> None:
    assert field_managers.adopted(owned(entry("me", "Apply", "a"), entry("argocd", "Apply", "b")), "me") is None


def conflict(*owners: str) -> ApiError:
    causes = [{"field": ".spec.replicas", "message": f'conflict with "{owner}" using apps/v1'} for owner in owners]
    return ApiError(409, "Conflict", "Apply failed", "Deployment n/d", {"causes": causes})


def test_a_conflict_names_the_field_its_owner_and_the_ways_out() -> None:
    message = field_managers.conflict_message(conflict("autoscaler"))
    assert message.startswith(
        "Deployment n/d: another field manager is in the way: .spec.replicas is owned by 'autoscaler'"
    )
    assert "pulumi.com/patchForce" in message


def test_only_a_conflict_with_kubectl_alone_will_resolve_itself() -> None:
    assert field_managers.only_adopted_in_the_way(conflict("kubectl-edit"), "me")
    assert not field_managers.only_adopted_in_the_way(conflict("kubectl-edit", "argocd"), "me")


@pytest.mark.parametrize("option", ["renderYamlToDirectory", "helmReleaseSettings", "cluster", "nonsense"])
def test_an_option_that_only_the_official_provider_has_is_refused_by_name(option: str) -> None:
    with pytest.raises(OptionError, match=f"does not do the provider option {option}"):
        Options.parse({option: "x"})


def test_options_arrive_as_texts_or_booleans() -> None:
    options = Options.parse({"enableConfigMapMutable": "true", "upsertExistingObjects": True, "version": "4.34.2"})
    assert options.config_map_mutable
    assert options.upsert
    with pytest.raises(OptionError, match="can be true or false"):
        Options.parse({"enableSecretMutable": "yes"})
    with pytest.raises(OptionError, match="client-side apply"):
        Options.parse({"enableServerSideApply": "false"})


def test_with_a_cluster_identifier_only_its_change_moves_to_another_cluster() -> None:
    old = Options(cluster_identifier="a", kubeconfig="/old")
    assert old.moves_cluster(Options(cluster_identifier="a", kubeconfig="/new"), Path("/none")) == []
    assert old.moves_cluster(Options(cluster_identifier="b"), Path("/none")) == ["clusterIdentifier"]
    assert Options(context="a").moves_cluster(Options(context="b"), Path("/none")) == ["context"]


@pytest.mark.parametrize(
    ("token", "api_version", "kind", "patch"),
    [
        ("kubernetes:core/v1:ConfigMap", "v1", "ConfigMap", False),
        ("kubernetes:core/v1:ConfigMapPatch", "v1", "ConfigMap", True),
        ("kubernetes:kuadrant.io/v1beta1:KuadrantPatch", "kuadrant.io/v1beta1", "Kuadrant", True),
        ("kubernetes:kuadrant.io/v1alpha1:EnvoyPatch", "kuadrant.io/v1alpha1", "EnvoyPatch", False),
    ],
)
def test_a_type_token_says_what_it_is_about(token: str, api_version: str, kind: str, *, patch: bool) -> None:
    resource = ResourceType.of_urn(f"urn:pulumi:dev::maas::maas:a:B${token}::n::with::colons")
    assert resource.accepts(api_version, kind)
    assert resource.is_patch_of(kind) is patch
    assert not resource.accepts(api_version, "Other")


@pytest.mark.parametrize(
    ("token", "said"),
    [
        ("kubernetes:helm.sh/v3:Release", "does not do Helm releases and charts"),
        ("kubernetes:yaml/v2:ConfigGroup", "yaml/v2"),
        ("aws:s3/v1:Bucket", "aws:s3/v1:Bucket"),
    ],
)
def test_what_is_not_a_plain_object_is_refused_with_a_way_out(token: str, said: str) -> None:
    with pytest.raises(UnsupportedTypeError, match=f"{said}.*official kubernetes provider"):
        ResourceType.of_urn(f"urn:pulumi:dev::maas::{token}::n")


def test_secret_values_vanish_from_messages_however_they_are_spelled() -> None:
    texts = secret_texts([{"spec": {"token": Secret("hunter22")}, "kind": "Secret", "data": {"k": "cGxhaW4tcHc="}}])
    message = redact("bad value hunter22 / aHVudGVyMjI= / cGxhaW4tcHc= / plain-pw", texts)
    assert message == "bad value [secret] / [secret] / [secret] / [secret]"


def test_a_short_secret_does_not_mask_words_that_contain_it() -> None:
    assert (
        redact("a cat at 1 of 10", secret_texts([{"x": Secret("1"), "y": Secret("a")}]))
        == "[secret] cat at [secret] of 10"
    )
