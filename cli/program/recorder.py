"""Run the program with no engine and no cluster, and record what it would register.

The program runs whole (`__main__.py`), under the SDK's mocks: every registration lands, every apply runs, outputs that
only a cluster could answer are what the inputs say. So absence can be asserted as well as presence. Used by `render`,
by the check of the configuration before anything is started, and by the tests of the program.
"""

import asyncio
import contextvars
import os
import runpy
import sys
import threading
from collections.abc import Callable, Collection, Generator, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, cast

import pulumi
from google.protobuf import json_format
from pulumi.runtime import mocks, settings
from pulumi.runtime.proto import resource_pb2

from cli.paths import ROOT
from cli.program.sdk import without_debug_messages
from cli.program.urns import STACK_TYPE, layer_of
from cli.stacks.stackfile import stack_config

__all__ = ["Object", "Recording", "RecordingError", "Resource", "record", "stack_config"]

P = ParamSpec("P")
T = TypeVar("T")
PROJECT = "maas"
_TURN = threading.Lock()
_PROVIDER_PREFIX = "pulumi:providers:"
# How the SDK marks special values inside a request (pulumi.runtime.rpc).
_SIGNATURE = "4dabf18193072939515e22adb298388d"
_SECRET = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 - a type tag, not a secret


class RecordingError(Exception):
    """The program registered something that no engine would take."""


@dataclass(frozen=True)
class Resource:
    """One registration, of whatever kind."""

    urn: str
    """The mock's URN: unique within a recording, not what the engine will call it."""
    type: str
    """Type token, such as `kubernetes:core/v1:Secret` or `maas:gateway:Gateway`."""
    name: str
    """Logical name."""
    parent: str
    """URN of the parent, of the stack itself for a root resource."""
    layer: str
    """The layer that owns it: `gateway` for the component `maas:gateway:Gateway` and all below; empty outside."""
    inputs: Mapping[str, Any]
    """Its inputs, with secrets unwrapped: for tests; never to be printed."""
    secrets: frozenset[str]
    """Paths of the inputs that were secret, such as `stringData.api_key`."""
    dependencies: tuple[str, ...]
    """URNs of what depends_on names or outputs bring in. The SDK puts, for a component, what is below it."""
    provider: str
    """Reference of the explicit provider (`<urn>::<id>`); empty when there is none."""
    request: resource_pb2.RegisterResourceRequest = field(repr=False)
    """The whole request, for whatever else a test wants to know."""


@dataclass(frozen=True)
class Object(Resource):
    """A registration that is one Kubernetes object."""

    body: Mapping[str, Any]
    """The manifest; the same mapping as `inputs`."""

    @property
    def api_version(self) -> str:
        """Such as `kuadrant.io/v1`."""
        return str(self.body["apiVersion"])

    @property
    def kind(self) -> str:
        """The kind of the object itself; a Patch resource has the kind of what it patches."""
        return str(self.body["kind"])

    @property
    def is_patch(self) -> bool:
        """Whether it changes fields of an object that somebody else owns."""
        return self.type.endswith("Patch")

    @property
    def metadata(self) -> Mapping[str, Any]:
        """The object's metadata; empty when the program forgot it."""
        return cast("Mapping[str, Any]", self.body.get("metadata") or {})

    @property
    def namespace(self) -> str:
        """metadata.namespace; empty for what is cluster-scoped."""
        return str(self.metadata.get("namespace", ""))

    @property
    def metadata_name(self) -> str:
        """metadata.name; empty when it was left to autonaming."""
        return str(self.metadata.get("name", ""))


@dataclass(frozen=True)
class Recording:
    """All that one run of the program registered, in a stable order."""

    stack: str
    resources: tuple[Resource, ...]
    """Everything but the stack itself, sorted by URN."""
    outputs: Mapping[str, Any]
    """What the program exported, secrets unwrapped."""
    secret_outputs: frozenset[str]
    """Names of the exports that were secret."""

    @property
    def objects(self) -> tuple[Object, ...]:
        """The Kubernetes objects."""
        return tuple(each for each in self.resources if isinstance(each, Object))

    @property
    def components(self) -> tuple[Resource, ...]:
        """The components."""
        return tuple(each for each in self.resources if not each.request.custom)

    @property
    def requests(self) -> tuple[resource_pb2.RegisterResourceRequest, ...]:
        """The requests behind `resources`."""
        return tuple(each.request for each in self.resources)

    def by_urn(self, urn: str) -> Resource:
        """The resource of that URN; KeyError when there is none."""
        for each in self.resources:
            if each.urn == urn:
                return each
        raise KeyError(urn)


