"""The CRDs of every operator: where they come from, one bundle of them, and how they get into a cluster.

They are taken from the operators' own Go modules, at pinned versions and with pinned checksums, and kept as one file
in the tool cache: from then on neither Go nor a network is needed.
"""

import asyncio
import hashlib
import json
import subprocess
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import yaml
from filelock import FileLock

from sandbox.go_yaml import GoLoader
from sandbox.kube import ApiError, Kube, NoMatchError
from sandbox.progress import Reporter, Step
from sandbox.toolbox import cache_folder
from sandbox.tools.errors import ToolError, UnavailableError
from sandbox.tools.files import write_whole
from sandbox.tools.toolchain import find_go, go_environment

Object = dict[str, Any]

FIELD_MANAGER = "maas-sandbox"
_RECORD = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "maas-sandbox-crds", "namespace": "kube-system"},
}
_CONCURRENCY = 8
_POLL_SECONDS = 0.2
_DOWNLOAD_SECONDS = 600.0


@dataclass(frozen=True)
class Source:
    """One Go module that has CRDs.

    Attributes:
        module: Module path and version, `path@version`.
        sum: Its `h1:` checksum, as `go mod download -json path@version` prints it.
        paths: Folders (their .yaml files are read, not their subfolders) and files in the module.
        template: The files are Helm templates: lines with `{{` are dropped, which leaves valid YAML in this one.
    """

    module: str
    sum: str
    paths: tuple[str, ...]
    template: bool = False


SOURCES: tuple[Source, ...] = (
    Source(
        "sigs.k8s.io/gateway-api@v1.3.0",
        "h1:q6okN+/UKDATola4JY7zXzx40WO4VISk7i9DIfOvr9M=",
        ("config/crd/standard",),
    ),
    Source(
        "github.com/kuadrant/kuadrant-operator@v1.4.2",
        "h1:pw5uBAKJWSD3/zjhmXUDtMXCbJ0RRUOBeHb4YDL6S7s=",
        ("config/crd/bases",),
    ),
    Source(
        "github.com/kuadrant/authorino-operator@v0.26.0",
        "h1:BJSi6Q42P/3xxCihwGCGJsmE8qX1ZcfmdnNzx7p+7f8=",
        ("config/crd/bases",),
    ),
    Source(
        "github.com/kuadrant/authorino@v0.25.0",
        "h1:6n4UgdRNSgJ6nlhUPMSpAupOHZRVh9YI0oHkFp+4cjY=",
        ("install/crd",),
    ),
    Source(
        "github.com/kuadrant/limitador-operator@v0.15.0",
        "h1:BWgYKV0iasFY3+zKQhLpTdfIlI2pD4MuGr8Hc30ypfg=",
        ("config/crd/bases",),
    ),
    Source(
        "github.com/kuadrant/dns-operator@v0.0.0-20251125201831-f74008dc171c",
        "h1:4FXlQ+zZEtdbc0Wa2E/2fsa0V/myvIcoxoGgVRRHH5Q=",
        ("config/crd/bases",),
    ),
    Source(
        "github.com/kserve/kserve@v0.15.2",
        "h1:uph7Umk331fvBMrHHpTJNDt6+lf3IAuyiskaQw8wIAk=",
        ("charts/kserve-crd/templates",),
    ),
    # Of a newer release, only what that one has not: LLMInferenceServices.
    Source(
        "github.com/kserve/kserve@v0.16.0",
        "h1:kDkcAU5VMiZf4zhdDXH+UdAIgzXhs10GMv0d9r4qvTs=",
        ("charts/llmisvc-crd/templates/serving.kserve.io_llminferenceservices.yaml",),
    ),
    Source(
        "github.com/kedacore/keda/v2@v2.17.2",
        "h1:xlrcK5TKABJF9PebK79sgL07s/csGjL3H4m72OkZXxk=",
        (
            "config/crd/bases/keda.sh_scaledobjects.yaml",
            "config/crd/bases/keda.sh_triggerauthentications.yaml",
            "config/crd/bases/keda.sh_clustertriggerauthentications.yaml",
        ),
    ),
    Source(
        "github.com/cert-manager/cert-manager@v1.18.2",
        "h1:H2P75ycGcTMauV3gvpkDqLdS3RSXonWF2S49QGA1PZE=",
        ("deploy/crds",),
        template=True,
    ),
    Source(
        "github.com/prometheus-operator/prometheus-operator@v0.83.0",
        "h1:qAKbm+45fqNGcn9sGTa1Ae2TM3KZuYA/uyoD2QKi9+o=",
        ("example/prometheus-operator-crd",),
    ),
    Source(
        "github.com/grafana/grafana-operator/v5@v5.18.0",
        "h1:ei7N2VfjsRjY8iprenH1IDV783WeV7CP5VNp//sB4hI=",
        ("config/crd/bases",),
    ),
    Source(
        "github.com/operator-framework/api@v0.31.0",
        "h1:tRsFTuZ51xD8U5QgiPo3+mZgVipHZVgRXYrI6RRXOh8=",
        ("crds",),
    ),
    Source(
        "istio.io/istio@v0.0.0-20260827124520-eed52ebb66ad",
        "h1:ui9TJjRMAV/hb5ehQaZDq7IUGxuQP6dra9lapT/VjHI=",
        ("manifests/charts/base/files/crd-all.gen.yaml",),
    ),
    Source(
        "github.com/openshift/api@v0.0.0-20260501191448-a49973eaef53",
        "h1:u5WEBNXUhL2ik6vzBREkYnk+cZqLMUXcSFa6STK/8Bs=",
        (
            "route/v1/zz_generated.crd-manifests",
            "payload-manifests/crds/0000_03_config-operator_01_securitycontextconstraints.crd.yaml",
        ),
    ),
)
"""To bump one: change its version, take the sum from `go mod download -json path@version`."""


