"""Each rule with what it finds and what it lets pass."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from cli.exits import Exit, MaasError
from cli.paths import ROOT
from cli.program import policies, render
from cli.program.recorder import Recording, record, stack_config
from cli.stacks.stackfile import stack_names
from policy.rules import OF_RESOURCE, OF_STACK, RULES, Level, Resource, Stack, check
from policy.rules.levels import level_of
from policy.rules.resource import config_of

STACKS = stack_names()
DIGEST = "@sha256:" + "0" * 64


def thing(
    kind: str,
    name: str = "x",
    *,
    api: str = "v1",
    secrets: frozenset[str] | None = None,
    **rest: Any,  # noqa: ANN401 - any body
) -> Resource:
    metadata = {"name": name, "namespace": "llm", **rest.pop("metadata", {})}
    body = {"apiVersion": api, "kind": kind, "metadata": metadata, **rest}
    return Resource(f"kubernetes:{api}:{kind}", body, f"urn::{kind}::{name}", secrets)


def pod(**container: Any) -> Resource:  # noqa: ANN401 - any body
    return thing("Pod", spec={"containers": [{"name": "main", **container}]})


def model(**predictor: Any) -> Resource:  # noqa: ANN401 - any body
    amounts = {"cpu": "1", "memory": "1Gi", **predictor.pop("amounts", {})}
    serving = {"modelFormat": {"name": "vllm"}, "resources": {"requests": amounts, "limits": amounts}}
    return thing("InferenceService", "qwen3", spec={"predictor": {"model": serving, **predictor}})


def limits(*tiers: str, kind: str = "RateLimitPolicy") -> Resource:
    each = {tier: {"when": [{"predicate": f'auth.identity.tier == "{tier}"'}]} for tier in tiers}
    return thing(kind, spec={"limits": each})


def guard(**spec: Any) -> Resource:  # noqa: ANN401 - any body
    return thing("NetworkPolicy", spec=spec)


def gateway(protocol: str) -> tuple[Resource, Resource]:
    auth = thing("AuthPolicy", spec={"targetRef": {"name": "x"}})
    return auth, thing("Gateway", spec={"listeners": [{"protocol": protocol}]})


@dataclass(frozen=True)
class Case:
    """One rule, something that breaks it, and the like that does not."""

    rule: str
    bad: tuple[Resource, ...]
    good: tuple[Resource, ...]
    bad_config: Mapping[str, Any] = field(default_factory=dict[str, Any])
    good_config: Mapping[str, Any] = field(default_factory=dict[str, Any])


TIER = {"tiers": {"free": {"requests": "1 per 1m", "tokens": "unlimited"}}}
EDGE = {"termination": "edge"}
ISVC = {"key": "serving.kserve.io/inferenceservice", "operator": "Exists"}
GPU = {"nvidia.com/gpu": "1"}
FULL = {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"memory": "1Gi"}}

CASES = [
    Case("pinned-images", (pod(image="a.example.com:5000/b"),), (pod(image="a.example.com:5000/b:v1"),)),
    Case("pinned-images", (pod(image="b:latest"),), (pod(image=f"b:latest{DIGEST}"),)),
    Case(
        "pinned-images",
        (thing("CatalogSource", spec={"image": "a/b:latest"}),),
        (thing("CatalogSource", spec={"image": "a/b:v1"}),),
    ),
    Case(
        "pinned-images",
        (pod(env=[{"name": "RELATED_IMAGE_WASMSHIM", "value": "oci://a.example.com/b:latest"}]),),
        (pod(env=[{"name": "RELATED_IMAGE_WASMSHIM", "value": "oci://a.example.com/b:v1"}]),),
    ),
    Case(
        "images-by-digest",
        (thing("InferenceService", spec={"predictor": {"model": {"storageUri": "oci://a.example.com/m:v1"}}}),),
        (
            thing(
                "InferenceService", spec={"predictor": {"model": {"storageUri": f"oci://a.example.com/m:v1{DIGEST}"}}}
            ),
        ),
    ),
    Case(
        "images-by-digest",
        (thing("LLMInferenceService", spec={"model": {"uri": "oci://a.example.com/m:v1"}}),),
        (thing("LLMInferenceService", spec={"model": {"uri": "hf://a/m"}}),),
    ),
    Case("images-by-digest", (pod(image="b:v1"),), (pod(image=f"b:v1{DIGEST}"),)),
    Case("requests-and-limits", (pod(resources={"requests": FULL["requests"]}),), (pod(resources=FULL),)),
    Case("requests-and-limits", (model(amounts={"cpu": ""}),), (model(),)),
    Case("gpu-placement", (model(amounts=GPU, tolerations=[{"key": "g"}]),), (model(),)),
    Case(
        "gpu-placement",
        (model(amounts=GPU, nodeSelector={"a": "b"}),),
        (model(amounts=GPU, nodeSelector={"a": "b"}, tolerations=[{"key": "g"}]),),
    ),
    Case(
        "no-privileged-pods",
        (pod(securityContext={"privileged": True}),),
        (pod(securityContext={"privileged": False}),),
    ),
    Case(
        "no-privileged-pods", (thing("Pod", spec={"hostNetwork": True}),), (thing("Pod", spec={"hostNetwork": False}),)
    ),
    Case(
        "no-privileged-pods",
        (thing("RoleBinding", roleRef={"name": "system:openshift:scc:privileged"}),),
        (thing("RoleBinding", roleRef={"name": "system:openshift:scc:restricted-v2"}),),
    ),
    Case(
        "no-privileged-pods",
        (thing("SecurityContextConstraints", allowPrivilegedContainer=True),),
        (thing("SecurityContextConstraints", allowPrivilegedContainer=False),),
    ),
    Case(
        "no-privileged-pods",
        (thing("Namespace", metadata={"labels": {"pod-security.kubernetes.io/enforce": "privileged"}}),),
        (thing("Namespace", metadata={"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}),),
    ),
    Case(
        "encrypted-secrets",
        (thing("Secret", secrets=frozenset(), stringData={"api_key": "test-only"}),),
        (thing("Secret", secrets=frozenset({"stringData"}), stringData={"api_key": "test-only"}),),
    ),
    Case("limited-tiers", (), (limits("free"),), TIER, TIER),
    # Tokens without a limit are counted all the same; that limits nobody.
    Case("limited-tiers", (limits("free", kind="TokenRateLimitPolicy"),), (limits("free"),), TIER, TIER),
    Case(
        "limited-tiers",
        (limits("free"),),
        (limits("free"),),
        {"tiers": {"free": {"requests": "unlimited", "tokens": "unlimited"}}},
        TIER,
    ),
    Case("fail-closed", (), (), {"limiter": {"failOpen": True}}, {"limiter": {}}),
    Case(
        "fail-closed",
        (pod(env=[{"name": "RATELIMIT_CHECK_SERVICE_FAILURE_MODE", "value": "allow"}]),),
        (pod(env=[{"name": "RATELIMIT_REPORT_SERVICE_FAILURE_MODE", "value": "allow"}]),),
    ),
    Case(
        "fail-closed",
        (),
        (),
        {"platform": {"kuadrant": {"install": "preinstalled"}}, "policy": {"protected": True}},
        {"platform": {"kuadrant": {"install": "preinstalled"}}},
    ),
    Case(
        "fail-closed",
        (),
        (),
        {"platform": {"kuadrant": {"install": "olm", "environment": "existing"}}, "policy": {"protected": True}},
        {"platform": {"kuadrant": {"environment": "managed"}}, "policy": {"protected": True}},
    ),
    Case("network-policies", (model(),), (model(), guard(podSelector={}))),
    Case(
        "network-policies",
        (thing("LLMInferenceService"), guard(podSelector={"matchExpressions": [ISVC]})),
        (thing("LLMInferenceService"), guard(podSelector={"matchLabels": {"kserve.io/component": "workload"}})),
    ),
    Case(
        "network-policies",
        (model(), guard(podSelector={"matchLabels": {"serving.kserve.io/inferenceservice": "other"}})),
        (model(), guard(podSelector={"matchLabels": {"serving.kserve.io/inferenceservice": "qwen3"}})),
    ),
    Case(
        "network-policies",
        (model(), guard(podSelector={}, policyTypes=["Egress"])),
        (
            model(),
            guard(podSelector={"matchExpressions": [{"key": "component", "operator": "In", "values": ["predictor"]}]}),
        ),
    ),
    Case("tls", gateway("HTTP"), gateway("HTTPS")),
    Case(
        "tls",
        (*gateway("HTTP"), thing("Route", spec={})),
        (*gateway("HTTP"), thing("Route", spec={"tls": {"termination": "edge"}})),
    ),
    Case(
        "tls",
        (*gateway("HTTP"), thing("Route", spec={"tls": {**EDGE, "insecureEdgeTerminationPolicy": "Allow"}})),
        (*gateway("HTTP"), thing("Route", spec={"tls": {**EDGE, "insecureEdgeTerminationPolicy": "Redirect"}})),
    ),
    Case(
        "hosts-in-any-case",
        (),
        (),
        {"gateway": {"guard": {"lowerCaseHost": False, "errorBodies": False}}},
        {"gateway": {"guard": {"errorBodies": False}}},
    ),
    Case(
        "trusted-tokens",
        (),
        (),
        {"identity": {"oidc": {"sso": {"issuerUrl": "http://sso.example.com", "allowHttp": True}}}},
        {"identity": {"oidc": {"sso": {"issuerUrl": "https://sso.example.com"}}}},
    ),
    *(
        Case(
            "trusted-tokens",
            (),
            (),
            {"identity": {"kubernetes": {"audiences": audiences, "accounts": {"team-a": {"tier": "free"}}}}},
            {"identity": {"kubernetes": {"audiences": "maas", "accounts": {"team-a": {"tier": "free"}}}}},
        )
        for audiences in ("https://kubernetes.default.svc", ["maas", "https://kubernetes.default.svc.cluster.local"])
    ),
    Case(
        "trusted-tokens",
        (),
        (),
        {"identity": {"keycloak": {"users": {}}}, "policy": {"protected": True}},
        {"identity": {"keycloak": {"users": {}}}},
    ),
    Case("prices", (), (), TIER, {"tiers": {"free": {"price": 0.1}}}),
    Case("kept-counters", (thing("Limitador", spec={}),), (thing("Limitador", spec={"storage": {"redis": {}}}),)),
]


def found(case: Case, resources: tuple[Resource, ...], config: Mapping[str, Any]) -> list[str]:
    levels = {name: "mandatory" if name == case.rule else "disabled" for name in RULES}
    policy = {**config.get("policy", {}), "levels": levels}
    return [each.text for each in check(Stack(resources, {**config, "policy": policy}))]


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case.rule))
def test_a_rule_finds_what_breaks_it_and_nothing_in_the_like_that_does_not(case: Case) -> None:
    assert found(case, case.bad, case.bad_config), "the bad one passes"
    assert found(case, case.good, case.good_config) == []


def test_every_rule_has_code_of_one_kind_and_cases() -> None:
    assert RULES.keys() == OF_RESOURCE.keys() | OF_STACK.keys()
    assert not OF_RESOURCE.keys() & OF_STACK.keys()
    assert {case.rule for case in CASES} == RULES.keys()


def test_a_protected_stack_is_held_to_every_rule_and_its_own_levels_win() -> None:
    assert {level_of(name, {"protected": True}) for name in RULES} == {Level.MANDATORY}
    assert level_of("images-by-digest", {}) is Level.DISABLED
    assert level_of("tls", {"protected": True, "levels": {"tls": "advisory"}}) is Level.ADVISORY


def recorded(stack: str) -> tuple[Recording, Mapping[str, str]]:
    values, secrets = stack_config(stack)
    return record(stack, values, secrets), values


@pytest.mark.parametrize("stack", STACKS)
def test_the_shipped_stacks_pass_and_so_do_their_rendered_files(stack: str, tmp_path: Path) -> None:
    recording, values = recorded(stack)
    as_recorded = check(policies.of_recording(recording, values))
    assert [each for each in as_recorded if each.level is Level.MANDATORY] == []
    render.write(recording, tmp_path)
    assert check(policies.of_rendered(tmp_path, stack)) == as_recorded


def test_the_rules_of_a_protected_stack_look_into_rendered_files(tmp_path: Path) -> None:
    recording, values = recorded("ocp")
    render.write(recording, tmp_path)
    rendered = policies.of_rendered(tmp_path, "ocp")
    strict = Stack(rendered.resources, {**rendered.config, "policy": {"protected": True}})
    rules = {each.rule for each in check(strict)}
    assert rules >= {"images-by-digest", "kept-counters"}
    assert rules == {
        each.rule
        for each in check(
            Stack(
                policies.of_recording(recording, values).resources, {**config_of(values), "policy": {"protected": True}}
            )
        )
    }


def test_files_of_another_stack_or_of_nobody_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MaasError, match="make it with"):
        policies.of_rendered(tmp_path, "dev")
    (tmp_path / render.INDEX).write_text(json.dumps({"stack": "ocp", "objects": []}), encoding="utf-8")
    with pytest.raises(MaasError, match="is of stack ocp, not of dev"):
        policies.of_rendered(tmp_path, "dev")


def test_only_what_is_mandatory_fails() -> None:
    advice = check(Stack([], TIER | {"policy": {"levels": {"limited-tiers": "advisory"}}}))
    assert {each.rule for each in advice} == {"limited-tiers", "prices"}
    assert policies.result(advice) is Exit.OK
    assert policies.result(check(Stack([], TIER))) is Exit.FAILED
    assert policies.lines(advice, "s")[-1] == "Stack s: 0 mandatory, 2 advisory."


def test_no_rule_sees_an_api_key() -> None:
    values = {"maas:apiKeys": '{"a": "test-only"}', "maas:domain": "x.example.com", "other:key": "1"}
    assert config_of(values) == {"domain": "x.example.com"}


def test_the_pack_is_described_as_the_engine_wants_it() -> None:
    assert (ROOT / "policy" / "pack").stat().st_mode & 0o111, "the engine starts it as a program"
    lock = (ROOT / "policy" / "requirements.lock").read_text(encoding="utf-8")
    assert "pulumi-policy==" in lock
    assert all("--hash=" in block for block in lock.strip().split("\n\n"))