def record(
    stack: str, config: Mapping[str, str], secrets: Collection[str] = (), program: Path = ROOT / "__main__.py"
) -> Recording:
    """Run the program for `stack` with this configuration and nothing else.

    Args:
        stack: Name of the stack, as the program sees it.
        config: Full key (`maas:domain`) to value; objects are JSON text. `stack_config` reads a stack's.
        secrets: The keys of `config` whose values are secret.
        program: The program to run.

    Raises:
        pulumi.RunError: The program refused (bad configuration).
        RecordingError: Two resources with the same type, name and parent.
    """
    # The SDK keeps its settings in context variables: a copy keeps this run from leaking into the caller's next one.
    context = contextvars.copy_context()
    # A thread of its own has an event loop of its own.
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="recorder") as thread:
        return thread.submit(context.run, _record_in_thread, stack, dict(config), list(secrets), program).result()


def _record_in_thread(stack: str, config: dict[str, str], secrets: list[str], program: Path) -> Recording:
    with _TURN, _own_event_loop(), _without_stack_traces(), without_debug_messages():
        return _record(stack, config, secrets, program)


def _record(stack: str, config: dict[str, str], secrets: list[str], program: Path) -> Recording:
    settings.ROOT.set(None)  # or the stack resource of an earlier run would be the parent of everything here
    monitor = _Monitor(stack)
    mocks.set_mocks(monitor.mocks, PROJECT, stack, preview=False, monitor=monitor)
    pulumi.runtime.set_all_config(config, secrets)
    exported: dict[str, tuple[Any, bool]] = {}

    def run() -> pulumi.Output[None]:
        runpy.run_path(str(program), run_name="__main__")
        root = settings.get_root_resource()
        outputs = cast("Mapping[str, Any]", getattr(root, "outputs", None) or {})
        return pulumi.Output.all(*[_export(name, value, exported) for name, value in outputs.items()]).apply(
            lambda _: None
        )

    # Drains every registration, and raises what an apply raised.
    drained = cast("Callable[[], None]", mocks.test(run))  # pyright: ignore[reportUnknownMemberType] - the SDK types nothing here
    with _without_ambient_settings():
        drained()
    return Recording(
        stack=stack,
        resources=tuple(sorted(_resources(monitor.registered), key=lambda each: each.urn)),
        outputs={name: exported[name][0] for name in sorted(exported)},
        secret_outputs=frozenset(name for name, (_, secret) in exported.items() if secret),
    )


class _AtOnce(ThreadPoolExecutor):
    """Runs what it is given in the thread that gives it."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        future: Future[T] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except BaseException as error:  # noqa: BLE001 - it is whoever waits for the result that has to know
            future.set_exception(error)
        return future


@contextmanager
def _own_event_loop() -> Generator[None]:
    """The SDK takes the thread's event loop and makes none: give it one, and close it with the thread.

    It hands each request to another thread, as a real engine takes its time to answer; the mock answers at once.
    """
    loop = asyncio.new_event_loop()
    loop.set_default_executor(_AtOnce())
    asyncio.set_event_loop(loop)
    try:
        yield
    finally:
        asyncio.set_event_loop(None)
        loop.close()


@contextmanager
def _without_stack_traces() -> Generator[None]:
    """The SDK looks up all callers of each registration, for the engine's messages: a quarter of a recording's time.

    Python's own bound for tracebacks holds for it, too. It holds for the whole process, so one recording at a time.
    """
    sys.tracebacklimit = 1
    try:
        yield
    finally:
        del sys.tracebacklimit


def _export(name: str, value: object, into: dict[str, tuple[Any, bool]]) -> pulumi.Output[None]:
    output: pulumi.Output[Any] = pulumi.Output.from_input(value)

    async def keep() -> None:
        into[name] = (await output.future(with_unknowns=False), await output.is_secret())

    return pulumi.Output.from_input(keep())


@contextmanager
def _without_ambient_settings() -> Generator[None]:
    """What the SDK would read from the caller's environment must not change what is recorded."""
    names = [name for name in os.environ if name == "KUBECONFIG" or name.startswith("PULUMI_K8S_")]
    kept = {name: os.environ.pop(name) for name in names}
    try:
        yield
    finally:
        os.environ.update(kept)


