"""An identity provider on loopback: discovery, three grants, and a user who agrees after a while."""

import base64
import json
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

USER, PASSWORD, SECRET = "alice", "correct-horse-battery", "client-secret-value"


def jwt(claims: dict[str, Any]) -> str:
    def part(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    return f"{part({'alg': 'none'})}.{part(claims)}.signature"


@dataclass
class IdentityProvider:
    issuer: str
    claims: dict[str, Any]
    pending: int = 2
    """How often the user has not agreed yet."""
    refuses: str = ""
    """What the user's browser ends with instead."""
    device: bool = True
    found: int = 0
    """How often its settings were read."""
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list[tuple[str, dict[str, str]]])

    def metadata(self) -> dict[str, Any]:
        self.found += 1
        found = {"issuer": self.issuer, "token_endpoint": f"{self.issuer}/token"}
        return found | ({"device_authorization_endpoint": f"{self.issuer}/device"} if self.device else {})

    def answer(self, path: str, form: dict[str, str]) -> tuple[int, dict[str, Any]]:  # noqa: PLR0911 - one an answer
        self.asked.append((path, form))
        if path.endswith("/device"):
            return 200, {
                "device_code": "device-code-value",
                "user_code": "ABCD-EFGH",
                "verification_uri": f"{self.issuer}/activate",
                "interval": 5,
                "expires_in": 600,
            }
        token = {"access_token": jwt(self.claims), "token_type": "Bearer"}
        match form["grant_type"]:
            case "password" if (form["username"], form["password"]) == (USER, PASSWORD):
                return 200, token
            case "password":
                return 401, {"error": "invalid_grant", "error_description": "Invalid user credentials"}
            case "client_credentials" if form.get("client_secret") == SECRET:
                return 200, token
            case "client_credentials":
                return 401, {"error": "invalid_client"}
            case _ if self.refuses:
                return 400, {"error": self.refuses}
            case _ if self.pending:
                self.pending -= 1
                return 400, {"error": "slow_down" if self.pending else "authorization_pending"}
            case _:
                return 200, token


@contextmanager
def serving(**claims: Any) -> Generator[IdentityProvider]:  # noqa: ANN401 - claims
    provider = IdentityProvider("", {})

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/realms/maas/.well-known/openid-configuration":
                self._send(200, provider.metadata())
            elif self.path.startswith("/html"):
                self._send(200, None)
            else:
                self._send(404, {"error": "not found"})

        def do_POST(self) -> None:
            text = self.rfile.read(int(self.headers["Content-Length"])).decode()
            form = {key: values[0] for key, values in parse_qs(text).items()}
            self._send(*provider.answer(self.path, form))

        def _send(self, status: int, content: dict[str, Any] | None) -> None:
            body = b"<html>" if content is None else json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
            del format, args

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    provider.issuer = f"http://127.0.0.1:{server.server_port}/realms/maas"
    provider.claims = {"iss": provider.issuer, "aud": "maas", "azp": "maas-cli", "sub": USER, **claims}
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield provider
    finally:
        server.shutdown()
        server.server_close()
