"""The engine's values: secrets, unknowns, numbers."""

import pytest
from google.protobuf import json_format, struct_pb2
from hypothesis import given
from hypothesis import strategies as st

from sandbox.provider.values import (
    UNKNOWN,
    Secret,
    ValueFormError,
    copy_secrecy,
    decode,
    encode,
    has_secret,
    has_unknown,
    plain,
)

WIRE_SECRET = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "value": "pw"}
ASSET = {"4dabf18193072939515e22adb298388d": "c44067f5952c0a294b673a41bacd8c17", "text": "x"}

KEYS = st.text(min_size=1, max_size=8).filter(lambda key: not key.startswith(("x_kubernetes", "x-kubernetes")))
SCALARS = st.one_of(st.text(max_size=8), st.booleans(), st.integers(-(2**40), 2**40), st.just(UNKNOWN))
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=3), inner.map(Secret)),
    max_leaves=8,
)


def struct(value: dict[str, object]) -> struct_pb2.Struct:
    return json_format.ParseDict(value, struct_pb2.Struct())


@given(st.dictionaries(KEYS, VALUES, max_size=4))
def test_what_is_encoded_decodes_to_the_same(value: dict[str, object]) -> None:
    assert decode(encode(value)) == value


def test_whole_numbers_become_integers_so_that_the_api_server_takes_them() -> None:
    decoded = decode(struct({"replicas": 3.0, "ratio": 0.5}))
    assert decoded == {"replicas": 3, "ratio": 0.5}
    assert isinstance(decoded["replicas"], int)


def test_secrets_and_unknowns_are_recognised_at_any_depth() -> None:
    value = decode(struct({"a": [{"b": WIRE_SECRET}], "c": "04da6b54-80e4-46f7-96ec-b56ff0331ba9"}))
    assert value["a"][0]["b"] == Secret("pw")
    assert has_secret(value)
    assert has_unknown(value)
    assert plain(value["a"]) == [{"b": "pw"}]
    assert not has_unknown(value["a"])


def test_nulls_in_mappings_are_dropped_but_keep_their_place_in_lists() -> None:
    assert decode(struct({"a": None, "b": [None, 1]})) == {"b": [None, 1]}


def test_dashes_that_the_sdks_cannot_write_are_put_back() -> None:
    schema = {"x_kubernetes_preserve_unknown_fields": True}
    assert decode(struct({"schema": schema})) == {"schema": {"x-kubernetes-preserve-unknown-fields": True}}
    assert json_format.MessageToDict(encode({"schema": {"x-kubernetes-preserve-unknown-fields": True}})) == {
        "schema": schema
    }


def test_an_asset_is_refused() -> None:
    with pytest.raises(ValueFormError):
        decode(struct({"data": ASSET}))


def test_a_secret_does_not_show_itself() -> None:
    assert "pw" not in repr({"x": Secret("pw")})


def test_the_data_of_a_secret_object_is_secret_even_when_the_program_did_not_say_so() -> None:
    live = {"kind": "Secret", "data": {"k": "cHc="}, "metadata": {"name": "s"}}
    assert copy_secrecy(live, {})["data"] == Secret({"k": "cHc="})


def test_secrecy_follows_the_inputs_into_the_outputs_and_no_further() -> None:
    outputs = {"spec": {"env": [{"value": "pw"}], "image": "x"}, "status": {}}
    inputs = {"spec": {"env": [{"value": Secret("pw")}], "image": "x"}}
    assert copy_secrecy(outputs, inputs) == {"spec": {"env": Secret([{"value": "pw"}]), "image": "x"}, "status": {}}
