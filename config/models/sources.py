"""Where a model's weights come from, or where the model is."""

import re
from enum import StrEnum
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator

from config.problems import RefusalError
from config.values import PORT_LAST


class Scheme(StrEnum):
    """The kinds of places."""

    HUGGING_FACE = "hf"
    """A repository of Hugging Face: `hf://<organisation>/<model>[:<revision>]`."""
    OCI = "oci"
    """A modelcar, an image with the weights in /models: `oci://<registry>/<image>:<tag>`, or `@sha256:<digest>`."""
    S3 = "s3"
    """A bucket: `s3://<bucket>/<folder>`."""
    PVC = "pvc"
    """A PersistentVolumeClaim in the platform's namespace: `pvc://<claim>/<folder>`."""
    HTTPS = "https"
    """An OpenAI-compatible endpoint outside of the cluster: `https://<host>[:<port>]/<path that ends with v1>`."""


_PATTERNS = {
    Scheme.HUGGING_FACE: re.compile(r"[\w.-]+/[\w.-]+(:[\w./-]+)?"),
    Scheme.OCI: re.compile(r"[\w.-]+(:[0-9]+)?(/[\w.-]+)+(:[\w.-]+|@sha256:[0-9a-f]{64})?"),
    Scheme.S3: re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[\w./=+-]*)?"),
    Scheme.PVC: re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?(/[\w./=+-]*)?"),
    Scheme.HTTPS: re.compile(r"[a-z0-9.-]*[a-z0-9](:[0-9]{1,5})?(/[\w./~-]*)?"),
}
ALLOWED = (
    "hf://<organisation>/<model>[:<revision>], oci://<registry>/<image>:<tag>, s3://<bucket>/<folder>, "
    "pvc://<claim>/<folder>, https://<host>/v1"
)
_CALLED = ("/chat/completions", "/completions", "/embeddings", "/models")
"""What a source must not end with: the route adds it."""
_EXAMPLES = {
    Scheme.HUGGING_FACE: "hf://Qwen/Qwen3-0.6B",
    Scheme.OCI: "oci://quay.io/models/qwen3:1.0",
    Scheme.S3: "s3://models/qwen3",
    Scheme.PVC: "pvc://models/qwen3",
    Scheme.HTTPS: "https://api.openai.com/v1",
}


def _source(value: str) -> str:
    prefix, separator, rest = value.partition("://")
    if prefix == "http":
        why = "the endpoint's key and the callers' prompts would leave the cluster unencrypted"
        raise RefusalError(why, allowed="https://<host>/v1", fix=value.replace("http://", "https://", 1))
    if not separator or prefix not in set(Scheme) or not _PATTERNS[Scheme(prefix)].fullmatch(rest):
        raise RefusalError("not a model source", allowed=ALLOWED, fix=_likely(value))
    if prefix == Scheme.HTTPS:
        _refuse_endpoint(value, rest)
    last = rest.rsplit("/", 1)[-1]
    if prefix == Scheme.OCI and (":" not in last or last.endswith(":latest")):
        raise RefusalError(
            "an image without a version of its own: another model could be served tomorrow",
            allowed="a tag other than latest, or a digest",
            fix=f"{value.removesuffix(':latest')}:1.0",
        )
    return value


def _refuse_endpoint(value: str, rest: str) -> None:
    """Refuse an endpoint that could not be called.

    Raises:
        RefusalError: With the reason.
    """
    host, _, port = rest.partition("/")[0].partition(":")
    if port and not 0 < int(port) <= PORT_LAST:
        why, fix = f"there is no port {port}", value.replace(f":{port}", "", 1)
        raise RefusalError(why, allowed=f"a port from 1 to {PORT_LAST}; 443 without", fix=fix)
    if re.fullmatch(r"[0-9.]+", host):
        why = "the gateway checks the endpoint's certificate by its name, and an address is none"
        raise RefusalError(why, allowed="https://<host>/v1", fix=_EXAMPLES[Scheme.HTTPS])
    for path in _CALLED:
        if rest.rstrip("/").endswith(path):
            why = f"callers' paths are put behind it: it would be called as {path}{path}"
            raise RefusalError(
                why, allowed="what stands before the paths, such as .../v1", fix=value.split(path, maxsplit=1)[0]
            )


def _likely(value: str) -> str:
    """The same with what is usually forgotten, or an example of its kind."""
    prefix, separator, rest = value.lower().partition("://")
    if not separator:
        return f"hf://{value}" if _PATTERNS[Scheme.HUGGING_FACE].fullmatch(value) else _EXAMPLES[Scheme.HUGGING_FACE]
    if prefix not in set(Scheme):
        return _EXAMPLES[Scheme.HUGGING_FACE]
    scheme = Scheme(prefix)
    small = scheme in {Scheme.HTTPS, Scheme.S3} and _PATTERNS[scheme].fullmatch(rest)
    return f"{scheme}://{rest}" if small else _EXAMPLES[scheme]


Source = Annotated[str, AfterValidator(_source)]
"""Address of a model's weights, or of the model itself."""


def scheme_of(source: str) -> Scheme:
    """What kind of place a source is."""
    return Scheme(source.partition("://")[0])


def revision_of(source: str) -> str:
    """The revision that a Hugging Face source names; empty for the newest."""
    return source.rpartition("/")[2].partition(":")[2] if source.startswith("hf://") else ""


def repository_of(source: str) -> str:
    """The repository that a Hugging Face source names, such as `Qwen/Qwen3-0.6B`."""
    return source.removeprefix("hf://").partition(":")[0]


class Endpoint:
    """An endpoint outside of the cluster, by its parts."""

    def __init__(self, source: str) -> None:
        parts = urlsplit(source)
        self.host = parts.hostname or ""
        self.port = parts.port or 443
        self.path = parts.path.rstrip("/")
        """What stands before `/chat/completions`; empty for nothing."""


_BILLIONS = re.compile(r"(?<![a-z0-9.])(?:(\d+)x)?(\d+(?:\.\d+)?)b(?![a-z0-9])")


def billions(source: str) -> float | None:
    """How many billion parameters a model has, as far as its name says; None when it does not."""
    match = _BILLIONS.search(source.rstrip("/").rpartition("/")[2].partition(":")[0].lower())
    return int(match[1] or 1) * float(match[2]) if match else None


FOREIGN_FORMATS = {
    "gguf": "GGUF is llama.cpp's format; vLLM takes only single files of it",
    "ggml": "GGML is llama.cpp's format",
    "mlx": "MLX is Apple's format",
    "onnx": "ONNX is another runtime's format",
    "exl2": "EXL2 is ExLlama's format",
    "openvino": "OpenVINO is another runtime's format",
}
"""Formats that vLLM does not load, by the word that models in them have in their names."""
GPU_FORMATS = {
    "fp8": "FP8 needs a GPU",
    "mxfp4": "MXFP4 needs a GPU",
    "nvfp4": "NVFP4 needs a GPU",
    "bnb": "bitsandbytes needs a GPU",
}
"""Formats that vLLM loads on GPUs only."""


def words_of(source: str) -> set[str]:
    """The words that the model's name is made of."""
    return set(re.split(r"[-_./:]", source.rstrip("/").rpartition("://")[2].lower()))
