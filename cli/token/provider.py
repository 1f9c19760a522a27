"""An identity provider, asked for tokens as OpenID Connect Discovery 1.0, RFC 6749 and RFC 8628 describe it.

Everything has a time limit, redirects are not followed, and no error repeats a password, a secret or a token.
"""

import base64
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self, cast
from urllib.parse import urlsplit, urlunsplit

import httpx

from cli.exits import Exit, MaasError

DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
_SLOW_DOWN = 5.0
"""How much longer to wait after each `slow_down` (RFC 8628, 3.5)."""

Claims = Mapping[str, Any]


@dataclass(frozen=True)
class Client:
    """The application that asks."""

    id: str
    secret: str = ""
    """Empty for one that has none (a public client)."""

    def form(self) -> dict[str, str]:
        """How it says who it is."""
        return {"client_id": self.id} | ({"client_secret": self.secret} if self.secret else {})


class Provider:
    """An identity provider, found by its issuer's URL."""

    def __init__(self, issuer: str, metadata: Mapping[str, Any], http: httpx.Client, reach: str = "") -> None:
        self.issuer = issuer
        self._metadata = metadata
        self._http = http
        self._reach = reach

    @classmethod
    def discover(cls, issuer: str, http: httpx.Client, reach: str = "") -> Self:
        """Read its settings.

        Args:
            issuer: its URL, as tokens name it.
            http: what to ask with.
            reach: scheme, host and port in place of the issuer's own, for one that is reached otherwise from here.

        Raises:
            MaasError: It does not answer, or is another issuer.
        """
        url = _at(f"{issuer.rstrip('/')}/.well-known/openid-configuration", reach)
        metadata = _json(_asked(http, "GET", url))
        if str(metadata.get("issuer", "")).rstrip("/") != issuer.rstrip("/"):
            raise MaasError(f"{url} speaks for issuer {metadata.get('issuer')!r}, and not for {issuer}.")
        return cls(issuer, metadata, http, reach)

    def by_password(self, client: Client, user: str, password: str, scope: str) -> str:
        """A user's token for the user's password: for tests and development only (RFC 6749, 4.3)."""
        return self._token({"grant_type": "password", "username": user, "password": password, "scope": scope}, client)

    def by_client(self, client: Client, scope: str) -> str:
        """An application's own token (RFC 6749, 4.4)."""
        return self._token({"grant_type": "client_credentials", "scope": scope}, client)

    def by_device(
        self,
        client: Client,
        scope: str,
        seconds: float,
        tell: Callable[[str, str], None],
        wait: Callable[[float], None] = time.sleep,
    ) -> str:
        """A user's token, once the user has agreed in a browser, which may be on another machine (RFC 8628).

        Args:
            client: the application.
            scope: what to ask for.
            seconds: how long to wait for the user.
            tell: is given the address to open, and the code to enter there.
            wait: sleeps.

        Raises:
            MaasError: The user did not agree, or not in time.
        """
        started = _json(self._post("device_authorization_endpoint", {"scope": scope, **client.form()}))
        if "device_code" not in started:
            raise MaasError(f"{self.issuer} begins no sign-in by a browser: {_why(started)}")
        tell(str(started.get("verification_uri_complete") or started["verification_uri"]), str(started["user_code"]))
        interval, left = float(started.get("interval", 5)), min(seconds, float(started.get("expires_in", seconds)))
        form = {"grant_type": DEVICE_GRANT, "device_code": str(started["device_code"]), **client.form()}
        while left > 0:
            wait(min(interval, left))
            left -= interval
            answer = _json(self._post("token_endpoint", form))
            match answer.get("error"):
                case None:
                    return self._access_token(answer)
                case "authorization_pending":
                    continue
                case "slow_down":
                    interval += _SLOW_DOWN
                case _:
                    raise MaasError(f"{self.issuer} gives no token: {_why(answer)}")
        raise MaasError(f"Nobody signed in within {seconds:.0f} seconds. Again: ./maas token")

    @property
    def has_device_flow(self) -> bool:
        """Whether a user can sign in with a browser."""
        return "device_authorization_endpoint" in self._metadata

    def _token(self, form: Mapping[str, str], client: Client) -> str:
        return self._access_token(_json(self._post("token_endpoint", {**form, **client.form()})))

    def _access_token(self, answer: Mapping[str, Any]) -> str:
        token = answer.get("access_token")
        if not isinstance(token, str) or not token:
            raise MaasError(f"{self.issuer} gives no token: {_why(answer)}")
        return token

    def _post(self, endpoint: str, form: Mapping[str, str]) -> httpx.Response:
        url = self._metadata.get(endpoint)
        if not isinstance(url, str):
            raise MaasError(f"{self.issuer} has no {endpoint}: choose another --flow.", code=Exit.USAGE)
        return _asked(self._http, "POST", _at(url, self._reach), {key: value for key, value in form.items() if value})


def claims(token: str) -> Claims:
    """What a token says, unproven; nothing where it is no JWT."""
    try:
        body = token.split(".")[1]
        found = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    except (ValueError, IndexError):
        return {}
    return cast("Claims", found) if isinstance(found, dict) else {}


def _at(url: str, reach: str) -> str:
    if not reach:
        return url
    here, there = urlsplit(reach), urlsplit(url)
    return urlunsplit((here.scheme, here.netloc, there.path, there.query, ""))


def _asked(http: httpx.Client, method: str, url: str, form: Mapping[str, str] | None = None) -> httpx.Response:
    try:
        return http.request(method, url, data=dict(form) if form else None)
    except httpx.HTTPError as error:
        where = urlsplit(url).netloc
        hint = ""
        if where.partition(":")[0].endswith(".svc.cluster.local"):
            name, namespace = where.split(".")[:2]
            port = where.rpartition(":")[2]
            hint = (
                f" It is inside the cluster: kubectl port-forward -n {namespace} service/{name} 8080:{port}, "
                "and --reach http://127.0.0.1:8080"
            )
        raise MaasError(f"{where} cannot be asked: {type(error).__name__}.{hint}") from None


def _json(response: httpx.Response) -> Mapping[str, Any]:
    try:
        found = response.json()
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise MaasError(
            f"{response.url.host} answered {response.status_code}, and no JSON: is it an identity provider?"
        )
    return cast("Mapping[str, Any]", found)


def _why(answer: Mapping[str, Any]) -> str:
    """The error of RFC 6749, 5.2, which names neither secrets nor tokens."""
    return (
        " - ".join(str(answer[key]) for key in ("error", "error_description") if answer.get(key)) or "no reason given"
    )
