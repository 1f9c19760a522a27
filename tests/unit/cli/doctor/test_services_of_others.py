"""What the doctor says of Secrets that the stack needs and others make: keys, and the address of a Redis."""

import copy
from typing import Any

import pytest

from cli.doctor.findings import Level
from components.identity import key_names, key_secret_labels, key_selector
from tests.unit.cli.doctor.healthy import Cluster, Manifest

KUADRANT = "kuadrant-system"
EXISTING: dict[str, Any] = {"identity": {"apiKeys": {"backend": "existing", "selector": {"app": "our-keys"}}}}
STORE: dict[str, Any] = {"identity": {"apiKeys": {"backend": "externalSecrets", "store": {"name": "vault"}}}}
REDIS: dict[str, Any] = {"limiter": {"replicas": 2, "storage": "redis", "redisSecret": "our-redis"}}
GOOD: Manifest = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {
        "name": "ours",
        "namespace": KUADRANT,
        "labels": {"app": "our-keys", "authorino.kuadrant.io/managed-by": "authorino"},
        "annotations": {"secret.kuadrant.io/user-id": "ann", "kuadrant.io/groups": "staff,free"},
    },
    "data": {"api_key": "digest"},
}


def key(**changes: Any) -> Manifest:  # noqa: ANN401 - any part of a Secret
    """A good key but for this."""
    result = copy.deepcopy(GOOD)
    result["metadata"] |= {name: value for name, value in changes.items() if name != "data"}
    return result | {name: value for name, value in changes.items() if name == "data"}


def said(cluster: Cluster, check: str = "keys") -> list[tuple[Level, str, str]]:
    return [(each.level, each.object, each.message) for each in cluster.findings() if each.check == check]


def test_keys_that_somebody_else_makes_are_well_when_authorino_finds_all_that_policies_read() -> None:
    cluster = Cluster("dev", EXISTING)
    cluster.add(key())
    assert said(cluster) == [(Level.OK, f"Secrets in {KUADRANT}", "1 keys with labels, user and tier")]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"labels": {"app": "our-keys"}}, "lacks the label authorino.kuadrant.io/managed-by=authorino"),
        ({"data": {"api-key": "digest"}}, "has no value under api_key"),
        ({"annotations": {"kuadrant.io/groups": "free"}}, "names no user"),
        ({"annotations": {"secret.kuadrant.io/user-id": "ann"}}, "names no tier of the stack"),
        (
            {"annotations": {"secret.kuadrant.io/user-id": "ann", "kuadrant.io/groups": "fre"}},
            "names no tier of the stack",
        ),
    ],
)
def test_a_key_of_somebody_elses_that_cannot_work_is_named(changes: dict[str, Any], says: str) -> None:
    cluster = Cluster("dev", EXISTING)
    cluster.add(key(**changes))
    [(level, name, message)] = said(cluster)
    assert (level, name) == (Level.PROBLEM, f"Secret {KUADRANT}/ours")
    assert says in message


def test_two_of_somebody_elses_secrets_with_one_key_are_named() -> None:
    cluster = Cluster("dev", EXISTING)
    cluster.add(key())
    cluster.add(key(name="theirs"))
    assert [message for level, _, message in said(cluster) if level is Level.PROBLEM] == [
        "has the same key as theirs: who is who is left to chance"
    ]


def test_no_key_at_all_is_a_warning() -> None:
    [(level, _, message)] = said(Cluster("dev", EXISTING))
    assert level is Level.WARNING
    assert "no Secret has the labels app=our-keys" in message


def test_the_secrets_that_a_store_fills_are_no_strangers() -> None:
    cluster = Cluster("dev", STORE)
    settings = cluster.settings
    labels: dict[str, str] = {}
    for user, about in settings.users.items():
        labels = key_secret_labels(user, about, key_selector(settings.identity.api_keys, "dev"))
        annotations = {"secret.kuadrant.io/user-id": user, "kuadrant.io/groups": about.tier}
        [name] = key_names(settings, user)
        cluster.add(key(name=name, labels=labels, annotations=annotations, data={"api_key": user}))
    assert said(cluster) == []
    cluster.add(key(name="by-hand", labels=labels, data={"api_key": "other"}))
    assert [name for _, name, _ in said(cluster)] == [f"Secret {KUADRANT}/by-hand"]


def test_the_address_of_somebody_elses_redis_has_to_be_there() -> None:
    cluster = Cluster("dev", REDIS)
    problems = [each for each in said(cluster, "kuadrant") if each[0] is Level.PROBLEM]
    assert problems == [(Level.PROBLEM, f"Secret {KUADRANT}/our-redis", "is not there: the limiter cannot start")]
    metadata = {"name": "our-redis", "namespace": KUADRANT}
    secret = cluster.add({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": {"url": "digest"}})
    problems = [each for each in said(cluster, "kuadrant") if each[0] is Level.PROBLEM]
    assert [message for _, _, message in problems] == ["has no value under URL: the limiter cannot start"]
    secret["data"] = {"URL": "digest"}
    assert not [each for each in said(cluster, "kuadrant") if each[0] is Level.PROBLEM]
