"""The control plane, with the real programs: it starts, plays the operators, is repaired, leaves nothing behind."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Generator
from pathlib import Path
from typing import Any, TypeVar, cast

import psutil
import pytest
import yaml

from sandbox import contents, control_plane, crds, lifecycle, processes, toolbox
from sandbox.instance import LOOPBACK, Sandbox, port_is_free
from sandbox.kube import Kube, conditions
from sandbox.progress import Silent
from tests.tree import with_kube

pytestmark = pytest.mark.sandbox

Object = dict[str, Any]
T = TypeVar("T")
OBJECTS = [
    document
    for document in yaml.safe_load_all((Path(__file__).parent / "objects.yaml").read_text(encoding="utf-8"))
    if document
]
PATIENCE = 30.0
QUIET_SECONDS = 4.0


class Ignored:
    """A step that nobody watches."""

    def update(self, detail: str, done: int | None = None, total: int | None = None) -> None:
        del detail, done, total


async def until(what: str, check: Callable[[], Coroutine[Any, Any, T | None]]) -> T:
    """Ask again until there is an answer; fails with what was waited for."""
    deadline = time.monotonic() + PATIENCE
    while True:
        answer = await check()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"not within {PATIENCE:.0f} s: {what}"
        await asyncio.sleep(0.1)


def identity(obj: Object) -> tuple[str, str, str, str | None]:
    return obj["apiVersion"], obj["kind"], obj["metadata"]["name"], obj["metadata"].get("namespace")


def true_conditions(obj: Object | None) -> set[str]:
    """The conditions that are true and, where they say so, for the present generation."""
    if obj is None:
        return set()
    generation = obj["metadata"].get("generation")
    return {
        condition["type"]
        for condition in conditions(obj)
        if condition["status"] == "True" and condition.get("observedGeneration", generation) == generation
    }


def status_of(obj: Object | None) -> Object:
    return cast("Object", (obj or Object()).get("status") or Object())


EXPECTED: dict[str, set[str]] = {
    "Gateway": {"Accepted", "Programmed"},
    "Kuadrant": {"Ready"},
    "AuthPolicy": {"Accepted", "Enforced"},
    "RateLimitPolicy": {"Accepted", "Enforced"},
    "TokenRateLimitPolicy": {"Accepted", "Enforced"},
    "TelemetryPolicy": {"Accepted", "Enforced"},
    "InferenceService": {"Ready", "PredictorReady", "IngressReady"},
    "Certificate": {"Ready"},
    "Issuer": {"Ready"},
    "ClusterIssuer": {"Ready"},
    "GrafanaDashboard": {"DashboardSynchronized"},
    "GrafanaDatasource": {"DatasourceSynchronized"},
    "GrafanaFolder": {"FolderSynchronized"},
    "Job": {"Complete"},
}


@pytest.fixture(scope="module")
def played(sandbox_instance: Sandbox) -> Generator[Sandbox]:
    """The shared sandbox with one object of each kind that a stage knows; they are gone afterwards."""

    async def create(kube: Kube) -> None:
        for obj in OBJECTS:
            await kube.apply(obj, field_manager="test", strict=True)

    async def remove(kube: Kube) -> None:
        for obj in reversed(OBJECTS):
            await kube.delete(*identity(obj))
        for obj in OBJECTS:
            await until(f"{identity(obj)} is gone", lambda obj=obj: gone(kube, obj))

    with_kube(sandbox_instance, create)
    yield sandbox_instance
    with_kube(sandbox_instance, remove)


async def gone(kube: Kube, obj: Object) -> bool:
    return await kube.get(*identity(obj)) is None


def test_every_crd_of_the_bundle_is_served(sandbox_instance: Sandbox) -> None:
    bundle = crds.bundle(Silent())
    names = {str(crd["metadata"]["name"]) for crd in bundle.crds}
    needed = {
        *(
            f"{kind}.kuadrant.io"
            for kind in ("kuadrants", "authpolicies", "ratelimitpolicies", "tokenratelimitpolicies")
        ),
        "telemetrypolicies.extensions.kuadrant.io",
        *(f"{kind}.gateway.networking.k8s.io" for kind in ("gatewayclasses", "gateways", "httproutes")),
        *(f"{kind}.serving.kserve.io" for kind in ("inferenceservices", "servingruntimes")),
        *(f"{kind}.monitoring.coreos.com" for kind in ("servicemonitors", "podmonitors", "prometheusrules")),
        "grafanadashboards.grafana.integreatly.org",
        "subscriptions.operators.coreos.com",
        "routes.route.openshift.io",
        "securitycontextconstraints.security.openshift.io",
        "certificates.cert-manager.io",
        *(f"{kind}.istio.io" for kind in ("wasmplugins.extensions", "envoyfilters.networking")),
    }
    assert needed <= names, f"the program needs {needed - names}"
    with_kube(sandbox_instance, lambda kube: crds.wait_until_served(kube, bundle.crds, timeout_seconds=1))


@pytest.mark.parametrize("kind", sorted(EXPECTED))
def test_a_stage_gives_each_kind_its_conditions(played: Sandbox, kind: str) -> None:
    objects = [obj for obj in OBJECTS if obj["kind"] == kind]
    assert objects, f"objects.yaml has no {kind}"

    async def check(kube: Kube) -> None:
        for obj in objects:

            async def enough(obj: Object = obj) -> bool:
                return EXPECTED[kind] <= true_conditions(await kube.get(*identity(obj)))

            await until(f"{kind} has {EXPECTED[kind]}", enough)

    with_kube(played, check)


def test_a_gateway_has_an_address_and_a_status_for_each_listener(played: Sandbox) -> None:
    async def check(kube: Kube) -> None:
        async def programmed() -> Object | None:
            found = await kube.get("gateway.networking.k8s.io/v1", "Gateway", "inference-gateway", "stages")
            return found if "Programmed" in true_conditions(found) else None

        gateway = await until("the gateway is programmed", programmed)
        assert gateway["status"]["addresses"] == [{"type": "IPAddress", "value": LOOPBACK}], "only loopback can answer"
        assert [listener["name"] for listener in gateway["status"]["listeners"]] == ["http", "https"]

    with_kube(played, check)


def test_a_route_is_accepted_for_each_of_its_parents(played: Sandbox) -> None:
    async def check(kube: Kube) -> None:
        async def accepted() -> list[Object] | None:
            route = await kube.get("gateway.networking.k8s.io/v1", "HTTPRoute", "route", "stages")
            return status_of(route).get("parents")

        parents = await until("the route has parents", accepted)
        assert [parent["parentRef"]["sectionName"] for parent in parents] == ["http", "https"]
        for parent in parents:
            assert parent["controllerName"] == "istio.io/gateway-controller"
            assert {c["type"]: c["status"] for c in parent["conditions"]} == {
                "Accepted": "True",
                "ResolvedRefs": "True",
            }

    with_kube(played, check)


def test_an_openshift_route_is_admitted_for_its_host(played: Sandbox) -> None:
    async def check(kube: Kube) -> None:
        async def admitted() -> list[Object] | None:
            route = await kube.get("route.openshift.io/v1", "Route", "with-host", "stages")
            return status_of(route).get("ingress")

        (ingress,) = await until("the route is admitted", admitted)
        assert ingress["host"] == "a.example.com"
        assert ingress["conditions"][0]["type"] == "Admitted"

    with_kube(played, check)


def test_a_load_balancer_has_an_address_and_a_claim_a_volume(played: Sandbox) -> None:
    async def check(kube: Kube) -> None:
        async def address() -> Object | None:
            service = await kube.get("v1", "Service", "load-balancer", "stages")
            return status_of(service).get("loadBalancer", {}).get("ingress")

        async def bound() -> bool:
            claim = await kube.get("v1", "PersistentVolumeClaim", "claim", "stages")
            return bool(claim) and claim["status"].get("phase") == "Bound"

        assert await until("the service has an address", address) == [{"ip": LOOPBACK, "ipMode": "VIP"}]
        await until("the claim is bound", bound)

    with_kube(played, check)


def test_kuadrant_brings_its_limiter_and_its_authorizer(played: Sandbox) -> None:
    async def check(kube: Kube) -> None:
        for api_version, kind in (
            ("limitador.kuadrant.io/v1alpha1", "Limitador"),
            ("operator.authorino.kuadrant.io/v1beta1", "Authorino"),
        ):

            async def ready(api_version: str = api_version, kind: str = kind) -> bool:
                return "Ready" in true_conditions(await kube.get(api_version, kind, kind.lower(), "kuadrant-system"))

            await until(f"{kind} is ready", ready)

    with_kube(played, check)


def test_a_gpu_pod_lands_on_a_gpu_node_and_others_do_not(played: Sandbox) -> None:
    async def check(kube: Kube) -> None:
        async def placed() -> dict[str, str] | None:
            pods = await kube.list("v1", "Pod", "stages")
            running = {p["metadata"]["labels"]["app"]: p["spec"]["nodeName"] for p in pods
                       if "app" in p["metadata"]["labels"] and p["status"].get("phase") == "Running"}  # fmt: skip
            return running if len(running) == 2 else None

        nodes = await until("both predictors run", placed)
        assert nodes["isvc.with-gpu-predictor"].startswith("gpu-"), "it asks for an accelerator"
        assert nodes["isvc.without-gpu-predictor"].startswith("cpu-"), "GPU nodes are tainted"

    with_kube(played, check)


def test_a_new_generation_gets_a_new_status_and_keeps_the_transition_time(played: Sandbox) -> None:
    async def check(kube: Kube) -> None:
        policy = next(obj for obj in OBJECTS if obj["kind"] == "RateLimitPolicy")

        async def enforced() -> Object | None:
            found = await kube.get(*identity(policy))
            return found if {"Accepted", "Enforced"} <= true_conditions(found) else None

        before = await until("the policy is enforced", enforced)
        limits = {"a": {"rates": [{"limit": 7, "window": "1m"}]}}
        changed = await kube.apply(
            policy | {"spec": policy["spec"] | {"limits": limits}}, field_manager="test", force=True
        )
        assert changed["metadata"]["generation"] == before["metadata"]["generation"] + 1
        assert not true_conditions(changed), "its conditions are about the generation before"
        after = await until("the changed policy is enforced", enforced)
        times = [[c["lastTransitionTime"] for c in obj["status"]["conditions"]] for obj in (before, after)]
        assert times[0] == times[1], "the status of the conditions did not change"

    with_kube(played, check)


def test_settled_objects_are_left_alone(played: Sandbox) -> None:
    async def versions(kube: Kube) -> dict[tuple[str, str, str, str | None], str]:
        found = {identity(obj): await kube.get(*identity(obj)) for obj in OBJECTS}
        return {key: obj["metadata"]["resourceVersion"] for key, obj in found.items() if obj}

    async def check(kube: Kube) -> None:
        deadline = time.monotonic() + PATIENCE
        moved: list[tuple[str, str, str, str | None]] = []
        while time.monotonic() < deadline:
            before = await versions(kube)
            await asyncio.sleep(QUIET_SECONDS)
            moved = [key for key, version in (await versions(kube)).items() if version != before[key]]
            if not moved:
                return
        pytest.fail(f"stages keep writing to {moved}")

    with_kube(played, check)


def a_model_comes_and_goes(sandbox: Sandbox) -> None:
    async def check(kube: Kube) -> None:
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "short-lived"}}
        model = next(obj for obj in OBJECTS if obj["kind"] == "InferenceService")
        await kube.apply(namespace, field_manager="test")
        mine = model | {"metadata": model["metadata"] | {"namespace": "short-lived"}}
        await kube.apply(mine, field_manager="test")

        async def pods() -> list[Object]:
            return [p for p in await kube.list("v1", "Pod", "short-lived") if p["status"].get("phase") == "Running"]

        await until("the model's pod runs", pods)
        await kube.delete(*identity(namespace))
        await until("the namespace is gone", lambda: gone(kube, namespace))

    with_kube(sandbox, check)


def test_a_namespace_and_all_in_it_can_be_deleted(sandbox_instance: Sandbox) -> None:
    a_model_comes_and_goes(sandbox_instance)


def test_pods_are_played_at_once_when_their_player_has_been_started_again(sandbox_instance: Sandbox) -> None:
    a_model_comes_and_goes(sandbox_instance)
    victim = named(sandbox_instance, "kwok-controller")
    victim.kill()
    victim.wait(10)
    lifecycle.up(sandbox_instance, Silent())
    a_model_comes_and_goes(sandbox_instance)
    leases = with_kube(sandbox_instance, lambda kube: kube.list("coordination.k8s.io/v1", "Lease", "kube-node-lease"))
    assert leases == [], "a player that has died would hold its nodes for minutes"


def test_operators_are_there_with_the_names_that_programs_look_for(sandbox_instance: Sandbox) -> None:
    async def check(kube: Kube) -> None:
        async def available(name: str, namespace: str) -> bool:
            return "Available" in true_conditions(await kube.get("apps/v1", "Deployment", name, namespace))

        for namespace, name in (
            ("kserve", "kserve-controller-manager"),
            ("kuadrant-system", "kuadrant-operator-controller-manager"),
            ("kuadrant-system", "authorino-operator"),
            ("istio-system", "istiod"),
            ("cert-manager", "cert-manager"),
        ):
            await until(f"{namespace}/{name} is available", lambda n=name, ns=namespace: available(n, ns))
        settings = await kube.get("v1", "ConfigMap", "inferenceservice-config", "kserve")
        assert settings, "KServe's settings are there to be patched"
        assert {"deploy", "ingress"} <= settings["data"].keys()

    with_kube(sandbox_instance, check)


def test_what_a_program_took_over_survives_the_next_up(sandbox_instance: Sandbox) -> None:
    async def take_over(kube: Kube) -> None:
        theirs = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "inferenceservice-config", "namespace": "kserve"},
            "data": {"deploy": '{"defaultDeploymentMode": "RawDeployment"}'},
        }
        await kube.apply(theirs, field_manager="program", force=True)
        record = await kube.get("v1", "ConfigMap", "maas-sandbox-contents", "kube-system")
        assert record
        await kube.delete(
            "v1", "ConfigMap", "maas-sandbox-contents", "kube-system"
        )  # as after a new version of the sandbox

    async def check(kube: Kube) -> None:
        settings = await kube.get("v1", "ConfigMap", "inferenceservice-config", "kserve")
        assert settings
        assert "RawDeployment" in settings["data"]["deploy"], "the sandbox took it back"

    with_kube(sandbox_instance, take_over)
    lifecycle.up(sandbox_instance, Silent())
    with_kube(sandbox_instance, check)


def test_nothing_listens_beyond_loopback(sandbox_instance: Sandbox) -> None:
    listening = processes.listening(processes.owned_by(sandbox_instance.folder))
    # What answers in place of models listens wherever there is room.
    assert {port for _, port in listening} >= set(sandbox_instance.ports.all())
    assert {address for address, _ in listening} == {LOOPBACK}


def test_the_kubeconfig_is_for_its_owner_only(sandbox_instance: Sandbox) -> None:
    assert sandbox_instance.kubeconfig.stat().st_mode & 0o777 == 0o600


def test_a_second_up_starts_nothing(sandbox_instance: Sandbox) -> None:
    before = [process.pid for process in processes.owned_by(sandbox_instance.folder)]
    lifecycle.up(sandbox_instance, Silent())
    assert [process.pid for process in processes.owned_by(sandbox_instance.folder)] == before


def test_status_says_what_runs(sandbox_instance: Sandbox) -> None:
    status = lifecycle.status(sandbox_instance)
    assert status.running
    assert status.version == "v1.37.2"
    assert status.objects["nodes"] == len(contents.nodes())
    assert {process.name for process in status.processes} >= {"etcd", "kube-apiserver", "kwok-controller"}
    assert status.memory > 100 << 20


# --- sandboxes that a test breaks


@pytest.fixture
def own(tmp_path: Path) -> Generator[Sandbox]:
    """A sandbox of the test's own, not started."""
    sandbox = Sandbox.open("own", tmp_path)
    yield sandbox
    control_plane.stop(sandbox, keep_state=False)


