"""How a caller connects to a model: snippets that are ready to run, with a key only where one is asked for."""

import json
import shlex
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit, urlunsplit

from cli.console import Console
from cli.exits import Exit, MaasError
from cli.service.calls import CHAT, Service, Way, way_of
from cli.stacks.stackfile import SANDBOX, mapping

KEY = "OPENAI_API_KEY"
"""What OpenAI's own clients read."""
CA_FILE = "maas-ca.pem"
"""Where the certificate's authority is expected when it is the stack's own and no file was named."""
_HELLO = [{"role": "user", "content": "Hello"}]


class Format(StrEnum):
    """Which snippet."""

    CURL = "curl"
    PYTHON = "python"
    ENV = "env"
    ALL = "all"


@dataclass(frozen=True)
class Connection:
    """All that a caller needs."""

    user: str
    way: Way
    key: str = field(default="", repr=False)
    """Empty: it is not shown."""
    ca: str = ""
    """PEM file of the authority to trust; empty: the system's."""
    notes: tuple[str, ...] = ()
    """What else there is to know."""

    @property
    def base_url(self) -> str:
        """What OpenAI's clients call so."""
        return f"{self.way.url}/v1"

    def as_json(self) -> dict[str, Any]:
        """For scripts; the key is null unless it was asked for."""
        return {
            "result": "succeeded",
            "user": self.user,
            "baseUrl": self.base_url,
            "model": self.way.served_name,
            "headers": self.way.headers,
            "caFile": self.ca or None,
            "key": self.key or None,
            "snippets": {format_.value: made(self) for format_, made in SNIPPETS.items()},
            "notes": list(self.notes),
        }


@dataclass(frozen=True)
class Wish:
    """What is asked for."""

    user: str
    model: str = ""
    stack: str = SANDBOX
    sandbox: str = SANDBOX
    url: str = ""
    """Where the gateway is reached, when not by its name."""
    ca: Path | None = None
    """PEM file of the authority to trust."""
    outputs: Path | None = None
    """File with the stack's outputs, where its settings are not at hand."""
    show_key: bool = False


def connect(wish: Wish, console: Console) -> Connection:
    """How a user reaches a model.

    Raises:
        MaasError: There is no such stack, user or model; or the key is asked for and cannot be had.
    """
    key = ""
    if wish.outputs:
        if wish.show_key:
            raise MaasError("Outputs hold no keys: leave --show-key out, or --outputs.", code=Exit.USAGE)
        outputs = read_outputs(wish.outputs)
        way = way_of(outputs, wish.model, wish.url)
    else:
        service = Service.of(wish.stack, wish.sandbox)
        outputs = service.outputs
        way = service.way(wish.model, wish.url)
        key = service.key(wish.user, console) if wish.show_key else ""
    return connection(outputs, wish, way, key)


def connection(outputs: Mapping[str, Any], wish: Wish, way: Way, key: str = "") -> Connection:
    """Put a connection together, with what else there is to know.

    Raises:
        MaasError: There is no such user.
    """
    users, user = mapping(outputs["users"]), wish.user
    if user not in users:
        raise MaasError(f"No user {user!r} in this stack. It has: {', '.join(users) or 'none'}.", code=Exit.USAGE)
    own = str(mapping(outputs["gateway"]).get("caSecret") or "") if way.url.startswith("https:") else ""
    notes = [_about_key(wish, key=bool(key), has_key=bool(users[user].get("keySecret")))]
    if own and not wish.ca:
        namespace, _, name = own.partition("/")
        secret = f"kubectl get secret -n {namespace} {name} -o jsonpath='{{.data.ca\\.crt}}'"
        notes.append(f"The certificate is the stack's own. Get its authority: {secret} | base64 -d > {CA_FILE}")
    if way.headers:
        notes.append(_about_host(way))
    return Connection(user, way, key, str(wish.ca) if wish.ca else CA_FILE if own else "", tuple(notes))


def _about_key(wish: Wish, *, key: bool, has_key: bool) -> str:
    of_stack = "" if wish.stack == SANDBOX else f" --stack {wish.stack}"
    if key:
        return f"This holds the key of {wish.user}: whoever reads it can call in their name."
    if has_key:
        return (
            f"The key of {wish.user} is not shown. Set {KEY} to it; --show-key puts it in, and "
            f"./maas keys show-once {wish.user}{of_stack} hands it over."
        )
    return (
        f"{wish.user} has no key: ./maas keys create {wish.user}{of_stack} makes one. Where an identity provider says "
        f"who they are, set {KEY} to a token: ./maas token{of_stack} gets one."
    )


def _about_host(way: Way) -> str:
    if way.url.startswith("https:"):
        return (
            f"Certificates are for names, and {way.host} is not where this leads: clients other than curl need it in "
            "DNS or in /etc/hosts (./maas hosts)."
        )
    return f"Requests need the header Host: {way.host}. A client that cannot send it needs that name in DNS."


