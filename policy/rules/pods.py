"""Rules on pods, looked for in whatever kind of object carries them."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from policy.rules.resource import Resource, entries, mapping, walk

_AMOUNTS = {"requests": ("cpu", "memory"), "limits": ("memory",)}
"""A limit of CPU is a choice: it also throttles where the node has some to spare."""
_WITHOUT_AMOUNTS = {"ServingRuntime", "ClusterServingRuntime"}
"""Templates: the InferenceService says what a pod may use."""
_GPU = re.compile(r"^(nvidia|amd|gpu\.intel|habana)[a-z.]*/")
_HOST = ("hostNetwork", "hostPID", "hostIPC")
_POD_SECURITY = "pod-security.kubernetes.io/enforce"
_PRIVILEGED_SCC = re.compile(r"^system:openshift:scc:(privileged|anyuid|hostaccess|hostmount-anyuid|hostnetwork)")
_SCC_ALLOWS = (
    "allowPrivilegedContainer",
    "allowHostNetwork",
    "allowHostPID",
    "allowHostIPC",
    "allowHostDirVolumePlugin",
)
_IMAGE_IN_ENVIRONMENT = "RELATED_IMAGE_"
"""How operators are told of images that they run."""
_OCI = "oci://"
"""A model's weights in an image."""
_DIGEST = re.compile(r"@sha256:[0-9a-f]{64}$")


def pinned_images(resource: Resource) -> Iterator[str]:
    """No image without a tag, and none tagged latest."""
    for path, image in images(resource):
        tag = image.rpartition("/")[2].partition("@")[0].partition(":")[2]
        if not _DIGEST.search(image) and tag in {"", "latest"}:
            yield f"{path}: {image} is another image tomorrow; name a version, or a digest"


def images_by_digest(resource: Resource) -> Iterator[str]:
    """Every image by digest."""
    for path, image in images(resource):
        if not _DIGEST.search(image):
            yield f"{path}: {image} has no digest; append @sha256:..., which `crane digest {image}` prints"


def requests_and_limits(resource: Resource) -> Iterator[str]:
    """CPU and memory set aside, and memory bounded, for every container and every model."""
    if resource.kind in _WITHOUT_AMOUNTS or resource.is_patch:
        return
    for path, container in _containers(resource):
        given = mapping(container.get("resources"))
        for part, amounts in _AMOUNTS.items():
            missing = [amount for amount in amounts if not mapping(given.get(part)).get(amount)]
            if missing:
                yield f"{path}.resources.{part}: {' and '.join(missing)} not set"


def gpu_placement(resource: Resource) -> Iterator[str]:
    """A pod with GPUs goes to nodes that have them."""
    for path, pod in _pods(resource):
        amounts = [mapping(mapping(each.get("resources")).get("limits")) for _, each in _containers_of(pod, path)]
        if not any(_GPU.match(name) and str(amount) != "0" for each in amounts for name, amount in each.items()):
            continue
        if not pod.get("nodeSelector") and not mapping(pod.get("affinity")).get("nodeAffinity"):
            yield f"{path}: a pod with GPUs has no nodeSelector"
        if not pod.get("tolerations"):
            yield f"{path}: a pod with GPUs tolerates no taint, and GPU nodes have one"


def no_privileged_pods(resource: Resource) -> Iterator[str]:
    """Nothing that can become the node."""
    for path, here in walk(resource.props):
        if here.get("privileged") is True:
            yield f"{path}.privileged: the container may do anything on its node"
        yield from (f"{path}.{key}: the pod shares this with its node" for key in _HOST if here.get(key) is True)
        if "hostPath" in here:
            yield f"{path}.hostPath: the pod reads the node's files"
    labels = mapping(mapping(resource.props.get("metadata")).get("labels"))
    if labels.get(_POD_SECURITY) == "privileged":
        yield f"metadata.labels[{_POD_SECURITY}]: privileged pods are let into the namespace"
    role = str(mapping(resource.props.get("roleRef")).get("name", ""))
    if _PRIVILEGED_SCC.match(role):
        yield f"roleRef.name: {role}"
    if resource.kind == "SecurityContextConstraints":
        yield from (f"{key}: true" for key in _SCC_ALLOWS if resource.props.get(key) is True)


def images(resource: Resource) -> Iterator[tuple[str, str]]:
    """Every image that an object names, with where it does."""
    for path, container in _containers(resource):
        image = container.get("image")
        if isinstance(image, str):
            yield f"{path}.image", image
    for path, here in walk(resource.props):
        if str(here.get("name", "")).startswith(_IMAGE_IN_ENVIRONMENT) and isinstance(here.get("value"), str):
            yield f"{path}.value", str(here["value"]).removeprefix(_OCI)
        for key in ("storageUri", "uri"):
            if str(here.get(key, "")).startswith(_OCI):
                yield f"{path}.{key}", str(here[key]).removeprefix(_OCI)
    if resource.kind == "CatalogSource" and isinstance(resource.spec.get("image"), str):
        yield "spec.image", str(resource.spec["image"])


def _containers(resource: Resource) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for path, pod in _pods(resource):
        yield from _containers_of(pod, path)


def _containers_of(pod: Mapping[str, Any], path: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for key in ("containers", "initContainers"):
        for container in entries(pod.get(key)):
            yield f"{path}.{key}[{container.get('name', '')}]", container
    if isinstance(pod.get("model"), dict) and "modelFormat" in pod["model"]:
        yield f"{path}.model", mapping(pod["model"])


def _pods(resource: Resource) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Pod specs wherever they are: of a Pod, in a template, a ServingRuntime, or a predictor."""
    for path, here in walk(resource.props):
        if isinstance(here.get("containers"), list) or (
            isinstance(here.get("model"), dict) and path.startswith("spec")
        ):
            yield path, here
