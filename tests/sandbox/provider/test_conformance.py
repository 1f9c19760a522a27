"""The stand-in against a real API server: what the official provider does, call by call."""

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp.web import Request, StreamResponse

from sandbox.kube import Kube
from sandbox.kubeconfig import Connection
from sandbox.provider.values import UNKNOWN, Secret
from tests.faults.proxy import Misbehave, Proxy, Rule, answering, reset, reset_after, serve, watch_for, write_kubeconfig
from tests.sandbox.provider.conftest import Cluster
from tests.unit.provider.client import Client, Failure, connected

pytestmark = pytest.mark.sandbox


def config_map(namespace: str, data: dict[str, Any] | None = None, **metadata: Any) -> dict[str, Any]:  # noqa: ANN401
    named = {"name": "a", "namespace": namespace, **metadata}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": named, "data": data or {"k": "v"}}


def deployment(namespace: str, replicas: int, **template: Any) -> dict[str, Any]:  # noqa: ANN401
    container = {"name": "c", "image": "example.com/x:1", "resources": {"limits": {"cpu": "1000m", "memory": "1024Mi"}}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "d", "namespace": namespace},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "d"}},
            "template": {"metadata": {"labels": {"app": "d"}}, "spec": {"containers": [container], **template}},
        },
    }


def crd(group: str) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version: dict[str, Any] = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": schema},
        "subresources": {"status": {}},
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"widgets.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList"},
            "versions": [version],
        },
    }


def widget(group: str, namespace: str, **annotations: str) -> dict[str, Any]:
    named = {f"pulumi.com/{name}": value for name, value in annotations.items()}
    return {
        "apiVersion": f"{group}/v1",
        "kind": "Widget",
        "metadata": {"name": "w", "namespace": namespace, "annotations": named},
        "spec": {"size": 1},
    }


@pytest.fixture
def widgets(client: Client, namespace: str) -> Generator[str]:
    """A group with a kind Widget, whose CRD the provider itself has made."""
    group, definitions = f"{namespace}.example.com", client.resource("apiextensions.k8s.io/v1:CustomResourceDefinition")
    resource_id, state = definitions.create(crd(group))
    yield group
    client.configure()
    definitions.delete(resource_id, state)


def live(cluster: Cluster, namespace: str, kind: str = "ConfigMap", name: str = "a", version: str = "v1") -> Any:  # noqa: ANN401
    return cluster(lambda kube: kube.get(version, kind, name, namespace))


def edit(cluster: Cluster, namespace: str, manager: str, data: dict[str, str | None]) -> None:
    cluster(lambda kube: kube.patch("v1", "ConfigMap", "a", {"data": data}, namespace, field_manager=manager))


# --- create, no-op, update, replace


def test_create_then_nothing_then_one_field_then_another_name(client: Client, cluster: Cluster, namespace: str) -> None:
    resource = client.resource("core/v1:ConfigMap")
    resource_id, state = resource.create(config_map(namespace, {"k": "v", "gone": "soon"}))
    assert resource_id == f"{namespace}/a"
    assert resource.changed(state, config_map(namespace, {"k": "v", "gone": "soon"})) == {}
    wanted = config_map(namespace, {"k": "w"})
    assert resource.changed(state, wanted) == {"data.k": "UPDATE", "data.gone": "DELETE"}
    previewed = resource.update(resource_id, state, wanted, preview=True)
    assert previewed["data"] == {"k": "w"}
    assert live(cluster, namespace)["data"] == {"k": "v", "gone": "soon"}, "a preview changes nothing"
    state = resource.update(resource_id, state, wanted)
    assert live(cluster, namespace)["data"] == {"k": "w"}, "a field that is no longer declared is removed"
    renamed = config_map(namespace, {"k": "w"}, name="b")
    response = resource.diff(state, renamed)
    assert list(response.replaces) == ["metadata.name"]
    assert not response.deleteBeforeReplace, "the new one can exist beside the old one"
    resource.delete(resource_id, state)
    assert live(cluster, namespace) is None


def test_an_immutable_field_replaces_after_deletion_because_the_name_stays(client: Client, namespace: str) -> None:
    resource = client.resource("apps/v1:Deployment")
    _, state = resource.create(deployment(namespace, 0))
    wanted = deployment(namespace, 0)
    wanted["spec"]["selector"]["matchLabels"]["app"] = "e"
    response = resource.diff(state, wanted)
    assert list(response.replaces) == ["spec.selector.matchLabels.app"]
    assert response.deleteBeforeReplace


