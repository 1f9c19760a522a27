"""The bad servers are as bad as they say, and end with their block."""

import socket
import time
from collections.abc import Callable, Mapping

import httpx
import pytest

from tests.misbehaviour.bad import SCRIPTS, Bad, serving_badly

QUICK = httpx.Timeout(0.3)


def ask(url: str) -> httpx.Response:
    return httpx.post(f"{url}/v1/chat/completions", json={}, timeout=QUICK, trust_env=False)


def some(url: str, least: int) -> bytes:
    """The first bytes of an answer that may have no end."""
    with httpx.stream("POST", url, json={}, timeout=QUICK, trust_env=False) as answer:
        got = b""
        for piece in answer.iter_raw():
            got += piece
            if len(got) >= least:
                break
        return got


def fails_with(*errors: type[Exception]) -> Callable[[str], bool]:
    def sign(url: str) -> bool:
        with pytest.raises(errors):
            ask(url)
        return True

    return sign


SIGNS: Mapping[Bad, Callable[[str], bool]] = {
    Bad.SILENT: fails_with(httpx.ReadTimeout),
    Bad.DRIPS: lambda url: some(url, 3) == b"   ",
    Bad.DRIPPING_STREAM: lambda url: some(url, 16).startswith(b": wait\n\n: wait"),
    Bad.REFUSES: fails_with(httpx.ConnectError),
    Bad.RESETS: fails_with(httpx.ReadError),
    Bad.HALF_AN_ANSWER: fails_with(httpx.RemoteProtocolError),
    Bad.HALF_A_STREAM: fails_with(httpx.RemoteProtocolError),
    Bad.NOT_HTTP: fails_with(httpx.RemoteProtocolError),
    Bad.NOT_JSON: lambda url: ask(url).text.endswith('"choices": ['),
    Bad.OTHER_JSON: lambda url: isinstance(ask(url).json(), list),
    Bad.WEB_PAGE: lambda url: ask(url).headers["Content-Type"] == "text/html",
    Bad.STREAM_OF_GARBAGE: lambda url: "{not json" in ask(url).text,
    Bad.HUGE_BODY: lambda url: len(some(url, 1 << 22)) >= 1 << 22,
    Bad.HUGE_HEAD: fails_with(httpx.RemoteProtocolError),
}


def test_every_bad_server_is_made_and_has_a_sign() -> None:
    assert set(SIGNS) == set(Bad) == {*SCRIPTS, Bad.REFUSES}


@pytest.mark.parametrize("bad", Bad, ids=lambda bad: bad.name.lower())
def test_a_bad_server_is_bad_and_ends(bad: Bad) -> None:
    with serving_badly(bad) as url:
        assert SIGNS[bad](url)
        began = time.monotonic()
    assert time.monotonic() - began < 5
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", int(url.rpartition(":")[2]))) != 0
