"""Talks to the provider as the engine does, so that a test reads as a table of calls."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import grpc
from google.protobuf import empty_pb2
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc, status_pb2

from sandbox.provider import serve
from sandbox.provider.values import Properties, decode, encode

OPTIONS: Properties = {
    "clusterIdentifier": "test",
    "enableConfigMapMutable": "true",
    "enableSecretMutable": "true",
    "upsertExistingObjects": "true",
}


@dataclass
class Failure(Exception):  # noqa: N818  (what a call raised, told apart from the provider's own errors)
    """A failed call: the text that the engine shows, and what it records of a partial failure."""

    message: str
    code: grpc.StatusCode
    partial: provider_pb2.ErrorResourceInitFailed | None = None

    def __str__(self) -> str:
        return self.message


@dataclass(frozen=True)
class Resource:
    """One resource of the stack, as the engine keeps it."""

    client: "Client"
    urn: str

    def check(self, inputs: Properties, mode: int = 0) -> tuple[Properties, dict[str, str]]:
        autonaming = provider_pb2.CheckRequest.AutonamingOptions(mode=cast("Any", mode))
        request = provider_pb2.CheckRequest(urn=self.urn, news=encode(inputs), autonaming=autonaming)
        response = self.client.call("Check", request)
        return decode(response.inputs), {failure.property: failure.reason for failure in response.failures}

    def create(self, inputs: Properties, *, preview: bool = False, seconds: float = 20) -> tuple[str, Properties]:
        request = provider_pb2.CreateRequest(urn=self.urn, properties=encode(inputs), preview=preview, timeout=seconds)
        response = self.client.call("Create", request)
        return response.id, decode(response.properties)

    def diff(self, state: Properties, inputs: Properties, ignore: tuple[str, ...] = ()) -> Any:  # noqa: ANN401
        request = provider_pb2.DiffRequest(
            urn=self.urn, id="id", olds=encode(state), news=encode(inputs), ignoreChanges=ignore
        )
        return self.client.call("Diff", request)

    def changed(self, state: Properties, inputs: Properties) -> dict[str, str]:
        response = self.diff(state, inputs)
        return {path: provider_pb2.PropertyDiff.Kind.Name(d.kind) for path, d in response.detailedDiff.items()}

    def update(  # noqa: PLR0913
        self,
        resource_id: str,
        state: Properties,
        inputs: Properties,
        *,
        preview: bool = False,
        seconds: float = 20,
        ignore: tuple[str, ...] = (),
    ) -> Properties:
        request = provider_pb2.UpdateRequest(
            urn=self.urn,
            id=resource_id,
            olds=encode(state),
            news=encode(inputs),
            preview=preview,
            timeout=seconds,
            ignoreChanges=ignore,
        )
        return decode(self.client.call("Update", request).properties)

    def read(
        self, resource_id: str, state: Properties | None = None, inputs: Properties | None = None
    ) -> tuple[str, Properties, Properties]:
        request = provider_pb2.ReadRequest(
            urn=self.urn, id=resource_id, properties=encode(state or {}), inputs=encode(inputs or {})
        )
        response = self.client.call("Read", request)
        return response.id, decode(response.properties), decode(response.inputs)

    def delete(self, resource_id: str, state: Properties, *, seconds: float = 120) -> None:
        """Delete; the garbage collector may take half a minute to learn of a CRD that is new."""
        request = provider_pb2.DeleteRequest(urn=self.urn, id=resource_id, properties=encode(state), timeout=seconds)
        self.client.call("Delete", request)


@dataclass(frozen=True)
class Client:
    """A connection to one provider."""

    stub: provider_pb2_grpc.ResourceProviderStub

    def configure(self, **options: Any) -> None:  # noqa: ANN401
        given = OPTIONS | options
        args = encode({name: value for name, value in given.items() if value is not None})
        self.call("Configure", provider_pb2.ConfigureRequest(args=args, acceptSecrets=True))

    def cancel(self) -> None:
        self.call("Cancel", empty_pb2.Empty())

    def resource(self, token: str, name: str = "test") -> Resource:
        return Resource(self, f"urn:pulumi:test::maas::maas:layer:Layer$kubernetes:{token}::{name}")

    def call(self, method: str, request: Any) -> Any:  # noqa: ANN401  (any message)
        try:
            return getattr(self.stub, method)(request, timeout=100)
        except grpc.RpcError as error:
            raise _failure(cast("grpc.Call", error)) from error


def _failure(error: grpc.Call) -> Failure:
    partial = None
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin" and isinstance(value, bytes):
            detail = status_pb2.Status.FromString(value).details[0]
            partial = provider_pb2.ErrorResourceInitFailed()
            detail.Unpack(partial)
    return Failure(error.details() or "", error.code(), partial)


@contextmanager
def connected(kubeconfig: Path, **options: Any) -> Generator[Client]:  # noqa: ANN401
    """Run a provider and connect to it."""
    with serve(kubeconfig) as port, grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        client = Client(provider_pb2_grpc.ResourceProviderStub(channel))
        client.configure(**options)
        yield client
