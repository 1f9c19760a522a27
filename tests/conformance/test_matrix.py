"""Every scenario on the real operators: accepted, programmed, derived as the tiers say, and answered as we say."""

import re
import time
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

import pytest
import yaml

from config.figures import NEVER_REACHED
from enforcement.authentication import Authorino
from enforcement.effective import effective, policy_rules
from enforcement.objects import World, fields_of, is_parent, name_of, namespace_of
from enforcement.routing import Paths
from sandbox.kube import Kube
from tests.conformance.ext_authz import Answer, check
from tests.conformance.issuer import Issuer, issuer
from tests.conformance.scenarios import SCENARIOS, Known, Scenario, code_of
from tests.conformance.stack import (
    GATEWAY,
    PATIENCE,
    POLICIES,
    Cluster,
    Object,
    conditions,
    deploy,
    look,
    parents,
)
from tests.tree import UP_SECONDS, Tree, in_cluster

pytestmark = [pytest.mark.sandbox, pytest.mark.timeout(UP_SECONDS)]

SECONDS = {"s": 1, "m": 60, "h": 3600}


@dataclass(frozen=True)
class Deployed:
    """A scenario that is up."""

    scenario: Scenario
    settings: Mapping[str, Any]
    cluster: Cluster
    known: Known


@pytest.fixture(scope="session")
def provider() -> Generator[Issuer]:
    with issuer() as found:
        yield found


@pytest.fixture(scope="module", params=list(SCENARIOS.values()), ids=list(SCENARIOS))
def deployed(tree: Tree, provider: Issuer, request: pytest.FixtureRequest) -> Deployed:
    scenario: Scenario = request.param

    async def prepare(kube: Kube) -> None:
        for obj in scenario.before:
            await kube.apply(obj, field_manager="test", force=True)

    in_cluster(tree, prepare)
    settings = scenario.settings(provider.url)
    deploy(tree, settings)
    cluster = settled(tree)
    return Deployed(scenario, settings, cluster, scenario.known(tree, cluster, provider))


def settled(tree: Tree) -> Cluster:
    """What is on the cluster when Kuadrant has followed, or when it should have.

    It takes `Enforced` back for each route that comes or goes, until Authorino and Limitador know of it; and models'
    routes come after the policies.
    """
    deadline = time.monotonic() + PATIENCE
    while True:
        cluster = look(tree)
        enforced = all(conditions(cluster.one(kind)).get("Enforced") == "True" for kind in POLICIES)
        routes = routes_of(cluster)
        known = {route_of(each) for each in cluster.of("AuthConfig")} == {full_name(each) for each in routes}
        if (enforced and known and filtered_hosts(cluster) == hostnames(routes)) or time.monotonic() > deadline:
            return cluster
        time.sleep(0.5)


@pytest.mark.parametrize("kind", POLICIES)
def test_kuadrant_accepts_and_enforces_each_policy(deployed: Deployed, kind: str) -> None:
    status = conditions(deployed.cluster.one(kind))
    assert (status["Accepted"], status["Enforced"]) == ("True", "True"), deployed.cluster.one(kind)["status"]


@pytest.mark.parametrize("kind", ["Kuadrant", "Authorino", "Limitador"])
def test_kuadrant_and_its_services_say_that_they_are_ready(deployed: Deployed, kind: str) -> None:
    assert conditions(deployed.cluster.one(kind))["Ready"] == "True"


def test_istio_programs_the_gateway_and_takes_every_route(deployed: Deployed) -> None:
    routes = deployed.cluster.of("HTTPRoute")
    for gateway in deployed.cluster.of("Gateway"):
        status = conditions(gateway)
        assert (status["Accepted"], status["Programmed"]) == ("True", "True"), gateway["status"]
        (listener,) = gateway["status"]["listeners"]
        assert conditions({"status": listener})["ResolvedRefs"] == "True", listener
        assert listener["attachedRoutes"] == sum(is_parent(gateway, route) for route in routes)
    for route in routes:
        (said,) = parents(route)
        assert (said["Accepted"], said["ResolvedRefs"]) == ("True", "True"), route["status"]