def test_an_object_created_by_post_can_have_fields_removed_later(
    client: Client, cluster: Cluster, namespace: str
) -> None:
    client.configure(upsertExistingObjects=None)
    resource = client.resource("core/v1:ConfigMap")
    resource_id, state = resource.create(config_map(namespace, {"k": "v", "gone": "soon"}))
    with pytest.raises(Failure, match="exists already"):
        resource.create(config_map(namespace))
    resource.update(resource_id, state, config_map(namespace, {"k": "v"}))
    assert live(cluster, namespace)["data"] == {"k": "v"}


def test_creating_what_a_killed_run_has_created_already_adopts_it(
    client: Client, cluster: Cluster, namespace: str
) -> None:
    resource = client.resource("core/v1:ConfigMap")
    resource.create(config_map(namespace, {"k": "old", "gone": "soon"}))
    assert resource.create(config_map(namespace, {"k": "new"}))[0] == f"{namespace}/a"
    found = live(cluster, namespace)
    assert found["data"] == {"k": "new"}
    assert len(found["metadata"]["managedFields"]) == 1, "there is still one owner"


# --- drift and field ownership


def test_what_someone_edited_shows_as_that_field_and_the_next_update_takes_it_back(
    client: Client, cluster: Cluster, namespace: str
) -> None:
    resource, wanted = client.resource("core/v1:ConfigMap"), config_map(namespace, {"k": "v", "l": "w"})
    resource_id, state = resource.create(wanted)
    edit(cluster, namespace, "kubectl-edit", {"k": "edited", "added": "x"})
    _, state, inputs = resource.read(resource_id, state, wanted)
    assert inputs["data"] == {"k": "edited", "l": "w"}, "what was not declared is not ours to report"
    assert resource.changed(state, wanted) == {"data.k": "UPDATE"}
    assert resource.update(resource_id, state, wanted, preview=True)["data"]["k"] == "v"
    resource.update(resource_id, state, wanted)
    assert live(cluster, namespace)["data"] == {"k": "v", "l": "w"}, "fields set by kubectl are taken over"


def test_another_field_manager_conflicts_by_name_until_force_is_asked_for(
    client: Client, cluster: Cluster, namespace: str
) -> None:
    resource, wanted = client.resource("core/v1:ConfigMap"), config_map(namespace, {"k": "new"})
    resource_id, state = resource.create(config_map(namespace))
    edit(cluster, namespace, "some-controller", {"k": "theirs"})
    for preview in (True, False):
        with pytest.raises(Failure, match=r"\.data\.k is owned by 'some-controller'"):
            resource.update(resource_id, state, wanted, preview=preview)
    assert live(cluster, namespace)["data"] == {"k": "theirs"}
    forced = config_map(namespace, {"k": "new"}, annotations={"pulumi.com/patchForce": "true"})
    resource.update(resource_id, state, forced)
    assert live(cluster, namespace)["data"] == {"k": "new"}


def test_a_field_that_is_ignored_stays_with_its_owner(client: Client, cluster: Cluster, namespace: str) -> None:
    resource = client.resource("core/v1:ConfigMap")
    resource_id, state = resource.create(config_map(namespace, {"k": "v", "l": "w"}))
    edit(cluster, namespace, "autoscaler", {"k": "scaled"})
    wanted = config_map(namespace, {"k": "v", "l": "new"})
    resource.update(resource_id, state, wanted, ignore=("data.k",))
    assert live(cluster, namespace)["data"] == {"k": "scaled", "l": "new"}


def test_defaults_and_the_servers_own_spelling_are_no_drift(client: Client, namespace: str) -> None:
    resource, wanted = client.resource("apps/v1:Deployment"), deployment(namespace, 0)
    resource_id, state = resource.create(wanted)
    _, state, inputs = resource.read(resource_id, state, wanted)
    assert inputs == wanted
    assert resource.changed(state, wanted) == {}


def test_an_existing_object_can_be_imported_by_its_id(client: Client, cluster: Cluster, namespace: str) -> None:
    cluster(lambda kube: kube.create(config_map(namespace), field_manager="someone"))
    resource = client.resource("core/v1:ConfigMap")
    resource_id, state, inputs = resource.read(f"{namespace}/a")
    assert resource_id == f"{namespace}/a"
    assert inputs == config_map(namespace)
    assert resource.changed(state, inputs) == {}
    assert resource.read(f"{namespace}/no-such") == ("", {}, {})


# --- secrets


