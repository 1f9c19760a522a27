"""The engine's protocol: gRPC messages in, operations on the cluster, gRPC messages out."""

import asyncio
from collections.abc import Coroutine
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Final, NoReturn, TypeVar, cast

import grpc
import grpc.aio
from google.protobuf import any_pb2, empty_pb2, struct_pb2
from google.protobuf.message import Message
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc, status_pb2

from sandbox.kube import ApiError, Kube
from sandbox.kubeconfig import KubeconfigError
from sandbox.provider.diff import Change, FieldChange, format_path
from sandbox.provider.engine_log import EngineLog
from sandbox.provider.kinds import NOT_HERE, UnsupportedTypeError
from sandbox.provider.operations import OperationError, Operations, PartialFailureError
from sandbox.provider.options import OptionError, Options
from sandbox.provider.redaction import redact, secret_texts
from sandbox.provider.values import Properties, ValueFormError, decode, encode, plain

VERSION: Final = "4.34.2"
"""The release of the official provider whose behaviour this one has."""

Context = grpc.aio.ServicerContext[Any, Any]

T = TypeVar("T")

_KINDS: Final = {
    (Change.ADD, False): provider_pb2.PropertyDiff.ADD,
    (Change.ADD, True): provider_pb2.PropertyDiff.ADD_REPLACE,
    (Change.DELETE, False): provider_pb2.PropertyDiff.DELETE,
    (Change.DELETE, True): provider_pb2.PropertyDiff.DELETE_REPLACE,
    (Change.UPDATE, False): provider_pb2.PropertyDiff.UPDATE,
    (Change.UPDATE, True): provider_pb2.PropertyDiff.UPDATE_REPLACE,
}
_EXPECTED: Final = (
    ApiError,
    KubeconfigError,
    OperationError,
    OptionError,
    UnsupportedTypeError,
    ValueFormError,
)

_current_urn: ContextVar[str] = ContextVar("current_urn", default="")


