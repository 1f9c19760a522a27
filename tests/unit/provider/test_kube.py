"""The API-server client against a server that is broken on purpose."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from pathlib import Path
from typing import TypeVar

import pytest

from sandbox.kube import ApiError, Event, Kube, NoMatchError, Object, Retry
from sandbox.kubeconfig import Connection, KubeconfigError
from tests.unit.provider.fake_api import Drop, FakeApi, Refuse, Stream, watch_line

T = TypeVar("T")

CONFIG_MAP = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "n"}, "data": {"k": "v"}}
PATH = "/api/v1/namespaces/n/configmaps/a"
COLLECTION = "/api/v1/namespaces/n/configmaps"


def run(kubeconfig: Path, work: Callable[[Kube], Awaitable[T]], attempts: int = 3) -> T:
    async def main() -> T:
        async with Kube.connect(kubeconfig, retry=Retry(attempts=attempts, base=0.001)) as kube:
            return await work(kube)

    return asyncio.run(main())


def apply(kube: Kube) -> Awaitable[Object]:
    return kube.apply(CONFIG_MAP, field_manager="m")


def create(kube: Kube) -> Awaitable[Object]:
    return kube.create(CONFIG_MAP, field_manager="m")


def watched(
    kubeconfig: Path,
    count: int,
    since: Object | None = None,
    attempts: int = 3,
    known: dict[str, Object] | None = None,
) -> list[tuple[str, str]]:
    async def follow(kube: Kube) -> list[tuple[str, str]]:
        events: list[Event] = []
        async with aclosing(
            kube.watch("v1", "ConfigMap", "n", name="a", since=since, known=known, seconds=10)
        ) as stream:
            async for event in stream:
                events.append(event)
                if len(events) == count:
                    break
        return [(event.type, event.object["metadata"]["resourceVersion"]) for event in events]

    return run(kubeconfig, follow, attempts)


def version(obj: Object, number: str) -> Object:
    return obj | {"metadata": obj["metadata"] | {"resourceVersion": number}}


@pytest.mark.parametrize(
    "fault", [Drop(), Refuse(500), Refuse(503), Refuse(429, headers=(("Retry-After", "0"),)), Drop(carried_out=True)]
)
def test_an_apply_is_repeated_after_a_passing_fault(api: FakeApi, fake_kubeconfig: Path, fault: Drop | Refuse) -> None:
    api.faults["PATCH", PATH] = [fault]
    assert run(fake_kubeconfig, apply)["data"] == {"k": "v"}
    assert api.sent("PATCH") == 2, "an apply may be sent twice: it ends in the same object"


@pytest.mark.parametrize(("fault", "is_away"), [(Drop(), True), (Refuse(503), True), (Refuse(500), False)])
def test_a_server_that_is_away_after_it_has_answered_is_waited_for_longer(
    api: FakeApi, fake_kubeconfig: Path, fault: Drop | Refuse, *, is_away: bool
) -> None:
    api.faults["PATCH", PATH] = [fault] * 8
    if is_away:
        run(fake_kubeconfig, apply, attempts=11)
    else:
        with pytest.raises(ApiError):
            run(fake_kubeconfig, apply, attempts=11)
    assert api.sent("PATCH") == (9 if is_away else 6)


def test_a_server_that_never_answered_is_given_up_soon(api: FakeApi, fake_kubeconfig: Path) -> None:
    api.faults["GET", "/api/v1"] = [Drop()] * 20
    with pytest.raises(ApiError, match="no answer"):
        run(fake_kubeconfig, apply, attempts=11)
    assert api.sent("GET", "/api/v1") == 6


def test_a_server_that_one_request_has_given_up_on_is_not_asked_by_the_others_for_a_while(
    api: FakeApi, fake_kubeconfig: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.faults["GET", "/api/v1"] = [Drop()] * 3

    async def work(kube: Kube) -> Object:
        for _ in range(10):
            with pytest.raises(ApiError, match="ConfigMap n/a: no answer"):
                await apply(kube)
        assert api.sent("GET") == 3
        monkeypatch.setattr("sandbox.kube._REST", 0.0)
        return await apply(kube)

    assert run(fake_kubeconfig, work)["data"] == {"k": "v"}


@pytest.mark.parametrize("fault", [Drop(), Drop(carried_out=True), Refuse(500), Refuse(503)])
def test_a_create_is_never_repeated_when_it_may_have_been_carried_out(
    api: FakeApi, fake_kubeconfig: Path, fault: Drop | Refuse
) -> None:
    api.faults["POST", COLLECTION] = [fault]
    with pytest.raises(ApiError):
        run(fake_kubeconfig, create)
    assert api.sent("POST") == 1, "a second POST could report AlreadyExists for our own object"


def test_a_create_is_repeated_when_the_server_was_too_busy_to_look_at_it(api: FakeApi, fake_kubeconfig: Path) -> None:
    api.faults["POST", COLLECTION] = [Refuse(429, "TooManyRequests", headers=(("Retry-After", "0"),))]
    assert run(fake_kubeconfig, create)["metadata"]["uid"]
    assert api.sent("POST") == 2


def test_repeats_are_bounded_and_the_last_answer_is_told(api: FakeApi, fake_kubeconfig: Path) -> None:
    api.faults["PATCH", PATH] = [Refuse(500, "InternalError", "failed calling webhook")] * 9
    with pytest.raises(ApiError, match=r"ConfigMap n/a: failed calling webhook \(InternalError, HTTP 500\)"):
        run(fake_kubeconfig, apply)
    assert api.sent("PATCH") == 3


def test_letters_outside_of_the_first_plane_of_unicode_can_be_applied(fake_kubeconfig: Path) -> None:
    body = {**CONFIG_MAP, "data": {"team": "\U0001f600 \U00026d58"}}
    found = run(fake_kubeconfig, lambda kube: kube.apply(body, field_manager="m"))
    assert found["data"] == body["data"]


def test_a_refusal_that_no_repeat_can_cure_is_told_at_once(api: FakeApi, fake_kubeconfig: Path) -> None:
    api.faults["PATCH", PATH] = [Refuse(409, "Conflict", "conflict", causes=((".data.k", 'conflict with "x"'),))]
    with pytest.raises(ApiError) as error:
        run(fake_kubeconfig, apply)
    assert error.value.conflict
    assert error.value.causes[0].field == ".data.k"
    assert api.sent("PATCH") == 1


def test_a_retry_after_beyond_the_time_limit_is_not_waited_for(api: FakeApi, fake_kubeconfig: Path) -> None:
    api.faults["PATCH", PATH] = [Refuse(429, "TooManyRequests", headers=(("Retry-After", "3600"),))]
    with pytest.raises(ApiError, match="TooManyRequests"):
        run(fake_kubeconfig, apply)


def test_a_server_that_is_not_there_is_named(tmp_path: Path) -> None:
    kubeconfig = tmp_path / "k"
    kubeconfig.write_text(
        json.dumps(
            {
                "current-context": "c",
                "contexts": [{"name": "c", "context": {"cluster": "c"}}],
                "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:1"}}],
            }
        )
    )
    with pytest.raises(ApiError, match=r"no answer from the API server at http://127\.0\.0\.1:1"):
        run(kubeconfig, apply)


def test_what_does_not_exist_reads_as_none_and_its_deletion_is_no_error(fake_kubeconfig: Path) -> None:
    assert run(fake_kubeconfig, lambda kube: kube.get("v1", "ConfigMap", "no-such", "n")) is None
    assert run(fake_kubeconfig, lambda kube: kube.get("v1", "Widget", "no-such-kind", "n")) is None


def test_a_kind_whose_crd_has_just_appeared_is_found(api: FakeApi, fake_kubeconfig: Path) -> None:
    widget = {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w", "namespace": "n"}}
    api.hidden.add("Widget")

    async def work(kube: Kube) -> Object:
        with pytest.raises(NoMatchError, match=r'no matches for kind "Widget" in version "example\.com/v1"'):
            await kube.apply(widget, field_manager="m")
        api.hidden.clear()
        return await kube.apply(widget, field_manager="m")

    assert run(fake_kubeconfig, work)["kind"] == "Widget"


def test_many_requests_for_one_new_kind_ask_discovery_once(api: FakeApi, fake_kubeconfig: Path) -> None:
    async def work(kube: Kube) -> None:
        await asyncio.gather(*(kube.apply(CONFIG_MAP, field_manager="m") for _ in range(20)))

    run(fake_kubeconfig, work)
    assert api.sent("GET", "/api/v1") == 1


def test_a_watch_yields_what_is_there_and_then_changes(api: FakeApi, fake_kubeconfig: Path) -> None:
    stored = api.store(PATH, CONFIG_MAP)
    api.faults["WATCH", COLLECTION] = [Stream((watch_line("MODIFIED", version(stored, "200")),), hold=1)]
    assert watched(fake_kubeconfig, 2) == [("ADDED", "101"), ("MODIFIED", "200")]


def test_a_watch_that_breaks_in_the_middle_of_an_event_resumes_from_the_last_one(
    api: FakeApi, fake_kubeconfig: Path
) -> None:
    stored = api.store(PATH, CONFIG_MAP)
    half = watch_line("MODIFIED", version(stored, "201"))[:40]
    api.faults["WATCH", COLLECTION] = [
        Stream((watch_line("MODIFIED", version(stored, "200")), half), cut=True),
        Stream((watch_line("MODIFIED", version(stored, "201")),), hold=1),
    ]
    assert watched(fake_kubeconfig, 2, since=stored) == [("MODIFIED", "200"), ("MODIFIED", "201")]
    resumed = [query["resourceVersion"] for method, _, query, _ in api.requests if method == "WATCH"]
    assert resumed == ["101", "200"], "the second watch starts after the last event that was whole"


def test_an_event_is_not_split_at_a_character_that_python_takes_for_a_line_end(
    api: FakeApi, fake_kubeconfig: Path
) -> None:
    stored = api.store(PATH, CONFIG_MAP)
    odd = json.dumps(
        {"type": "MODIFIED", "object": version(stored, "200") | {"data": {"k": "a\x85b\u2028c"}}}, ensure_ascii=False
    )
    api.faults["WATCH", COLLECTION] = [Stream((odd + "\n",), hold=1)]
    assert watched(fake_kubeconfig, 1, since=stored) == [("MODIFIED", "200")]


def test_an_expired_watch_lists_anew_and_reports_what_vanished_meanwhile(api: FakeApi, fake_kubeconfig: Path) -> None:
    stored = api.store(PATH, CONFIG_MAP)
    del api.objects[PATH]
    gone = json.dumps({"type": "ERROR", "object": {"code": 410, "reason": "Expired", "message": "too old"}}) + "\n"
    api.faults["WATCH", COLLECTION] = [Stream((gone,))]
    assert watched(fake_kubeconfig, 1, since=stored) == [("DELETED", "101")]


def test_a_watch_that_is_told_what_is_known_yields_only_what_changed_and_what_has_gone(
    api: FakeApi, fake_kubeconfig: Path
) -> None:
    stored = api.store(PATH, CONFIG_MAP)
    other = {**stored, "metadata": {**stored["metadata"], "uid": "another", "resourceVersion": "55"}}
    api.faults["WATCH", COLLECTION] = [Stream((watch_line("MODIFIED", version(stored, "200")),), hold=1)]
    known = {each["metadata"]["uid"]: each for each in (stored, other)}
    assert watched(fake_kubeconfig, 2, known=known) == [("DELETED", "55"), ("MODIFIED", "200")]


def test_a_watch_survives_a_busy_server_but_not_one_that_stays_broken(api: FakeApi, fake_kubeconfig: Path) -> None:
    stored = api.store(PATH, CONFIG_MAP)
    api.faults["WATCH", COLLECTION] = [
        Refuse(429),
        Drop(),
        Stream((watch_line("MODIFIED", version(stored, "200")),), hold=1),
    ]
    assert watched(fake_kubeconfig, 1, since=stored) == [("MODIFIED", "200")]
    api.faults["WATCH", COLLECTION] = [Drop()] * 9
    with pytest.raises(ApiError, match="no answer"):
        watched(fake_kubeconfig, 1, since=stored)


def test_a_watch_that_never_begins_is_given_up_and_begun_anew(
    api: FakeApi, fake_kubeconfig: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sandbox.kube._WATCH_BEGINS", 0.1)
    stored = api.store(PATH, CONFIG_MAP)
    half_open = Stream(hold=60, silent=True)
    api.faults["WATCH", COLLECTION] = [half_open, Stream((watch_line("MODIFIED", version(stored, "200")),), hold=1)]
    assert watched(fake_kubeconfig, 1, since=stored) == [("MODIFIED", "200")]
    api.faults["WATCH", COLLECTION] = [half_open] * 9
    with pytest.raises(ApiError, match="the watch has not begun after"):
        watched(fake_kubeconfig, 1, since=stored)


def test_a_watch_that_falls_silent_is_begun_anew(
    api: FakeApi, fake_kubeconfig: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sandbox.kube._WATCH_SECONDS", 0.1)
    stored = api.store(PATH, CONFIG_MAP)
    api.faults["WATCH", COLLECTION] = [
        Stream(hold=60),
        Stream((watch_line("MODIFIED", version(stored, "200")),), hold=1),
    ]
    assert watched(fake_kubeconfig, 1, since=stored) == [("MODIFIED", "200")]


def test_a_server_that_ends_watches_at_once_is_not_asked_in_a_hot_loop(api: FakeApi, fake_kubeconfig: Path) -> None:
    stored = api.store(PATH, CONFIG_MAP)
    api.faults["WATCH", COLLECTION] = [Stream()] * 1000

    async def follow(kube: Kube) -> int:
        stream = kube.watch("v1", "ConfigMap", "n", since=stored, seconds=0.6)
        return len([event async for event in stream])

    async def main() -> int:
        async with Kube(Connection.read(fake_kubeconfig), retry=Retry(base=0.1)) as kube:
            return await follow(kube)

    assert asyncio.run(main()) == 0
    assert api.sent("WATCH") < 12, "each empty watch is followed by a growing pause"


def test_warnings_of_the_server_are_passed_on(api: FakeApi, fake_kubeconfig: Path) -> None:
    api.warning = '299 - "unknown field \\"data.x\\"", 299 - "deprecated"'
    heard: list[tuple[str, str]] = []

    async def main() -> None:
        async with Kube(Connection.read(fake_kubeconfig), on_warning=lambda t, w: heard.append((t, w))) as kube:
            await apply(kube)

    asyncio.run(main())
    assert ("ConfigMap n/a", 'unknown field "data.x"') in heard
    assert ("ConfigMap n/a", "deprecated") in heard


@pytest.mark.parametrize("method", ["auth-provider", "username"])
def test_a_way_to_log_in_that_is_not_supported_is_refused_by_name(method: str) -> None:
    config = {
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:1"}}],
        "users": [{"name": "u", "user": {method: {"command": "aws"}}}],
    }
    with pytest.raises(KubeconfigError, match=f"user u logs in with `{method}`"):
        Connection.parse(json.dumps(config))


def test_a_context_that_does_not_exist_is_refused_with_those_that_do() -> None:
    config = {"current-context": "c", "contexts": [{"name": "one"}, {"name": "two"}]}
    with pytest.raises(KubeconfigError, match="no context c; it has: one, two"):
        Connection.parse(json.dumps(config))


def test_a_broken_kubeconfig_is_not_quoted() -> None:
    with pytest.raises(KubeconfigError) as error:
        Connection.parse("users: [token: 's3cret")
    assert "s3cret" not in str(error.value)
