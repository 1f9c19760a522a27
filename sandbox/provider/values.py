"""Property values as the engine sends them: JSON-like data in which a value may be secret or not known yet.

Python form: dict, list, str, int, float, bool and None; `Secret` around anything; `UNKNOWN` where a preview cannot
know.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

from google.protobuf import struct_pb2

# The wire format's sentinels: pulumi/sdk go/common/resource/sig/sig.go and go/common/resource/plugin/rpc.go.
_SIGNATURE: Final = "4dabf18193072939515e22adb298388d"
_SECRET: Final = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105  (a public marker)
_UNKNOWNS: Final = frozenset(
    {
        "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",  # bool
        "3eeb2bf0-c639-47a8-9e75-3b44932eb421",  # number
        "04da6b54-80e4-46f7-96ec-b56ff0331ba9",  # string
        "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",  # array
        "030794c1-ac77-496b-92df-f27374a8bd58",  # asset
        "e48ece36-62e2-4504-bad9-02848725956a",  # archive
        "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",  # object
    }
)
_UNKNOWN_STRING: Final = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"

# The SDKs cannot have dashes in property names; these are the ones that Kubernetes has.
_DASHED: Final = {
    f"x_kubernetes_{name}": f"x-kubernetes-{name.replace('_', '-')}"
    for name in (
        "embedded_resource",
        "int_or_string",
        "list_map_keys",
        "list_type",
        "map_type",
        "preserve_unknown_fields",
        "validations",
    )
}
_UNDERSCORED: Final = {dashed: name for name, dashed in _DASHED.items()}

Properties = dict[str, Any]


class ValueFormError(Exception):
    """The engine sent a kind of value that no Kubernetes object can hold."""


@dataclass(frozen=True, repr=False)
class Secret:
    """A value that must not be seen in plain text; its repr keeps it so."""

    value: Any

    def __repr__(self) -> str:
        return "Secret([secret])"


class Unknown:
    """The type of `UNKNOWN`: a value that only `up` will know."""

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN: Final = Unknown()


def decode(struct: struct_pb2.Struct) -> Properties:
    """Read a message's properties; nulls in mappings are dropped, whole numbers become int, dashes are put back.

    Raises:
        ValueFormError: An asset, archive or resource reference is among them.
    """
    decoded = ((_DASHED.get(key, key), _decode(value)) for key, value in struct.fields.items())
    return {key: value for key, value in decoded if value is not None}


def encode(properties: Mapping[str, Any]) -> struct_pb2.Struct:
    """Write properties into a message, secrets and unknowns marked."""
    return struct_pb2.Struct(fields={_UNDERSCORED.get(key, key): _encode(value) for key, value in properties.items()})


def plain(value: Any) -> Any:  # noqa: ANN401  (any JSON value)
    """The same without secret marks: what is sent to the API server."""
    return _map(value, lambda secret: plain(secret.value))


def has_unknown(value: Any) -> bool:  # noqa: ANN401
    """Whether any part of the value is not known yet."""
    return any(leaf is UNKNOWN for leaf in leaves(value))


def has_secret(value: Any) -> bool:  # noqa: ANN401
    """Whether any part of the value is secret."""
    if isinstance(value, dict):
        return any(has_secret(item) for item in cast("Properties", value).values())
    if isinstance(value, list):
        return any(has_secret(item) for item in cast("list[Any]", value))
    return isinstance(value, Secret)


def leaves(value: Any) -> Iterator[Any]:  # noqa: ANN401
    """All scalars in the value, those in secrets too."""
    if isinstance(value, dict):
        for item in cast("Properties", value).values():
            yield from leaves(item)
    elif isinstance(value, list):
        for item in cast("list[Any]", value):
            yield from leaves(item)
    elif isinstance(value, Secret):
        yield from leaves(value.value)
    else:
        yield value


def copy_secrecy(outputs: Properties, inputs: Mapping[str, Any]) -> Properties:
    """Mark as secret what is secret in the inputs, and the data of every Secret object.

    Mappings are gone into; a list with a secret anywhere in it becomes secret as a whole: the server may reorder it.
    """
    marked = dict(outputs)
    if outputs.get("kind") == "Secret":
        for key in ("data", "stringData"):
            if key in marked and not isinstance(marked[key], Secret):
                marked[key] = Secret(marked[key])
    for key, given in inputs.items():
        if key not in marked or isinstance(marked[key], Secret):
            continue
        if isinstance(marked[key], dict) and isinstance(given, dict):
            marked[key] = copy_secrecy(cast("Properties", marked[key]), cast("Properties", given))
        elif has_secret(given):
            marked[key] = Secret(marked[key])
    return marked


def _map(value: Any, secret: Callable[[Secret], Any]) -> Any:  # noqa: ANN401
    if isinstance(value, dict):
        return {key: _map(item, secret) for key, item in cast("Properties", value).items()}
    if isinstance(value, list):
        return [_map(item, secret) for item in cast("list[Any]", value)]
    return secret(value) if isinstance(value, Secret) else value


def _decode(value: struct_pb2.Value) -> Any:  # noqa: ANN401, PLR0911  (one return for each kind of value)
    match value.WhichOneof("kind"):
        case "string_value":
            return UNKNOWN if value.string_value in _UNKNOWNS else value.string_value
        case "number_value":
            number = value.number_value
            return int(number) if number.is_integer() else number
        case "bool_value":
            return value.bool_value
        case "list_value":
            return [_decode(item) for item in value.list_value.values]
        case "struct_value":
            fields = value.struct_value.fields
            if _SIGNATURE not in fields:
                return decode(value.struct_value)
            if fields[_SIGNATURE].string_value == _SECRET:
                return Secret(_decode(fields["value"]))
            raise ValueFormError("assets, archives and references to resources cannot be part of a Kubernetes object")
        case _:
            return None


def _encode(value: Any) -> struct_pb2.Value:  # noqa: ANN401, PLR0911
    match value:
        case None:
            return struct_pb2.Value(null_value=struct_pb2.NULL_VALUE)
        case bool():
            return struct_pb2.Value(bool_value=value)
        case int() | float():
            return struct_pb2.Value(number_value=value)
        case str():
            return struct_pb2.Value(string_value=value)
        case Unknown():
            return struct_pb2.Value(string_value=_UNKNOWN_STRING)
        case Secret():
            wrapper = {_SIGNATURE: struct_pb2.Value(string_value=_SECRET), "value": _encode(value.value)}
            return struct_pb2.Value(struct_value=struct_pb2.Struct(fields=wrapper))
        case dict():
            return struct_pb2.Value(struct_value=encode(cast("Properties", value)))
        case _:
            items = [_encode(item) for item in cast("list[Any]", value)]
            return struct_pb2.Value(list_value=struct_pb2.ListValue(values=items))
