"""Traffic over HTTP to a running sandbox's gateway, and the trace that it keeps of it."""

import asyncio
import base64
import random
import time
from collections.abc import Sequence

import aiohttp

from sandbox.gateway import process
from sandbox.instance import Sandbox
from sandbox.kube import Kube
from tests.keys import key_secret

CHAT = "/v1/chat/completions"
_AT_ONCE = 4


async def record(sandbox: Sandbox, users: Sequence[str], hosts: dict[str, str], seconds: float, seed: int) -> str:
    """Ask for some seconds, streamed and not, several at a time; then the trace.

    Args:
        sandbox: one that is up.
        users: who asks.
        hosts: host by what is put into the request's `model`.
        seconds: how long; longer than a window lets one end.
        seed: of the questions.
    """
    keys = await _keys(sandbox, users)
    until = time.monotonic() + seconds
    url = process.url(sandbox)

    async def ask(pick: random.Random) -> None:
        while time.monotonic() < until:
            served = pick.choice(list(hosts))
            body = {
                "model": served,
                "messages": [{"role": "user", "content": "word " * pick.randint(1, 20)}],
                "max_tokens": pick.randint(1, 30),
                "stream": pick.random() < 0.5,
            }
            headers = {"Host": hosts[served], "Authorization": f"Bearer {keys[pick.choice(users)]}"}
            async with session.post(f"{url}{CHAT}", json=body, headers=headers) as answer:
                assert answer.status in {200, 429}, await answer.text()
                await answer.read()
            await asyncio.sleep(pick.choice((0.05, 0.5, 2)))

    async with aiohttp.ClientSession() as session:
        await asyncio.gather(*(ask(random.Random(seed + number)) for number in range(_AT_ONCE)))  # noqa: S311
        async with session.get(f"{process.admin_url(sandbox)}/trace") as answer:
            return await answer.text()


async def _keys(sandbox: Sandbox, users: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    async with Kube.connect(sandbox.kubeconfig) as kube:
        for user in users:
            secret = await kube.get("v1", "Secret", key_secret(user), "kuadrant-system")
            assert secret is not None
            found[user] = base64.b64decode(secret["data"]["api_key"]).decode()
    return found
