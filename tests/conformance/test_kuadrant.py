"""Kuadrant's own operators and Authorino, on what `./maas up` applies: accepted, enforced, and answered as we say."""

import json
import os
import re
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, cast

import psutil
import pytest
import yaml

from config.figures import NEVER_REACHED
from enforcement.authentication import Authorino
from enforcement.effective import effective
from enforcement.objects import World, fields_of, name_of, namespace_of
from enforcement.request import Request
from enforcement.routing import Paths
from sandbox.instance import LOOPBACK
from sandbox.kube import Kube
from sandbox.real.lifecycle import TOOLS
from sandbox.real.supervisor import State, states
from sandbox.toolbox import cached_path
from sandbox.tools.declarations import TOOLS as DECLARED
from tests.conformance.ext_authz import Answer, check
from tests.sandbox.test_main_road import UP_SECONDS, Tree, in_cluster

Object = dict[str, Any]

pytestmark = [pytest.mark.sandbox, pytest.mark.timeout(UP_SECONDS)]

TIERS: dict[str, Object] = {
    "free": {"level": 0, "requests": "5 per 2m", "tokens": "100 per 1m", "models": {"qwen3": {"tokens": "50 per 1m"}}},
    "premium": {"level": 1, "requests": "20 per 2m", "tokens": ["500 per 1m", "200000 per 24h"]},
    "enterprise": {"level": 2, "requests": "unlimited", "tokens": "unlimited"},
}
USERS: dict[str, Object] = {
    "free": {"tier": "free"},
    "premium": {"tier": "premium", "team": "search", "costCentre": "4711"},
    "expired": {"tier": "premium", "expires": "2020-01-01"},
    "narrow": {"tier": "enterprise", "models": ["simulator"]},
}
FULL = "qwen3"
"""The model that is for premium and enterprise only."""
KINDS = (
    ("kuadrant.io/v1", "AuthPolicy"),
    ("kuadrant.io/v1", "RateLimitPolicy"),
    ("kuadrant.io/v1alpha1", "TokenRateLimitPolicy"),
    ("extensions.kuadrant.io/v1alpha1", "TelemetryPolicy"),
)
PATIENCE = 60.0
SECONDS = {"1m": 60, "2m": 120, "24h": 86400}


@dataclass(frozen=True)
class Cluster:
    """What is on the cluster once the stack is up."""

    objects: list[Object]
    authorino: str
    """Address of the authorisation server."""

    def of(self, kind: str) -> list[Object]:
        return [each for each in self.objects if each["kind"] == kind]

    def one(self, kind: str) -> Object:
        (found,) = self.of(kind)
        return found


def tree_of(folder: Path, **settings: object) -> Tree:
    tree = Tree(folder / "tree", folder / "home")
    content = yaml.safe_load(tree.settings.read_text())
    content["config"] |= {"maas:tiers": TIERS, "maas:users": USERS}
    content["config"]["maas:models"][FULL]["tiers"] = ["premium", "enterprise"]
    content["config"] |= settings
    tree.settings.write_text(yaml.safe_dump(content))
    return tree


def looked_at(tree: Tree) -> Cluster:
    async def look(kube: Kube) -> list[Object]:
        kinds = (
            *KINDS,
            ("v1", "Secret"),
            ("v1", "ConfigMap"),
            ("gateway.networking.k8s.io/v1", "Gateway"),
            ("gateway.networking.k8s.io/v1", "HTTPRoute"),
            ("kuadrant.io/v1beta1", "Kuadrant"),
            ("limitador.kuadrant.io/v1alpha1", "Limitador"),
            ("operator.authorino.kuadrant.io/v1beta1", "Authorino"),
            ("authorino.kuadrant.io/v1beta3", "AuthConfig"),
            ("extensions.istio.io/v1alpha1", "WasmPlugin"),
        )
        return [each for kind in kinds for each in await kube.list(*kind)]

    port = next(each for each in states(tree.sandbox) if each.program == "authorino").ports["service"]
    return Cluster(in_cluster(tree, look), f"{LOOPBACK}:{port}")


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Generator[Tree]:
    missing = [tool for tool in TOOLS if not cached_path(DECLARED[tool]).exists()]
    if missing and "CI" not in os.environ:
        pytest.skip(f"not built yet: {', '.join(missing)}; ./maas sandbox up --name real --operators real builds them")
    tree = tree_of(tmp_path_factory.mktemp("real"))
    code, out, err = tree.run("sandbox", "up", "--operators", "real")
    assert code == 0, out + err
    yield tree
    tree.run("down")


