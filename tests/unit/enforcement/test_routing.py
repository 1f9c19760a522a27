from typing import Any

import pytest

from enforcement.effective import effective
from enforcement.objects import Object, World
from enforcement.request import Request
from enforcement.routing import Paths

GATEWAY: Object = {
    "kind": "Gateway",
    "metadata": {"name": "g", "namespace": "n"},
    "spec": {"listeners": [{"name": "http", "hostname": "*.a.test"}]},
}


def route(name: str, hostnames: list[str], *matches: dict[str, Any]) -> Object:
    rules = [{"matches": [match], "backendRefs": [{"name": name, "port": 80}]} for match in matches or [{}]]
    parent = {"name": "g", "namespace": "n"}
    return {
        "kind": "HTTPRoute",
        "metadata": {"name": name, "namespace": "n"},
        "spec": {"parentRefs": [parent], "hostnames": hostnames, "rules": rules},
    }


def path(kind: str, value: str, **more: str) -> dict[str, Any]:
    return {"path": {"type": kind, "value": value}, **more}


def world(*objects: Object) -> World:
    return World.of([GATEWAY, *objects], "n/g")


def taken(paths: Paths, host: str, target: str, method: str = "GET", **headers: str) -> str | None:
    found = paths.taken(Request(method, host, target, headers))
    return f"{found.route['metadata']['name']}#{found.rule_index}" if found else None


def test_the_more_specific_host_wins_and_is_never_left_for_a_wider_one() -> None:
    paths = Paths(world(route("wide", ["*.a.test"]), route("m", ["m.a.test"], path("Exact", "/v1/x"))))
    assert taken(paths, "m.a.test", "/v1/x") == "m#0"
    assert taken(paths, "other.a.test", "/v1/x") == "wide#0"
    assert taken(paths, "m.a.test", "/other") is None


@pytest.mark.parametrize(
    ("target", "method", "rule"),
    [
        ("/v1/models", "GET", "m#1"),
        ("/v1/models/x", "GET", "m#2"),
        ("/v1", "GET", "m#3"),
        ("/v1/modelsx", "GET", "m#3"),
        ("/v1/models", "POST", "m#0"),
        ("/v2", "GET", None),
        ("/v1/models?limit=1", "GET", "m#1"),
        ("//v1/models", "GET", None),
    ],
)
def test_exact_paths_come_before_prefixes_and_prefixes_end_at_a_slash(
    target: str, method: str, rule: str | None
) -> None:
    matches = [
        path("Exact", "/v1/models", method="POST"),
        path("Exact", "/v1/models"),
        path("PathPrefix", "/v1/models"),
        path("PathPrefix", "/v1/"),
    ]
    assert taken(Paths(world(route("m", ["m.a.test"], *matches))), "m.a.test", target, method) == rule


def test_envoy_finds_a_host_in_any_case_and_the_filter_only_as_it_is_written() -> None:
    paths = Paths(world(route("m", ["m.a.test"])))
    request = Request("GET", "m.A.test", "/")
    assert paths.taken(request) is not None
    assert paths.guarded(request, case_matters=True) is None
    assert paths.guarded(request, case_matters=False) is not None


def test_a_route_without_hostnames_has_the_listeners_and_one_outside_of_it_has_none() -> None:
    paths = Paths(world(route("all", []), route("outside", ["m.b.test"])))
    assert [each.hostname for each in paths] == ["*.a.test"]


def policy(kind: str, target: str, name: str, spec: dict[str, Any], created: str = "2026-01-01T00:00:00Z") -> Object:
    ref = {"kind": target, "name": {"Gateway": "g", "HTTPRoute": "m"}[target]}
    metadata = {"name": name, "namespace": "n", "creationTimestamp": created}
    return {"kind": kind, "metadata": metadata, "spec": {"targetRef": ref, **spec}}


def limits(*names: str) -> dict[str, Any]:
    return {"limits": {name: {"rates": [{"limit": 1, "window": "1m"}]} for name in names}}


def effective_limits(*policies: Object) -> list[str]:
    everything = world(route("m", ["m.a.test"]), *policies)
    return list(effective(everything, everything.tokens, next(iter(Paths(everything)))).section("limits"))


TRLP = "TokenRateLimitPolicy"


def test_a_routes_policy_replaces_the_gateways_whole() -> None:
    gateway = policy(TRLP, "Gateway", "wide", limits("a", "b"))
    assert effective_limits(gateway) == ["a", "b"]
    assert effective_limits(gateway, policy(TRLP, "HTTPRoute", "near", limits("c"))) == ["c"]


def test_overrides_of_the_gateway_win_over_the_routes() -> None:
    gateway = policy(TRLP, "Gateway", "wide", {"overrides": limits("a")})
    assert effective_limits(gateway, policy(TRLP, "HTTPRoute", "near", limits("c"))) == ["a"]


@pytest.mark.parametrize("section", ["defaults", "overrides"])
def test_merged_policies_keep_the_rules_of_both(section: str) -> None:
    gateway = policy(TRLP, "Gateway", "wide", {section: {"strategy": "merge", **limits("a")}})
    assert effective_limits(gateway, policy(TRLP, "HTTPRoute", "near", limits("c"))) == ["a", "c"]


def test_of_two_policies_on_one_target_the_newer_holds_alone() -> None:
    old = policy(TRLP, "HTTPRoute", "old", limits("old"), "2026-01-01T00:00:00Z")
    new = policy(TRLP, "HTTPRoute", "new", limits("new"), "2026-02-01T00:00:00Z")
    assert effective_limits(new, old) == effective_limits(old, new) == ["new"]
