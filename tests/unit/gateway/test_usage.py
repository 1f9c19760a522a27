from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.gateway.usage import StreamedUsage, parsed
from tests.unit.gateway.service import events


def followed(stream: bytes, cuts: list[int]) -> StreamedUsage:
    usage = StreamedUsage()
    places = sorted({0, len(stream), *(cut % (len(stream) + 1) for cut in cuts)})
    for start, end in pairwise(places):
        usage.feed(stream[start:end])
    return usage


@given(st.lists(st.integers(0, 10_000)), st.sampled_from(["\n", "\r\n"]))
def test_the_usage_of_a_stream_is_found_however_it_is_cut(cuts: list[int], line_end: str) -> None:
    stream = "".join(events(42)).replace("\n", line_end).encode()
    usage = followed(stream, cuts)
    assert usage.ended
    assert (usage.body() or {})["usage"] == {"total_tokens": 42}


def test_only_the_last_event_but_one_is_read() -> None:
    late = "".join([*events(42), 'data: {"more": 1}\n\n']).encode()
    assert followed(late, []).body() is None, "that is [DONE]"
    early = b'data: {"usage": {"total_tokens": 3}}\n\ndata: {"x": 1}\n\ndata: [DONE]\n\n'
    assert followed(early, []).body() == {"x": 1}
    assert followed(b"data: [DONE]\n\n", []).body() is None
    assert not followed(b"data: [DONE]", []).ended


@pytest.mark.parametrize("nothing", [": ping\n\n", "\n", "event: ping\n\n", "id: 1\nretry: 5\n\n", "data:\n\n"])
def test_what_has_no_data_is_no_event(nothing: str) -> None:
    *before, usage, done = events(42)
    stream = "".join([*before, nothing, usage, nothing, done, nothing]).encode()
    assert (followed(stream, []).body() or {})["usage"] == {"total_tokens": 42}


def test_an_endless_event_is_not_kept_and_counts_as_one() -> None:
    long = b"data: " + b"x" * (1 << 21) + b"\n\n"
    stream = b'data: {"usage": 1}\n\n' + long + b"data: [DONE]\n\n"
    assert followed(stream, list(range(0, 1 << 21, 100_000))).body() is None, "it is the last but one"
    usage = StreamedUsage()
    for _ in range(40):
        usage.feed(b"x" * 100_000)
    usage.feed(b"\n\n" + "".join(events(7)).encode())
    assert (usage.body() or {})["usage"] == {"total_tokens": 7}


def test_a_body_that_is_no_object_has_no_usage() -> None:
    assert [parsed(body) for body in (b"", b"[1]", b"no", b'"text"', b"[" * 100_000)] == [None] * 5
    assert parsed(b'{"a": 1}') == {"a": 1}
