"""What people change in a stack, and the lines that a reviewer has to read about it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from cli.diff.compare import StackDiff, Topic, compare
from cli.diff.snapshot import Snapshot, Version
from tests.snapshots import Edit, edited, unchanged


@dataclass(frozen=True)
class Scenario:
    """One change."""

    name: str
    edit: Edit
    summary: tuple[str, ...] = ()
    """Parts of summary lines, each of which has to be there."""
    warnings: Mapping[Topic, tuple[str, ...]] = field(default_factory=dict[Topic, tuple[str, ...]])
    """Parts of warnings by topic; a topic that is not named has none."""
    stack: str = "sandbox"
    base: Edit | None = None
    """What the stack has before, beside its file."""


def put(path: str, value: object) -> Edit:
    """Set a setting by its dotted path."""

    def edit(sections: dict[str, Any]) -> None:
        *steps, last = path.split(".")
        place = sections
        for step in steps:
            place = place.setdefault(step, {})
        place[last] = value

    return edit


def drop(path: str) -> Edit:
    """Take a setting out."""

    def edit(sections: dict[str, Any]) -> None:
        *steps, last = path.split(".")
        place = sections
        for step in steps:
            place = place[step]
        del place[last]

    return edit


def together(*edits: Edit) -> Edit:
    """Several at once."""

    def edit(sections: dict[str, Any]) -> None:
        for each in edits:
            each(sections)

    return edit


def rename_tier(sections: dict[str, Any]) -> None:
    sections["tiers"]["basic"] = sections["tiers"].pop("free")
    for user in sections["users"].values():
        user["tier"] = "basic" if user["tier"] == "free" else user["tier"]


def many_users(sections: dict[str, Any]) -> None:
    sections["users"] |= {f"new{number:02}": {"tier": "free"} for number in range(37)}


MANY = [f"m{number:02}" for number in range(12)]
SCENARIOS = [
    Scenario("limit down", put("tiers.free.tokens", "80 per 1m"), ("`free`: 100 to 80 tokens a minute; 2 users",)),
    Scenario(
        "limit up",
        put("tiers.free.tokens", "120 per 1m"),
        ("`free`: 100 to 120 tokens a minute",),
        {Topic.SECURITY: ("tier `free` may use more: 120 tokens a minute instead of 100",)},
    ),
    Scenario(
        "window shorter",
        put("tiers.free.requests", "5 per 1m"),
        ("`free`: 5 requests per 2m to 5 requests a minute",),
        {
            Topic.SECURITY: ("no longer at most 5 requests per 2m",),
            Topic.QUOTA: ("limit `free` of RateLimitPolicy llm/gateway-request-limits starts from zero",),
        },
    ),
    Scenario(
        "window longer",
        put("tiers.free.requests", "5 per 1h"),
        ("5 requests an hour",),
        {Topic.QUOTA: ("limit `free` of RateLimitPolicy",)},
    ),
    Scenario(
        "second window",
        put("tiers.free.tokens", ["100 per 1m", "20000 per 24h"]),
        ("100 tokens a minute to 100 tokens a minute and 20 000 tokens a day",),
    ),
    Scenario(
        "tier unlimited",
        put("tiers.premium.tokens", "unlimited"),
        ("`premium`: 500 tokens a minute to unlimited tokens; 2 users affected",),
        {
            Topic.SECURITY: ("tier `premium` may use more: tokens are unlimited",),
            Topic.QUOTA: ("limit `premium` of TokenRateLimitPolicy llm/gateway-token-limits goes",),
        },
    ),
    Scenario(
        "limit of a model up",
        put("tiers.free.models", {"qwen3": {"tokens": "1000 per 1m"}}),
        ("tier `free`: on `qwen3`: 100 to 1 000 tokens a minute; 2 users affected",),
        {
            Topic.SECURITY: ("tier `free` may use more of `qwen3`: 1 000 tokens a minute instead of 100",),
            Topic.QUOTA: ("limit `free.qwen3` of TokenRateLimitPolicy llm/gateway-token-limits starts from zero",),
        },
    ),
    Scenario("price", put("tiers.free.price", 0.006), ("tier `free`: price `0.005` to `0.006`",)),
    Scenario(
        "tier renamed",
        rename_tier,
        ("tier `free` is called `basic`; 2 users affected",),
        {Topic.QUOTA: ("limit `free` of RateLimitPolicy", "limit `free` of TokenRateLimitPolicy")},
    ),
    Scenario(
        "tier renamed and raised",
        together(rename_tier, put("tiers.basic.tokens", "900 per 1m")),
        ("tier `basic` added: 5 requests per 2m, 900 tokens a minute", "tier `free` removed; it had 2 users"),
        {
            Topic.SECURITY: (
                "2 users (`freeuser1`, `freeuser2`) may use more in `basic` than in `free`: 900 tokens a minute",
            ),
            Topic.QUOTA: ("limit `free` of RateLimitPolicy",),
        },
    ),
    Scenario(
        "tier added",
        put("tiers.trial", {"level": 3, "requests": "1 per 1h", "tokens": "10 per 1h"}),
        ("tier `trial` added: 1 request an hour, 10 tokens an hour, price 0; 0 users",),
    ),
    Scenario(
        "user moved up",
        put("users.freeuser1.tier", "premium"),
        ("user `freeuser1`: tier `free` to `premium`",),
        {Topic.SECURITY: ("1 user (`freeuser1`) is in a higher tier: `free` to `premium`",)},
    ),
    Scenario("user moved down", put("users.premiumuser1.tier", "free"), ("tier `premium` to `free`",)),
    Scenario(
        "user removed",
        together(drop("users.freeuser2"), drop("apiKeys.freeuser2")),
        ("user `freeuser2` removed (tier `free`)",),
        {Topic.DELETED: ("Secret kuadrant-system/",)},
    ),
    Scenario("many users added", many_users, ("37 users added: `new00`, ", "and 32 more; 37 in `free`")),
    Scenario(
        "many users changed",
        together(*(put(f"users.{name}.team", "ops") for name in MANY)),
        ("12 users (`m00`, `m01`, `m02`, `m03`, `m04` and 7 more): team `x` to `ops`",),
        base=together(*(put(f"users.{name}", {"tier": "free", "team": "x"}) for name in MANY)),
    ),
    Scenario(
        "model added",
        put("models.big", {"profile": "small-gpu", "source": "hf://a/b", "replicas": 2}),
        ("model `big` added: vllm, hf://a/b, 2 replicas, 2 GPUs, at http",),
    ),
    Scenario(
        "model removed",
        drop("models.qwen3"),
        ("model `qwen3` removed: its address is gone, 1 GPU fewer",),
        {Topic.DELETED: ("InferenceService llm/qwen3: the model stops", "HTTPRoute llm/qwen3", "ServingRuntime")},
    ),
    Scenario("model scaled", put("models.qwen3.replicas", 3), ("model `qwen3`: replicas `1` to `3`, 2 GPUs more",)),
    Scenario(
        "more GPUs",
        put("models.qwen3.gpu", {"count": 2}),
        ("model `qwen3`: gpu.count `1` to `2`, restart, 1 GPU more",),
    ),
    Scenario(
        "image bumped",
        put("models.qwen3.image", "docker.io/vllm/vllm-openai:v0.11.1"),
        ("model `qwen3`: image nothing to `docker.io/vllm/vllm-openai:v0.11.1`, restart",),
    ),
    Scenario(
        "model at another host",
        put("models.qwen3.host", "chat"),
        (
            "model `qwen3`: host nothing to `chat`, at http://chat.maas.localhost instead of http://qwen3.maas.localhost",
        ),
    ),
    Scenario(
        "domain changed",
        put("domain", "ai.example.com"),
        ("domain: `maas.localhost` to `ai.example.com`; 2 models at another address",),
    ),
    Scenario(
        "operator upgraded",
        put("platform.kserve.version", "v0.16.0"),
        ("operator kserve: version the project's own to v0.16.0",),
        stack="dev",
    ),
    Scenario(
        "install mode switched",
        put("platform.kuadrant.install", "preinstalled"),
        ("operator kuadrant: installed by preinstalled instead of helm",),
        {Topic.DELETED: ("Release kuadrant-operator: what it installed is uninstalled",), Topic.QUOTA: ()},
        stack="dev",
    ),
    Scenario(
        "profile switched",
        put("platform.profile", "openshift"),
        ("profile: `kubernetes` to `openshift`", "model `qwen3`: restart"),
    ),
    Scenario(
        "gateway renamed",
        put("gateway.name", "front"),
        ("gateway.name: `inference-gateway` to `front`",),
        {Topic.DELETED: ("Gateway llm/inference-gateway: nothing answers at its address",)},
    ),
    Scenario(
        "limiter fails open",
        put("limiter", {"failOpen": True}),
        ("limiter.failOpen: false to true",),
        {Topic.SECURITY: ("limiter.failOpen: requests pass without any limit",)},
        stack="dev",
    ),
    Scenario(
        "limiter gets more memory",
        put("limiter.memory", "512Mi"),
        ("limiter.memory: nothing to `512Mi`",),
        {Topic.QUOTA: ("every counter starts from zero: the limiter restarts",)},
    ),
    Scenario(
        "counters in Redis",
        put("limiter", {"storage": "redis", "redisSecret": "limiter"}),
        ("limiter.storage: `memory` to `redis`",),
        {Topic.QUOTA: ("every counter starts from zero: they are kept somewhere else",)},
    ),
    Scenario(
        "namespace changed",
        put("platform.namespace", "ai"),
        ("platform.namespace: `llm` to `ai`",),
        {
            Topic.DELETED: ("Namespace llm: with everything in it",),
            Topic.REPLACED: ("InferenceService ai/qwen3 (metadata.namespace): the model is away",),
            Topic.QUOTA: ("limit `free` of RateLimitPolicy llm/gateway-request-limits goes",),
        },
    ),
    Scenario(
        "another cluster",
        put("cluster.identifier", "elsewhere"),
        ("cluster.identifier: nothing to `elsewhere`",),
        {Topic.REPLACED: ("InferenceService llm/qwen3 (another cluster)",)},
    ),
    Scenario(
        "original constraints",
        put("platform.scc", "original"),
        ("platform.scc: `restricted` to `original`",),
        {Topic.SECURITY: ("platform.scc `restricted` to `original`: the models' pods may do more",)},
        stack="ocp",
    ),
    Scenario(
        "network policies off",
        put("platform.networkPolicies", False),  # noqa: FBT003 - a setting's value
        ("platform.networkPolicies",),
        {
            Topic.POLICY: ("network-policies (mandatory): InferenceService llm/qwen3",),
            Topic.SECURITY: ("NetworkPolicy llm/", "is deleted: what it refused is let through"),
        },
    ),
    Scenario(
        "quota across models",
        put("routing", {"by": "path", "quota": "acrossModels"}),
        ("routing.quota: `perModel` to `acrossModels`",),
        {Topic.QUOTA: ("every counter starts from zero: routing.quota `perModel` to `acrossModels`",)},
    ),
    Scenario(
        "operator upgraded by OLM",
        put("platform.kuadrant.channel", "preview"),
        ("platform.kuadrant.channel: nothing to `preview`",),
        {Topic.QUOTA: ("every counter may start from zero: another Kuadrant may restart the limiter",)},
        stack="ocp",
    ),
    Scenario(
        "rule turned off",
        put("policy.levels.fail-closed", "disabled"),
        ("policy.levels.fail-closed: set to `disabled`",),
        {Topic.SECURITY: ("policy: the rule `fail-closed` is disabled, was mandatory",)},
    ),
    Scenario(
        "no longer protected",
        put("policy.protected", False),  # noqa: FBT003 - a setting's value
        ("policy.protected: true to false",),
        {
            Topic.SECURITY: (
                "policy.protected off: `./maas up` deploys what breaks a rule",
                "policy: the rule `kept-counters` is disabled, was mandatory",
            )
        },
        base=put("policy.protected", True),  # noqa: FBT003 - the same
    ),
    Scenario(
        "guard of the host off",
        put("gateway.guard", {"lowerCaseHost": False}),
        ("gateway.guard.lowerCaseHost: true to false",),
        {Topic.SECURITY: ("gateway.guard.lowerCaseHost off: a host in mixed case may pass",)},
    ),
    Scenario(
        "weights from more places",
        put(
            "platform.networkPolicies.downloads", [{"cidr": "10.1.0.0/16"}, {"cidr": "10.2.0.0/16"}, {"namespace": "s"}]
        ),
        ("downloads[1].cidr: set to `10.2.0.0/16`", "downloads[2].namespace: set to `s`"),
        {Topic.SECURITY: ("downloads: models may connect to `10.2.0.0/16`, `s`, too",)},
        base=put("platform.networkPolicies.downloads", [{"cidr": "10.1.0.0/16"}]),
    ),
    Scenario("scraped more often", put("observability.interval", "15s"), ("observability.interval: `30s` to `15s`",)),
]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda each: each.name.replace(" ", "-"))
def test_a_change_is_told_in_the_words_of_those_who_are_affected(scenario: Scenario) -> None:
    before = edited(scenario.stack, scenario.base) if scenario.base else unchanged(scenario.stack)
    edit = together(scenario.base, scenario.edit) if scenario.base else scenario.edit
    diff = compare(scenario.stack, before, edited(scenario.stack, edit))
    assert diff.status == "changed", diff.problem
    for part in scenario.summary:
        assert any(part in line for line in diff.summary), (part, diff.summary)
    said = by_topic(diff)
    for topic, parts in scenario.warnings.items():
        for part in parts:
            assert any(part in text for text in said.get(topic, [])), (part, said)
    unexpected = {Topic.SECURITY, Topic.QUOTA, Topic.REPLACED, Topic.MOVED} - scenario.warnings.keys()
    ours = {topic: texts for topic, texts in said.items() if topic in unexpected}
    assert scenario.name in FAR_REACHING or not ours, ours


FAR_REACHING = {"profile switched", "namespace changed", "gateway renamed", "another cluster", "install mode switched"}
"""Changes that touch so much that only their own warnings are listed above."""


OIDC: dict[str, Any] = {
    "issuerUrl": "https://sso.example.com",
    "audiences": ["maas"],
    "clients": ["web"],
    "groups": {"staff": "free"},
}


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (put("audiences", ["maas", "other"]), "tokens are taken that were made for `other`, too"),
        (put("clients", []), "tokens of more clients are taken"),
        (put("groups.staff", "enterprise"), "group `staff` is in a higher tier: `free` to `enterprise`"),
        (put("defaultTier", "free"), "whoever is in none of the groups is let in, in tier `free`"),
        (put("ttl", "1m"), ""),
        (put("groups.staff", "basic"), ""),
    ],
)
def test_an_identity_provider_that_lets_in_more_is_told_and_one_that_does_not_is_not(edit: Edit, expected: str) -> None:
    tiers = {"basic": {"level": 0}, "free": {"level": 1}, "enterprise": {"level": 2}}
    issuer = {**OIDC, "groups": dict(OIDC["groups"]), "defaultTier": None}
    before = {"tiers": tiers, "identity": {"oidc": {"corp": {**OIDC, "defaultTier": None}}}}
    edit(issuer)
    after = {"tiers": tiers, "identity": {"oidc": {"corp": issuer}}}
    told = by_topic(compare("s", Snapshot("s", settings=before), Snapshot("s", settings=after)))
    assert told == ({Topic.SECURITY: [f"identity.oidc.corp: {expected}"]} if expected else {})


def test_who_is_affected_is_also_whoever_an_identity_provider_puts_there() -> None:
    other = {**OIDC, "issuerUrl": "https://other.example.com", "groups": {"x": "premium"}}
    identity = {"oidc": {"corp": OIDC, "other": other}, "kubernetes": {"accounts": {"a/b": {"tier": "free"}}}}
    before = edited("sandbox", put("identity", identity))
    after = edited("sandbox", together(put("identity", identity), put("tiers.free.tokens", "80 per 1m")))
    [line] = compare("sandbox", before, after).summary
    people = "2 users, 1 service account and whoever has a token of `corp` for it"
    assert line == f"tier `free`: 100 to 80 tokens a minute; {people} affected"


def test_a_model_of_the_other_api_is_told_like_any() -> None:
    api = together(put("models.qwen3.api", "llmInferenceService"), put("platform.kserve.install", "preinstalled"))
    before = edited("sandbox", api)
    diff = compare("sandbox", before, edited("sandbox", together(api, put("models.qwen3.maxLength", 2048))))
    assert diff.summary == ["model `qwen3`: maxLength `6144` to `2048`, restart"]
    gone = compare("sandbox", before, edited("sandbox", together(api, drop("models.qwen3"))))
    assert "LLMInferenceService llm/qwen3: the model stops" in by_topic(gone)[Topic.DELETED]


def test_a_route_that_another_one_takes_the_place_of_is_not_mourned() -> None:
    by_path = put("routing", {"by": "path"})
    across = put("routing", {"by": "path", "quota": "acrossModels"})
    told = by_topic(compare("sandbox", edited("sandbox", by_path), edited("sandbox", across)))
    assert "HTTPRoute llm/qwen3: another one answers in its place" in told[Topic.DELETED]


def by_topic(diff: StackDiff) -> dict[Topic, list[str]]:
    said: dict[Topic, list[str]] = {}
    for each in diff.warnings:
        said.setdefault(each.topic, []).append(each.text)
    return said


@pytest.mark.parametrize("stack", ["dev", "ocp", "sandbox"])
def test_what_is_written_in_another_way_and_means_the_same_is_no_change(stack: str) -> None:
    def long_form(sections: dict[str, Any]) -> None:
        for tier in sections["tiers"].values():
            limit, _, window = tier["requests"].split()
            tier["requests"] = {"window": window, "limit": int(limit)}
        sections["users"] = dict(reversed(sections["users"].items()))

    diff = compare(stack, unchanged(stack), edited(stack, long_form))
    assert diff.status == "unchanged", (diff.summary, diff.changes)


def test_a_setting_that_only_the_new_program_knows_is_told_when_the_stack_has_set_it() -> None:
    after = unchanged("dev")
    limiter = {key: value for key, value in after.settings["limiter"].items() if key != "failOpen"}
    before = replace(after, settings={**after.settings, "limiter": limiter})
    assert compare("dev", before, after).status == "unchanged", "its default is nobody's decision"
    set_ = edited("dev", put("limiter", {"failOpen": True}))
    assert any("limiter.failOpen: set to true" in line for line in compare("dev", before, set_).summary)


def test_a_pinned_version_that_the_stack_uses_comes_with_its_notes() -> None:
    after = edited("sandbox", put("models.qwen3.image", "docker.io/vllm/vllm-openai:v0.12.0"))
    before = edited("sandbox", put("models.qwen3.image", "docker.io/vllm/vllm-openai:v0.11.0"))
    bumped = Version("docker.io/vllm/vllm-openai:v0.12.0", "docker", "vllm/vllm-openai")
    unused = Version("99.0.0", "helm", "kube-prometheus-stack")
    versions = {**after.versions, "VLLM_IMAGE": bumped, "PROMETHEUS_STACK_VERSION": unused}
    lines = compare("sandbox", before, replace(after, versions=versions)).summary
    assert any(line.endswith("https://github.com/vllm-project/vllm/releases/tag/v0.12.0") for line in lines), lines
    assert not any("prometheus" in line for line in lines)
