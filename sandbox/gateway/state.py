"""What the gateway knows of the cluster, kept up to date by watches."""

import asyncio
import base64
import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from enforcement.objects import fields_of
from sandbox.gateway.gates import OPERATOR
from sandbox.kube import ApiError, Kube

Object = dict[str, Any]
log = logging.getLogger("maas.gateway")

_ROUTING = "gateway.networking.k8s.io/v1"
_KINDS: dict[str, tuple[str, str | None]] = {
    "Gateway": (_ROUTING, None),
    "HTTPRoute": (_ROUTING, None),
    "AuthPolicy": ("kuadrant.io/v1", None),
    "RateLimitPolicy": ("kuadrant.io/v1", None),
    "TokenRateLimitPolicy": ("kuadrant.io/v1alpha1", None),
    "TelemetryPolicy": ("extensions.kuadrant.io/v1alpha1", None),
    "EnvoyFilter": ("networking.istio.io/v1alpha3", None),
    "Kuadrant": ("kuadrant.io/v1beta1", None),
    "Deployment": ("apps/v1", None),
    "Limitador": ("limitador.kuadrant.io/v1alpha1", None),
    "InferenceService": ("serving.kserve.io/v1beta1", None),
    "LLMInferenceService": ("serving.kserve.io/v1alpha1", None),
    "ServingRuntime": ("serving.kserve.io/v1alpha1", None),
    # Authorino watches Secrets with its own label only.
    "Secret": ("v1", "authorino.kuadrant.io/managed-by=authorino"),
}
"""What is watched: API version, and a label that narrows it."""
_ONLY = {"Deployment": OPERATOR}
"""Of these kinds one object alone, by its name."""
_SETTLE_SECONDS = 0.05
"""Changes that come together are taken together."""
_AGAIN_SECONDS = 1.0
_FOREVER = 365 * 24 * 3600.0


class State:
    """The objects, by kind. `changed` is awaited after each change, never twice at once."""

    def __init__(self, kube: Kube, changed: Callable[["State"], Awaitable[None]]) -> None:
        self._kube = kube
        self._changed = changed
        self._objects: dict[str, dict[str, Object]] = {kind: {} for kind in _KINDS}
        self._listed: set[str] = set()
        self._dirty = asyncio.Event()
        self.synced = asyncio.Event()
        """Set once every kind has been listed and taken over."""

    def of(self, *kinds: str) -> list[Object]:
        """All objects of some kinds."""
        return [each for kind in kinds for each in self._objects[kind].values()]

    def all(self) -> Iterable[Object]:
        """All objects."""
        return self.of(*_KINDS)

    async def run(self) -> None:
        """Watch until cancelled."""
        async with asyncio.TaskGroup() as group:
            for kind in _KINDS:
                group.create_task(self._follow(kind))
            group.create_task(self._tell())

    async def secret_value(self, namespace: str, name: str, key: str) -> str | None:
        """One value of a Secret that is not watched; None when it is not there."""
        secret = await self._kube.get("v1", "Secret", name, namespace)
        encoded = fields_of((secret or {}).get("data")).get(key)
        return base64.b64decode(str(encoded)).decode() if encoded else None

    async def _follow(self, kind: str) -> None:
        api_version, selector = _KINDS[kind]
        mine, name = self._objects[kind], _ONLY.get(kind)
        while True:
            try:
                if kind not in self._listed:
                    for item in await self._kube.list(api_version, kind, label_selector=selector):
                        if name in {None, item["metadata"]["name"]}:
                            mine[item["metadata"]["uid"]] = {"apiVersion": api_version, "kind": kind, **item}
                    self._listed.add(kind)
                    self._dirty.set()
                stream = self._kube.watch(
                    api_version, kind, name=name, label_selector=selector, known=dict(mine), seconds=_FOREVER
                )
                async for event in stream:
                    uid = event.object["metadata"]["uid"]
                    if event.type == "DELETED":
                        mine.pop(uid, None)
                    else:
                        mine[uid] = {"apiVersion": api_version, "kind": kind, **event.object}
                    self._dirty.set()
            except ApiError as error:
                # The API server is away, or the kind is not served yet: what is known goes on holding.
                log.debug("watching %s: %s", kind, error)
            await asyncio.sleep(_AGAIN_SECONDS)

    async def _tell(self) -> None:
        while True:
            await self._dirty.wait()
            await asyncio.sleep(_SETTLE_SECONDS)
            self._dirty.clear()
            try:
                await self._changed(self)
            except Exception:
                # One object that nobody expected must not stop the others from being enforced for good.
                log.exception("what changed could not be taken over; what held before goes on holding")
            if self._listed == set(_KINDS):
                self.synced.set()