@pytest.fixture(scope="module")
def cluster(tree: Tree) -> Cluster:
    code, out, err = tree.run("up")
    assert code == 0, out + err
    return looked_at(tree)


def conditions(obj: Object) -> dict[str, str]:
    return {each["type"]: each["status"] for each in obj["status"]["conditions"]}


@pytest.mark.parametrize("kind", [kind for _, kind in KINDS])
def test_kuadrant_accepts_and_enforces_each_policy(cluster: Cluster, kind: str) -> None:
    status = conditions(cluster.one(kind))
    assert (status["Accepted"], status["Enforced"]) == ("True", "True"), cluster.one(kind)["status"]


@pytest.mark.parametrize("kind", ["Kuadrant", "Authorino", "Limitador"])
def test_kuadrant_and_its_services_say_that_they_are_ready(cluster: Cluster, kind: str) -> None:
    assert conditions(cluster.one(kind))["Ready"] == "True"


def test_authorino_takes_the_policy_of_every_route(cluster: Cluster) -> None:
    assert {route_of(each) for each in cluster.of("AuthConfig")} == {
        f"{namespace_of(each)}/{name_of(each)}" for each in cluster.of("HTTPRoute")
    }
    for config in cluster.of("AuthConfig"):
        assert conditions(config)["Ready"] == "True", config["status"]


def test_limitador_gets_the_limits_that_the_tiers_say(cluster: Cluster) -> None:
    settings = next(each for each in cluster.of("ConfigMap") if "limitador-config.yaml" in (each.get("data") or {}))
    limits = cast("list[Object]", yaml.safe_load(settings["data"]["limitador-config.yaml"]))
    seen = {(limit["namespace"], _kind(limit), limit["name"], limit["max_value"], limit["seconds"]) for limit in limits}
    routes = {f"{namespace_of(each)}/{name_of(each)}" for each in cluster.of("HTTPRoute")}
    wanted = {(route, *limit) for route in routes for limit in _limits()}
    assert seen == wanted
    assert len(limits) == len(wanted), "a limit that is there twice counts twice"
    assert {tuple(limit["variables"]) for limit in limits} == {('descriptors[0]["auth.identity.userid"]',)}