@dataclass(frozen=True)
class Bundle:
    """All CRDs, sorted by name."""

    content: bytes = field(repr=False)
    """The definitions as JSON: six megabytes, which are read only where they have to be installed."""

    @cached_property
    def fingerprint(self) -> str:
        """Changes with anything in it."""
        return hashlib.sha256(self.content).hexdigest()[:16]

    @cached_property
    def crds(self) -> Sequence[Object]:
        """The definitions."""
        return cast("list[Object]", json.loads(self.content))


def bundle(reporter: Reporter) -> Bundle:
    """The CRDs of all sources, from the cache, or from the Go module proxy when they are not there yet.

    Raises:
        ToolError: Neither is possible, or a module is not what it was when its sum was pinned.
    """
    path = cache_folder() / "crds" / f"{fingerprint(SOURCES)}.json"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.parent / ".lock"):
            if not path.exists():
                with reporter.step("Collecting CRDs from the operators' modules", usually_seconds=20) as step:
                    crds = collect(SOURCES, module_folders(SOURCES, reporter, step))
                    write_whole(path, _serialised(crds))
    return Bundle(path.read_bytes())


def fingerprint(sources: Iterable[Source]) -> str:
    """Sixteen hex digits that change with the table of sources."""
    return hashlib.sha256(json.dumps([asdict(s) for s in sources]).encode()).hexdigest()[:16]


def collect(sources: Iterable[Source], folders: Mapping[str, Path]) -> list[Object]:
    """Read the CRDs of all sources; `folders` has each module's folder.

    Raises:
        ToolError: A path of the table is not in the module, or has no CRD.
    """
    found: dict[str, Object] = {}
    for source in sources:
        for path in source.paths:
            crds = [
                crd for file in _files(folders[source.module] / path) for crd in parse(file, template=source.template)
            ]
            if not crds:
                raise ToolError(f"{source.module} has no CRD in {path}: correct SOURCES in sandbox/crds.py")
            found |= {str(crd["metadata"]["name"]): crd for crd in crds}
    return [found[name] for name in sorted(found)]


def parse(file: Path, *, template: bool) -> list[Object]:
    """The CRDs in one YAML file, without what only a cluster has; other objects in it are left out."""
    text = file.read_text(encoding="utf-8")
    if template:
        text = strip_template_lines(text)
    documents = cast("Iterable[Object | None]", yaml.load_all(text, Loader=GoLoader))
    return [
        {key: value for key, value in document.items() if key != "status"}
        for document in documents
        if document and document.get("kind") == "CustomResourceDefinition"
    ]


def strip_template_lines(text: str) -> str:
    """Drop the lines of a Helm template that have an action in them."""
    return "".join(line for line in text.splitlines(keepends=True) if "{{" not in line)


def verify(sources: Iterable[Source], downloaded: Mapping[str, Mapping[str, str]]) -> dict[str, Path]:
    """Check what `go mod download -json` said of each module against the pinned sums; returns the modules' folders.

    Raises:
        ToolError: A module could not be had, or its sum is another one.
    """
    folders: dict[str, Path] = {}
    for source in sources:
        said = downloaded.get(source.module, {"Error": "go did not mention it"})
        if said.get("Error"):
            raise ToolError(f"{source.module}: {said['Error']}")
        if said.get("Sum") != source.sum:
            raise ToolError(f"{source.module}: its sum is {said.get('Sum')}, pinned is {source.sum}: not used")
        folders[source.module] = Path(said["Dir"])
    return folders


