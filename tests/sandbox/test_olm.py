"""The operators layer by OLM, through the real engine, against the OLM CRDs with stages that play OLM."""

import asyncio
import re
from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pulumi
import pytest
from pulumi import automation as auto

from cli.deploy import leftovers
from cli.deploy.tracker import Tracker
from components.cluster import Cluster
from components.layer import Site
from components.operators import Operators
from config.settings import Settings
from sandbox.instance import Sandbox
from sandbox.kube import Kube
from tests.engine import engine_stack
from tests.sandbox.test_control_plane import QUIET_SECONDS, until, with_kube
from tests.unit.config.bad import GOOD

pytestmark = pytest.mark.sandbox

Object = dict[str, Any]
V1ALPHA1, GROUPS = "operators.coreos.com/v1alpha1", "operators.coreos.com/v1"
GATEWAY_API = "gateway.networking.k8s.io/v1"
NAMESPACE = "kuadrant-by-olm"
PACKAGE = "kuadrant-operator"
CSV = "kuadrant-operator.v1.0.0"
ENOUGH, NOT_ENOUGH = "1m", "8s"


@dataclass
class Program:
    """The operators layer alone, Kuadrant by OLM; what is said of the platform can be changed between runs."""

    kuadrant: dict[str, object] = field(default_factory=dict[str, object])
    platform: dict[str, object] = field(default_factory=lambda: dict[str, object](profile="kubernetes"))
    within: str = ENOUGH

    def __call__(self) -> None:
        kuadrant = {"install": "olm", "namespace": NAMESPACE, **self.kuadrant}
        platform = self.platform | {"kuadrant": kuadrant}
        settings = Settings.load("olm", GOOD | {"platform": platform, "timeouts": {"operator": self.within}})
        site = Site("olm", settings)
        Operators(site, opts=pulumi.ResourceOptions(providers=[Cluster(site).provider]))


@dataclass(frozen=True)
class Run:
    """A stack of that program on the shared sandbox."""

    stack: auto.Stack
    program: Program
    sandbox: Sandbox

    def up(self) -> dict[str, int]:
        return dict(cast("Any", self.stack.up().summary.resource_changes))

    def failing(self, **kuadrant: object) -> str:
        """What the engine says of a run that cannot end well."""
        self.program.kuadrant, self.program.within = kuadrant, NOT_ENOUGH
        with pytest.raises(auto.CommandError) as error:
            self.stack.up()
        return re.sub(r"\s+", " ", str(error.value))

    def get(self, kind: str, name: str) -> Object | None:
        return with_kube(self.sandbox, lambda kube: kube.get(V1ALPHA1, kind, name, NAMESPACE))

    def plan(self) -> Object:
        (found,) = with_kube(self.sandbox, lambda kube: kube.list(V1ALPHA1, "InstallPlan", NAMESPACE))
        return found


@pytest.fixture
def run(sandbox_instance: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[Run]:
    program = Program()
    with engine_stack("olm", program, sandbox_instance.kubeconfig, tmp_path, monkeypatch) as stack:
        yield Run(stack, program, sandbox_instance)
    with_kube(sandbox_instance, gone)


async def gone(kube: Kube) -> None:
    async def no_namespace() -> bool:
        return await kube.get("v1", "Namespace", NAMESPACE) is None

    await until("the namespace is gone", no_namespace)


async def approve(kube: Kube, plan: str) -> Object:
    return await kube.patch(
        V1ALPHA1, "InstallPlan", plan, {"spec": {"approved": True}}, NAMESPACE, field_manager="somebody"
    )


def test_an_operator_by_olm_is_there_when_its_version_has_succeeded(run: Run) -> None:
    assert set(run.up()) == {"create"}
    subscription, version = run.get("Subscription", PACKAGE), run.get("ClusterServiceVersion", CSV)
    assert subscription is not None
    assert version is not None
    assert (subscription["status"]["state"], subscription["status"]["installedCSV"]) == ("AtLatestKnown", CSV)
    assert version["status"]["phase"] == "Succeeded", "the run ended only after that"
    assert version["spec"]["displayName"] == PACKAGE, "taken over from OLM, which has written the rest of it"
    variables = {entry["name"]: entry["value"] for entry in subscription["spec"]["config"]["env"]}
    assert variables["RATELIMIT_CHECK_SERVICE_FAILURE_MODE"] == "deny"
    assert set(run.up()) == {"same"}
    assert set(run.stack.refresh().summary.resource_changes or {}) == {"same"}


def test_destroy_takes_the_operator_and_all_that_olm_made_of_it(run: Run) -> None:
    run.up()
    tracker = Tracker()
    run.stack.destroy(on_event=tracker.on_event)
    assert leftovers.uninstalled(tracker.steps) == ["kuadrant"]
    (left,) = with_kube(run.sandbox, lambda kube: leftovers.look(kube, ["kuadrant"]))
    assert "tokenratelimitpolicies.kuadrant.io" in left.objects
    assert None not in left.objects.values(), "each could be counted"
    assert run.get("ClusterServiceVersion", CSV) is None, "OLM itself would have left it running"
    assert run.get("Subscription", PACKAGE) is None
    with_kube(run.sandbox, gone)


def test_what_is_on_the_cluster_already_is_taken_over_and_not_refused(run: Run) -> None:
    run.program.platform = {"profile": "openshift"}
    theirs: dict[str, str] = {"theirs": "kept"}
    group, catalog = f"{NAMESPACE}-operators", f"{PACKAGE}-catalog"
    where: Object = {"namespace": NAMESPACE, "labels": theirs}
    objects: list[Object] = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": theirs}},
        {"apiVersion": GROUPS, "kind": "OperatorGroup", "metadata": {"name": group, **where}, "spec": {}},
        {
            "apiVersion": V1ALPHA1,
            "kind": "CatalogSource",
            "metadata": {"name": catalog, **where},
            "spec": {"sourceType": "grpc", "image": "quay.io/kuadrant/kuadrant-operator-catalog:v0.0.1"},
        },
        {
            "apiVersion": V1ALPHA1,
            "kind": "Subscription",
            "metadata": {"name": PACKAGE, **where},
            "spec": {"name": PACKAGE, "source": catalog, "sourceNamespace": NAMESPACE, "channel": "stable"},
        },
        {
            "apiVersion": GATEWAY_API,
            "kind": "GatewayClass",
            "metadata": {"name": "openshift-default", "labels": theirs},
            "spec": {"controllerName": "openshift.io/gateway-controller/v1"},
        },
    ]

    async def make(kube: Kube) -> None:
        for each in objects:
            await kube.create(each, field_manager="somebody")

    async def found(kube: Kube) -> list[Object]:
        there: list[Object | None] = []
        for each in objects:
            meta = each["metadata"]
            there.append(await kube.get(each["apiVersion"], each["kind"], meta["name"], meta.get("namespace")))
        return [each for each in there if each]

    with_kube(run.sandbox, make)
    try:
        assert set(run.up()) == {"create"}
        taken = with_kube(run.sandbox, found)
        assert len(taken) == len(objects)
        for each in taken:
            labels = each["metadata"]["labels"]
            assert labels["theirs"] == "kept", each["kind"]
            assert labels["app.kubernetes.io/managed-by"] == "pulumi", each["kind"]
        image = next(each for each in taken if each["kind"] == "CatalogSource")["spec"]["image"]
        assert image != objects[2]["spec"]["image"], "our fields are set"
        assert set(run.up()) == {"same"}
    finally:
        run.stack.destroy()
        with_kube(run.sandbox, lambda kube: kube.delete(GATEWAY_API, "GatewayClass", "openshift-default"))


