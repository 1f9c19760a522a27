"""The doctor on a running cluster that is broken in one way after the other: it names that one thing, nothing else."""

import asyncio
import base64
import json
import os
import subprocess
import time
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from cli.doctor.command import examine, program
from cli.doctor.findings import Finding, Level
from sandbox import processes
from sandbox.contents import nodes
from sandbox.instance import Sandbox
from sandbox.kube import Kube
from tests.keys import key_secret

pytestmark = [pytest.mark.sandbox, pytest.mark.timeout(1800)]

ROOT = Path(__file__).resolve().parents[2]
MANAGER = "test-of-the-doctor"
PATIENCE = 40.0
"""Seconds within which a breakage, or its repair, has worked through the controllers."""
KEYS = "kuadrant-system"
GATEWAY_API = "gateway.networking.k8s.io/v1"
TOKEN_LIMITS = ("kuadrant.io/v1alpha1", "TokenRateLimitPolicy", "gateway-token-limits", "llm")

Manifest = dict[str, Any]
Breakage = Callable[[Kube, Sandbox], AbstractAsyncContextManager[None]]


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Generator[Sandbox]:
    """The sandbox's stack, deployed once for all tests of this file."""
    home = tmp_path_factory.mktemp("doctor")
    environment = {**os.environ, "MAAS_HOME": str(home), "MAAS_PROVIDER": "stand-in"}

    def maas(*words: str) -> subprocess.CompletedProcess[str]:
        command = [str(ROOT / "maas"), *words]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)  # noqa: S603

    try:
        done = maas("up")
        assert done.returncode == 0, done.stdout + done.stderr
        yield Sandbox.open("sandbox", home)
    finally:
        maas("down")


@pytest.fixture(scope="module")
def stack() -> tuple[Any, Any]:
    return program("sandbox")


def bad(findings: tuple[Finding, ...]) -> list[str]:
    return [each.object for each in findings if each.level in (Level.PROBLEM, Level.WARNING)]


async def settled(sandbox: Sandbox, stack: tuple[Any, Any], wanted: list[str]) -> tuple[Finding, ...]:
    """What the doctor says once it says what is wanted; or what it says last."""
    deadline = time.monotonic() + PATIENCE
    while True:
        _, findings = await examine("sandbox", *stack, sandbox.kubeconfig)
        if bad(findings) == wanted or time.monotonic() > deadline:
            return findings
        await asyncio.sleep(1)


def told(findings: tuple[Finding, ...]) -> str:
    return "\n".join(f"{each.level} {each.object}: {each.message}" for each in findings if each.level is not Level.OK)


async def read(kube: Kube, *where: str) -> Manifest:
    found = await kube.get(*where)
    assert found is not None, where
    return found


def anew(obj: Manifest) -> Manifest:
    """The object as it can be created again."""
    metadata = {
        key: obj["metadata"][key] for key in ("name", "namespace", "labels", "annotations") if key in obj["metadata"]
    }
    return {key: value for key, value in obj.items() if key != "status"} | {"metadata": metadata}


@asynccontextmanager
async def still(sandbox: Sandbox) -> AsyncGenerator[None]:
    """Hold kwok still, which would put a status right at once. Not for long: its nodes' heartbeats stop, too."""
    players = [each for each in processes.owned_by(sandbox.folder) if processes.name_of(each) == "kwok-controller"]
    assert players, "kwok plays the operators"
    for each in players:
        each.suspend()
    try:
        yield
    finally:
        for each in players:
            each.resume()


def deleted(*where: str) -> Breakage:
    @asynccontextmanager
    async def broken(kube: Kube, _: Sandbox) -> AsyncGenerator[None]:
        found = await read(kube, *where)
        await kube.delete(*where)
        try:
            yield
        finally:
            await kube.create(anew(found), field_manager=MANAGER)

    return broken


def created(*objects: Manifest) -> Breakage:
    @asynccontextmanager
    async def broken(kube: Kube, _: Sandbox) -> AsyncGenerator[None]:
        for each in objects:
            await kube.create(each, field_manager=MANAGER)
        try:
            yield
        finally:
            for each in objects:
                metadata = each["metadata"]
                await kube.delete(each["apiVersion"], each["kind"], metadata["name"], metadata.get("namespace"))

    return broken


def patched(where: tuple[str, ...], wrong: Manifest, right: Manifest) -> Breakage:
    api_version, kind, name, *namespace = where

    @asynccontextmanager
    async def broken(kube: Kube, _: Sandbox) -> AsyncGenerator[None]:
        space = namespace[0] if namespace else None
        await kube.patch(api_version, kind, name, wrong, space, field_manager=MANAGER)
        try:
            yield
        finally:
            await kube.patch(api_version, kind, name, right, space, field_manager=MANAGER)

    return broken


