"""The one-time steps through the real engine; and their script, run as a process with the rights of its account.

The sandbox only pretends to run pods: a Job completes there and does nothing. So the script is run here as well.
"""

import base64
import os
import subprocess
import sys
from collections.abc import Callable, Coroutine, Generator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, cast

import httpx
import pulumi
import pytest
import yaml
from pulumi import automation as auto

from components import housekeeping
from components.cluster import Cluster
from components.housekeeping import Housekeeping, Step, cluster_steps
from components.layer import Site
from components.platform import Platform
from config.settings import Settings
from sandbox.instance import Sandbox
from sandbox.kube import Kube
from sandbox.kubeconfig import Connection
from tests.engine import engine_stack
from tests.namespaces import namespaces_present
from tests.sandbox.test_control_plane import until, with_kube
from tests.unit.config.bad import GOOD

pytestmark = pytest.mark.sandbox

Object = dict[str, Any]
T = TypeVar("T")
OURS, THEIRS, MONITORING = "once", "gateway-system", "openshift-monitoring"
OLM = "operators.coreos.com/v1alpha1"
WEBHOOKS = ("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration")
MANAGER = "somebody"
GATEWAY = "inference-gateway-openshift-default"


@dataclass
class Program:
    """The namespace and the steps, all of them; what else the settings say can be changed between runs."""

    changes: dict[str, object] = field(default_factory=dict[str, object])

    @property
    def settings(self) -> Settings:
        platform: Object = {
            "profile": "openshift",
            "namespace": OURS,
            "monitoring": {"userWorkload": "managed"},
            "cleanUp": {"odhWebhook": True, "sailOperator": True},
        }
        return Settings.load("once", GOOD | {"platform": platform} | self.changes)

    def __call__(self) -> None:
        site = Site("once", self.settings)
        providers: list[pulumi.ProviderResource] = [Cluster(site).provider]
        platform = Platform(site, pulumi.ResourceOptions(providers=providers))
        Housekeeping(site, pulumi.ResourceOptions(providers=providers, depends_on=[platform]))