async def install(kube: Kube, crds: Bundle, step: Step, *, timeout_seconds: float = 60.0) -> bool:
    """Apply the CRDs and wait until each kind is served; returns whether there was anything to do.

    A ConfigMap in the cluster says which bundle was installed last, so that a second run costs one request.

    Raises:
        ApiError: One was refused.
        TimeoutError: Some are not served in time; the message names them.
    """
    record = await kube.get("v1", "ConfigMap", str(_RECORD["metadata"]["name"]), "kube-system")  # type: ignore[index]
    if record and cast("Object", record.get("data") or {}).get("fingerprint") == crds.fingerprint:
        return False
    turn = asyncio.Semaphore(_CONCURRENCY)
    done = 0

    async def apply(crd: Object) -> None:
        nonlocal done
        async with turn:
            await _create_or_apply(kube, crd)
        done += 1
        step.update(str(crd["metadata"]["name"]), done, len(crds.crds))

    async with asyncio.TaskGroup() as group:
        for crd in crds.crds:
            group.create_task(apply(crd))
    await wait_until_served(kube, crds.crds, timeout_seconds)
    await kube.apply(_RECORD | {"data": {"fingerprint": crds.fingerprint}}, field_manager=FIELD_MANAGER, force=True)
    return True


async def _create_or_apply(kube: Kube, crd: Object) -> None:
    """Create, since that costs the API server half of what an apply does; apply what is there already."""
    try:
        await kube.create(crd, field_manager=FIELD_MANAGER)
    except ApiError as error:
        if error.reason != "AlreadyExists":
            raise
        await kube.apply(crd, field_manager=FIELD_MANAGER, force=True)


async def wait_until_served(kube: Kube, crds: Sequence[Object], timeout_seconds: float) -> None:
    """Wait until discovery lists each kind: it lists what is Established, and only that.

    Raises:
        TimeoutError: Some are not served in time; the message names them.
    """
    deadline = asyncio.get_running_loop().time() + timeout_seconds
    missing = list(crds)
    while missing := await _not_served(kube, missing):
        if asyncio.get_running_loop().time() > deadline:
            names = ", ".join(str(crd["metadata"]["name"]) for crd in missing)
            raise TimeoutError(f"CRDs not served after {timeout_seconds:.0f} s: {names}; look at their conditions")
        await asyncio.sleep(_POLL_SECONDS)


async def _not_served(kube: Kube, crds: Iterable[Object]) -> list[Object]:
    missing: list[Object] = []
    for crd in crds:
        spec = crd["spec"]
        version = next(version["name"] for version in spec["versions"] if version["served"])
        try:
            await kube.resource(f"{spec['group']}/{version}", spec["names"]["kind"])
        except NoMatchError:
            missing.append(crd)
        except ApiError as error:
            if not error.not_found:
                raise
            missing.append(crd)
    return missing


def module_folders(sources: Sequence[Source], reporter: Reporter, step: Step) -> dict[str, Path]:
    """The folders of the sources' modules, by `path@version`; Go downloads those that it does not have.

    Raises:
        ToolError: There is no Go, a module could not be had, or it is not what it was when its sum was pinned.
    """
    try:
        go = find_go(cache_folder() / "tools", reporter)
    except UnavailableError as error:
        raise ToolError(
            f"Cannot collect the CRDs: {error}.\n"
            f"Install Go, or copy {cache_folder() / 'crds'} from a machine where this works."
        ) from error
    step.update("downloading modules")
    with tempfile.TemporaryDirectory() as folder:  # outside of any module, so that versions are taken as given
        command = [str(go), "mod", "download", "-json", *(source.module for source in sources)]
        done = subprocess.run(  # noqa: S603  (our own arguments)
            command,
            cwd=folder,
            env=go_environment(go),
            check=False,
            capture_output=True,
            text=True,
            timeout=_DOWNLOAD_SECONDS,
        )
    return verify(sources, _objects(done.stdout))


def _objects(text: str) -> dict[str, Mapping[str, str]]:
    """Read the JSON objects that `go mod download -json` prints one after the other."""
    decoder, at, found = json.JSONDecoder(), 0, dict[str, Mapping[str, str]]()
    while at < len(text):
        value, at = decoder.raw_decode(text, at)
        found[f"{value['Path']}@{value['Version']}"] = value
        while at < len(text) and text[at].isspace():
            at += 1
    return found


def _files(path: Path) -> list[Path]:
    return sorted(path.glob("*.yaml")) if path.is_dir() else [path]


def _serialised(crds: Sequence[Object]) -> bytes:
    return json.dumps(crds, sort_keys=True, separators=(",", ":")).encode()