def test_the_gateway_filter_asks_authorino_first_and_reports_tokens_last(cluster: Cluster) -> None:
    sets = cluster.one("WasmPlugin")["spec"]["pluginConfig"]["actionSets"]
    assert sets
    for actions in (each["actions"] for each in sets):
        services = [action["service"] for action in actions]
        assert services[:2] == ["auth-service", "ratelimit-service"]
        assert services[2:] == ["ratelimit-check-service", "ratelimit-report-service"] * (len(services[2:]) // 2)
        counted = [
            data["expression"]["value"]
            for action in actions
            if action["service"] == "ratelimit-report-service"
            for conditional in action["conditionalData"]
            for data in conditional["data"]
            if data["expression"]["key"] == "ratelimit.hits_addend"
        ]
        assert counted
        assert set(counted) == {'responseBodyJSON("/usage/total_tokens")'}


def requests(keys: dict[str, str]) -> Iterator[tuple[str, str, Request]]:
    """Ninety and more requests: everybody, everywhere."""
    senders: dict[str, dict[str, str]] = {
        "nobody": {},
        "a guess": {"authorization": "Bearer maas-guess-guess-guess-guess-guess-guess"},
        "another scheme": {"authorization": f"Basic {keys['premium']}"},
        "a forger": {"authorization": f"Bearer {keys['free']}", "x-maas-userid": "premium"},
        **{user: {"authorization": f"Bearer {keys[user]}"} for user in USERS},
        "premium, in the older way": {"authorization": f"APIKEY {keys['premium']}"},
    }
    places = (
        ("POST", "/v1/chat/completions"),
        ("POST", "/v1/chat/completions?x=1"),
        ("POST", "/v1/embeddings"),
        ("GET", "/v1/models"),
        ("GET", "/health"),
    )
    for (who, headers), model, (method, target) in product(senders.items(), ("simulator", FULL), places):
        yield who, model, Request(method, f"{model}.maas.localhost", target, headers)


def test_the_real_authorino_and_our_account_of_it_answer_alike(cluster: Cluster) -> None:
    world = World.of(cluster.objects, "llm/inference-gateway")
    ours = Authorino(world.keys, world.kuadrant_namespace)
    paths = Paths(world)
    hosts = {route_of(each): each["spec"]["hosts"][0] for each in cluster.of("AuthConfig")}
    keys = {key.secret["metadata"]["labels"]["maas.kuadrant.io/user"]: key.value for key in world.keys}
    answers: dict[tuple[str, str, str], Answer] = {}
    for who, model, request in requests(keys):
        path = paths.guarded(request, case_matters=True)
        assert path is not None
        real = check(cluster.authorino, hosts[path.namespace], request)
        verdict = ours.check(effective(world, world.auth, path), request, now=_NOW)
        told = f"{who}, {request.method} {request.host}{request.target}"
        assert (real.status, _code(real.body)) == (verdict.status, _code(verdict.body)), told
        if verdict.allowed:
            assert fields_of(real.metadata.get("identity")) == verdict.metadata["identity"], told
        answers[who, model, request.target] = real
    assert len(answers) >= 60
    chat = "/v1/chat/completions"
    expected = {
        ("nobody", "simulator"): (401, "invalid_api_key"),
        ("another scheme", "simulator"): (401, "invalid_api_key"),
        ("a forger", "simulator"): (403, "forged_identity"),
        ("expired", "simulator"): (403, "key_expired"),
        ("narrow", FULL): (403, "model_not_allowed"),
        ("free", FULL): (403, "model_not_in_tier"),
        ("free", "simulator"): (200, ""),
        ("premium", FULL): (200, ""),
    }
    assert {case: (answers[*case, chat].status, _code(answers[*case, chat].body)) for case in expected} == expected


def test_an_operator_that_dies_is_started_again_and_says_that_it_is_ready(tree: Tree, cluster: Cluster) -> None:
    assert cluster.objects

    def operator() -> State:
        return next(each for each in states(tree.sandbox) if each.program == "kuadrant-operator")

    first = operator()
    assert first.pid is not None
    psutil.Process(first.pid).kill()
    deadline = time.monotonic() + PATIENCE
    while not (operator().pid not in {None, first.pid} and operator().ready):
        assert time.monotonic() < deadline, operator()
        time.sleep(0.2)
    log = (tree.sandbox.folder / "operators" / "supervisor.log").read_text()
    assert "kuadrant-operator: ended with code -9" in log


def test_a_second_up_changes_nothing_and_a_destroy_leaves_nothing(tree: Tree, cluster: Cluster) -> None:
    assert cluster.objects
    again = tree.json("up")
    assert {step["op"] for step in again["steps"]} <= {"same"}, "operators and program fight over a field"
    tree.json("destroy", "--yes")
    left = looked_at(tree)
    assert not [each for kind in ("Kuadrant", "AuthPolicy", "AuthConfig", "WasmPlugin") for each in left.of(kind)]


_NOW = 1_900_000_000.0
"""After the key that has expired, and before any other ends."""
_KIND = re.compile(r'"(tokenlimit|limit)\.')


def _kind(limit: Object) -> str:
    found = _KIND.search(limit["conditions"][0])
    assert found, limit
    return found[1]


def _limits() -> Iterator[tuple[str, str, int, int]]:
    for name, tier in TIERS.items():
        cases = {name: tier} | {f"{name}.{model}": own for model, own in tier.get("models", {}).items()}
        for limit, allowances in cases.items():
            for kind, key in (("limit", "requests"), ("tokenlimit", "tokens")):
                stated = allowances.get(key, [])
                rates = cast("list[str]", stated if isinstance(stated, list) else [stated])
                for rate in rates:
                    if rate != "unlimited":
                        amount, _, window = rate.split()
                        yield kind, limit, int(amount), SECONDS[window]
                    elif kind == "tokenlimit":
                        yield kind, limit, NEVER_REACHED, SECONDS["1m"]


def _code(body: str) -> str:
    return str(json.loads(body)["error"]["code"]) if body else ""


def route_of(config: Object) -> str:
    """Namespace and name of the route that an AuthConfig is for."""
    (said,) = config["metadata"]["annotations"].values()
    return str(said).partition(":")[2].partition("#")[0]