def test_a_secret_is_secret_in_the_state_and_its_string_data_makes_no_difference(
    client: Client, cluster: Cluster, namespace: str
) -> None:
    wanted = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "a", "namespace": namespace, "labels": {"l": Secret("label-pw")}},
        "stringData": {"password": "string-pw"},
    }
    resource = client.resource("core/v1:Secret")
    resource_id, state = resource.create(wanted)
    assert isinstance(state["data"], Secret)
    assert isinstance(state["__inputs"]["stringData"], Secret)
    assert state["metadata"]["labels"] == {"l": Secret("label-pw")}
    _, state, inputs = resource.read(resource_id, state, wanted)
    assert resource.changed(state, wanted) == {}
    assert inputs["stringData"] == Secret({"password": "string-pw"})
    assert live(cluster, namespace, "Secret")["data"] == {"password": "c3RyaW5nLXB3"}
    broken = wanted | {"metadata": {"name": "a", "namespace": namespace, "labels": {"l": Secret("not a label!")}}}
    with pytest.raises(Failure, match=r"\[secret\]") as error:
        resource.update(resource_id, state, broken)
    assert "not a label" not in str(error.value)


# --- readiness


def test_a_condition_is_waited_for_and_an_older_generation_does_not_count(
    client: Client, cluster: Cluster, namespace: str, widgets: str
) -> None:
    resource, wanted = client.resource(f"{widgets}/v1:Widget"), widget(widgets, namespace, waitFor="condition=Ready")

    def controller() -> None:
        cluster(report)

    async def report(kube: Kube) -> None:
        async with aclosing(kube.watch(f"{widgets}/v1", "Widget", namespace, seconds=20)) as events:
            await anext(events)
        for generation, status in ((0, "True"), (1, "False"), (1, "True")):
            condition = {"type": "Ready", "status": status, "observedGeneration": generation, "reason": "Test"}
            body = wanted | {"status": {"conditions": [condition]}}
            body = {key: body[key] for key in ("apiVersion", "kind", "status")}
            body["metadata"] = {"name": "w", "namespace": namespace}
            await kube.apply(body, field_manager="controller", subresource="status")
            await asyncio.sleep(0.1)

    thread = threading.Thread(target=controller)
    thread.start()
    resource_id, state = resource.create(wanted)
    thread.join()
    assert state["status"]["conditions"][0] == {
        "type": "Ready",
        "status": "True",
        "observedGeneration": 1,
        "reason": "Test",
    }
    resource.delete(resource_id, state)


def test_a_timeout_names_the_condition_and_the_next_run_goes_on_from_what_was_recorded(
    client: Client, namespace: str, widgets: str
) -> None:
    resource = client.resource(f"{widgets}/v1:Widget")
    with pytest.raises(Failure, match=f"Widget {namespace}/w is not ready after 0.5 s") as error:
        resource.create(
            widget(widgets, namespace, waitFor='["condition=Accepted", "jsonpath={.spec.size}=1"]'), seconds=0.5
        )
    assert "Waited for condition Accepted=True: not reported yet." in str(error.value)
    assert f"kubectl describe widget.{widgets} w -n {namespace}" in str(error.value)
    assert error.value.partial is not None
    assert error.value.partial.id == f"{namespace}/w"
    relaxed = widget(widgets, namespace, waitFor="jsonpath={.spec.size}=1")
    _, state = resource.create(relaxed)
    resource.delete(f"{namespace}/w", state)


def test_a_deployment_that_cannot_be_scheduled_says_why(client: Client, namespace: str) -> None:
    unfit = deployment(namespace, 1, nodeSelector={"no-such": "node"})
    with pytest.raises(Failure, match=f"Deployment {namespace}/d is not ready") as error:
        client.resource("apps/v1:Deployment").create(unfit, seconds=4)
    assert "0 of 1 available" in str(error.value)
    assert "Unschedulable" in str(error.value)


def test_skip_await_does_not_wait(client: Client, namespace: str) -> None:
    unfit = deployment(namespace, 1, nodeSelector={"no-such": "node"})
    unfit["metadata"]["annotations"] = {"pulumi.com/skipAwait": "true"}
    assert client.resource("apps/v1:Deployment").create(unfit)[0] == f"{namespace}/d"


def test_cancelling_ends_all_waits(client: Client, namespace: str, widgets: str) -> None:
    resource = client.resource(f"{widgets}/v1:Widget")
    endless = widget(widgets, namespace, waitFor="condition=Never")
    with ThreadPoolExecutor() as pool:
        pending = pool.submit(resource.create, endless, seconds=90)
        while resource.read(f"{namespace}/w")[0] == "":
            time.sleep(0.05)
        client.cancel()
        error = pending.exception(timeout=10)
    assert isinstance(error, Failure)
    assert "cancelled while waiting for condition Never=True" in str(error)
    assert error.partial is not None