def start(sandbox: Sandbox) -> Sandbox:
    """Start the control plane alone: what is in it does not matter to these tests."""
    return control_plane.start(sandbox, toolbox.find_all(control_plane.TOOLS, Silent()), Ignored())


def mark(sandbox: Sandbox) -> None:
    note = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "mark", "namespace": "default"}}
    with_kube(sandbox, lambda kube: kube.apply(note, field_manager="test"))


def is_marked(sandbox: Sandbox) -> bool:
    return with_kube(sandbox, lambda kube: kube.get("v1", "ConfigMap", "mark", "default")) is not None


def named(sandbox: Sandbox, name: str) -> psutil.Process:
    return next(p for p in processes.owned_by(sandbox.folder) if processes.name_of(p) == name)


def assert_nothing_left(sandbox: Sandbox) -> None:
    assert not processes.owned_by(sandbox.folder), "a process is left"
    taken = [port for port in sandbox.ports.all() if not port_is_free(port)]
    assert not taken, f"ports in use: {taken}"


def test_a_cluster_that_lost_processes_is_repaired_with_its_data(own: Sandbox) -> None:
    start(own)
    mark(own)
    survivor = named(own, "kube-scheduler").pid
    for name in ("etcd", "kube-controller-manager", "kwok-controller"):
        victim = named(own, name)
        victim.kill()
        victim.wait(10)
    assert not control_plane.running(own), "a cluster without etcd does not count as running"
    start(own)
    assert control_plane.running(own)
    assert is_marked(own), "etcd's data is kept"
    assert named(own, "kube-scheduler").pid == survivor, "what still runs is left alone"


