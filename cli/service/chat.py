"""A conversation with a model in the terminal: words as they come, and what is left of the quota after each answer."""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import httpx
from rich.markup import escape

from cli.console import Console
from cli.exits import Exit, MaasError
from cli.service.calls import CHAT, KEY_VARIABLE, Service, Way, chat_body, client, event_of, given_key
from cli.stacks.stackfile import mapping

_WAYS_OUT = ("/quit", "/exit")


@dataclass
class Answer:
    """What came of one request."""

    status: int
    text: str = ""
    tokens: int | None = None
    id: str = ""
    message: str = ""
    """Why it was refused."""


@dataclass
class Chat:
    """One conversation."""

    service: Service
    way: Way
    user: str
    key: str = field(repr=False)
    console: Console
    most: int | None = None
    _messages: list[dict[str, str]] = field(default_factory=list[dict[str, str]])

    def say(self, prompt: str, show: Callable[[str], None]) -> Answer:
        """Send a prompt; `show` is given each piece of the answer. What was refused does not become part of the talk.

        Raises:
            MaasError: The model cannot be reached.
        """
        messages = [*self._messages, {"role": "user", "content": prompt}]
        body = chat_body(self.way, messages, most=self.most, stream=True)
        try:
            with client(self.way, self.key) as http, http.stream("POST", CHAT, json=body) as response:
                answer = _read(response, show)
        except httpx.TransportError as error:
            raise MaasError(f"{self.way.url} does not answer: {error}. Is it up? ./maas sandbox status") from error
        if answer.status == HTTPStatus.OK:
            self._messages = [*messages, {"role": "assistant", "content": answer.text}]
        return answer

    def remark(self, answer: Answer) -> str:
        """The line below an answer: tokens, and what is left, where the gateway tells."""
        told = self.service.admin(f"/decisions/{answer.id}") if answer.id else None
        counters: list[dict[str, Any]] = list(mapping(told).get("counters") or [])
        parts = [f"{answer.tokens} tokens"] if answer.tokens is not None else []
        parts += [left(each) for each in counters]
        return "; ".join(parts)


def left(counter: dict[str, Any]) -> str:
    """What is left of one counter, for people."""
    if counter["max"] is None:
        return f"unlimited {counter['counts']}"
    rest = max(0, counter["max"] - counter["used"])
    ends = f" for {counter['endsInSeconds']:.0f} s" if counter["endsInSeconds"] else ""
    return f"{rest} of {counter['max']} {counter['counts']} left{ends}"


def run(chat: Chat, prompt: str | None) -> Exit:
    """Hold the conversation: one prompt, or what is piped in, or a dialogue."""
    if prompt is None and not sys.stdin.isatty():
        prompt = sys.stdin.read()
    if prompt is not None:
        if not prompt.strip():
            raise MaasError("Nothing was asked.", code=Exit.USAGE)
        return Exit.OK if _turn(chat, prompt) else Exit.FAILED
    who = f"{chat.user} to " if chat.user else ""
    chat.console.note(f"{who}{chat.way.served_name} at {chat.way.host}. An empty line or Ctrl-D ends it.")
    while (asked := _asked(chat.console)) is not None:
        _turn(chat, asked)
    return Exit.OK


def begin(service: Service, console: Console, *, user: str, model: str, most: int | None) -> Chat:
    """A conversation that has not begun; without a user it is one of the lowest tier.

    Raises:
        MaasError: There is no such user or model, or no key.
    """
    way, given = service.way(model), given_key()
    if given:
        return Chat(service, way, user, given, console, most)
    user = user or next(iter(service.users()), "")
    if not user:
        raise MaasError(f"No user of the stack has a key. Set {KEY_VARIABLE} to one.", code=Exit.USAGE)
    return Chat(service, way, user, service.key(user, console), console, most)


def pieces(lines: Iterator[str]) -> Iterator[tuple[str, int | None]]:
    """The text of each event of a stream, and the tokens where an event tells them."""
    for line in lines:
        if (event := event_of(line)) is not None:
            yield event.text, event.usage.get("total_tokens")


def _read(response: httpx.Response, show: Callable[[str], None]) -> Answer:
    answer = Answer(response.status_code, id=response.headers.get("x-request-id", ""))
    if response.status_code != HTTPStatus.OK:
        response.read()
        answer.message = _reason(response)
        return answer
    for text, tokens in pieces(response.iter_lines()):
        answer.text += text
        answer.tokens = tokens if tokens is not None else answer.tokens
        show(text)
    return answer


def _reason(response: httpx.Response) -> str:
    try:
        return str(response.json()["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return response.text.strip() or response.reason_phrase


def refusal(answer: Answer) -> str:
    """What a caller is told who got no answer. The gateway's own words say what to do, Kuadrant's do not."""
    said = f"{answer.status}: {answer.message.rstrip('.')}."
    limited = answer.status == HTTPStatus.TOO_MANY_REQUESTS and "again" not in said
    return f"{said} Try again when the window has ended." if limited else said


def _turn(chat: Chat, prompt: str) -> bool:
    """One prompt and its answer; whether it was answered."""
    out = chat.console.out

    def show(text: str) -> None:
        out.file.write(text)
        out.file.flush()

    answer = chat.say(prompt, show)
    if answer.status == HTTPStatus.OK:
        out.print()
    else:
        chat.console.error(refusal(answer))
    if remark := chat.remark(answer):
        chat.console.err.print(f"[dim]{escape(remark)}[/dim]")
    return answer.status == HTTPStatus.OK


def _asked(console: Console) -> str | None:
    try:
        asked = console.err.input("[bold]> [/bold]").strip()
    except EOFError:
        return None
    return None if not asked or asked in _WAYS_OUT else asked
