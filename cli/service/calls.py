"""How a stack's models are called: where, under which name, with whose key."""

import asyncio
import base64
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import httpx

from cli.console import Console
from cli.deploy.target import Target, of_sandbox, of_stack, words_for
from cli.exits import Exit, MaasError
from cli.keys.store import current_key
from cli.models.catalogue import load
from cli.service.addresses import address
from cli.stacks.stackfile import SANDBOX, mapping
from components.exports import exports
from sandbox.gateway import process as gateway
from sandbox.instance import Sandbox
from sandbox.kube import Kube

KEY_VARIABLE = "MAAS_API_KEY"
CHAT = "/v1/chat/completions"
EXTERNAL = "external"
"""The runtime of a model that is an endpoint outside of the cluster."""
STREAM_END = "[DONE]"
"""What the last line of a stream carries."""
_SECONDS = 120.0
_ADMIN_SECONDS = 2.0


@dataclass(frozen=True)
class Way:
    """The way to one model."""

    model: str
    """Its name in the stack."""
    served_name: str
    """Its name in requests."""
    url: str
    """Where requests go; what comes after it begins with `/v1`."""
    host: str
    """The Host header that they need."""

    @property
    def headers(self) -> dict[str, str]:
        """What a client has to send where the URL does not say it."""
        return {} if urlsplit(self.url).netloc == self.host else {"Host": self.host}


@dataclass(frozen=True)
class Service:
    """A stack's models, tiers and users, from its settings."""

    target: Target
    outputs: Mapping[str, Any]

    @classmethod
    def of(cls, stack: str, sandbox: str) -> "Service":
        """A stack's service; that of a sandbox as it was last deployed.

        Raises:
            MaasError: There is no such stack, or it is refused; or the sandbox has no stack.
        """
        if stack != SANDBOX:
            return cls(of_stack(stack), exports(load(stack)[0]))
        target = of_sandbox(Sandbox.open(sandbox))
        if not target.kubeconfig or not target.kubeconfig.is_file() or not any(target.work_dir.iterdir()):
            raise MaasError(f"Sandbox {sandbox} has no stack. Deploy it: ./maas up{words_for(SANDBOX, sandbox)}")
        return cls(target, exports(load(SANDBOX, target.work_dir)[0]))

    def model_names(self) -> list[str]:
        """The stack's models: simulators first, as they cost nothing, those outside last; then by name."""
        return models_of(self.outputs)

    def way(self, model: str = "", url: str = "") -> Way:
        """The way to a model; without a name to the simulator, or else to the first.

        Args:
            model: its name in the stack, or in requests.
            url: another address of the gateway than the stack's own, without a path.

        Raises:
            MaasError: There is none of that name.
        """
        return way_of(self.outputs, model, url or (gateway.url(self.target.sandbox) if self.target.sandbox else ""))

    def users(self) -> list[str]:
        """Everybody with a key of the stack's, those of the lowest tier first."""
        tiers, users = mapping(self.outputs["tiers"]), mapping(self.outputs["users"])
        level = {name: mapping(tiers.get(user["tier"])).get("level", 0) for name, user in users.items()}
        return sorted((name for name in users if users[name].get("keySecret")), key=lambda name: (level[name], name))

    def key(self, user: str, console: Console) -> str:
        """A user's key: of the sandbox's cluster, or of the stack's secrets.

        Raises:
            MaasError: There is no such user, or the key cannot be had.
        """
        if user not in self.users():
            known = ", ".join(self.users()) or "none"
            raise MaasError(f"No key of a user {user!r} here. Users with keys: {known}.", code=Exit.USAGE)
        secret = str(self.outputs["users"][user]["keySecret"])
        if self.target.sandbox and self.target.kubeconfig:
            return asyncio.run(_from_cluster(self.target.kubeconfig, secret))
        return self._from_stack(user, console)

    def _from_stack(self, user: str, console: Console) -> str:
        try:
            key = current_key(self.target.stack, user, console)
        except MaasError as error:
            raise MaasError(f"{error}\nOr set {KEY_VARIABLE} to the key of {user}.") from error
        if key is None:
            how = f"./maas keys create {user}{self.target.words}"
            raise MaasError(f"{user} has no key in stack {self.target.stack}. Make one: {how}")
        return key

    def admin(self, path: str) -> Any:  # noqa: ANN401 - JSON's values are of any type
        """What the sandbox's gateway tells of itself; None where there is none or it does not answer."""
        if self.target.sandbox is None:
            return None
        try:
            answer = httpx.get(gateway.admin_url(self.target.sandbox) + path, timeout=_ADMIN_SECONDS, trust_env=False)
            return answer.json() if answer.is_success else None
        except (httpx.HTTPError, ValueError):
            return None