class KubernetesProvider(provider_pb2_grpc.ResourceProviderServicer):
    """One provider process; the engine configures it anew at the beginning of each run."""

    def __init__(self, kubeconfig: Path) -> None:
        self._kubeconfig = kubeconfig
        self._operations: Operations | None = None
        self._clients: list[Kube] = []
        self._log = EngineLog()

    async def aclose(self) -> None:
        """End all waits and close all connections."""
        if self._operations:
            self._operations.cancelled.set()
        for client in self._clients:
            await client.aclose()
        await self._log.aclose()

    # --- the plugin itself

    async def Handshake(  # noqa: N802, D102  (names of the protocol, here and below)
        self, request: provider_pb2.ProviderHandshakeRequest, context: Context
    ) -> provider_pb2.ProviderHandshakeResponse:
        del context
        if request.engine_address:
            await self._log.attach(request.engine_address)
        return provider_pb2.ProviderHandshakeResponse(
            accept_secrets=True, accept_resources=False, accept_outputs=False, supports_autonaming_configuration=True
        )

    async def Attach(self, request: plugin_pb2.PluginAttach, context: Context) -> empty_pb2.Empty:  # noqa: N802, D102
        del context
        await self._log.attach(request.address)
        return empty_pb2.Empty()

    async def GetPluginInfo(self, request: empty_pb2.Empty, context: Context) -> plugin_pb2.PluginInfo:  # noqa: N802, D102
        del request, context
        return plugin_pb2.PluginInfo(version=VERSION)

    async def GetSchema(  # noqa: N802, D102
        self, request: provider_pb2.GetSchemaRequest, context: Context
    ) -> provider_pb2.GetSchemaResponse:
        del request, context
        return provider_pb2.GetSchemaResponse(schema=f'{{"name":"kubernetes","version":"{VERSION}"}}')

    async def GetMapping(  # noqa: N802, D102
        self, request: provider_pb2.GetMappingRequest, context: Context
    ) -> provider_pb2.GetMappingResponse:
        del request, context
        return provider_pb2.GetMappingResponse()

    async def Cancel(self, request: empty_pb2.Empty, context: Context) -> empty_pb2.Empty:  # noqa: N802, D102
        del request, context
        if self._operations:
            self._operations.cancelled.set()
        return empty_pb2.Empty()

    # --- its options

    async def CheckConfig(  # noqa: N802, D102
        self, request: provider_pb2.CheckRequest, context: Context
    ) -> provider_pb2.CheckResponse:
        return await _answer(self._check_config(request), request, context)

    async def _check_config(self, request: provider_pb2.CheckRequest) -> provider_pb2.CheckResponse:
        try:
            options = Options.parse(plain(decode(request.news)))
            if not _has_unknown_kubeconfig(request.news):
                options.connection(self._kubeconfig)
        except OptionError as error:
            return _check_failure(error.option, str(error))
        except KubeconfigError as error:
            return _check_failure("kubeconfig", str(error))
        return provider_pb2.CheckResponse(inputs=request.news)

    async def DiffConfig(  # noqa: N802, D102
        self, request: provider_pb2.DiffRequest, context: Context
    ) -> provider_pb2.DiffResponse:
        return await _answer(self._diff_config(request), request, context)

    async def _diff_config(self, request: provider_pb2.DiffRequest) -> provider_pb2.DiffResponse:
        # State recorded by the official provider may hold options that are refused here: they no longer matter.
        before, after = plain(decode(request.olds)), plain(decode(request.news))
        known = set(after) | {"clusterIdentifier", "context", "kubeconfig"}
        old = Options.parse({name: value for name, value in before.items() if name in known})
        moved = old.moves_cluster(Options.parse(after), self._kubeconfig)
        changed = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
        some = provider_pb2.DiffResponse.DIFF_SOME if changed else provider_pb2.DiffResponse.DIFF_NONE
        return provider_pb2.DiffResponse(changes=some, diffs=changed, replaces=moved)

    async def Configure(  # noqa: N802, D102
        self, request: provider_pb2.ConfigureRequest, context: Context
    ) -> provider_pb2.ConfigureResponse:
        return await _answer(self._configure(request), request, context)

    async def _configure(self, request: provider_pb2.ConfigureRequest) -> provider_pb2.ConfigureResponse:
        options = Options.parse(plain(decode(request.args)))
        # A client for each run: what discovery learned in an earlier one may no longer hold. Operations that are
        # still under way keep the older one.
        client = Kube(options.connection(self._kubeconfig), on_warning=self._warn_current)
        self._clients.append(client)
        self._operations = Operations(
            client, options, cancelled=asyncio.Event(), say=self._log.status, warn=self._log.warn
        )
        return provider_pb2.ConfigureResponse(
            acceptSecrets=True,
            supportsPreview=True,
            acceptResources=False,
            acceptOutputs=False,
            supports_autonaming_configuration=True,
        )

    # --- its resources

    async def Check(  # noqa: N802, D102
        self, request: provider_pb2.CheckRequest, context: Context
    ) -> provider_pb2.CheckResponse:
        return await _answer(self._check(request), request, context)

    async def _check(self, request: provider_pb2.CheckRequest) -> provider_pb2.CheckResponse:
        operations = self._configured()
        disabled = request.autonaming.mode == provider_pb2.CheckRequest.AutonamingOptions.DISABLE
        declared = decode(request.news)
        inputs, failures = await operations.check(request.urn, declared, autonaming_disabled=disabled)
        reported = [provider_pb2.CheckFailure(property=path, reason=text) for path, text in failures.items()]
        return provider_pb2.CheckResponse(inputs=encode(inputs), failures=reported)

    async def Diff(  # noqa: N802, D102
        self, request: provider_pb2.DiffRequest, context: Context
    ) -> provider_pb2.DiffResponse:
        return await _answer(self._diff(request), request, context)

    async def _diff(self, request: provider_pb2.DiffRequest) -> provider_pb2.DiffResponse:
        operations = self._configured()
        found = operations.diff(request.urn, decode(request.olds), decode(request.news), request.ignoreChanges)
        changes, replacing = found.changes, found.replacing
        response = provider_pb2.DiffResponse
        return response(
            changes=response.DIFF_SOME if changes else response.DIFF_NONE,
            diffs=sorted({str(change.path[0]) for change in changes}),
            replaces=[format_path(change.path) for change in replacing],
            detailedDiff={format_path(c.path): _property_diff(c, replaces=c in replacing) for c in changes},
            hasDetailedDiff=True,
            deleteBeforeReplace=found.delete_first,
        )

    async def Create(  # noqa: N802, D102
        self, request: provider_pb2.CreateRequest, context: Context
    ) -> provider_pb2.CreateResponse:
        return await _answer(self._create(request), request, context)

    async def _create(self, request: provider_pb2.CreateRequest) -> provider_pb2.CreateResponse:
        operations = self._configured()
        resource_id, properties = await operations.create(
            request.urn, decode(request.properties), seconds=request.timeout, preview=request.preview
        )
        return provider_pb2.CreateResponse(id=resource_id, properties=encode(properties))

    async def Read(  # noqa: N802, D102
        self, request: provider_pb2.ReadRequest, context: Context
    ) -> provider_pb2.ReadResponse:
        return await _answer(self._read(request), request, context)

    async def _read(self, request: provider_pb2.ReadRequest) -> provider_pb2.ReadResponse:
        operations = self._configured()
        properties, inputs = decode(request.properties), decode(request.inputs)
        found = await operations.read(request.urn, request.id, properties, inputs)
        if found is None:
            return provider_pb2.ReadResponse()
        return provider_pb2.ReadResponse(id=found.id, properties=encode(found.properties), inputs=encode(found.inputs))

    async def Update(  # noqa: N802, D102
        self, request: provider_pb2.UpdateRequest, context: Context
    ) -> provider_pb2.UpdateResponse:
        return await _answer(self._update(request), request, context)

    async def _update(self, request: provider_pb2.UpdateRequest) -> provider_pb2.UpdateResponse:
        operations = self._configured()
        properties = await operations.update(
            request.urn,
            decode(request.olds),
            decode(request.news),
            ignored=request.ignoreChanges,
            seconds=request.timeout,
            preview=request.preview,
        )
        return provider_pb2.UpdateResponse(properties=encode(properties))

    async def Delete(  # noqa: N802, D102
        self, request: provider_pb2.DeleteRequest, context: Context
    ) -> empty_pb2.Empty:
        return await _answer(self._delete(request), request, context)

    async def _delete(self, request: provider_pb2.DeleteRequest) -> empty_pb2.Empty:
        operations = self._configured()
        await operations.delete(request.urn, request.id, decode(request.properties), seconds=request.timeout)
        return empty_pb2.Empty()

    # --- what only the official provider does

    async def Invoke(self, request: provider_pb2.InvokeRequest, context: Context) -> NoReturn:  # noqa: N802, D102
        await _refuse(context, f"the function {request.tok}")

    async def Call(self, request: provider_pb2.CallRequest, context: Context) -> NoReturn:  # noqa: N802, D102
        await _refuse(context, f"the method {request.tok}")

    async def Construct(self, request: provider_pb2.ConstructRequest, context: Context) -> NoReturn:  # noqa: N802, D102
        await _refuse(context, f"Helm releases and charts, nor components like {request.type}")

    async def Parameterize(self, request: provider_pb2.ParameterizeRequest, context: Context) -> NoReturn:  # noqa: N802, D102
        del request
        await _refuse(context, "extensions")

    # --- parts

    def _configured(self) -> Operations:
        if self._operations is None:
            raise OperationError("the provider has not been configured")
        return self._operations

    def _warn_current(self, target: str, text: str) -> None:
        self._log.warn(_current_urn.get(), f"{target}: {text}")


