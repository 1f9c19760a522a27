"""Puts into a new control plane what makes it a cluster for us: nodes, CRDs, stages, the operators' objects."""

import asyncio
import hashlib
import json
import time
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import yaml

from sandbox import operators
from sandbox.crds import FIELD_MANAGER, Bundle
from sandbox.crds import install as install_crds
from sandbox.go_yaml import GoLoader
from sandbox.kube import ApiError, Kube
from sandbox.progress import Step

Object = dict[str, Any]

_FOLDER = Path(__file__).parent
_RECORD = "maas-sandbox-contents"
_CONCURRENCY = 16
_POLL_SECONDS = 0.2


def stages(without: Collection[str] = ()) -> list[Object]:
    """The stages of kwok: how nodes, pods and the operators' resources come to life; some files can be left out."""
    files = [file for file in sorted((_FOLDER / "stages").glob("*.yaml")) if file.name not in without]
    return [stage for file in files for stage in _documents(file)]


def nodes() -> list[Object]:
    """The nodes, with their capacity."""
    return [node for document in _documents(_FOLDER / "nodes.yaml") for node in document["items"]]


@dataclass(frozen=True)
class Played:
    """What kwok's stages do in a sandbox, and what of it real operators do in their place.

    Attributes:
        stages_without: Files of stages that are left out.
        namespaces_without: Namespaces without played operators.
    """

    stages_without: Collection[str] = ()
    namespaces_without: Collection[str] = ()


EVERYTHING = Played()


def fingerprint(played: Played = EVERYTHING) -> str:
    """Changes with anything that `install` puts into a cluster, CRDs aside."""
    everything = [nodes(), stages(played.stages_without), operators.objects(played.namespaces_without)]
    return hashlib.sha256(json.dumps(everything, sort_keys=True).encode()).hexdigest()[:16]


async def install(kube: Kube, crds: Bundle, kwok: str, step: Step, played: Played = EVERYTHING) -> None:
    """Put everything in; does nothing but ask when it is there already.

    What was changed since by somebody else stays as they want it: a program may have taken over some of KServe's
    settings.

    Args:
        kube: The API server.
        crds: The operators' CRDs.
        kwok: Identifies the running kwok process. A new one is made to look at its stages again now that their kinds
            are served: it gives up on those that were not when it started.
        step: Hears how far it is.
        played: What kwok is to do.

    Raises:
        ApiError: Something was refused.
        TimeoutError: CRDs are not served in time.
    """
    record = await kube.get("v1", "ConfigMap", _RECORD, "kube-system")
    wanted = {"fingerprint": fingerprint(played), "kwok": kwok}
    if record and record.get("data") == wanted and not await install_crds(kube, crds, step):
        return
    known = record is not None and record.get("data", {}).get("fingerprint") == wanted["fingerprint"]
    if not known:
        await _apply(kube, nodes())
    await install_crds(kube, crds, step)
    if not known:
        await _apply_in_order(kube, operators.objects(played.namespaces_without))
    every = stages(played.stages_without)
    await wait_until_published(kube, every)
    await _apply(kube, [_marked(stage, kwok) for stage in every])
    await kube.apply(_config_map(wanted), field_manager=FIELD_MANAGER, force=True)


async def wait_until_published(kube: Kube, every: Iterable[Object], timeout_seconds: float = 60.0) -> None:
    """Wait until the API server's OpenAPI document has the kinds of all stages: kwok gives up on those that it lacks.

    Raises:
        TimeoutError: Some are not there in time; the message names them.
    """
    missing: dict[str, set[str]] = {}
    for reference in (stage["spec"]["resourceRef"] for stage in every):
        if reference["apiGroup"] != "v1":
            missing.setdefault(reference["apiGroup"], set()).add(reference["kind"])
    end = time.monotonic() + timeout_seconds
    while missing := {
        group: left for group, kinds in missing.items() if (left := await kube.unpublished(group, kinds))
    }:
        if time.monotonic() > end:
            names = ", ".join(f"{kind} ({group})" for group in sorted(missing) for kind in sorted(missing[group]))
            raise TimeoutError(f"After {timeout_seconds:.0f} s the API server's /openapi/v3 still lacks {names}.")
        await asyncio.sleep(_POLL_SECONDS)


def _marked(stage: Object, kwok: str) -> Object:
    metadata = cast("Object", stage["metadata"])
    return stage | {"metadata": metadata | {"labels": operators.OWNED, "annotations": {"maas.sandbox/kwok": kwok}}}


async def _apply_in_order(kube: Kube, objects: Sequence[Object]) -> None:
    """Namespaces before what is in them."""
    namespaces = [obj for obj in objects if obj["kind"] == "Namespace"]
    await _apply(kube, namespaces)
    await _apply(kube, [obj for obj in objects if obj["kind"] != "Namespace"])


async def _apply(kube: Kube, objects: Iterable[Object]) -> None:
    turn = asyncio.Semaphore(_CONCURRENCY)

    async def apply(obj: Object) -> None:
        async with turn:
            try:
                await kube.apply(obj, field_manager=FIELD_MANAGER)
            except ApiError as error:
                if not error.conflict:
                    raise

    async with asyncio.TaskGroup() as group:
        for obj in objects:
            group.create_task(apply(obj))


def _config_map(data: dict[str, str]) -> Object:
    metadata = {"name": _RECORD, "namespace": "kube-system", "labels": operators.OWNED}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def _documents(file: Path) -> list[Object]:
    return [document for document in yaml.load_all(file.read_text(encoding="utf-8"), Loader=GoLoader) if document]
