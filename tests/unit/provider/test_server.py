"""The provider as the engine sees it, on an API server that is broken on purpose."""

import threading
import time
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from pulumi.runtime.proto import provider_pb2

from sandbox.provider.values import UNKNOWN, Secret, encode
from tests.unit.provider.client import Client, Failure, connected
from tests.unit.provider.fake_api import Drop, FakeApi, Refuse, Stream, watch_line

PATH = "/api/v1/namespaces/n/configmaps/a"
COLLECTION = "/api/v1/namespaces/n/configmaps"


def config_map(**more: Any) -> dict[str, Any]:  # noqa: ANN401
    metadata: dict[str, Any] = {"name": "a", "namespace": "n"}
    base: dict[str, Any] = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"k": "v"}}
    return base | more


def awaited(expression: str) -> dict[str, Any]:
    return config_map(metadata={"name": "a", "namespace": "n", "annotations": {"pulumi.com/waitFor": expression}})


def until_watched(api: FakeApi) -> None:
    for _ in range(500):
        if api.sent("WATCH"):
            return
        time.sleep(0.01)


@pytest.fixture
def client(fake_kubeconfig: Path) -> Generator[Client]:
    with connected(fake_kubeconfig) as connection:
        yield connection


def test_a_create_survives_passing_faults_and_answers_with_id_and_state(api: FakeApi, client: Client) -> None:
    api.faults["PATCH", PATH] = [Drop(), Refuse(503), Refuse(429, headers=(("Retry-After", "0"),))]
    resource_id, state = client.resource("core/v1:ConfigMap").create(config_map())
    assert resource_id == "n/a"
    assert state["__inputs"] == config_map()
    assert state["__fieldManager"].startswith("pulumi-kubernetes-")
    assert client.resource("core/v1:ConfigMap").changed(state, config_map()) == {}


def test_a_conflict_names_manager_and_field_and_records_nothing(api: FakeApi, client: Client) -> None:
    causes = ((".data.k", 'conflict with "argocd" using v1'),)
    api.faults["PATCH", PATH] = [Refuse(409, "Conflict", "Apply failed with 1 conflict", causes=causes)]
    with pytest.raises(Failure, match=r"ConfigMap n/a: .*\.data\.k is owned by 'argocd'") as error:
        client.resource("core/v1:ConfigMap").create(config_map())
    assert error.value.partial is None


def test_without_upsert_an_existing_object_is_an_error_that_says_how_to_adopt_it(api: FakeApi, client: Client) -> None:
    client.configure(upsertExistingObjects=None)
    api.store(PATH, config_map())
    with pytest.raises(Failure, match=r"exists already.*pulumi import kubernetes:core/v1:ConfigMap NAME n/a") as error:
        client.resource("core/v1:ConfigMap").create(config_map())
    assert "ConfigMapPatch" in str(error.value)
    assert api.sent("PATCH") == 0, "nothing may be changed in an object that is not ours"


def test_a_wait_goes_on_after_the_watch_broke_off_in_the_middle_of_an_event(api: FakeApi, client: Client) -> None:
    ready = awaited("condition=Ready") | {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}
    ready["metadata"] = ready["metadata"] | {"uid": f"uid-{PATH}", "resourceVersion": "300"}
    api.faults["WATCH", COLLECTION] = [
        Stream((watch_line("MODIFIED", ready)[:50],), cut=True),
        Stream((watch_line("MODIFIED", ready),), hold=1),
    ]
    _, state = client.resource("core/v1:ConfigMap").create(awaited("condition=Ready"))
    assert state["status"]["conditions"][0]["status"] == "True", "the recorded state is the one that was waited for"


def test_what_a_silent_watch_did_not_tell_is_seen_when_time_is_up(api: FakeApi, client: Client) -> None:
    wanted = awaited("condition=Ready")
    api.faults["WATCH", COLLECTION] = [Stream(hold=60)]
    with ThreadPoolExecutor() as pool:
        pending = pool.submit(client.resource("core/v1:ConfigMap").create, wanted, seconds=1)
        until_watched(api)
        api.store(PATH, wanted | {"status": {"conditions": [{"type": "Ready", "status": "True"}]}})
        _, state = pending.result()
    assert state["status"]["conditions"][0]["status"] == "True"


