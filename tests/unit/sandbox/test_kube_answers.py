"""What the client makes of answers that are none."""

import asyncio
import json

import httpx
import pytest

from sandbox.kube import ApiError, Event, Kube, Object, Retry
from sandbox.kubeconfig import Connection

QUICK = Retry(attempts=3, seconds=5, base=0.01)
DISCOVERY = {"resources": [{"name": "configmaps", "kind": "ConfigMap", "namespaced": True}]}


def config_map(version: str) -> Object:
    metadata = {"name": "a", "namespace": "b", "uid": "u", "resourceVersion": version}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}


def test_a_page_in_place_of_an_answer_is_an_error_that_shows_how_it_begins() -> None:
    def answer(_request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, text="<html>\n<title>Please sign in</title>")

    async def ask() -> None:
        async with Kube(Connection("http://api"), transport=httpx.MockTransport(answer), retry=QUICK) as kube:
            await kube.get("v1", "ConfigMap", "a", "b")

    with pytest.raises(ApiError, match=r"no JSON object, but begins: '<html> <title>Please sign in"):
        asyncio.run(ask())


def test_a_list_in_place_of_an_object_is_an_error() -> None:
    async def ask() -> None:
        transport = httpx.MockTransport(lambda _request: httpx.Response(200, json=[1]))
        async with Kube(Connection("http://api"), transport=transport, retry=QUICK) as kube:
            await kube.version()

    with pytest.raises(ApiError, match="no JSON object"):
        asyncio.run(ask())


def test_a_watch_goes_on_after_a_line_that_is_no_event() -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/api/v1":
            return httpx.Response(200, json=DISCOVERY)
        asked.append(str(request.url))
        event = json.dumps({"type": "MODIFIED", "object": config_map("2")})
        line = "<html>\n" if len(asked) == 1 else f"{event}\n"
        return httpx.Response(200, text=line)

    async def first() -> Event:
        async with Kube(Connection("http://api"), transport=httpx.MockTransport(answer), retry=QUICK) as kube:
            async for event in kube.watch("v1", "ConfigMap", "b", name="a", since=config_map("1"), seconds=5):
                return event
        raise AssertionError("no event came")

    assert asyncio.run(first()).object["metadata"]["resourceVersion"] == "2"
    assert len(asked) == 2
