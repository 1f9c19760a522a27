"""A client of Envoy's external authorisation (envoy.service.auth.v3), as far as these tests look at it.

The messages are declared here, by field numbers of Envoy's API: the published packages of them ask for another protobuf
than the engine's SDK does.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory, struct_pb2, timestamp_pb2
from google.protobuf.message import Message

from enforcement.request import Request

_METHOD = "/envoy.service.auth.v3.Authorization/Check"
_PACKAGE = "maas.test.auth"
_SECONDS = 10.0
_STRING, _INT64, _INT32, _MESSAGE = 9, 3, 5, 11
_OPTIONAL, _REPEATED = 1, 3

_MESSAGES: Mapping[str, tuple[tuple[str, int, int, str, bool], ...]] = {
    # name, number, type, message, repeated
    "Entry": (("key", 1, _STRING, "", False), ("value", 2, _STRING, "", False)),
    "Http": (
        ("id", 1, _STRING, "", False),
        ("method", 2, _STRING, "", False),
        ("headers", 3, _MESSAGE, "Entry", True),
        ("path", 4, _STRING, "", False),
        ("host", 5, _STRING, "", False),
        ("scheme", 6, _STRING, "", False),
        ("query", 7, _STRING, "", False),
        ("size", 9, _INT64, "", False),
        ("protocol", 10, _STRING, "", False),
    ),
    "HttpRequest": (("time", 1, _MESSAGE, "google.protobuf.Timestamp", False), ("http", 2, _MESSAGE, "Http", False)),
    "Attributes": (("request", 4, _MESSAGE, "HttpRequest", False), ("extensions", 10, _MESSAGE, "Entry", True)),
    "Check": (("attributes", 1, _MESSAGE, "Attributes", False),),
    "Status": (("code", 1, _INT32, "", False), ("message", 2, _STRING, "", False)),
    "HeaderOption": (("header", 1, _MESSAGE, "Entry", False),),
    "HttpStatus": (("code", 1, _INT32, "", False),),
    "Denied": (
        ("status", 1, _MESSAGE, "HttpStatus", False),
        ("headers", 2, _MESSAGE, "HeaderOption", True),
        ("body", 3, _STRING, "", False),
    ),
    "Ok": (("headers", 2, _MESSAGE, "HeaderOption", True),),
    "Answer": (
        ("status", 1, _MESSAGE, "Status", False),
        ("denied", 2, _MESSAGE, "Denied", False),
        ("ok", 3, _MESSAGE, "Ok", False),
        ("metadata", 4, _MESSAGE, "google.protobuf.Struct", False),
    ),
}
"""A map of strings is on the wire what a repeated message with key and value is."""


def _classes() -> Mapping[str, type[Message]]:
    pool = descriptor_pool.DescriptorPool()
    for known in (timestamp_pb2, struct_pb2):
        pool.AddSerializedFile(known.DESCRIPTOR.serialized_pb)
    file = descriptor_pb2.FileDescriptorProto(
        name="maas-test-auth.proto",
        package=_PACKAGE,
        syntax="proto3",
        dependency=[timestamp_pb2.DESCRIPTOR.name, struct_pb2.DESCRIPTOR.name],
    )
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, number, kind, of, repeated in fields:
            added = message.field.add(name=field, number=number)
            added.type = descriptor_pb2.FieldDescriptorProto.Type.ValueType(kind)
            added.label = descriptor_pb2.FieldDescriptorProto.Label.ValueType(_REPEATED if repeated else _OPTIONAL)
            if of:
                added.type_name = f".{of}" if "." in of else f".{_PACKAGE}.{of}"
    pool.Add(file)
    found: dict[str, type[Message]] = {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}")) for name in _MESSAGES
    }
    return found


_CLASS = _classes()


@dataclass(frozen=True)
class Answer:
    """What Authorino says of one request."""

    status: int
    body: str
    metadata: Mapping[str, Any]


def check(address: str, host: str, request: Request) -> Answer:
    """Ask about a request.

    Args:
        address: of the authorisation server, `host:port` on loopback.
        host: which AuthConfig: one of its `hosts`.
        request: what the gateway got.
    """
    http = {
        "id": "1",
        "method": request.method,
        "path": request.target,
        "host": request.host,
        "scheme": request.scheme,
        "protocol": request.protocol,
        "headers": [{"key": name, "value": value} for name, value in request.headers.items()],
    }
    attributes = {
        "request": {"time": datetime.now(UTC).isoformat().replace("+00:00", "Z"), "http": http},
        "extensions": [{"key": "host", "value": host}],
    }
    message = json_format.ParseDict({"attributes": attributes}, _CLASS["Check"]())
    with grpc.insecure_channel(address) as channel:
        # Without serialisers, bytes go in and come out.
        call = cast("Callable[..., bytes]", channel.unary_unary(_METHOD, None, None))  # pyright: ignore[reportUnknownMemberType]
        raw = call(message.SerializeToString(), timeout=_SECONDS)
    answer = json_format.MessageToDict(_CLASS["Answer"].FromString(raw))
    denied = answer.get("denied", {})
    status = 200 if answer.get("status", {}).get("code", 0) == 0 else int(denied["status"]["code"])
    return Answer(status, denied.get("body", ""), answer.get("metadata", {}))
