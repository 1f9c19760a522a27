"""The roles of docs/platforms, as the API server enforces them: enough for what they are for, and nothing too much."""

import json
import re
import time
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from sandbox.instance import Sandbox
from sandbox.kube import Kube, Object
from tests.faults.identities import client_certificate
from tests.faults.proxy import Asked, serve, write_kubeconfig
from tests.faults.world import STACK, World, connection, stack_on
from tests.tree import UP_SECONDS, with_kube

pytestmark = pytest.mark.sandbox

ROLES = Path(__file__).resolve().parents[2] / "docs" / "platforms"
DEPLOYER, READER = "maas-deployer", "maas-reader"
VERBS = {"POST": "create", "PATCH": "patch", "PUT": "update", "DELETE": "delete"}
CREATED, FORBIDDEN = 201, 403
SETTINGS = """\
config:
  maas:domain: roles.localhost
  maas:platform: {profile: kubernetes}
  maas:gateway: {expose: clusterIP}
  maas:tiers:
    free: {level: 0, requests: 5 per 2m, tokens: 100 per 1h}
  maas:users: {alice: {tier: free}}
  maas:models:
    simulator: {profile: simulator, replicas: 2}
    far: {source: https://api.example.com/v1, profile: external}
  maas:timeouts: {gateway: 1m, kserve: 1m, kuadrant: 1m, model: 2m, route: 1m, policy: 1m, delete: 1m}
  maas:policy: {levels: {tls: disabled}}
"""


@dataclass(frozen=True, order=True)
class Right:
    """One verb on one resource."""

    group: str
    resource: str
    verb: str


def role(name: str) -> Object:
    """A ClusterRole of the docs."""
    documents = [each for path in ROLES.glob("*.yaml") for each in yaml.safe_load_all(path.read_text())]
    return next(each for each in documents if each["metadata"]["name"] == name)


def rights(role: Object) -> set[Right]:
    return {
        Right(group, resource, verb)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def without(role: Object, taken: Right) -> Object:
    """The role with one right less."""

    def rules() -> Iterator[dict[str, Any]]:
        for each in sorted(rights(role) - {taken}):
            yield {"apiGroups": [each.group], "resources": [each.resource], "verbs": [each.verb]}

    return {**role, "rules": list(rules())}


def give(sandbox: Sandbox, role: Object) -> None:
    """Have the API server know a role, bound to the user of its name."""
    name = role["metadata"]["name"]
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": name}],
    }

    async def apply(kube: Kube) -> None:
        for each in (role, binding):
            await kube.apply(each, field_manager="administrator", force=True)

    with_kube(sandbox, apply)


@pytest.fixture(scope="module")
def deployer(sandbox_instance: Sandbox) -> dict[str, str]:
    give(sandbox_instance, role(DEPLOYER))
    return client_certificate(sandbox_instance.cluster_folder / "pki", DEPLOYER)


@pytest.fixture(scope="module")
def reader(sandbox_instance: Sandbox) -> dict[str, str]:
    give(sandbox_instance, role(READER))
    return client_certificate(sandbox_instance.cluster_folder / "pki", READER)


