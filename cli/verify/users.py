"""Users for minutes: Secrets with keys, made on the cluster beside those of the stack, and taken away in the end.

A run that was killed leaves keys that end by themselves within minutes. The next run deletes their Secrets.
"""

import asyncio
import secrets
import socket
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import Any

import psutil

from cli.doctor.case import annotations_of, name_of
from cli.verify.scenario import BlockedError, Person
from components.identity import (
    EXPIRES_ANNOTATION,
    KEY_PROPERTY,
    key_annotations,
    key_secret_labels,
    key_secret_name,
    key_selector,
)
from components.layer import PREFIX, labels
from config.identity import User
from config.settings import Settings
from sandbox.kube import ApiError, Kube

TEMPORARY_LABEL = f"{PREFIX}/temporary"
"""On what is not meant to stay; says who made it."""
RUN_ANNOTATION = f"{PREFIX}/verify-run"
"""The process that made it, by which the next run tells what was left behind."""
TEAM = "maas-verify"
"""The team of made users, so that bills tell what verify cost."""
_MAKER = "verify"
_DELETE_SECONDS = 30.0
_AT_ONCE = 8
_LONG_AGO = timedelta(minutes=5)
"""A key that has ended may be in use: by the scenario that shows that it is refused."""


def manifest(settings: Settings, stack: str, person: Person, key: str, run: str) -> dict[str, Any]:
    """The Secret of a made user's key: as the stack would make it, and marked as temporary.

    Args:
        settings: of the stack.
        stack: its name.
        person: whose key it is; with an expiry.
        key: the key.
        run: who made it.
    """
    user = User(tier=person.tier, team=TEAM, models=person.models or None)
    expires = person.expires.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if person.expires else None
    annotations = key_annotations(person.name, user, expires)
    ours = {**labels("identity", stack), "app.kubernetes.io/managed-by": TEAM, TEMPORARY_LABEL: _MAKER}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": key_secret_name(person.name, annotations),
            "namespace": settings.platform.kuadrant.namespace,
            "labels": {**ours, **key_secret_labels(person.name, user, key_selector(settings.identity.api_keys, stack))},
            "annotations": {**annotations, RUN_ANNOTATION: run},
        },
        "type": "Opaque",
        "stringData": {KEY_PROPERTY: key},
    }


def this_run() -> str:
    """This process, told from every other one of this and other machines."""
    return f"{socket.gethostname()}/{_name(psutil.Process())}"


class ClusterKeys:
    """Makes users by Secrets on the cluster."""

    def __init__(self, kube: Kube, settings: Settings, stack: str, lasts: timedelta) -> None:
        """Get ready.

        Args:
            kube: the cluster.
            settings: of the stack.
            stack: its name.
            lasts: how long a key is good that is not taken away.
        """
        self._kube, self._settings, self._stack, self._lasts = kube, settings, stack, lasts
        self._run = this_run()
        self._made: dict[str, str] = {}
        self._turn = asyncio.Semaphore(_AT_ONCE)

    @property
    def _where(self) -> str:
        return self._settings.platform.kuadrant.namespace

    async def make(self, person: Person) -> str:
        """The key of a new user, which the gateway will know of in a moment.

        Raises:
            BlockedError: The cluster refuses.
        """
        key = secrets.token_hex(24)
        ends = person.expires or datetime.now(UTC) + self._lasts
        lasting = Person(person.name, person.tier, person.models, ends)
        body = manifest(self._settings, self._stack, lasting, key, self._run)
        # Before it is there: a run that is stopped meanwhile takes it away all the same.
        self._made[person.name] = body["metadata"]["name"]
        async with self._turn:
            try:
                await self._kube.create(body, field_manager=TEAM)
            except ApiError as error:
                raise BlockedError(f"no user can be made: {error.message}") from error
        return key

    async def revoke(self, name: str) -> None:
        """Delete a user's Secret.

        Raises:
            ApiError: The cluster refuses.
        """
        async with self._turn:
            await self._kube.delete("v1", "Secret", self._made[name], self._where)
        self._made.pop(name, None)

    async def close(self) -> list[str]:
        """Delete what was made; returns the names of Secrets that could not be."""
        try:
            async with asyncio.timeout(_DELETE_SECONDS):
                await asyncio.gather(*(self.revoke(name) for name in list(self._made)), return_exceptions=True)
        except TimeoutError:
            pass
        return sorted(self._made.values())

    async def sweep(self) -> int:
        """Delete what runs have left behind that ended without a chance to; returns how many Secrets.

        Raises:
            ApiError: The cluster refuses.
        """
        found = await self._kube.list("v1", "Secret", self._where, f"{TEMPORARY_LABEL}={_MAKER}")
        alive = _processes()
        left = [name_of(each) for each in found if _is_left(each, alive)]
        for name in left:
            await self._kube.delete("v1", "Secret", name, self._where)
        return len(left)


def _is_left(secret: dict[str, Any], alive: Collection[str]) -> bool:
    """Whether a made Secret is nobody's any more: its key has ended, or its process has, if it was on this machine."""
    notes = annotations_of(secret)
    try:
        ended = datetime.fromisoformat(notes.get(EXPIRES_ANNOTATION, "")) < datetime.now(UTC) - _LONG_AGO
    except ValueError:
        ended = True
    host, _, process = notes.get(RUN_ANNOTATION, "").partition("/")
    return ended or (host == socket.gethostname() and process not in alive)


def _processes() -> frozenset[str]:
    """What runs on this machine, as `this_run` names it."""
    found: set[str] = set()
    for each in psutil.process_iter():
        try:
            found.add(_name(each))
        except psutil.Error:
            continue
    return frozenset(found)


def _name(process: psutil.Process) -> str:
    return f"{process.pid}/{process.create_time():.0f}"
