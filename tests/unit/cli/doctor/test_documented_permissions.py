"""The ClusterRoles in docs/platforms cover what the program and the doctor do, where operators are preinstalled."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from cli.doctor.case import SCC, listings
from cli.doctor.snapshot import crd_name
from cli.program.recorder import Recording, record, stack_config
from config.settings import SECRET_KEYS, Settings
from config.source import parsed
from tests.variants import VARIANTS

PLATFORMS = Path(__file__).resolve().parents[4] / "docs" / "platforms"
ROLES = (PLATFORMS / "deployer.yaml", PLATFORMS / "reader.yaml")
OPERATORS = ("gatewayApi", "certManager", "serviceMesh", "kserve", "kuadrant", "monitoring", "grafana")
CHANGE = {"get", "list", "watch", "patch"}
OWN = CHANGE | {"create", "delete"}
READ = {"get", "list"}
LOOK = READ | {"watch"}
WAITS = {("", "pods"), ("", "endpoints"), ("", "events"), ("apps", "replicasets")}
"""What the official provider lists and watches while it waits for workloads and Services (provider/pkg/await)."""
KINDS = ("apiextensions.k8s.io", "customresourcedefinitions")
"""What the doctor finds out with which kinds there are, and at which versions."""
CUSTOM_HOST = ("route.openshift.io", "routes/custom-host")
"""No kind: what OpenShift asks for to set a Route's host."""
ONLY_FOR_ADMINISTRATORS = {"original-scc"}
"""Variants that the page says need cluster-admin."""
DEPLOYER, STEPS, READER = "maas-deployer", "maas-deployer-steps", "maas-reader"


def allowed(*roles: str) -> dict[tuple[str, str], set[str]]:
    """What the roles of these names allow; what is limited to named objects counts as allowed."""
    result: dict[tuple[str, str], set[str]] = {}
    for role in (each for path in ROLES for each in yaml.safe_load_all(path.read_text())):
        for rule in role["rules"] if role["metadata"]["name"] in roles else ():
            for group in rule["apiGroups"]:
                for resource in rule["resources"]:
                    result.setdefault((group, resource), set()).update(rule["verbs"])
    return result


def resource(api_version: str, kind: str) -> tuple[str, str]:
    group = api_version.partition("/")[0] if "/" in api_version else ""
    plural = kind.lower() if kind == SCC[1] else crd_name((api_version, kind)).partition(".")[0]
    return group, plural


def recordings() -> Iterator[tuple[str, Recording, Settings]]:
    """Every way of exposing the gateway, with operators that are there already."""
    for name, (stack, changes) in VARIANTS.items():
        config, secrets = stack_config(stack)
        sections = {key: json.loads(value) for key, value in config.items() if value.startswith("{")}
        for section, values in {**changes, "limiter": {"storage": "redis", "redisSecret": "redis"}}.items():
            sections.setdefault(f"maas:{section}", {}).update(values)
        sections["maas:platform"].setdefault("kuadrant", {})["authorino"] = {"replicas": 2}
        if name == "plain":
            sections["maas:limiter"] = {"storage": "redis", "redis": {}}
            sections["maas:identity"] = {"keycloak": {"users": {"alice": {"tier": "free"}}}}
            sections.setdefault("maas:observability", {})["grafana"] = {"instance": "managed"}
        for operator in OPERATORS:
            sections["maas:platform"].setdefault(operator, {})["install"] = "preinstalled"
        sections["maas:platform"]["monitoring"].pop("userWorkload", None)
        own_keys = "identity" not in changes
        sections["maas:apiKeys"] = {"freeuser1": "k" * 40} if own_keys else {}
        values = config | {key: json.dumps(value) for key, value in sections.items()}
        settings = Settings.load(stack, parsed(values), SECRET_KEYS)
        yield name, record(stack, values, {*secrets, "maas:apiKeys", "maas:modelSecrets"}), settings


@pytest.fixture(scope="module")
def recorded() -> list[tuple[str, Recording, Settings]]:
    return list(recordings())