def condition(where: tuple[str, ...], type_: str, reason: str) -> Breakage:
    """One condition false, for the object as it is now."""

    @asynccontextmanager
    async def broken(kube: Kube, sandbox: Sandbox) -> AsyncGenerator[None]:
        async with still(sandbox):
            before = await read(kube, *where)
            now = json.loads(json.dumps(before))
            status = now["status"]
            holders = status.get("parents", [status])
            for each in (each for holder in holders for each in holder["conditions"] if each["type"] == type_):
                each |= {"status": "False", "reason": reason, "message": "by the test"}
            await kube.replace(now, field_manager=MANAGER, subresource="status")
            try:
                yield
            finally:
                after = await read(kube, *where)
                await kube.replace(after | {"status": before["status"]}, field_manager=MANAGER, subresource="status")

    return broken


@asynccontextmanager
async def without_gpu_label(kube: Kube, sandbox: Sandbox) -> AsyncGenerator[None]:
    """No node has the label that the model asks for, and its pod has to find a place anew."""
    del sandbox
    label = "nvidia.com/gpu.present"

    async def label_nodes(value: str | None) -> None:
        for node in (each["metadata"] for each in nodes()):
            change = {"metadata": {"labels": {label: value}}}
            if label in node["labels"]:
                await kube.patch("v1", "Node", node["name"], change, field_manager=MANAGER)

    await label_nodes(None)
    try:
        for pod in await kube.list("v1", "Pod", "llm", "serving.kserve.io/inferenceservice=qwen3"):
            await kube.delete("v1", "Pod", pod["metadata"]["name"], "llm")
        yield
    finally:
        await label_nodes("true")


@asynccontextmanager
async def one_key_for_two(kube: Kube, sandbox: Sandbox) -> AsyncGenerator[None]:
    del sandbox
    one, other = [await read(kube, "v1", "Secret", key_secret(name), KEYS) for name in ("freeuser1", "freeuser2")]
    name, before = other["metadata"]["name"], {"data": other["data"]}
    await kube.patch("v1", "Secret", name, {"data": one["data"]}, KEYS, field_manager=MANAGER)
    try:
        yield
    finally:
        await kube.patch("v1", "Secret", name, before, KEYS, field_manager=MANAGER)


@asynccontextmanager
async def other_kserve_settings(kube: Kube, sandbox: Sandbox) -> AsyncGenerator[None]:
    del sandbox
    where = ("v1", "ConfigMap", "inferenceservice-config", "kserve")
    before = await read(kube, *where)
    wrong = {"data": {"deploy": json.dumps({"defaultDeploymentMode": "Serverless"})}}
    await kube.patch(*where[:3], wrong, where[3], field_manager=MANAGER)
    try:
        yield
    finally:
        await kube.patch(*where[:3], {"data": before["data"]}, where[3], field_manager=MANAGER)


def labels(value: str | None) -> Manifest:
    return {"metadata": {"labels": {"authorino.kuadrant.io/managed-by": value}}}


def tier(value: str) -> Manifest:
    return {"metadata": {"annotations": {"kuadrant.io/groups": value}}}


def group(name: str) -> Manifest:
    metadata = {"name": name, "namespace": KEYS}
    return {"apiVersion": "operators.coreos.com/v1", "kind": "OperatorGroup", "metadata": metadata, "spec": {}}


ODH = {
    "apiVersion": "admissionregistration.k8s.io/v1",
    "kind": "MutatingWebhookConfiguration",
    "metadata": {"name": "mutating.odh-model-controller.opendatahub.io"},
    "webhooks": [
        {
            "name": "minferenceservice-v1beta1.odh-model-controller.opendatahub.io",
            "admissionReviewVersions": ["v1"],
            "sideEffects": "None",
            "failurePolicy": "Ignore",
            "timeoutSeconds": 1,
            "clientConfig": {"service": {"name": "odh-model-controller-webhook-service", "namespace": "opendatahub"}},
            "rules": [
                {
                    "apiGroups": ["serving.kserve.io"],
                    "apiVersions": ["v1beta1"],
                    "operations": ["CREATE"],
                    "resources": ["inferenceservices"],
                }
            ],
        }
    ],
}
RIVAL = {
    "apiVersion": "kuadrant.io/v1",
    "kind": "RateLimitPolicy",
    "metadata": {"name": "rival", "namespace": "llm"},
    "spec": {
        "targetRef": {"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": "simulator"},
        "limits": {"all": {"rates": [{"limit": 1, "window": "1m"}]}},
    },
}
CONTROLLER = ("apps/v1", "Deployment", "kserve-controller-manager", "kserve")
GATEWAY = (GATEWAY_API, "Gateway", "inference-gateway", "llm")
KEY = ("v1", "Secret", key_secret("freeuser1"), KEYS)
LIMITADOR = ("limitador.kuadrant.io/v1alpha1", "Limitador", "limitador", KEYS)