def test_kserve_makes_what_serves_each_model(deployed: Deployed) -> None:
    services = deployed.cluster.of("InferenceService")
    assert {name_of(each) for each in services} == set(deployed.scenario.models)
    for each in services:
        assert conditions(each)["Ready"] == "True", each["status"]


def test_limitador_counts_where_the_stack_says_and_as_often(deployed: Deployed) -> None:
    wanted = deployed.settings.get("maas:limiter", {})
    spec = deployed.cluster.named("Deployment", "limitador-limitador", "kuadrant-system")["spec"]
    (container,) = spec["template"]["spec"]["containers"]
    assert spec["replicas"] == wanted.get("replicas", 1)
    assert ("redis" in container["command"], "memory" in container["command"]) == (bool(wanted), not wanted)


def test_certificates_are_issued(deployed: Deployed) -> None:
    for each in deployed.cluster.of("Certificate"):
        assert conditions(each)["Ready"] == "True", each["status"]


def test_authorino_takes_the_policy_of_every_route(deployed: Deployed) -> None:
    configs = deployed.cluster.of("AuthConfig")
    assert {route_of(each) for each in configs} == {full_name(each) for each in routes_of(deployed.cluster)}
    for config in configs:
        assert conditions(config)["Ready"] == "True", config["status"]


def test_limitador_gets_the_limits_that_the_tiers_say(deployed: Deployed) -> None:
    settings = next(
        each for each in deployed.cluster.of("ConfigMap") if "limitador-config.yaml" in (each.get("data") or {})
    )
    limits = cast("list[Object]", yaml.safe_load(settings["data"]["limitador-config.yaml"]))
    seen = {
        (limit["namespace"], kind_of(limit), limit["name"], limit["max_value"], limit["seconds"]) for limit in limits
    }
    routes = [full_name(each) for each in routes_of(deployed.cluster)]
    wanted = {(route, *limit) for route in routes for limit in limits_of(deployed.scenario)}
    assert seen == wanted
    assert len(limits) == len(wanted), "a limit that is there twice counts twice"
    assert {tuple(limit["variables"]) for limit in limits} == {('descriptors[0]["auth.identity.userid"]',)}


def test_the_gateway_filter_asks_authorino_first_and_reports_tokens_last(deployed: Deployed) -> None:
    sets = deployed.cluster.one("WasmPlugin")["spec"]["pluginConfig"]["actionSets"]
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


def test_the_gateway_filter_counts_by_each_limit_when_the_policy_says_so_and_on_every_route(
    deployed: Deployed,
) -> None:
    policies = (("limit", "RateLimitPolicy", 1), ("tokenlimit", "TokenRateLimitPolicy", 2))
    wanted = {
        f"{prefix}.{_NOT_IN_NAMES.sub('_', name.partition('/')[2])}": (
            [tuple(each["predicate"] for each in limit["when"])] * times,
            [each["expression"] for each in limit["counters"]],
        )
        for prefix, kind, times in policies
        for name, limit in policy_rules(deployed.cluster.one(kind)).items()
    }
    sets = deployed.cluster.one("WasmPlugin")["spec"]["pluginConfig"]["actionSets"]
    for each in sets:
        seen: dict[str, tuple[list[tuple[str, ...]], list[str]]] = {}
        for said in (said for action in each["actions"] for said in action.get("conditionalData", [])):
            first, *counters = [data["expression"]["key"] for data in said["data"]]
            predicates, _ = seen.setdefault(
                first.rpartition("__")[0], ([], [key for key in counters if key != "ratelimit.hits_addend"])
            )
            predicates.append(tuple(said["predicates"]))
        assert seen == wanted, each["routeRuleConditions"]
    assert filtered_hosts(deployed.cluster) == hostnames(routes_of(deployed.cluster))