# --- previews


def test_a_preview_validates_against_the_server(client: Client, cluster: Cluster, namespace: str) -> None:
    resource = client.resource("core/v1:ConfigMap")
    _, state = resource.create(config_map(namespace), preview=True)
    assert state["metadata"]["uid"] is UNKNOWN
    assert live(cluster, namespace) is None
    with pytest.raises(Failure, match="Invalid"):
        resource.create(config_map(namespace, name="Not_A_Name"), preview=True)
    missing = config_map("no-such-namespace-yet")
    assert resource.create(missing, preview=True) == ("", missing)
    no_crd = widget("no-such-group.example.com", namespace)
    assert client.resource("no-such-group.example.com/v1:Widget").create(no_crd, preview=True) == ("", no_crd)


# --- CRDs


def test_a_crd_that_appears_late_is_waited_for_and_one_that_is_gone_takes_its_objects_along(
    client: Client, namespace: str
) -> None:
    group = "late.example.com"
    definitions, resource = (
        client.resource("apiextensions.k8s.io/v1:CustomResourceDefinition"),
        client.resource(f"{group}/v1:Widget"),
    )
    with ThreadPoolExecutor() as pool:
        pending = pool.submit(resource.create, widget(group, namespace))
        time.sleep(0.3)
        definition_id, definition = definitions.create(crd(group))
        assert [c["status"] for c in definition["status"]["conditions"] if c["type"] == "Established"] == ["True"]
        resource_id, state = pending.result(timeout=30)
    changed = crd(group)
    changed["spec"]["versions"][0]["additionalPrinterColumns"] = [
        {"name": "Size", "type": "integer", "jsonPath": ".spec.size"}
    ]
    definition = definitions.update(definition_id, definition, changed)
    assert resource.read(resource_id, state)[0] == resource_id, "a changed CRD leaves its objects alone"
    definitions.delete(definition_id, definition)
    assert resource.read(resource_id, state)[0] == ""
    resource.delete(resource_id, state)


# --- Patch kinds


def test_a_patch_owns_only_its_fields_and_gives_them_up_when_deleted(
    client: Client, cluster: Cluster, namespace: str
) -> None:
    cluster(lambda kube: kube.create(config_map(namespace, {"k": "theirs"}), field_manager="owner"))
    resource = client.resource("core/v1:ConfigMapPatch")
    resource_id, state = resource.create(config_map(namespace, {"ours": "1"}))
    assert live(cluster, namespace)["data"] == {"k": "theirs", "ours": "1"}
    assert resource.read(resource_id, state, config_map(namespace, {"ours": "1"}))[2]["data"] == {"ours": "1"}
    state = resource.update(resource_id, state, config_map(namespace, {"ours2": "2"}))
    assert live(cluster, namespace)["data"] == {"k": "theirs", "ours2": "2"}
    resource.delete(resource_id, state)
    assert live(cluster, namespace)["data"] == {"k": "theirs"}


def test_deleting_a_patch_of_an_object_that_is_gone_does_not_bring_it_back(
    client: Client, cluster: Cluster, namespace: str
) -> None:
    cluster(lambda kube: kube.create(config_map(namespace), field_manager="owner"))
    resource = client.resource("core/v1:ConfigMapPatch")
    resource_id, state = resource.create(config_map(namespace, {"ours": "1"}))
    cluster(lambda kube: kube.delete("v1", "ConfigMap", "a", namespace))
    resource.delete(resource_id, state)
    assert live(cluster, namespace) is None


def test_a_patch_of_what_someone_else_owns_conflicts(client: Client, cluster: Cluster, namespace: str) -> None:
    cluster(lambda kube: kube.create(config_map(namespace), field_manager="owner"))
    with pytest.raises(Failure, match=r"\.data\.k is owned by 'owner'"):
        client.resource("core/v1:ConfigMapPatch").create(config_map(namespace, {"k": "ours"}))


# --- delete


