"""The cluster at one moment, read with GET and LIST only."""

import asyncio
import base64
import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from sandbox.kube import ApiError, Kube, NoMatchError

Manifest = dict[str, Any]
"""A Kubernetes object as JSON."""
Kind = tuple[str, str]
"""apiVersion and kind."""

CRD = "CustomResourceDefinition"
_CRD_VERSION = "apiextensions.k8s.io/v1"
_AT_ONCE = 12


@dataclass(frozen=True)
class Listing:
    """What to list: a kind, in one namespace or in all."""

    api_version: str
    kind: str
    namespace: str | None = None


@dataclass(frozen=True)
class Snapshot:
    """What was read. Values of Secrets are not in it, only their digests."""

    version: str = ""
    """Of Kubernetes, such as `v1.33.2`."""
    objects: Mapping[Kind, tuple[Manifest, ...]] = field(default_factory=dict[Kind, tuple[Manifest, ...]])
    """What there is, by kind; a kind that was not asked for, is not served or may not be read is not here."""
    not_served: Mapping[Kind, tuple[str, ...]] = field(default_factory=dict[Kind, tuple[str, ...]])
    """Kinds that the server does not serve, with the versions of them that it does serve."""
    denied: Mapping[Kind, str] = field(default_factory=dict[Kind, str])
    """Kinds that we may not list, with what the server said."""

    def all(self, api_version: str, kind: str) -> tuple[Manifest, ...]:
        """Every object of a kind that was read."""
        return self.objects.get((api_version, kind), ())

    def of_kind(self, kind: str) -> tuple[Manifest, ...]:
        """Every object of a kind, whatever its group and version."""
        return tuple(each for (_, known), found in self.objects.items() if known == kind for each in found)

    def get(self, api_version: str, kind: str, name: str, namespace: str = "") -> Manifest | None:
        """One object; None when it is not there."""
        for each in self.all(api_version, kind):
            metadata = each["metadata"]
            if metadata["name"] == name and metadata.get("namespace", "") == namespace:
                return each
        return None

    def knows(self, api_version: str, kind: str) -> bool:
        """Whether the kind could be read: only then does a missing object mean that it does not exist."""
        return (api_version, kind) in self.objects


async def fetch(kube: Kube, listings: Collection[Listing]) -> Snapshot:
    """Read it all at once.

    Raises:
        ApiError: The API server cannot be reached, or does not know us.
    """
    version = await kube.version()
    turn = asyncio.Semaphore(_AT_ONCE)

    async def read(listing: Listing) -> tuple[Listing, tuple[Manifest, ...] | ApiError]:
        async with turn:
            try:
                items = await kube.list(listing.api_version, listing.kind, listing.namespace)
            except ApiError as error:
                if not error.status or error.status == 401:  # noqa: PLR2004 - HTTP: unauthorised
                    raise
                return listing, error
        return listing, tuple(_without_secrets(item) for item in items)

    answers = await asyncio.gather(*(read(each) for each in _widest(listings)))
    objects: dict[Kind, tuple[Manifest, ...]] = {}
    missing: list[Kind] = []
    denied: dict[Kind, str] = {}
    for listing, answer in answers:
        kind = (listing.api_version, listing.kind)
        if isinstance(answer, NoMatchError):
            missing.append(kind)
        elif isinstance(answer, ApiError):
            denied[kind] = answer.message
        else:
            objects[kind] = (*objects.get(kind, ()), *answer)
    wanted = sorted(set(missing))
    served = await asyncio.gather(*(_served_versions(kube, kind) for kind in wanted))
    return Snapshot(version, objects, dict(zip(wanted, served, strict=True)), denied)


def crd_name(kind: Kind) -> str:
    """Name of the CRD of a kind, by the rules of English that every operator here follows."""
    group, plural = kind[0].partition("/")[0], kind[1].lower()
    if plural.endswith("y") and plural[-2] not in "aeiou":
        plural = plural[:-1] + "ies"
    elif plural.endswith("s"):
        plural += "es"
    else:
        plural += "s"
    return f"{plural}.{group}"


async def _served_versions(kube: Kube, kind: Kind) -> tuple[str, ...]:
    """Which versions of a kind are served instead; none when its CRD is not there, or may not be read."""
    try:
        crd = await kube.get(_CRD_VERSION, CRD, crd_name(kind))
    except ApiError:
        return ()
    versions = cast("list[Manifest]", crd["spec"]["versions"]) if crd else []
    return tuple(str(each["name"]) for each in versions if each.get("served"))


def _widest(listings: Iterable[Listing]) -> list[Listing]:
    """Each kind once: what is listed in all namespaces is not listed again in one."""
    unique = set(listings)
    everywhere = {(each.api_version, each.kind) for each in unique if each.namespace is None}
    kept = [each for each in unique if each.namespace is None or (each.api_version, each.kind) not in everywhere]
    return sorted(kept, key=lambda each: (each.api_version, each.kind, each.namespace or ""))


def _without_secrets(item: Manifest) -> Manifest:
    """The object as it is; of a Secret, digests of its values, which tell equal ones and nothing else."""
    if item.get("kind") != "Secret":
        return item
    data = cast("Mapping[str, str]", item.get("data") or {})
    metadata = cast("Manifest", item["metadata"])
    annotations = cast("Mapping[str, str]", metadata.get("annotations") or {})
    kept = {key: value for key, value in annotations.items() if "last-applied" not in key}
    return {
        "apiVersion": item["apiVersion"],
        "kind": "Secret",
        "type": item.get("type", ""),
        "metadata": {**metadata, "annotations": kept},
        "data": {key: _digest(value) for key, value in data.items()},
    }


def _digest(encoded: str) -> str:
    """Empty for an empty value."""
    value = base64.b64decode(encoded)
    return hashlib.sha256(value).hexdigest() if value else ""
