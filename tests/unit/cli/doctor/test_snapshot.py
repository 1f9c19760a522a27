import asyncio
import base64
from typing import Any

import httpx
import pytest

from cli.doctor.snapshot import Listing, Snapshot, crd_name, fetch
from sandbox.kube import ApiError, Kube, Retry
from sandbox.kubeconfig import Connection

KEY = "a-key-that-nobody-must-see"


def answer(request: httpx.Request) -> httpx.Response:
    assert request.method == "GET", "the doctor changes nothing"
    resources = {
        "/api/v1": [("secrets", "Secret", True), ("nodes", "Node", False)],
        "/apis/kuadrant.io/v1": [("authpolicies", "AuthPolicy", True)],
        "/apis/apiextensions.k8s.io/v1": [("customresourcedefinitions", "CustomResourceDefinition", False)],
    }
    path = request.url.path
    body: dict[str, Any]
    if path == "/version":
        body = {"gitVersion": "v1.33.2"}
    elif path in resources:
        names = [{"name": name, "kind": kind, "namespaced": scoped} for name, kind, scoped in resources[path]]
        body = {"resources": names}
    elif path.endswith("/namespaces/keys/secrets"):
        annotations = {"kubectl.kubernetes.io/last-applied-configuration": KEY, "tier": "free"}
        data = {"api_key": base64.b64encode(KEY.encode()).decode(), "empty": ""}
        metadata = {"name": "one", "namespace": "keys", "annotations": annotations}
        body = {"metadata": {"resourceVersion": "1"}, "items": [{"metadata": metadata, "data": data}]}
    elif path.endswith("/nodes"):
        return httpx.Response(403, json={"reason": "Forbidden", "message": "nodes is forbidden"})
    elif path.endswith("/tokenratelimitpolicies.kuadrant.io"):
        versions = [{"name": "v1alpha2", "served": True}, {"name": "v1alpha1", "served": False}]
        body = {"spec": {"versions": versions}}
    else:
        return httpx.Response(404, json={"reason": "NotFound", "message": "not found"})
    return httpx.Response(200, json=body)


def read(*listings: Listing, status: int = 0) -> Snapshot:
    def transport(request: httpx.Request) -> httpx.Response:
        return httpx.Response(status, json={"message": "no"}) if status else answer(request)

    async def go() -> Snapshot:
        connection = Connection("https://cluster.example")
        retry = Retry(attempts=1)
        async with Kube(connection, transport=httpx.MockTransport(transport), retry=retry) as kube:
            return await fetch(kube, listings)

    return asyncio.run(go())


def test_values_of_secrets_are_not_in_a_snapshot() -> None:
    snapshot = read(Listing("v1", "Secret", "keys"))
    secret = snapshot.get("v1", "Secret", "one", "keys")
    assert secret is not None
    assert KEY not in str(snapshot)
    assert base64.b64encode(KEY.encode()).decode() not in str(snapshot)
    assert secret["data"]["empty"] == "", "that it is empty shows"
    assert secret["data"]["api_key"], "that it is not, too"


def test_a_kind_that_is_not_served_comes_with_the_versions_that_are() -> None:
    snapshot = read(Listing("kuadrant.io/v1alpha1", "TokenRateLimitPolicy"), Listing("serving.kserve.io/v1", "Thing"))
    assert snapshot.not_served == {
        ("kuadrant.io/v1alpha1", "TokenRateLimitPolicy"): ("v1alpha2",),
        ("serving.kserve.io/v1", "Thing"): (),
    }


def test_what_we_may_not_list_is_kept_apart_from_what_is_not_there() -> None:
    snapshot = read(Listing("v1", "Node"))
    assert snapshot.denied == {("v1", "Node"): "nodes is forbidden"}
    assert not snapshot.knows("v1", "Node")


def test_an_expired_login_is_an_error_and_no_list_of_denials() -> None:
    with pytest.raises(ApiError):
        read(Listing("v1", "Node"), status=401)


def test_the_names_of_crds_follow_the_rules_of_english() -> None:
    assert crd_name(("kuadrant.io/v1", "AuthPolicy")) == "authpolicies.kuadrant.io"
    assert crd_name(("gateway.networking.k8s.io/v1", "GatewayClass")) == "gatewayclasses.gateway.networking.k8s.io"
    assert crd_name(("gateway.networking.k8s.io/v1", "Gateway")) == "gateways.gateway.networking.k8s.io"
    assert crd_name(("kuadrant.io/v1beta1", "Kuadrant")) == "kuadrants.kuadrant.io"