async def _answer(work: Coroutine[Any, Any, T], request: Any, context: Context) -> T:  # noqa: ANN401  (many messages)
    """Do the work of a call, and turn what goes wrong into a gRPC error that gives no secret away."""
    _current_urn.set(request.urn)
    details: tuple[tuple[str, bytes], ...] = ()
    try:
        return await work
    except PartialFailureError as error:
        message = _redacted(str(error), request)
        details = _init_failed(error, message)
    except _EXPECTED as error:
        message = _redacted(str(error), request)
    except Exception as error:  # noqa: BLE001  (a defect of ours must not show a traceback full of values)
        text = f"the stand-in provider failed unexpectedly: {type(error).__name__}: {error}"
        message = _redacted(text, request)
    await context.abort(grpc.StatusCode.UNKNOWN, message, details)
    raise AssertionError("abort raises")


async def _refuse(context: Context, what: str) -> NoReturn:
    await context.abort(grpc.StatusCode.UNIMPLEMENTED, NOT_HERE.format(what=what))
    raise AssertionError("abort raises")


def _redacted(message: str, request: Message) -> str:
    """The message without any secret value that the request carries."""
    decoded: list[Properties] = []
    for descriptor, value in request.ListFields():
        if descriptor.message_type is None or descriptor.message_type.full_name != "google.protobuf.Struct":
            continue
        try:
            decoded.append(decode(cast("struct_pb2.Struct", value)))
        except ValueFormError:
            return "a value cannot be part of a Kubernetes object (an asset, an archive or a reference to a resource)"
    return redact(message, secret_texts(decoded))


def _init_failed(error: PartialFailureError, message: str) -> tuple[tuple[str, bytes]]:
    """The detail by which the engine knows that the object exists and what is known of it."""
    detail = provider_pb2.ErrorResourceInitFailed(
        id=error.id,
        properties=encode(error.properties),
        reasons=[message],
        inputs=encode(error.inputs) if error.inputs is not None else None,
    )
    packed = any_pb2.Any()
    packed.Pack(detail)
    status = status_pb2.Status(code=grpc.StatusCode.UNKNOWN.value[0], message=message, details=[packed])
    return (("grpc-status-details-bin", status.SerializeToString()),)


def _property_diff(change: FieldChange, *, replaces: bool) -> provider_pb2.PropertyDiff:
    # Both sides are inputs: what was declared (or found by a refresh) against what is declared.
    return provider_pb2.PropertyDiff(kind=_KINDS[change.change, replaces], inputDiff=True)


def _check_failure(option: str, reason: str) -> provider_pb2.CheckResponse:
    return provider_pb2.CheckResponse(failures=[provider_pb2.CheckFailure(property=option, reason=reason)])


def _has_unknown_kubeconfig(news: struct_pb2.Struct) -> bool:
    return not isinstance(plain(decode(news)).get("kubeconfig", ""), str)
