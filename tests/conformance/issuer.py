"""Two identity providers on loopback: the documents of each that Authorino reads, and tokens."""

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
        partner: Another one, with keys of its own under the same identifiers.
    """

    url: str
    keys: KeySet
    partner: "Issuer | None" = None

    def token(self, claims: Mapping[str, object], *, key: RSAKey | None = None) -> str:
        """A token with these claims over the usual ones, by one of its keys or by somebody else's."""
        now = int(time.time())
        signed_by = key or self.keys.keys[0]
        header = {"alg": "RS256", "kid": signed_by.kid}
        return jwt.encode(
            header, {"iss": self.url, "aud": "maas", "iat": now, "exp": now + _LASTS, **claims}, signed_by
        )


PARTNER = "/partner"
"""Where the second one is, below the first."""


@contextmanager
def issuer() -> Generator[Issuer]:
    """Have them for as long as the context lasts."""
    keys = {
        base: KeySet([RSAKey.generate_key(2048, {"kid": "one", "use": "sig", "alg": "RS256"})])
        for base in ("", PARTNER)
    }

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            documents: dict[str, Mapping[str, object]] = {}
            for base, its_keys in keys.items():
                url = f"http://{LOOPBACK}:{server.server_port}{base}"
                documents[f"{base}/keys"] = its_keys.as_dict(private=False)
                documents[f"{base}/.well-known/openid-configuration"] = {
                    "issuer": url,
                    "jwks_uri": f"{url}/keys",
                    "authorization_endpoint": f"{url}/authorize",
                    "token_endpoint": f"{url}/token",
                    "response_types_supported": ["code"],
                    "subject_types_supported": ["public"],
                    "id_token_signing_alg_values_supported": ["RS256"],
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
        url = f"http://{LOOPBACK}:{server.server_port}"
        try:
            yield Issuer(url, keys[""], Issuer(url + PARTNER, keys[PARTNER]))
        finally:
            server.shutdown()
            thread.join()