def test_the_real_authorino_and_our_account_of_it_answer_alike(deployed: Deployed) -> None:
    scenario, cluster, known = deployed.scenario, deployed.cluster, deployed.known
    world = World.of(cluster.objects, GATEWAY)
    ours = Authorino(world.keys, world.kuadrant_namespace, known.tokens)
    paths = Paths(world)
    hosts = hosts_of(cluster)
    answers: dict[tuple[str, str], Answer] = {}
    asked = 0
    for who, model, request in scenario.requests(known.senders):
        path = paths.guarded(request, case_matters=True)
        assert path is not None
        real = check(cluster.authorino, hosts[path.namespace, path.rule_index], request)
        verdict = ours.check(effective(world, world.auth, path), request, now=time.time())
        told = f"{who}, {request.method} {request.host}{request.target}"
        assert (real.status, code_of(real.body)) == (verdict.status, code_of(verdict.body)), told
        if verdict.allowed:
            assert fields_of(real.metadata.get("identity")) == verdict.metadata["identity"], told
        if request.target.endswith("/chat/completions"):
            answers[who, model] = real
        asked += 1
    assert asked >= (60 if len(scenario.models) > 1 else 25)
    assert {case: answers[case].status for case in scenario.expected} == scenario.expected


_NOT_IN_NAMES = re.compile(r"[^a-zA-Z0-9_]")
"""What Kuadrant does not take over from a limit's name; it adds a hash of the name."""
_KIND = re.compile(r'"(tokenlimit|limit)\.')


def kind_of(limit: Object) -> str:
    """Whether a limit of Limitador's counts requests (limit) or tokens (tokenlimit)."""
    found = _KIND.search(limit["conditions"][0])
    assert found, limit
    return found[1]


def limits_of(scenario: Scenario) -> Iterator[tuple[str, str, int, int]]:
    """What the tiers say, as Limitador has to have it on each route: what is counted, name, amount, seconds."""
    for name, tier in scenario.tiers.items():
        cases = {name: tier} | {f"{name}.{model}": own for model, own in tier.get("models", {}).items()}
        for limit, allowances in cases.items():
            for kind, key in (("limit", "requests"), ("tokenlimit", "tokens")):
                stated = allowances.get(key, [])
                rates = cast("list[str]", stated if isinstance(stated, list) else [stated])
                for rate in rates:
                    if rate != "unlimited":
                        amount, _, window = rate.split()
                        yield kind, limit, int(amount), int(window[:-1]) * SECONDS[window[-1]]
                    elif kind == "tokenlimit":
                        yield kind, limit, NEVER_REACHED, SECONDS["m"]


def routes_of(cluster: Cluster) -> list[Object]:
    """Every route on the gateway that has the policies."""
    namespace, _, name = GATEWAY.partition("/")
    gateway = cluster.named("Gateway", name, namespace)
    return [each for each in cluster.of("HTTPRoute") if is_parent(gateway, each)]


def hostnames(routes: list[Object]) -> set[str]:
    """Every host that one of the routes is for."""
    return {host for route in routes for host in route["spec"]["hostnames"]}


def filtered_hosts(cluster: Cluster) -> set[str]:
    """Every host that the gateway's filter has something to do for."""
    sets = [each for plugin in cluster.of("WasmPlugin") for each in plugin["spec"]["pluginConfig"]["actionSets"]]
    return {host for each in sets for host in each["routeRuleConditions"]["hostnames"]}


def full_name(obj: Object) -> str:
    """Namespace and name."""
    return f"{namespace_of(obj)}/{name_of(obj)}"


def rule_of(config: Object) -> tuple[str, int]:
    """Namespace and name of the route that an AuthConfig is for, and which of its rules, from 0."""
    (said,) = config["metadata"]["annotations"].values()
    route, _, rule = str(said).partition(":")[2].partition("#")
    return route, int(rule.removeprefix("rule-")) - 1


def route_of(config: Object) -> str:
    """Namespace and name of the route that an AuthConfig is for."""
    return rule_of(config)[0]


def hosts_of(cluster: Cluster) -> dict[tuple[str, int], str]:
    """What the gateway's filter calls each AuthConfig by, by route and rule."""
    return {rule_of(each): each["spec"]["hosts"][0] for each in cluster.of("AuthConfig")}