def test_the_deployer_may_touch_every_object_of_the_program(recorded: list[tuple[str, Recording, Settings]]) -> None:
    rights = allowed(DEPLOYER)
    seen: set[tuple[str, str]] = set()
    for name, recording, _ in recorded:
        if name in ONLY_FOR_ADMINISTRATORS:
            continue
        for each in recording.objects:
            what = resource(each.api_version, each.kind)
            seen.add(what)
            missing = (CHANGE if each.is_patch else OWN) - rights.get(what, set())
            assert not missing, f"{name}: {each.kind} {each.metadata_name} needs {missing} of {what}"
    assert {("", "secrets"), ("route.openshift.io", "routes"), ("cert-manager.io", "certificates")} <= seen


def test_the_doctor_may_read_everything_that_it_lists(recorded: list[tuple[str, Recording, Settings]]) -> None:
    rights = allowed(DEPLOYER)
    for name, recording, settings in recorded:
        if name not in ONLY_FOR_ADMINISTRATORS:
            for each in listings(settings, recording.objects):
                assert "list" in rights.get(resource(each.api_version, each.kind), set()), f"{name}: {each}"


def test_the_deployer_has_no_right_that_no_stack_uses(recorded: list[tuple[str, Recording, Settings]]) -> None:
    objects = [each for _, made, _ in recorded for each in made.objects]
    written = {resource(each.api_version, each.kind) for each in objects}
    own = {resource(each.api_version, each.kind) for each in objects if not each.is_patch}
    listed = {each for _, made, settings in recorded for each in listings(settings, made.objects)}
    looked_at = {resource(each.api_version, each.kind) for each in listed} | WAITS | {KINDS}
    too_much = {
        what: excess
        for what, verbs in allowed(DEPLOYER).items()
        if what != CUSTOM_HOST
        and (
            excess := verbs
            - (OWN if what in own else CHANGE if what in written else LOOK if what in looked_at else set())
        )
    }
    assert sorted(too_much.items()) == [], "no stack needs it"


def test_the_reader_may_read_what_the_deployer_may_and_do_nothing_else() -> None:
    reads, deploys = allowed(READER), allowed(DEPLOYER)
    assert set(reads) == set(deploys) - {CUSTOM_HOST, ("", "events")}, "events are for waits"
    assert {what: verbs for what, verbs in reads.items() if verbs != READ} == {}


def test_the_deployer_gets_no_right_to_give_rights() -> None:
    writing = {"create", "update", "patch", "delete", "bind", "escalate", "*"}
    for (group, what), verbs in allowed(DEPLOYER).items():
        assert "*" not in {group, what} | verbs
        if group.startswith("rbac.") or what in ("securitycontextconstraints", "mutatingwebhookconfigurations"):
            assert not verbs & writing, f"{group}/{what}: {verbs}"


@pytest.fixture(scope="module")
def with_steps() -> Recording:
    config, secrets = stack_config("ocp")
    platform = json.loads(config["maas:platform"])
    platform |= {key: {"install": "preinstalled"} for key in OPERATORS}
    platform["monitoring"] = {"install": "preinstalled", "userWorkload": "managed"}
    platform["cleanUp"] = {"odhWebhook": True, "sailOperator": True}
    return record("ocp", config | {"maas:platform": json.dumps(platform)}, secrets)


def test_with_the_second_role_the_deployer_may_make_the_one_time_steps(with_steps: Recording) -> None:
    rights = allowed(DEPLOYER, STEPS)
    steps = [each for each in with_steps.objects if each.layer == "housekeeping"]
    assert {"Job", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"} <= {each.kind for each in steps}
    for each in steps:
        missing = OWN - rights.get(resource(each.api_version, each.kind), set())
        assert not missing, f"{each.kind} {each.metadata_name} needs {missing}"


def test_the_deployer_has_each_right_that_a_step_is_given(with_steps: Recording) -> None:
    rights = allowed(DEPLOYER, STEPS)
    for each in with_steps.objects:
        for rule in each.body.get("rules", ()) if each.kind in {"Role", "ClusterRole"} else ():
            for what in rule["resources"]:
                missing = set(rule["verbs"]) - rights.get((rule["apiGroups"][0], what), set())
                assert not missing, f"Kubernetes would refuse {each.kind} {each.metadata_name}: {missing} of {what}"


def test_the_second_role_cannot_go_beyond_its_own_rights() -> None:
    for what, verbs in allowed(STEPS).items():
        assert not verbs & {"bind", "escalate", "impersonate", "*"}, what
