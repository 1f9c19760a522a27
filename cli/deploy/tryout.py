"""Two requests at the end of `up`: one that must be refused, one that must be answered."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import httpx

from cli.console import Console
from cli.exits import MaasError
from cli.service.calls import CHAT, EXTERNAL, Service, Way, chat_body, client

_PATIENCE_SECONDS = 10.0
_PAUSE_SECONDS = 0.3
_TOKENS = 8
_UNAUTHORIZED, _FORBIDDEN, _TOO_MANY, _OK = 401, 403, 429, 200
_HELLO = [{"role": "user", "content": "Hello"}]


@dataclass(frozen=True)
class Tryout:
    """What came of them."""

    way: Way
    user: str
    """Whose key was taken; empty when nobody has one."""
    words: str


def try_out(service: Service, console: Console) -> Tryout | None:
    """Make the two requests; None when the stack has no model, or none but outside: a sandbox calls nothing there.

    The second is made by a user of the highest tier who may call the model: it costs of what they have most of.

    Raises:
        MaasError: The service does not answer as it should.
    """
    if not service.outputs["models"]:
        return None
    way = service.way()
    if service.outputs["models"][way.model]["runtime"] == EXTERNAL:
        return None
    refused = _settled(way, "", (_UNAUTHORIZED,))
    if refused.status_code != _UNAUTHORIZED:
        raise MaasError(_wrong(way, "without a key", refused, "401", service))
    users = service.users()
    for user in reversed(users):
        answered = _settled(way, service.key(user, console), (_OK, _FORBIDDEN, _TOO_MANY))
        if answered.status_code in {_OK, _TOO_MANY}:
            return Tryout(way, user, f"without a key {refused.status_code}, with the key of {user} {_said(answered)}")
        if answered.status_code != _FORBIDDEN:
            raise MaasError(_wrong(way, f"with the key of {user}", answered, "200", service))
    return Tryout(way, "", f"without a key {refused.status_code}; {_nobody(users)}")


def _settled(way: Way, key: str, wanted: tuple[int, ...]) -> httpx.Response:
    """The answer, asked for again for a while: the gateway follows the cluster with a delay of its own."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    with client(way, key) as http:
        while True:
            try:
                answer = http.post(CHAT, json=chat_body(way, _HELLO, most=_TOKENS, stream=False))
            except httpx.TransportError as error:
                answer = httpx.Response(503, text=f"{type(error).__name__}: {error}")
            if answer.status_code in wanted or time.monotonic() > deadline:
                return answer
            time.sleep(_PAUSE_SECONDS)


def _said(answer: httpx.Response) -> str:
    if answer.status_code == _TOO_MANY:
        return "429, as a limit is used up"
    return f"{answer.status_code} and {answer.json()['usage']['total_tokens']} tokens counted"


def _nobody(users: Sequence[str]) -> str:
    return f"none of {', '.join(users)} may call it" if users else "no user has a key yet"


def _wrong(way: Way, how: str, answer: httpx.Response, wanted: str, service: Service) -> str:
    named = f" --name {service.target.sandbox.name}" if service.target.sandbox else ""
    return (
        f"The stack stands, but its model {way.model} answered a request {how} with {answer.status_code} "
        f"instead of {wanted}: {answer.text[:200]!r}. Look at: ./maas sandbox status{named}"
    )