def test_after_a_reboot_the_cluster_is_started_again_and_strangers_are_left_alone(own: Sandbox) -> None:
    start(own)
    mark(own)
    control_plane.stop(own, keep_state=True)
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as stranger:
        try:
            # The number that one of our processes had before the reboot belongs to somebody else now.
            (own.cluster_folder / "pids" / "etcd.pid").write_text(str(stranger.pid), encoding="utf-8")
            start(own)
            assert is_marked(own), "etcd's data is kept"
            assert stranger.poll() is None, "it is not ours to end"
        finally:
            stranger.kill()


def test_a_half_created_cluster_is_made_anew(own: Sandbox) -> None:
    start(own)
    control_plane.stop(own, keep_state=True)
    (own.cluster_folder / "kwok.yaml").write_text("kind: KwokctlConfiguration\n", encoding="utf-8")
    start(own)
    assert control_plane.running(own)


def test_unreadable_data_of_etcd_is_thrown_away(own: Sandbox) -> None:
    start(own)
    control_plane.stop(own, keep_state=True)
    for file in (own.cluster_folder / "etcd").rglob("*.wal"):
        file.write_bytes(b"not a log")
    for file in (own.cluster_folder / "etcd").rglob("db"):
        file.write_bytes(b"not a database")
    control_plane.start(own, toolbox.find_all(control_plane.TOOLS, Silent()), Ignored(), timeout_seconds=20)
    assert control_plane.running(own)


def test_down_leaves_no_process_and_no_port_even_when_the_starter_was_killed(own: Sandbox, tmp_path: Path) -> None:
    program = (
        "from pathlib import Path; from sandbox.instance import Sandbox; from sandbox import lifecycle; "
        "from sandbox.progress import Silent; import sys; "
        "lifecycle.up(Sandbox.open('own', Path(sys.argv[1])), Silent())"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(tmp_path)]) as starter:  # noqa: S603  (our own program)
        deadline = time.monotonic() + PATIENCE
        while not processes.owned_by(own.folder):
            assert time.monotonic() < deadline, "nothing was started"
            time.sleep(0.02)
        os.kill(starter.pid, signal.SIGKILL)
        starter.wait()
    lifecycle.down(own, Silent())
    assert_nothing_left(own)
    assert not own.kubeconfig.exists()


def test_two_sandboxes_run_side_by_side(own: Sandbox, sandbox_instance: Sandbox) -> None:
    start(own)
    assert control_plane.running(own)
    assert control_plane.running(sandbox_instance)
    mark(own)
    assert not is_marked(sandbox_instance)
    lifecycle.down(own, Silent())
    assert_nothing_left(own)
    assert control_plane.running(sandbox_instance), "the other one goes on"