def test_operators_that_openshift_has_by_olm_are_installed_side_by_side(run: Run) -> None:
    # Not cert-manager: what its operator says of itself is in a CertManager object, whose CRD no module carries.
    run.program.platform = {"profile": "openshift", "grafana": {"install": "olm"}}
    run.up()

    async def phases(kube: Kube) -> dict[str, str]:
        return {
            obj["spec"]["displayName"]: obj["status"]["phase"]
            for obj in await kube.list(V1ALPHA1, "ClusterServiceVersion")
        }

    packages = ("grafana-operator", "kuadrant-operator")
    assert with_kube(run.sandbox, phases) == dict.fromkeys(packages, "Succeeded")
    assert set(run.up()) == {"same"}
    run.stack.destroy()
    with_kube(
        run.sandbox, lambda kube: kube.delete("gateway.networking.k8s.io/v1", "GatewayClass", "openshift-default")
    )


def test_a_version_that_fails_is_an_error_with_its_message(run: Run) -> None:
    said = run.failing(channel="broken")
    assert f"ClusterServiceVersion {NAMESPACE}/{CSV} is not ready after 8 s" in said
    assert "phase Failed, reason InstallCheckFailed: install failed: deployment" in said
    assert "exceeded its progress deadline" in said
    assert f"kubectl describe clusterserviceversion.operators.coreos.com {CSV} -n {NAMESPACE}" in said


def test_a_channel_that_does_not_exist_is_an_error_with_what_the_resolver_says(run: Run) -> None:
    said = run.failing(channel="missing")
    assert f"Subscription {NAMESPACE}/{PACKAGE} is not ready after 8 s" in said
    assert "ResolutionFailed=True, reason ConstraintsNotSatisfiable: constraints not satisfiable" in said
    assert "no operators found in channel missing of package kuadrant-operator" in said


def test_a_plan_that_waits_for_approval_is_named_and_goes_on_when_it_is_given(run: Run) -> None:
    said = run.failing(approval="Manual")
    plan = run.plan()
    name = plan["metadata"]["name"]
    assert "InstallPlanPending=True, reason RequiresApproval" in said
    assert f"see InstallPlan {name}" in said
    assert plan["status"]["phase"] == "RequiresApproval"
    assert run.get("ClusterServiceVersion", CSV) is None

    with_kube(run.sandbox, lambda kube: approve(kube, name))
    run.program.within = ENOUGH
    run.up()
    assert run.plan()["status"]["phase"] == "Complete"
    version = run.get("ClusterServiceVersion", CSV)
    assert version is not None
    assert version["status"]["phase"] == "Succeeded"
    assert set(run.up()) == {"same"}


def test_what_is_settled_is_left_alone(run: Run) -> None:
    run.up()

    async def versions(kube: Kube) -> dict[str, str]:
        kinds = ("CatalogSource", "Subscription", "InstallPlan", "ClusterServiceVersion")
        objects = [obj for kind in kinds for obj in await kube.list(V1ALPHA1, kind, NAMESPACE)]
        assert len(objects) == len(kinds)
        return {f"{obj['kind']} {obj['metadata']['name']}": obj["metadata"]["resourceVersion"] for obj in objects}

    async def settled(kube: Kube) -> bool:
        before = await versions(kube)
        await asyncio.sleep(QUIET_SECONDS)
        return await versions(kube) == before

    with_kube(run.sandbox, lambda kube: until("stages stop writing", lambda: settled(kube)))