def shown(given: Connection, format_: Format) -> str:
    """One snippet, or all of them."""
    if format_ is not Format.ALL:
        return SNIPPETS[format_](given)
    titles = {Format.ENV: "Environment", Format.CURL: "curl", Format.PYTHON: "Python, pip install openai"}
    return "\n".join(f"# {title}\n{SNIPPETS[each](given)}" for each, title in titles.items())


def environment(given: Connection) -> str:
    """Variables for a shell; it stops where they are used and the key is neither in them nor set before."""
    here = shlex.quote
    key = here(given.key) if given.key else f'"${{{KEY}:?set it to the key of {given.user}}}"'
    variables = {
        "OPENAI_BASE_URL": here(given.base_url),
        KEY: key,
        "MAAS_MODEL": here(given.way.served_name),
        **({"MAAS_HOST": here(given.way.host)} if given.way.headers else {}),
        # OpenAI's Python client reads the first, curl the second.
        **({"SSL_CERT_FILE": here(given.ca), "CURL_CA_BUNDLE": here(given.ca)} if given.ca else {}),
    }
    return "".join(f"export {name}={value}\n" for name, value in variables.items())


def curl(given: Connection) -> str:
    """A chat by curl."""
    way, at = given.way, urlsplit(given.way.url)
    elsewhere = bool(way.headers) and at.scheme == "https"
    url = urlunsplit(at._replace(netloc=way.host)) if elsewhere else way.url
    options = [
        *([f"--cacert {shlex.quote(given.ca)}"] if given.ca else []),
        # With TLS the name has to be that of the certificate from the first byte on: a header would come too late.
        *([f"--connect-to {shlex.quote(f'::{at.netloc}{_port(at)}')}"] if elsewhere else []),
        *([f"-H {shlex.quote(f'{name}: {value}')}" for name, value in way.headers.items() if not elsewhere]),
        f'-H "Authorization: Bearer ${{{KEY}:?set it to the key of {given.user}}}"',
        "-H 'Content-Type: application/json'",
        "-d " + shlex.quote(json.dumps({"model": way.served_name, "messages": _HELLO})),
    ]
    setting = f"{KEY}={shlex.quote(given.key)}\n" if given.key else ""
    return setting + " \\\n  ".join([f"curl -sS --fail-with-body {shlex.quote(url + CHAT)}", *options]) + "\n"


def _port(at: SplitResult) -> str:
    return "" if at.port else ":443"


def python(given: Connection) -> str:
    """A chat by OpenAI's Python client."""
    imports = ["import os"] if not given.key else []
    imports += ["import ssl"] if given.ca else []
    names = ["DefaultHttpxClient", "OpenAI"] if given.ca else ["OpenAI"]
    arguments = {
        "base_url": json.dumps(given.base_url),
        "api_key": json.dumps(given.key) if given.key else f'os.environ["{KEY}"]',
    }
    if given.way.headers:
        arguments["default_headers"] = json.dumps(given.way.headers)
    if given.ca:
        context = f"ssl.create_default_context(cafile={json.dumps(given.ca)})"
        arguments["http_client"] = f"DefaultHttpxClient(verify={context})"
    head = "".join(f"{each}\n" for each in imports) + ("\n" if imports else "")
    lines = "".join(f"    {name}={value},\n" for name, value in arguments.items())
    return (
        f"{head}from openai import {', '.join(names)}\n\nclient = OpenAI(\n{lines})\n"
        f"answer = client.chat.completions.create(\n    model={json.dumps(given.way.served_name)},\n"
        f"    messages={json.dumps(_HELLO)},\n)\n"
        'print(answer.choices[0].message.content)\nprint(answer.usage.total_tokens, "tokens")\n'
    )


SNIPPETS: Mapping[Format, Callable[[Connection], str]] = {
    Format.ENV: environment,
    Format.CURL: curl,
    Format.PYTHON: python,
}


def read_outputs(file: Path) -> Mapping[str, Any]:
    """The outputs of a stack from a file that `pulumi stack output --json` wrote; `-` is the standard input.

    Raises:
        MaasError: It cannot be read, or is something else.
    """
    try:
        text = sys.stdin.read() if file.name == "-" else file.read_text(encoding="utf-8")
        found = mapping(json.loads(text))
    except (OSError, ValueError) as error:
        raise MaasError(f"{file} cannot be read as JSON: {error}", code=Exit.USAGE) from error
    missing = {"endpoints", "gateway", "models", "users"} - found.keys()
    if missing:
        raise MaasError(
            f"{file} has no {', '.join(sorted(missing))}: it is not what pulumi stack output --json says of a stack.",
            code=Exit.USAGE,
        )
    return found