@dataclass(frozen=True)
class Run:
    """A stack of that program on the shared sandbox."""

    stack: auto.Stack
    program: Program
    sandbox: Sandbox
    folder: Path

    def up(self) -> dict[str, int]:
        return dict(cast("Any", self.stack.up().summary.resource_changes))

    def jobs(self) -> dict[str, Object]:
        """The Jobs of the steps, by name without the hash."""
        found = self.ask(lambda kube: kube.list("batch/v1", "Job", OURS))
        return {each["metadata"]["name"].rpartition("-")[0]: each for each in found}

    def ask(self, work: Callable[[Kube], Coroutine[Any, Any, T]]) -> T:
        return with_kube(self.sandbox, work)

    def get(self, *where: str) -> Any:  # noqa: ANN401 - JSON
        return self.ask(lambda kube: kube.get(*where))

    def make(self, *objects: Object) -> None:
        async def work(kube: Kube) -> None:
            for each in objects:
                await kube.apply(each, field_manager=MANAGER)

        self.ask(work)

    def script(self, step: Step, account: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run the step as its Job would: the same file and arguments, as the same account."""
        connection = Connection.read(self.sandbox.kubeconfig)
        name = account or f"{housekeeping.NAME}-{step.name}"
        request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 600}}
        url = f"{connection.server}/api/v1/namespaces/{OURS}/serviceaccounts/{name}/token"
        answer = httpx.post(url, json=request, verify=connection.tls, trust_env=False)
        environment = {
            "MAAS_API_SERVER": connection.server,
            "MAAS_API_TOKEN": answer.json()["status"]["token"],
            "MAAS_API_CA": str(self._authority()),
        }
        [container] = self.jobs()[f"{housekeeping.NAME}-{step.name}"]["spec"]["template"]["spec"]["containers"]
        command = [sys.executable, "-S", str(housekeeping.SCRIPT), *container["args"]]
        environment["PATH"] = os.environ["PATH"]
        return subprocess.run(  # noqa: S603 - our own arguments
            command, env=environment, capture_output=True, text=True, check=False, timeout=60
        )

    def _authority(self) -> Path:
        clusters = yaml.safe_load(self.sandbox.kubeconfig.read_text(encoding="utf-8"))["clusters"]
        cluster = clusters[0]["cluster"]
        if "certificate-authority" in cluster:
            return self.sandbox.kubeconfig.parent / cluster["certificate-authority"]
        file = self.folder / "ca.pem"
        file.write_bytes(base64.b64decode(cluster["certificate-authority-data"]))
        return file


@pytest.fixture(scope="module")
def run(sandbox_instance: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Generator[Run]:
    """The steps, deployed once; each test then plays one of them."""
    folder = tmp_path_factory.mktemp("once")
    program = Program()
    with ExitStack() as stack:
        monkeypatch = stack.enter_context(pytest.MonkeyPatch.context())
        stack.enter_context(namespaces_present(sandbox_instance.kubeconfig, [THEIRS, MONITORING]))
        deployed = stack.enter_context(engine_stack("once", program, sandbox_instance.kubeconfig, folder, monkeypatch))
        run = Run(deployed, program, sandbox_instance, folder)
        assert set(run.up()) == {"create"}
        yield run


def namespaced(api_version: str, kind: str, name: str, namespace: str, **more: object) -> Object:
    metadata = {"name": name, "namespace": namespace, **cast("Object", more.pop("metadata", {}))}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **more}


def deployment(name: str, namespace: str, labels: dict[str, str] | None = None) -> Object:
    labels = {"app": name, **(labels or {})}
    pods = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "example.com/c:1"}]}}
    spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": pods}
    return namespaced("apps/v1", "Deployment", name, namespace, metadata={"labels": labels}, spec=spec)


def test_each_step_has_run_to_its_end_and_a_second_up_runs_none(run: Run) -> None:
    jobs = run.jobs()
    assert len(jobs) == 3
    assert all(each["status"].get("succeeded") == 1 for each in jobs.values())
    assert set(run.up()) == {"same"}
    assert set(run.stack.refresh().summary.resource_changes or {}) == {"same"}
    assert {each["metadata"]["uid"] for each in run.jobs().values()} == {
        each["metadata"]["uid"] for each in jobs.values()
    }


def test_a_step_that_changes_is_run_again_and_no_other(run: Run) -> None:
    before = {name: each["metadata"]["name"] for name, each in run.jobs().items()}
    run.program.changes = {"gateway": {"name": "other"}}
    try:
        run.up()
        after = {name: each["metadata"]["name"] for name, each in run.jobs().items()}
        assert {name for name in before if before[name] != after[name]} == {"maas-housekeeping-sail-operator"}
    finally:
        run.program.changes = {}
        run.up()


MONITORING_STEP = housekeeping.user_workload_monitoring_step()


def monitoring_text(run: Run) -> str:
    found = run.get("v1", "ConfigMap", cluster_steps.MONITORING_CONFIG, MONITORING)
    return found["data"]["config.yaml"]


def forget_monitoring(run: Run) -> None:
    run.ask(lambda kube: kube.delete("v1", "ConfigMap", cluster_steps.MONITORING_CONFIG, MONITORING))


def test_user_workload_monitoring_is_turned_on_where_nobody_has_configured_anything(run: Run) -> None:
    forget_monitoring(run)
    done = run.script(MONITORING_STEP)
    assert done.returncode == 0, done.stderr
    assert monitoring_text(run) == "enableUserWorkload: true\n"
    again = run.script(MONITORING_STEP)
    assert "has enableUserWorkload: true already" in again.stdout


def test_user_workload_monitoring_is_merged_into_what_others_wrote(run: Run) -> None:
    forget_monitoring(run)
    text = "# of the platform team\nprometheusK8s:\n  retention: 15d  # two weeks\nenableUserWorkload: false # soon\n"
    data = {"config.yaml": text, "other.yaml": "theirs"}
    run.make(namespaced("v1", "ConfigMap", cluster_steps.MONITORING_CONFIG, MONITORING, data=data))
    done = run.script(MONITORING_STEP)
    assert done.returncode == 0, done.stderr
    assert monitoring_text(run) == text.replace("false", "true")
    found = run.get("v1", "ConfigMap", cluster_steps.MONITORING_CONFIG, MONITORING)
    assert found["data"]["other.yaml"] == "theirs"


def test_a_monitoring_configuration_that_is_not_understood_is_refused_and_left_alone(run: Run) -> None:
    forget_monitoring(run)
    text = "{prometheusK8s: {retention: 15d}, enableUserWorkload: false}\n"
    data = {"config.yaml": text}
    run.make(namespaced("v1", "ConfigMap", cluster_steps.MONITORING_CONFIG, MONITORING, data=data))
    done = run.script(MONITORING_STEP)
    assert done.returncode == 1
    assert "line 1" in done.stderr
    assert "by hand" in done.stderr
    assert monitoring_text(run) == text


def test_an_account_may_do_its_own_step_and_no_other(run: Run) -> None:
    forget_monitoring(run)
    done = run.script(MONITORING_STEP, account="maas-housekeeping-odh-webhook")
    assert done.returncode == 1
    assert "forbidden" in done.stderr


def webhook(name: str) -> Object:
    return {"apiVersion": WEBHOOKS[0], "kind": WEBHOOKS[1], "metadata": {"name": name}, "webhooks": []}


def test_open_data_hubs_webhook_is_removed_and_no_other(run: Run) -> None:
    run.make(webhook(cluster_steps.ODH_WEBHOOK), webhook("somebody.example.com"))
    try:
        done = run.script(housekeeping.odh_webhook_step())
        assert done.returncode == 0, done.stderr
        assert run.get(*WEBHOOKS, cluster_steps.ODH_WEBHOOK) is None
        assert run.get(*WEBHOOKS, "somebody.example.com") is not None
        assert "is not there" in run.script(housekeeping.odh_webhook_step()).stdout
    finally:
        run.ask(lambda kube: kube.delete(*WEBHOOKS, "somebody.example.com"))


async def gateway_sets(kube: Kube) -> list[Object]:
    return await kube.list("apps/v1", "ReplicaSet", OURS, f"{cluster_steps.GATEWAY_LABEL}=inference-gateway")


def test_a_stray_sail_operator_is_removed_and_our_gateway_restarted_once(run: Run) -> None:
    step = housekeeping.sail_operator_step(run.program.settings)
    source = {"source": "none", "sourceNamespace": THEIRS, "channel": "stable"}
    csv = {"displayName": "x", "install": {"strategy": "deployment"}}
    gateway = {cluster_steps.GATEWAY_LABEL: "inference-gateway"}
    run.make(
        namespaced(OLM, "Subscription", "sailoperator", THEIRS, spec={"name": "sailoperator", **source}),
        namespaced(OLM, "Subscription", "theirs", THEIRS, spec={"name": "theirs", **source}),
        namespaced(OLM, "ClusterServiceVersion", "sailoperator.v0.1.0", THEIRS, spec=csv),
        namespaced(OLM, "ClusterServiceVersion", "theirs.v1.0.0", THEIRS, spec=csv),
        *(deployment(name, THEIRS) for name in ("sail-operator", "istiod", "theirs")),
        namespaced("v1", "ConfigMap", "istio-ca-root-cert", OURS, data={"root-cert.pem": "of the wrong one"}),
        namespaced("v1", "ConfigMap", "ours", OURS, data={"a": "b"}),
        deployment(GATEWAY, OURS, gateway),
        namespaced("apps/v1", "ReplicaSet", "orphan", OURS, metadata={"labels": gateway}, spec={
            "replicas": 0,
            "selector": {"matchLabels": {"orphan": "true", **gateway}},
            "template": {
                "metadata": {"labels": {"orphan": "true", **gateway}},
                "spec": {"containers": [{"name": "c", "image": "example.com/c:1"}]},
            },
        }),
    )  # fmt: skip

    async def rolled(kube: Kube) -> bool:
        return any(each["metadata"]["name"] != "orphan" for each in await gateway_sets(kube))

    run.ask(lambda kube: until("the gateway has a ReplicaSet", lambda: rolled(kube)))
    done = run.script(step)
    assert done.returncode == 0, done.stderr

    async def left(kube: Kube) -> dict[str, list[str]]:
        kinds = (
            (OLM, "Subscription", THEIRS),
            (OLM, "ClusterServiceVersion", THEIRS),
            ("apps/v1", "Deployment", THEIRS),
        )
        found = {kind: await kube.list(api, kind, where) for api, kind, where in kinds}
        found |= {"ReplicaSet": await gateway_sets(kube), "ConfigMap": await kube.list("v1", "ConfigMap", OURS)}
        return {kind: sorted(each["metadata"]["name"] for each in objects) for kind, objects in found.items()}

    async def settled(kube: Kube) -> bool:
        return (await left(kube))["Deployment"] == ["theirs"]

    run.ask(lambda kube: until("what was asked to go has gone", lambda: settled(kube)))
    stays = run.ask(left)
    assert stays["Subscription"] == ["theirs"]
    assert stays["ClusterServiceVersion"] == ["theirs.v1.0.0"]
    assert "orphan" not in stays["ReplicaSet"]
    assert any(name.startswith(GATEWAY) for name in stays["ReplicaSet"]), "the one that runs the gateway"
    assert "istio-ca-root-cert" not in stays["ConfigMap"]
    assert "ours" in stays["ConfigMap"]
    before = run.get("apps/v1", "Deployment", GATEWAY, OURS)["metadata"]["generation"]
    assert before == 2, "its pods were rolled"
    again = run.script(step)
    assert again.returncode == 0, again.stderr
    assert "was restarted already" in again.stdout
    assert run.get("apps/v1", "Deployment", GATEWAY, OURS)["metadata"]["generation"] == before


def test_what_a_step_has_done_stays_when_the_stack_goes(run: Run) -> None:
    """The last one of this file: afterwards the stack is gone."""
    forget_monitoring(run)
    assert run.script(MONITORING_STEP).returncode == 0
    run.stack.destroy()
    assert monitoring_text(run) == "enableUserWorkload: true\n"
    for kind in ("Role", "RoleBinding"):
        for namespace in (MONITORING, THEIRS):
            found = run.ask(lambda kube, k=kind, n=namespace: kube.list("rbac.authorization.k8s.io/v1", k, n))
            assert found == [], f"{kind} in {namespace}"
    assert run.get("rbac.authorization.k8s.io/v1", "ClusterRole", f"{OURS}-maas-housekeeping-odh-webhook") is None