def models_of(outputs: Mapping[str, Any]) -> list[str]:
    """The models of a stack's outputs: simulators first, as they cost nothing, those outside last; then by name."""
    models = mapping(outputs["models"])
    order = {"simulator": 0, EXTERNAL: 2}
    return sorted(models, key=lambda name: (order.get(models[name]["runtime"], 1), name))


def way_of(outputs: Mapping[str, Any], model: str = "", url: str = "") -> Way:
    """The way to a model by what a stack tells; without a name to the simulator, or else to the first.

    Args:
        outputs: of the stack.
        model: its name in the stack or in requests.
        url: where the gateway is reached, when that is not where its name leads.

    Raises:
        MaasError: There is none of that name, or the address is none.
    """
    models = mapping(outputs["models"])
    known = models_of(outputs)
    if model and model not in models:
        model = next((name for name in known if models[name]["servedName"] == model), "")
    elif not model:
        model = next(iter(known), "")
    if not model:
        raise MaasError(f"The stack has no such model. It has: {', '.join(known) or 'none'}.", code=Exit.USAGE)
    endpoint = str(outputs["endpoints"][model])
    parts = urlsplit(endpoint)
    if url:
        address("--url", url)
    at = url.rstrip("/") + parts.path if url else endpoint
    return Way(model, str(models[model]["servedName"]), at, parts.netloc)


def given_key() -> str:
    """A key from the environment, which stands over all others."""
    return os.environ.get(KEY_VARIABLE, "")


def client(way: Way, key: str) -> httpx.Client:
    """Ready to call a model; a key of "" sends none."""
    credential = {"Authorization": f"Bearer {key}"} if key else {}
    # The sandbox is on loopback, where a proxy of the machine's has no business.
    return httpx.Client(
        base_url=way.url, headers={**way.headers, **credential}, timeout=_SECONDS, trust_env=way.host in way.url
    )


def chat_body(way: Way, messages: Sequence[Mapping[str, str]], *, most: int | None, stream: bool) -> dict[str, Any]:
    """A chat completion's request."""
    return {
        "model": way.served_name,
        "messages": [dict(each) for each in messages],
        **({"max_tokens": most} if most else {}),
        **({"stream": True, "stream_options": {"include_usage": True}} if stream else {}),
    }


@dataclass(frozen=True)
class Event:
    """One event of a streamed answer."""

    text: str
    usage: Mapping[str, Any]
    """What was used, in the event that tells it."""


def data_of(line: str) -> str | None:
    """What a line of a stream carries; None for lines that carry nothing."""
    return line.removeprefix("data:").strip() if line.startswith("data:") else None


def event_of(line: str) -> Event | None:
    """What a line of a stream says; None for lines that are no data, and for the end.

    Raises:
        ValueError: It is data and no JSON.
    """
    data = data_of(line)
    if data is None or data == STREAM_END:
        return None
    event = mapping(json.loads(data))
    choices = event.get("choices")
    deltas = (
        [mapping(mapping(each).get("delta")) for each in cast("list[object]", choices)]
        if isinstance(choices, list)
        else []
    )
    return Event("".join(str(each.get("content") or "") for each in deltas), mapping(event.get("usage")))


async def _from_cluster(kubeconfig: Path, secret: str) -> str:
    namespace, _, name = secret.partition("/")
    async with Kube.connect(kubeconfig) as kube:
        found = await kube.get("v1", "Secret", name, namespace)
    encoded = mapping((found or {}).get("data")).get("api_key")
    if not encoded:
        raise MaasError(f"Secret {secret} is not on the cluster, or has no api_key. Deploy the stack: ./maas up")
    return base64.b64decode(str(encoded)).decode()