def test_a_timeout_keeps_the_object_and_says_what_was_awaited_and_where_to_look(client: Client) -> None:
    with pytest.raises(Failure, match=r"ConfigMap n/a is not ready after 0\.3 s") as error:
        client.resource("core/v1:ConfigMap").create(awaited("condition=Ready"), seconds=0.3)
    assert "condition Ready=True: not reported yet" in str(error.value)
    assert "kubectl describe configmap a -n n" in str(error.value)
    assert error.value.partial is not None
    assert error.value.partial.id == "n/a"
    assert error.value.partial.reasons[0] == str(error.value)
    assert "__inputs" in error.value.partial.properties.fields, "the next run goes on from here"


def test_a_timeout_says_what_the_objects_status_says(api: FakeApi, client: Client) -> None:
    failed = awaited("jsonpath={.status.phase}=Succeeded")
    failed["metadata"] |= {"uid": f"uid-{PATH}", "resourceVersion": "300"}
    failed["status"] = {"phase": "Failed", "reason": "InstallCheckFailed", "message": "deployment x is not there"}
    api.faults["WATCH", COLLECTION] = [Stream((watch_line("MODIFIED", failed),), hold=1)]
    with pytest.raises(Failure, match="phase Failed, reason InstallCheckFailed: deployment x is not there"):
        client.resource("core/v1:ConfigMap").create(awaited("jsonpath={.status.phase}=Succeeded"), seconds=0.5)


def test_a_malformed_wait_is_refused_before_anything_is_created(client: Client) -> None:
    _, failures = client.resource("core/v1:ConfigMap").check(awaited("Ready"))
    assert 'expected a "jsonpath=" or "condition=" prefix' in failures["metadata.annotations"]


def test_cancelling_ends_a_wait_and_keeps_the_object(api: FakeApi, client: Client) -> None:
    failed: list[Failure] = []

    def create() -> None:
        try:
            client.resource("core/v1:ConfigMap").create(awaited("condition=Ready"), seconds=60)
        except Failure as failure:
            failed.append(failure)

    thread = threading.Thread(target=create)
    thread.start()
    until_watched(api)
    client.cancel()
    thread.join(timeout=10)
    assert failed, "the call must have ended"
    assert "cancelled while waiting for condition Ready=True" in str(failed[0])
    assert failed[0].partial is not None
    client.configure()
    assert client.resource("core/v1:ConfigMap").create(config_map())[0] == "n/a", "the next run is not cancelled"


def test_no_secret_gets_out_through_an_error(api: FakeApi, client: Client) -> None:
    api.faults["PATCH", PATH] = [Refuse(422, "Invalid", 'data.k: Invalid value: "hunter22secret"')]
    with pytest.raises(Failure, match=r'Invalid value: "\[secret\]"'):
        client.resource("core/v1:ConfigMap").create(config_map(data={"k": Secret("hunter22secret")}))


def test_secrets_stay_secret_in_the_state(client: Client) -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "n"}, "data": {"k": "cHc="}}
    _, state = client.resource("core/v1:Secret").create(secret)
    assert state["data"] == Secret({"k": "cHc="})
    assert state["__inputs"]["data"] == Secret({"k": "cHc="})


def test_autonaming_is_refused(client: Client) -> None:
    nameless = config_map(metadata={"namespace": "n"})
    disabled = provider_pb2.CheckRequest.AutonamingOptions.DISABLE
    _, failures = client.resource("core/v1:ConfigMap").check(nameless, disabled)
    assert failures == {"metadata.name": "autonaming is disabled, resource requires the .metadata.name field"}
    _, failures = client.resource("core/v1:ConfigMap").check(nameless)
    assert "makes up no names" in failures["metadata.name"]


def test_a_kind_that_does_not_fit_its_type_is_refused(client: Client) -> None:
    _, failures = client.resource("apps/v1:Deployment").check(config_map())
    assert failures["kind"] == "v1, kind ConfigMap does not fit the resource type apps/v1:Deployment"


def test_a_namespace_is_filled_in_where_the_kind_has_one_and_none_is_given(client: Client) -> None:
    client.configure(namespace="team")
    inputs, _ = client.resource("core/v1:ConfigMap").check(config_map(metadata={"name": "a"}))
    assert inputs["metadata"]["namespace"] == "team"
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "a"}}
    inputs, _ = client.resource("core/v1:Namespace").check(namespace)
    assert "namespace" not in inputs["metadata"]


def test_a_preview_with_unknown_values_asks_the_server_nothing(api: FakeApi, client: Client) -> None:
    resource_id, state = client.resource("core/v1:ConfigMap").create(config_map(data={"k": UNKNOWN}), preview=True)
    assert resource_id == ""
    assert state["data"] == {"k": UNKNOWN}
    assert api.sent("POST") == api.sent("PATCH") == 0


