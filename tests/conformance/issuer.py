"""An identity provider on loopback: the two documents that Authorino reads, and tokens."""

import json
import threading
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey

from sandbox.instance import LOOPBACK

_LASTS = 3600


@dataclass(frozen=True)
class Issuer:
    """One that answers.

    Attributes:
        url: As its tokens name it.
        keys: What it signs with.
    """

    url: str
    keys: KeySet

    def token(self, claims: Mapping[str, object], *, key: RSAKey | None = None) -> str:
        """A token with these claims over the usual ones, by one of its keys or by somebody else's."""
        now = int(time.time())
        signed_by = key or self.keys.keys[0]
        header = {"alg": "RS256", "kid": signed_by.kid}
        return jwt.encode(
            header, {"iss": self.url, "aud": "maas", "iat": now, "exp": now + _LASTS, **claims}, signed_by
        )


@contextmanager
def issuer() -> Generator[Issuer]:
    """Have one for as long as the context lasts."""
    keys = KeySet([RSAKey.generate_key(2048, {"kid": "one", "use": "sig", "alg": "RS256"})])

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            url = f"http://{LOOPBACK}:{server.server_port}"
            documents = {
                "/.well-known/openid-configuration": {
                    "issuer": url,
                    "jwks_uri": f"{url}/keys",
                    "authorization_endpoint": f"{url}/authorize",
                    "token_endpoint": f"{url}/token",
                    "response_types_supported": ["code"],
                    "subject_types_supported": ["public"],
                    "id_token_signing_alg_values_supported": ["RS256"],
                },
                "/keys": keys.as_dict(private=False),
            }
            found = documents.get(self.path)
            body = json.dumps(found).encode()
            self.send_response(200 if found else 404)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name that it has
            pass

    with ThreadingHTTPServer((LOOPBACK, 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield Issuer(f"http://{LOOPBACK}:{server.server_port}", keys)
        finally:
            server.shutdown()
            thread.join()
