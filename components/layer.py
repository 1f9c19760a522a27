"""What every layer has in common: labels, metadata, options for its objects, waits."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi

from config.settings import Settings

PART_OF = "maas"
PREFIX = "maas.kuadrant.io"
"""Prefix of this project's own labels and annotations."""
STACK_LABEL = f"{PREFIX}/stack"
FORCE = {"pulumi.com/patchForce": "true"}
"""Annotation of a patch that takes fields over from whoever set them before."""


@dataclass(frozen=True)
class Site:
    """The stack that is being deployed: its name and what its file says."""

    stack: str
    settings: Settings


def labels(layer: str, stack: str) -> dict[str, str]:
    """The labels that every object of ours carries."""
    return {
        "app.kubernetes.io/part-of": PART_OF,
        "app.kubernetes.io/component": layer,
        "app.kubernetes.io/managed-by": "pulumi",
        STACK_LABEL: stack,
    }


def short_hash(text: str) -> str:
    """Changes when, and only when, the text does: for annotations that roll pods."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def object_metadata(
    name: pulumi.Input[str],
    namespace: str | None,
    labels: Mapping[str, str],
    annotations: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Metadata of an object; without a namespace it is cluster-scoped."""
    found: dict[str, Any] = {"name": name, "labels": dict(labels)}
    if namespace is not None:
        found["namespace"] = namespace
    if annotations:
        found["annotations"] = dict(annotations)
    return found


def wait_for(*states: str) -> dict[str, str]:
    """The annotation that makes Pulumi wait until all `states` hold, such as `condition=Ready`.

    Syntax: pulumi-kubernetes' `pulumi.com/waitFor`, a condition or a JSONPath, or a JSON list of them.
    """
    return {"pulumi.com/waitFor": states[0] if len(states) == 1 else json.dumps(list(states))}


class Layer(pulumi.ComponentResource):
    """A layer of the service. Its objects get the cluster's provider from the `providers` of its own options."""

    def __init__(self, layer: str, site: Site, opts: pulumi.ResourceOptions | None) -> None:
        # The token's class is the layer's: maas:gateway:Gateway.
        super().__init__(f"{PART_OF}:{layer}:{type(self).__name__}", layer, None, opts)
        self.layer = layer
        self.site = site
        self.settings = site.settings
        self.namespace = site.settings.platform.namespace

    def metadata(
        self,
        name: str,
        namespace: str | None = None,
        *,
        labels_too: Mapping[str, str] | None = None,
        annotations: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """Metadata with explicit name and namespace (None: the object is cluster-scoped) and the labels of ours."""
        every = {**labels(self.layer, self.site.stack), **(labels_too or {})}
        return object_metadata(name, namespace, every, annotations)

    def options(
        self,
        *,
        depends_on: Sequence[pulumi.Resource] = (),
        ready_within: str | None = None,
        retain_on_delete: bool = False,
        delete_before_replace: bool = False,
        keeps: Sequence[str] = (),
    ) -> pulumi.ResourceOptions:
        """Options of an object of this layer.

        Args:
            depends_on: what must be there before.
            ready_within: how long its creation or change may take until it is ready, such as `5m`.
            retain_on_delete: leave it as it is when the stack is destroyed.
            delete_before_replace: when it has to be another object, delete the old one first.
            keeps: inputs that stay as they were when it was created, such as a random password.
        """
        return pulumi.ResourceOptions(
            parent=self,
            depends_on=list(depends_on),
            custom_timeouts=pulumi.CustomTimeouts(
                create=ready_within, update=ready_within, delete=self.settings.timeouts.delete
            ),
            retain_on_delete=retain_on_delete,
            delete_before_replace=delete_before_replace,
            ignore_changes=list(keeps),
        )