def test_a_deletion_that_a_finalizer_holds_names_it_and_ends_when_it_is_gone(
    client: Client, cluster: Cluster, namespace: str
) -> None:
    resource = client.resource("core/v1:ConfigMap")
    resource_id, state = resource.create(config_map(namespace, finalizers=["example.com/hold"]))
    with pytest.raises(Failure, match=f"ConfigMap {namespace}/a is not gone after 0.5 s") as error:
        resource.delete(resource_id, state, seconds=0.5)
    assert "Finalizers that hold it: example.com/hold" in str(error.value)
    assert f"kubectl patch configmap a -n {namespace} --type merge" in str(error.value), "the way out"
    with ThreadPoolExecutor() as pool:
        pending = pool.submit(resource.delete, resource_id, state)
        release: dict[str, Any] = {"metadata": {"finalizers": None}}
        cluster(lambda kube: kube.patch("v1", "ConfigMap", "a", release, namespace, field_manager="test"))
        pending.result(timeout=20)
    assert live(cluster, namespace) is None


def test_dependents_go_before_their_owner_does(client: Client, cluster: Cluster, namespace: str) -> None:
    parked = deployment(namespace, 1, nodeSelector={"no-such": "node"})
    parked["metadata"]["annotations"] = {"pulumi.com/skipAwait": "true"}
    resource = client.resource("apps/v1:Deployment")
    resource_id, state = resource.create(parked)
    # Without skipAwait, which would spare the wait for the deletion too.
    state["__inputs"]["metadata"].pop("annotations")
    resource.delete(resource_id, state, seconds=60)
    assert cluster(lambda kube: kube.list("apps/v1", "ReplicaSet", namespace)) == []


# --- faults between the provider and the API server


UNAVAILABLE = answering(
    503, '{"kind": "Status", "reason": "Scripted", "message": "scripted"}', **{"Content-Type": "application/json"}
)


@dataclass
class Planned:
    """Says which fault befalls the n-th request of a method, and whether it is a watch; None: it is passed on."""

    choose: Callable[[int, bool], Misbehave | None]
    seen: Counter[str] = field(default_factory=Counter[str])
    faults: int = 0

    async def __call__(self, request: Request, proxy: Proxy) -> StreamResponse:
        self.seen[request.method] += 1
        act = self.choose(self.seen[request.method], "watch=true" in request.path_qs)
        self.faults += act is not None
        return await (act(request, proxy) if act else proxy.pass_on(request))


@pytest.fixture
def faulty(kubeconfig: Path, tmp_path: Path) -> Generator[tuple[Proxy, Client]]:
    through = tmp_path / "through-the-proxy"
    with serve(Connection.read(kubeconfig)) as proxy:
        write_kubeconfig(through, proxy.url)
        with connected(through) as connection:
            yield proxy, connection


def test_many_objects_survive_dropped_connections_lost_answers_and_server_errors(
    faulty: tuple[Proxy, Client], cluster: Cluster, namespace: str
) -> None:
    proxy, client = faulty
    faults: dict[int, Misbehave] = {0: reset, 2: UNAVAILABLE}
    # A watch is carried out only when it ends: its answer cannot be lost.
    plan = Planned(lambda number, watch: (faults if watch else {**faults, 4: reset_after}).get(number % 7))
    proxy.rule = Rule(plan)
    resource = client.resource("core/v1:ConfigMap")
    bodies = [config_map(namespace, name=f"c{number}") for number in range(30)]
    with ThreadPoolExecutor(10) as pool:
        created = list(pool.map(resource.create, bodies))
        assert len(cluster(lambda kube: kube.list("v1", "ConfigMap", namespace, None))) >= 30
        list(pool.map(resource.delete, *zip(*created, strict=True)))
    assert plan.faults > 10, "the test must have met the faults"
    left = cluster(lambda kube: kube.list("v1", "ConfigMap", namespace))
    assert [obj["metadata"]["name"] for obj in left if obj["metadata"]["name"].startswith("c")] == []


def test_a_wait_survives_watches_that_are_cut_again_and_again(
    faulty: tuple[Proxy, Client], cluster: Cluster, namespace: str
) -> None:
    proxy, client = faulty
    faults: tuple[Misbehave, ...] = (reset, UNAVAILABLE, watch_for(0.2))
    plan = Planned(lambda number, watch: faults[number % 3] if watch and number < 8 else None)
    proxy.rule = Rule(plan)
    wanted = config_map(namespace, annotations={"pulumi.com/waitFor": "jsonpath={.data.done}=yes"})
    with ThreadPoolExecutor() as pool:
        pending = pool.submit(client.resource("core/v1:ConfigMap").create, wanted, seconds=60)
        while live(cluster, namespace) is None or plan.faults < 2:
            time.sleep(0.05)
        edit(cluster, namespace, "someone", {"done": "yes"})
        _, state = pending.result(timeout=60)
    assert state["data"]["done"] == "yes"
