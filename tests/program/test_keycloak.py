"""The stack's own identity provider for development."""

import json
from typing import Any

from cli.program.recorder import Recording
from config.settings import Settings
from tests.program.graph import reaches
from tests.unit.config.bad import GOOD
from tests.variants import changed

KEYCLOAK: dict[str, Any] = {"users": {"alice": {"tier": "premium", "team": "search"}, "bob-2": {"tier": "free"}}}


def recorded() -> Recording:
    return changed("dev", {"identity": {"keycloak": KEYCLOAK}})


def test_nothing_of_it_is_there_unless_the_stack_asks_for_it() -> None:
    assert not [each for each in changed("dev", {}).objects if each.layer == "keycloak"]


def test_each_user_and_the_administrator_have_a_random_password_that_stays_and_is_shown_nowhere() -> None:
    recording = recorded()
    secrets = [each for each in recording.objects if each.layer == "keycloak" and each.kind == "Secret"]
    assert {each.metadata_name for each in secrets} == {
        "maas-keycloak-admin",
        "maas-keycloak-user-alice",
        "maas-keycloak-user-bob-2",
    }
    passwords = {each.body["stringData"]["password"] for each in secrets}
    assert len(passwords) == 3
    assert all(len(each) >= 32 for each in passwords)
    rest = json.dumps([each.body for each in recording.objects if each not in secrets])
    assert not [each for each in passwords if each in rest]
    for each in secrets:
        assert list(each.request.ignoreChanges) == ["stringData"]
        assert {path.partition(".")[0] for path in each.secrets} == {"stringData"}


def test_every_password_that_the_realm_names_is_a_variable_of_the_pod() -> None:
    recording = recorded()
    [realm] = [each for each in recording.objects if each.layer == "keycloak" and each.kind == "ConfigMap"]
    [server] = [each for each in recording.objects if each.layer == "keycloak" and each.kind == "Deployment"]
    named = {
        credential["value"]
        for user in json.loads(realm.body["data"]["realm.json"])["users"]
        for credential in user["credentials"]
    }
    variables = {each["name"]: each for each in server.body["spec"]["template"]["spec"]["containers"][0]["env"]}
    assert {f"${{{name}}}" for name in variables if name.startswith("MAAS_PASSWORD")} == named
    assert all("valueFrom" in each for name, each in variables.items() if "PASSWORD" in name)
    waited = {recording.by_urn(urn).type.split(":")[-1] for urn in reaches(recording, server)}
    assert {"Secret", "ConfigMap", "Service", "Namespace", "NetworkPolicy"} <= waited


def test_its_tokens_are_accepted_and_their_groups_are_the_tiers() -> None:
    issuer = Settings.load("dev", GOOD | {"identity": {"keycloak": KEYCLOAK}}).identity.oidc["keycloak"]
    assert issuer.issuer_url == "http://keycloak.keycloak.svc.cluster.local:8080/realms/maas"
    assert issuer.groups == {"maas-free": "free", "maas-premium": "premium"}
    [policy] = [each for each in recorded().objects if each.kind == "AuthPolicy"]
    assert issuer.issuer_url in json.dumps(policy.body)


def test_the_stack_can_say_itself_how_its_tokens_are_read() -> None:
    own = {"issuerUrl": "https://id.example.com", "audiences": "x", "defaultTier": "free"}
    identity = {"keycloak": KEYCLOAK, "oidc": {"keycloak": own}}
    issuers = Settings.load("dev", GOOD | {"identity": identity}).identity.oidc
    assert issuers["keycloak"].issuer_url == "https://id.example.com"
