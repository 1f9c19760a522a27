import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from cli.program.recorder import record, stack_config
from cli.verify.scenario import BlockedError, Person
from cli.verify.users import RUN_ANNOTATION, TEAM, TEMPORARY_LABEL, ClusterKeys, manifest, this_run
from components.identity import EXPIRES_ANNOTATION, key_labels
from sandbox.kube import ApiError, Kube
from tests.unit.cli.verify.bench import done
from tests.verifying import STACK, stack

HOUR = timedelta(hours=1)
WHERE = "kuadrant-system"


class FakeKube:
    """Secrets by name."""

    def __init__(self, *, refuses: str = "") -> None:
        self.secrets: dict[str, dict[str, Any]] = {}
        self.refuses = refuses

    def _check(self, what: str) -> None:
        if self.refuses == what:
            raise ApiError(403, "Forbidden", f"may not {what} secrets", "Secret")

    async def create(self, obj: dict[str, Any], *, field_manager: str) -> dict[str, Any]:
        assert field_manager == TEAM
        self.secrets[obj["metadata"]["name"]] = obj
        await asyncio.sleep(0)
        self._check("create")
        return obj

    async def list(self, api_version: str, kind: str, namespace: str, selector: str) -> list[dict[str, Any]]:
        assert (api_version, kind, namespace) == ("v1", "Secret", WHERE)
        self._check("list")
        name, _, value = selector.partition("=")
        return [each for each in self.secrets.values() if each["metadata"]["labels"].get(name) == value]

    async def delete(self, api_version: str, kind: str, name: str, namespace: str) -> None:
        assert (api_version, kind, namespace) == ("v1", "Secret", WHERE)
        self._check("delete")
        self.secrets.pop(name, None)


def keys(kube: FakeKube) -> ClusterKeys:
    return ClusterKeys(cast("Kube", kube), stack()[0], STACK, HOUR)


def test_a_made_key_has_the_shape_of_the_stacks_own_and_is_marked_as_temporary() -> None:
    config, secrets = stack_config(STACK)
    own = next(
        each
        for each in record(STACK, config, secrets).objects
        if each.kind == "Secret" and key_labels(STACK).items() <= each.metadata["labels"].items()
    )
    made = manifest(
        stack()[0], STACK, Person("maas-verify-1", "few", expires=datetime(2027, 1, 1, tzinfo=UTC)), "k", "r"
    )
    assert made["metadata"]["labels"].keys() == own.metadata["labels"].keys() | {TEMPORARY_LABEL}
    assert made["metadata"]["annotations"].keys() == own.metadata["annotations"].keys() | {RUN_ANNOTATION}
    assert made["metadata"]["namespace"] == own.namespace == WHERE
    assert made["stringData"].keys() == own.body["stringData"].keys()
    assert made["metadata"]["annotations"][EXPIRES_ANNOTATION] == "2027-01-01T00:00:00Z"
    assert made["metadata"]["labels"]["app.kubernetes.io/managed-by"] != "pulumi"


def test_a_key_always_ends_by_itself() -> None:
    kube = FakeKube()
    done(keys(kube).make(Person("maas-verify-1", "few")))
    (secret,) = kube.secrets.values()
    ends = datetime.fromisoformat(secret["metadata"]["annotations"][EXPIRES_ANNOTATION])
    assert timedelta(minutes=59) < ends - datetime.now(UTC) <= HOUR


def test_in_the_end_nothing_is_left_even_of_what_was_being_made() -> None:
    kube = FakeKube()
    made = keys(kube)

    async def work() -> list[str]:
        await made.make(Person("maas-verify-1", "few"))
        await made.make(Person("maas-verify-2", "few"))
        await made.revoke("maas-verify-1")
        kube.refuses = "create"  # by the client: whether the server has made it nobody knows
        with pytest.raises(BlockedError, match="may not create secrets"):
            await made.make(Person("maas-verify-3", "few"))
        return await made.close()

    assert done(work()) == []
    assert kube.secrets == {}


def test_what_cannot_be_deleted_is_named() -> None:
    kube = FakeKube()
    made = keys(kube)

    async def work() -> list[str]:
        await made.make(Person("maas-verify-1", "few"))
        kube.refuses = "delete"
        return await made.close()

    assert done(work()) == sorted(kube.secrets)


def test_what_a_killed_run_left_is_swept_and_what_another_run_uses_is_not() -> None:
    kube = FakeKube()
    now = datetime.now(UTC)
    for name, ends, run in (
        ("of-this-run", HOUR, this_run()),
        ("of-a-dead-process", HOUR, f"{this_run().partition('/')[0]}/999999999/1"),
        ("of-another-machine", HOUR, "elsewhere/1/1"),
        ("of-another-machine-and-over", -HOUR, "elsewhere/1/1"),
        ("used-to-show-that-it-is-refused", -timedelta(minutes=1), "elsewhere/1/1"),
    ):
        body = manifest(stack()[0], STACK, Person(name, "few", expires=now + ends), "k", run)
        kube.secrets[name] = {**body, "metadata": {**body["metadata"], "name": name}}
    kube.secrets["of-the-stack"] = {"metadata": {"name": "of-the-stack", "labels": key_labels(STACK)}}
    assert done(keys(kube).sweep()) == 2
    assert not kube.secrets.keys() & {"of-a-dead-process", "of-another-machine-and-over"}
    assert len(kube.secrets) == 4