def test_a_preview_is_a_dry_run_and_what_it_makes_up_is_unknown(api: FakeApi, client: Client) -> None:
    resource_id, state = client.resource("core/v1:ConfigMap").create(config_map(), preview=True)
    assert resource_id == ""
    assert state["metadata"]["uid"] is UNKNOWN
    assert [query["dryRun"] for method, _, query, _ in api.requests if method == "POST"] == ["All"]
    assert api.objects == {}


@pytest.mark.parametrize(
    "refusal",
    [Refuse(404, "NotFound", 'namespaces "n" not found'), Refuse(403, "Forbidden"), Refuse(409, "AlreadyExists")],
)
def test_a_preview_tolerates_what_up_may_have_put_right_by_then(api: FakeApi, client: Client, refusal: Refuse) -> None:
    api.faults["POST", COLLECTION] = [refusal]
    assert client.resource("core/v1:ConfigMap").create(config_map(), preview=True) == ("", config_map())


def test_a_preview_of_a_kind_without_its_crd_is_tolerated(api: FakeApi, client: Client) -> None:
    api.hidden.add("Widget")
    widget = {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w", "namespace": "n"}}
    assert client.resource("example.com/v1:Widget").create(widget, preview=True) == ("", widget)


def test_a_preview_fails_on_an_invalid_object(api: FakeApi, client: Client) -> None:
    api.faults["POST", COLLECTION] = [Refuse(422, "Invalid", "data: Invalid value")]
    with pytest.raises(Failure, match="ConfigMap n/a: data: Invalid value"):
        client.resource("core/v1:ConfigMap").create(config_map(), preview=True)


def test_a_crd_that_appears_late_is_waited_for(api: FakeApi, client: Client) -> None:
    api.hidden.add("Widget")
    widget = {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w", "namespace": "n"}}
    timer = threading.Timer(0.5, api.hidden.clear)
    timer.start()
    assert client.resource("example.com/v1:Widget").create(widget)[0] == "n/w"
    timer.join()


def test_an_object_that_is_gone_reads_as_gone_and_deletes_without_error(client: Client) -> None:
    resource = client.resource("core/v1:ConfigMap")
    _, state = resource.create(config_map())
    resource.delete("n/a", state)
    resource.delete("n/a", state)
    assert resource.read("n/a", state, config_map()) == ("", {}, {})


def test_a_patch_of_an_object_that_does_not_exist_creates_none(api: FakeApi, client: Client) -> None:
    state = {"__inputs": config_map(), "__fieldManager": "m"} | config_map()
    with pytest.raises(Failure, match="ConfigMap n/a does not exist, so it cannot be patched"):
        client.resource("core/v1:ConfigMapPatch").update("n/a", state, config_map())
    assert api.objects == {}


@pytest.mark.parametrize(
    ("method", "request_"),
    [
        ("Invoke", provider_pb2.InvokeRequest(tok="kubernetes:helm:template")),
        ("Call", provider_pb2.CallRequest(tok="x")),
        ("Construct", provider_pb2.ConstructRequest(type="kubernetes:helm.sh/v4:Chart")),
    ],
)
def test_what_only_the_official_provider_does_is_refused_in_one_sentence(
    client: Client, method: str, request_: object
) -> None:
    with pytest.raises(Failure, match=r"the stand-in provider does not do .*official kubernetes provider"):
        client.call(method, request_)


def test_a_helm_release_is_refused_at_check(client: Client) -> None:
    with pytest.raises(Failure, match="does not do Helm releases"):
        client.resource("helm.sh/v3:Release").check({"chart": "x"})


def test_an_unknown_provider_option_is_refused_before_anything_runs(client: Client) -> None:
    news = encode({"renderYamlToDirectory": "out"})
    response = client.call("CheckConfig", provider_pb2.CheckRequest(urn="urn:x", news=news))
    assert [failure.property for failure in response.failures] == ["renderYamlToDirectory"]


def test_only_the_cluster_identifier_replaces_the_provider(client: Client) -> None:
    def diff(old: dict[str, Any], new: dict[str, Any]) -> Any:  # noqa: ANN401
        return client.call("DiffConfig", provider_pb2.DiffRequest(urn="urn:x", olds=encode(old), news=encode(new)))

    same = diff({"clusterIdentifier": "a", "context": "x"}, {"clusterIdentifier": "a", "context": "y"})
    assert list(same.replaces) == []
    assert list(same.diffs) == ["context"]
    moved = diff({"clusterIdentifier": "a"}, {"clusterIdentifier": "b"})
    assert list(moved.replaces) == ["clusterIdentifier"]