class _Echo(mocks.Mocks):
    """A cluster that answers with what it was asked for."""

    def call(self, args: mocks.MockCallArgs) -> tuple[dict[str, Any], list[tuple[str, str]] | None]:
        del args
        return {}, None

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        return args.resource_id or f"{args.name}-id", dict(cast("dict[str, Any]", args.inputs))


class _Monitor(mocks.MockMonitor):
    """The SDK's mock monitor, keeping each request with the URN that was given out for it."""

    def __init__(self, stack: str) -> None:
        super().__init__(_Echo())
        self._prefix = f"urn:pulumi:{stack}::{PROJECT}::"
        self.registered: list[tuple[str, resource_pb2.RegisterResourceRequest]] = []

    def RegisterResource(  # noqa: N802 - the SDK's name
        self, request: resource_pb2.RegisterResourceRequest
    ) -> resource_pb2.RegisterResourceResponse:
        # The SDK's own reads the inputs and writes them again, which takes a quarter of the time of a recording.
        urn = self.make_urn(request.parent, request.type, request.name)
        self.registered.append((urn, request))
        if request.type == STACK_TYPE:
            return resource_pb2.RegisterResourceResponse(urn=urn)
        return resource_pb2.RegisterResourceResponse(urn=urn, id=_id_of(request), object=request.object)

    def make_urn(self, parent: str, type_: str, name: str) -> str:
        # The SDK's own keeps one ancestor's type only: two grandchildren of one name would share a URN.
        if parent:
            chain = parent.split("::")[2]
            type_ = type_ if chain == STACK_TYPE else f"{chain}${type_}"
        return f"{self._prefix}{type_}::{name}"


def _id_of(request: resource_pb2.RegisterResourceRequest) -> str:
    """The ID that a cluster's object has; any other resource is given one."""
    metadata = request.object.fields["metadata"].struct_value.fields if "metadata" in request.object.fields else None
    place = [metadata[key].string_value for key in ("namespace", "name") if key in metadata] if metadata else []
    return "/".join(place) or f"{request.name}-id"


def _resources(registered: list[tuple[str, resource_pb2.RegisterResourceRequest]]) -> Iterator[Resource]:
    seen: set[str] = set()
    for urn, request in registered:
        if request.type == STACK_TYPE:
            continue
        if urn in seen:
            raise RecordingError(f"two resources are called {request.name!r} ({request.type}) under one parent: {urn}")
        seen.add(urn)
        secrets: set[str] = set()
        inputs = cast("dict[str, Any]", _plain(json_format.MessageToDict(request.object), "", secrets))
        common: dict[str, Any] = {
            "urn": urn,
            "type": request.type,
            "name": request.name,
            "parent": request.parent,
            "layer": layer_of(urn),
            "inputs": inputs,
            "secrets": frozenset(secrets),
            "dependencies": tuple(sorted(request.dependencies)),
            "provider": request.provider,
            "request": request,
        }
        is_object = (
            request.custom and not request.type.startswith(_PROVIDER_PREFIX) and {"apiVersion", "kind"} <= inputs.keys()
        )
        yield Object(**common, body=inputs) if is_object else Resource(**common)


def _plain(value: object, path: str, secrets: set[str]) -> object:
    """A request's value as a program would write it: secrets unwrapped and noted, whole numbers as integers."""
    if isinstance(value, dict):
        mapping = cast("dict[str, object]", value)
        if _SIGNATURE in mapping:
            if mapping[_SIGNATURE] == _SECRET:
                secrets.add(path)
            return _plain(mapping.get("value"), path, secrets)
        return {key: _plain(each, f"{path}.{key}" if path else key, secrets) for key, each in sorted(mapping.items())}
    if isinstance(value, list):
        return [_plain(each, f"{path}[{index}]", secrets) for index, each in enumerate(cast("list[object]", value))]
    if isinstance(value, float) and value.is_integer():
        return int(value)  # protobuf knows only doubles
    return value