BREAKAGES: dict[str, tuple[Breakage, str]] = {
    "class deleted": (deleted(GATEWAY_API, "GatewayClass", "istio"), "GatewayClass istio"),
    "class wrong": (
        patched(GATEWAY, {"spec": {"gatewayClassName": "other"}}, {"spec": {"gatewayClassName": "istio"}}),
        "Gateway llm/inference-gateway",
    ),
    "kuadrant misses something": (
        condition(("kuadrant.io/v1beta1", "Kuadrant", "kuadrant", KEYS), "Ready", "MissingDependency"),
        f"Kuadrant {KEYS}/kuadrant",
    ),
    "policy overridden": (
        condition(("kuadrant.io/v1", "AuthPolicy", "gateway-auth", "llm"), "Enforced", "Overridden"),
        "AuthPolicy llm/gateway-auth",
    ),
    "expression invalid": (
        condition(TOKEN_LIMITS, "Enforced", "InvalidCelExpression"),
        "TokenRateLimitPolicy llm/gateway-token-limits",
    ),
    "rival policy": (created(RIVAL), "RateLimitPolicy llm/rival"),
    "key without label": (patched(KEY, labels(None), labels("authorino")), f"Secret {KEYS}/{KEY[2]}"),
    "key of another tier": (patched(KEY, tier("enterprise"), tier("free")), f"Secret {KEYS}/{KEY[2]}"),
    "key deleted": (deleted(*KEY), f"Secret {KEYS}/{KEY[2]}"),
    "one key for two": (one_key_for_two, f"Secret {KEYS}/{KEY[2]}"),
    "kserve scaled to 0": (
        patched(CONTROLLER, {"spec": {"replicas": 0}}, {"spec": {"replicas": 1}}),
        "Deployment kserve/kserve-controller-manager",
    ),
    "kserve's settings": (other_kserve_settings, "ConfigMap kserve/inferenceservice-config"),
    "no node for a model": (without_gpu_label, "InferenceService llm/qwen3"),
    "OpenDataHub's webhook": (
        created(ODH),
        "MutatingWebhookConfiguration mutating.odh-model-controller.opendatahub.io",
    ),
    "route leads nowhere": (
        condition((GATEWAY_API, "HTTPRoute", "simulator", "llm"), "ResolvedRefs", "BackendNotFound"),
        "HTTPRoute llm/simulator",
    ),
    "two operator groups": (created(group("one"), group("two")), f"OperatorGroup {KEYS}/one, two"),
    "limiter not ready": (condition(LIMITADOR, "Ready", "LimitadorNotReady"), f"Limitador {KEYS}/limitador"),
}


def test_a_deployed_sandbox_is_well(sandbox: Sandbox, stack: tuple[Any, Any]) -> None:
    findings = asyncio.run(settled(sandbox, stack, []))
    assert bad(findings) == [], told(findings)
    _, objects = stack
    said = [f"{each.object}: {each.message}" for each in findings]
    assert f"stack sandbox: {len(objects)} objects are as the stack says" in said, "all were found"


def test_it_logs_in_with_the_program_that_a_kubeconfig_names(
    sandbox: Sandbox, stack: tuple[Any, Any], tmp_path: Path
) -> None:
    config = yaml.safe_load(sandbox.kubeconfig.read_text(encoding="utf-8"))
    user = config["users"][0]["user"]
    pem = {
        name: base64.b64decode(user[f"{key}-data"]).decode()
        for name, key in (("clientCertificateData", "client-certificate"), ("clientKeyData", "client-key"))
    }
    version = "client.authentication.k8s.io/v1"
    answer = {"apiVersion": version, "kind": "ExecCredential", "status": pem}
    (tmp_path / "answer.json").write_text(json.dumps(answer), encoding="utf-8")
    plugin = {"apiVersion": version, "command": "cat", "args": [str(tmp_path / "answer.json")]}
    config["users"][0]["user"] = {"exec": plugin}
    path = tmp_path / "kubeconfig"
    path.write_text(json.dumps(config), encoding="utf-8")
    _, findings = asyncio.run(examine("sandbox", *stack, path))
    assert bad(findings) == [], told(findings)
    assert len(findings) > 10


@pytest.mark.parametrize(("breakage", "named"), BREAKAGES.values(), ids=BREAKAGES)
def test_one_breakage_is_named_and_nothing_else(
    sandbox: Sandbox, stack: tuple[Any, Any], breakage: Breakage, named: str
) -> None:
    async def go() -> None:
        async with Kube.connect(sandbox.kubeconfig) as kube:
            async with breakage(kube, sandbox):
                broken = await settled(sandbox, stack, [named])
            repaired = await settled(sandbox, stack, [])
        assert bad(broken) == [named], told(broken)
        assert bad(repaired) == [], f"undone, so well again\n{told(repaired)}"

    asyncio.run(go())


def test_the_command_says_it_in_json_and_by_its_exit_code(sandbox: Sandbox) -> None:
    environment = {**os.environ, "MAAS_HOME": str(sandbox.folder.parent)}
    command = [str(ROOT / "maas"), "doctor", "--json"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)  # noqa: S603
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["result"] == "ok"
