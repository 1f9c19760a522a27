"""What a model asks of its pods, whichever of KServe's objects they come from."""

from typing import Any

from components.models.runtimes.container import USER_ID, pod_security_context
from components.models.runtimes.draining import before_stop, grace_seconds
from components.platform import MODEL_ACCOUNT
from config.mirror import Mirror
from config.models import Cache, Gpu, Model, Runtime, Scheme, Vendor
from config.models.arguments import value_of
from config.models.gpu import MEMORY_LABEL
from config.models.sources import repository_of, revision_of
from config.platform import Profile
from config.versions import VLLM_ROCM_IMAGE

CACHE = "weights"
"""The volume that weights are downloaded to."""
_CACHE_FOLDER = "/weights"
TOKEN = "HF_TOKEN"  # noqa: S105 - the name of a variable
"""What Hugging Face's libraries, and KServe, read a token from."""
STORAGE_SECRETS = ("serving.kserve.io/secretName", "serving.kserve.io/storageSecretName")
"""Annotations that name the Secret which KServe's storage initializer reads. A KServe knows one of them
(`credentials.storageSecretNameAnnotation` of its settings): that of its chart, or that of its manifests."""


def resources(model: Model) -> dict[str, Any]:
    """Requests and limits of a model's container."""
    amounts = {"cpu": model.resources.cpu, "memory": model.resources.memory} if model.resources else {}
    if model.gpu is not None:
        amounts[model.gpu.resource] = str(model.gpu.count)
    return {"requests": amounts, "limits": amounts}


def model_args(model: Model, served_name: str) -> list[str]:
    """The runtime's arguments for one model; the user's own come last, so that they win."""
    args = [f"--served-model-name={served_name}"]
    if model.cache is not None and model.source is not None:
        args.append(f"--model={repository_of(model.source)}")
        if revision := revision_of(model.source):
            args.append(f"--revision={revision}")
    if model.max_length is not None:
        args.append(f"--max-model-len={model.max_length}")
    if model.memory_utilisation is not None:
        args.append(f"--gpu-memory-utilization={model.memory_utilisation}")
    if model.max_sequences is not None:
        args.append(f"--max-num-seqs={model.max_sequences}")
    if model.gpu is not None and model.gpu.count > 1 and not _parallel_by_hand(model):
        args.append(f"--tensor-parallel-size={model.gpu.count}")
    return [*args, *model.args]


def _parallel_by_hand(model: Model) -> bool:
    sizes = ("--tensor-parallel-size", "--pipeline-parallel-size")
    return any(value_of(model.args, option) is not None for option in sizes)


def image(model: Model, mirror: Mirror) -> str | None:
    """The image of a model that is not its runtime's own."""
    own = model.image
    if own is None and model.gpu is not None and model.gpu.vendor is Vendor.AMD:
        own = VLLM_ROCM_IMAGE
    return None if own is None else mirror.image(own)


def address(model: Model, mirror: Mirror) -> str | None:
    """Where KServe gets the weights: a modelcar is an image, and comes from the mirror as others do."""
    return mirror.image(model.source) if model.source and model.scheme is Scheme.OCI else model.source


def container(model: Model, port: int) -> dict[str, Any]:
    """What a model's container has beside image, arguments and resources."""
    extra: dict[str, Any] = {
        "lifecycle": before_stop(port, model.drain_seconds, python=model.runtime is not Runtime.LLM_D_SIMULATOR)
    }
    if model.cache is not None:
        variables: list[dict[str, Any]] = [{"name": "HF_HOME", "value": f"{_CACHE_FOLDER}/hf"}]
        if model.secret is not None:
            token = {"secretKeyRef": {"name": model.secret, "key": TOKEN}}
            variables.append({"name": TOKEN, "valueFrom": token})
        extra["env"] = variables
        extra["volumeMounts"] = [{"name": CACHE, "mountPath": _CACHE_FOLDER}]
    return extra


def pod(name: str, model: Model, labels: dict[str, str], mirror: Mirror, profile: Profile) -> dict[str, Any]:
    """The part of a model's pod spec around its containers.

    Args:
        name: the model's.
        model: its settings.
        labels: those that its pods alone have.
        mirror: where images come from.
        profile: the platform's.
    """
    spec: dict[str, Any] = {
        "serviceAccountName": MODEL_ACCOUNT,
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": grace_seconds(model.drain_seconds),
        "securityContext": _security(model, profile),
        # For a single replica too: another one must not roll the first.
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": key,
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": labels},
            }
            for key in ("kubernetes.io/hostname", "topology.kubernetes.io/zone")
        ],
    }
    if model.gpu is not None:
        spec["nodeSelector"] = dict(model.gpu.node_selector)
        spec["tolerations"] = [each.model_dump(mode="json", exclude_none=True) for each in model.gpu.tolerations]
        if affinity := _affinity(model.gpu):
            spec["affinity"] = affinity
    if model.cache is not None:
        spec["volumes"] = [_volume(name, model.cache)]
    if model.scheme is Scheme.OCI and model.secret is not None:
        logins = [model.secret, *([mirror.pull_secret] if mirror.pull_secret else [])]
        spec["imagePullSecrets"] = [{"name": each} for each in logins]
    return spec


def annotations(model: Model) -> dict[str, str]:
    """Annotations of KServe's object, for its storage initializer."""
    read = model.scheme in {Scheme.HUGGING_FACE, Scheme.S3} and model.cache is None
    return dict.fromkeys(STORAGE_SECRETS, model.secret) if model.secret is not None and read else {}


def _security(model: Model, profile: Profile) -> dict[str, Any]:
    result = pod_security_context(profile)
    if profile is not Profile.OPENSHIFT:  # which picks groups by itself
        if model.cache is not None:
            result["fsGroup"] = USER_ID  # a new volume is root's
        if model.scheme is Scheme.OCI:
            # vLLM reads the modelcar's files through /proc, where the kernel asks for the same user and group.
            result["runAsGroup"] = USER_ID
    return result


def _affinity(gpu: Gpu) -> dict[str, Any]:
    if gpu.mebibytes_above is None:
        return {}
    rule = {"key": MEMORY_LABEL, "operator": "Gt", "values": [str(gpu.mebibytes_above)]}
    terms = [{"matchExpressions": [rule]}]
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}


def _volume(name: str, cache: Cache) -> dict[str, Any]:
    if cache.ephemeral:
        return {"name": CACHE, "emptyDir": {"sizeLimit": cache.size}}
    return {"name": CACHE, "persistentVolumeClaim": {"claimName": cache.claim or claim_name(name)}}


def claim_name(model: str) -> str:
    """Name of the PersistentVolumeClaim that is made for a model."""
    return f"{model}-weights"


def claim_spec(cache: Cache) -> dict[str, Any]:
    """Body of that PersistentVolumeClaim."""
    spec: dict[str, Any] = {
        "accessModes": [cache.access_mode],
        "resources": {"requests": {"storage": cache.size or ""}},
    }
    if cache.storage_class is not None:
        spec["storageClassName"] = cache.storage_class
    return spec