@pytest.fixture(scope="module")
def world(
    sandbox_instance: Sandbox, deployer: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Generator[World]:
    """A stack that somebody deploys who has the deployer's role and nothing else."""
    with stack_on(sandbox_instance, tmp_path_factory.mktemp("roles"), SETTINGS, deployer) as world:
        yield world


@contextmanager
def as_reader(world: World, reader: dict[str, str]) -> Generator[list[Asked]]:
    """Have commands speak to the API server as somebody who may only read; gives what they ask.

    The kubeconfig stays where it is: its path is part of the provider's settings, and another would show as a change.
    """
    path = world.home / "kubeconfig.yaml"
    with serve(connection(world.sandbox, reader)) as proxy:
        write_kubeconfig(path, proxy.url)
        try:
            yield proxy.log
        finally:
            write_kubeconfig(path, world.proxy.url)


def rights_for(asked: Asked) -> set[Right]:
    """The rights that a request needs: none for what everybody may ask, two for an apply that finds nothing."""
    path, _, query = asked.path.partition("?")
    found = re.fullmatch(
        r"/(?:api|apis/(?P<group>[^/]+))/v[^/]+(?:/namespaces/[^/]+(?=/))?/(?P<resource>[^/]+)(?:/(?P<name>[^/]+))?",
        path,
    )
    if found is None:
        return set()
    read = "watch" if "watch=true" in query else "get" if found["name"] else "list"
    verbs = {VERBS.get(asked.method, read), *(("create",) if asked.status == CREATED else ())}
    return {Right(found["group"] or "", found["resource"], verb) for verb in verbs}


def used(log: Iterable[Asked]) -> dict[Right, Asked]:
    """Each right without which a request would not have been answered, and such a request."""
    return {right: each for each in log if each.status < 300 for right in rights_for(each)}


def refused(log: Iterable[Asked]) -> list[str]:
    return [f"{each.method} {each.path}" for each in log if each.status == FORBIDDEN]


@pytest.mark.timeout(UP_SECONDS)
def test_the_deployers_role_is_enough_to_deploy(world: World) -> None:
    said = world.up()
    assert said.code == 0, said.text
    changed = world.settings.read_text().replace("tokens: 100 per 1h", "tokens: 120 per 1h")
    world.settings.write_text(changed)
    said = world.up()
    assert said.code == 0, said.text
    said = world.run("refresh", "--stack", STACK, "--stand-in")
    assert said.code == 0, said.text
    assert refused(world.proxy.log) == []


@pytest.mark.timeout(UP_SECONDS)
def test_the_readers_role_is_enough_to_preview_to_see_drift_and_for_the_doctor(
    world: World, reader: dict[str, str]
) -> None:
    for words in (
        ("preview", "--stack", STACK, "--stand-in", "--expect-no-changes"),
        ("refresh", "--stack", STACK, "--stand-in", "--expect-no-changes"),
        ("doctor", "--stack", STACK),
    ):
        with as_reader(world, reader) as log:
            said = world.run(*words)
        assert "may not be listed" not in said.text
        assert "orbidden" not in said.text
        if words[0] != "doctor":
            assert said.code == 0, said.text
        assert log, f"{words} asked"
        changing = [
            each for each in log if each.method != "GET" and each.status != FORBIDDEN and "dryRun=All" not in each.path
        ]
        assert changing == [], "it changes nothing"


@pytest.mark.timeout(UP_SECONDS)
def test_who_may_only_read_sees_in_a_preview_what_would_change(world: World, reader: dict[str, str]) -> None:
    text = world.settings.read_text()
    world.settings.write_text(text.replace("tokens: 120 per 1h", "tokens: 130 per 1h"))
    with as_reader(world, reader):
        said = world.run("preview", "--stack", STACK, "--stand-in", "--expect-no-changes")
        assert said.code == 4, said.text
        assert "gateway-token-limits" in said.text
        up = world.up()
    assert up.code == 1
    assert "forbidden" in up.text
    world.settings.write_text(text)


LIMIT = ("tokens: 120 per 1h", "tokens: 140 per 1h")
LIMIT_AGAIN = ("tokens: 140 per 1h", "tokens: 160 per 1h")
MODEL = (
    "profile: external}\n",
    "profile: external}\n    other: {source: https://api.example.org/v1, profile: external}\n",
)


@pytest.mark.timeout(UP_SECONDS)
@pytest.mark.parametrize(
    ("taken", "edit"),
    [
        (Right("kuadrant.io", "tokenratelimitpolicies", "patch"), LIMIT),
        (Right("kuadrant.io", "tokenratelimitpolicies", "watch"), LIMIT_AGAIN),
        (Right("gateway.networking.k8s.io", "httproutes", "create"), MODEL),
        (Right("gateway.networking.k8s.io", "httproutes", "delete"), MODEL[::-1]),
    ],
    ids=lambda value: value.verb if isinstance(value, Right) else "",
)
def test_with_one_right_less_an_up_fails_and_says_which(world: World, taken: Right, edit: tuple[str, str]) -> None:
    text = world.settings.read_text()
    assert text.count(edit[0]) == 1
    world.settings.write_text(text.replace(*edit))
    give(world.sandbox, without(role(DEPLOYER), taken))
    time.sleep(1)  # the API server takes notice by a watch of its own
    try:
        said = world.up()
    finally:
        give(world.sandbox, role(DEPLOYER))
    assert said.code == 1, said.text
    for words in (DEPLOYER, f"cannot {taken.verb}", taken.resource, taken.group):
        assert words in said.text
    time.sleep(1)
    said = world.up()
    assert said.code == 0, said.text


@pytest.mark.timeout(UP_SECONDS)
def test_the_deployer_may_ask_the_doctor(world: World) -> None:
    before = len(world.proxy.log)
    said = world.run("doctor", "--stack", STACK)
    assert "may not be listed" not in said.text
    assert refused(world.proxy.log[before:]) == []


@pytest.mark.timeout(UP_SECONDS)
def test_each_right_that_was_used_is_one_that_cannot_be_done_without(world: World) -> None:
    asked = used(world.proxy.log)
    assert {each.verb for each in asked} == {"get", "list", "watch", "create", "patch", "delete"}
    assert set(asked) <= rights(role(DEPLOYER)), "RBAC has let nothing else pass"
    refused_without_each(world, {right: each for right, each in asked.items() if right.verb != "delete"})


@pytest.mark.timeout(UP_SECONDS)
def test_the_deployers_role_is_enough_to_take_it_all_away_and_no_right_is_too_much(world: World) -> None:
    before = len(world.proxy.log)
    said = world.run("destroy", "--stack", STACK, "--stand-in", "--yes")
    assert said.code == 0, said.text
    assert refused(world.proxy.log[before:]) == []
    asked = used(world.proxy.log)
    refused_without_each(world, {right: each for right, each in asked.items() if right.verb == "delete"})
    # For the kinds of other stacks, the rights are held against what those make, without a cluster.
    made = {(right.group, right.resource) for right in asked if right.verb == "create"}
    assert len(made) > 10
    unused = {right for right in rights(role(DEPLOYER)) - set(asked) if (right.group, right.resource) in made}
    assert {right for right in unused if right.verb != "watch"} == set(), "waits begin only where something takes time"


def refused_without_each(world: World, asked: dict[Right, Asked]) -> None:
    """Send each request again, as a dry run, with just the one right taken away: it has to be refused."""
    full = role(DEPLOYER)
    way = connection(world.sandbox, client_certificate(world.sandbox.cluster_folder / "pki", DEPLOYER))
    with httpx.Client(base_url=way.server, verify=way.tls, trust_env=False, timeout=30) as client:
        try:
            for taken, each in sorted(asked.items()):
                give(world.sandbox, without(full, taken))
                assert is_refused_soon(client, of_another_name(each) if taken.verb == "create" else each), (
                    f"{taken} is not needed for {each.method} {each.path}"
                )
        finally:
            give(world.sandbox, full)


def of_another_name(asked: Asked) -> Asked:
    """The same request for an object that is not there."""
    body = json.loads(asked.body)
    name = body["metadata"]["name"]
    body["metadata"]["name"] = f"{name}-another"
    path = asked.path.replace(f"/{name}?", f"/{name}-another?")
    return replace(asked, path=path, body=json.dumps(body).encode())


def is_refused_soon(client: httpx.Client, asked: Asked) -> bool:
    """Whether the API server, which takes notice of a role by a watch of its own, comes to refuse a request."""
    path, _, query = asked.path.partition("?")
    params = dict(httpx.QueryParams(query))
    params |= {} if asked.method == "GET" else {"dryRun": "All"}
    params |= {"timeoutSeconds": "1"} if "watch" in params else {}
    headers = {"Content-Type": asked.content_type}
    for _ in range(50):
        answer = client.request(asked.method, path, params=params, content=asked.body, headers=headers)
        if answer.status_code == FORBIDDEN:
            return True
        time.sleep(0.05)
    return False
