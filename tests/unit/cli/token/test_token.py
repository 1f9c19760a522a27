"""`./maas token` against an identity provider on loopback."""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner, Result

from cli.app import app
from cli.exits import MaasError
from cli.token import command
from cli.token.command import judged
from cli.token.provider import Client, Provider, claims
from config.settings import Settings
from tests.unit.cli.token.server import PASSWORD, SECRET, USER, IdentityProvider, jwt, serving
from tests.unit.config.bad import GOOD

CLIENT = Client("maas-cli")


def settings(issuer: str, **changes: Any) -> Settings:  # noqa: ANN401 - keys of an issuer
    oidc = {
        "issuerUrl": issuer,
        "audiences": "maas",
        "clients": "maas-cli",
        "groups": {"maas-free": "free", "maas-premium": "premium"},
        "allowHttp": issuer.startswith("http:"),
    }
    return Settings.load("dev", GOOD | {"identity": {"oidc": {"company": oidc | changes}}})


def run(monkeypatch: pytest.MonkeyPatch, provider: IdentityProvider, *words: str, code: int = 0) -> Result:
    def load(stack: str) -> tuple[Settings, Mapping[str, Any]]:
        del stack
        return settings(provider.issuer), {}

    monkeypatch.setattr(command, "load", load)
    result = CliRunner().invoke(app, ["token", "--stack", "dev", *words])
    assert result.exit_code == code, result.output
    return result


def written(folder: Path, text: str) -> str:
    path = folder / "secret"
    path.write_text(text + "\n")
    return str(path)


def test_a_password_gives_a_token_which_is_on_stdout_only_when_asked_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with serving(groups=["maas-free", "maas-premium"], exp=time.time() + 300) as provider:
        words = ("--user", USER, "--password-file", written(tmp_path, PASSWORD))
        quiet = run(monkeypatch, provider, *words)
        assert quiet.stdout == ""
        assert "company:alice, tier premium, ends in" in quiet.stderr, "the tier of the highest level"
        shown = run(monkeypatch, provider, *words, "--show")
        assert shown.stdout == jwt(provider.claims) + "\n"
        about = json.loads(run(monkeypatch, provider, *words, "--json").stdout)
        assert "token" not in about
        assert about["warnings"] == []


def test_an_application_has_a_token_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with serving(groups=["maas-free"]) as provider:
        run(monkeypatch, provider, "--client-secret-file", written(tmp_path, SECRET), "--show")
        assert provider.asked[-1][1]["grant_type"] == "client_credentials"
        wrong = run(monkeypatch, provider, "--client-secret-file", written(tmp_path, "not-the-secret"), code=1)
        assert "invalid_client" in wrong.stderr
        assert "not-the-secret" not in wrong.output


def test_a_wrong_password_is_an_error_that_does_not_repeat_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with serving() as provider:
        words = ("--user", USER, "--password-file", written(tmp_path, "not-the-password"))
        result = run(monkeypatch, provider, *words, code=1)
        assert "invalid_grant - Invalid user credentials" in result.stderr
        assert "not-the-password" not in result.output


def test_somebody_signs_in_with_a_browser_and_is_waited_for_as_long_as_the_provider_says() -> None:
    waits: list[float] = []
    told: list[tuple[str, str]] = []
    with serving() as provider, httpx.Client(timeout=5) as http:
        found = Provider.discover(provider.issuer, http)

        def tell(address: str, code: str) -> None:
            told.append((address, code))

        token = found.by_device(CLIENT, "openid", 300, tell, waits.append)
        assert claims(token)["sub"] == USER
        assert told == [(f"{provider.issuer}/activate", "ABCD-EFGH")]
        assert waits == [5, 10, 10], "five seconds longer after slow_down"


def test_a_sign_in_that_nobody_makes_ends_in_time_and_one_that_is_refused_at_once() -> None:
    waits: list[float] = []
    with serving() as provider, httpx.Client(timeout=5) as http:
        found = Provider.discover(provider.issuer, http)
        provider.pending = 100
        with pytest.raises(MaasError, match="Nobody signed in within 12 seconds"):
            found.by_device(CLIENT, "openid", 12, tell_nobody, waits.append)
        assert sum(waits) == 12
        provider.refuses = "access_denied"
        with pytest.raises(MaasError, match="access_denied"):
            found.by_device(CLIENT, "openid", 12, tell_nobody, waits.append)


def test_without_a_password_a_secret_and_a_browser_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving() as provider:
        provider.device = False
        assert "--flow" in run(monkeypatch, provider, code=1).stderr
        assert "none of auto" in run(monkeypatch, provider, "--flow", "magic", code=2).stderr
        assert "--issuer with one of company. Did you mean company?" in (
            run(monkeypatch, provider, "--issuer", "compny", code=2).stderr
        )


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--flow", "magic"], "--flow magic: none of auto"),
        (["--reach", "127.0.0.1:8080"], "--reach 127.0.0.1:8080: not an address that begins with http:// or https://"),
        (["--reach", "http://"], "--reach http://: not an address that begins with http:// or https://"),
        (["--ca", "nowhere.pem"], "nowhere.pem: No such file or directory"),
        (["--ca", "pyproject.toml"], "pyproject.toml: no certificate in it"),
        (["--ca", "docs"], "docs: Is a directory"),
        (["--timeout", "-1"], "--timeout"),
        (["--wait", "-1"], "--wait"),
    ],
)
def test_an_option_that_cannot_be_is_refused_before_anybody_is_asked(
    monkeypatch: pytest.MonkeyPatch, words: list[str], says: str
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    with serving() as provider:
        assert says in run(monkeypatch, provider, *words, code=2).stderr
        assert provider.found == 0


def test_an_issuer_inside_of_the_cluster_is_reached_another_way_and_stays_the_same_issuer() -> None:
    with serving() as provider, httpx.Client(timeout=5) as http:
        reach = provider.issuer.removesuffix("/realms/maas")
        provider.issuer = inside = "http://keycloak.keycloak.svc.cluster.local:8080/realms/maas"
        found = Provider.discover(inside, http, reach)
        assert found.by_password(CLIENT, USER, PASSWORD, "openid")
        with pytest.raises(MaasError, match="kubectl port-forward -n keycloak service/keycloak 8080:8080"):
            Provider.discover(inside, httpx.Client(timeout=5, transport=_Unreachable()))


def tell_nobody(address: str, code: str) -> None:
    del address, code


class _Unreachable(httpx.BaseTransport):
    def handle_request(self, request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("no such host", request=request)


def test_what_speaks_for_another_issuer_or_is_no_provider_is_refused() -> None:
    with serving() as provider, httpx.Client(timeout=5) as http:
        reach = provider.issuer.removesuffix("/realms/maas")
        with pytest.raises(MaasError, match=r"speaks for issuer .* and not for https://id\.example\.com"):
            Provider.discover("https://id.example.com/realms/maas", http, reach)
        with pytest.raises(MaasError, match="is it an identity provider"):
            Provider.discover(f"{reach}/html", http)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"iss": "https://evil.example.com"}, "another issuer"),
        ({"aud": "account"}, "It is for account, and none of maas"),
        ({"azp": "other"}, "It came by other"),
        ({"groups": ["staff"]}, "None of its groups (staff) has a tier"),
        ({"sub": None}, "Its claim sub names no user"),
        ({"sub": "a b"}, "Its claim sub names no user"),
        ({"sub": "u" * 201}, "Its claim sub names no user"),
    ],
)
def test_it_says_why_the_gateway_would_refuse_a_token(changes: dict[str, Any], says: str) -> None:
    loaded = settings("https://id.example.com")
    issuer = loaded.identity.oidc["company"]
    good = {"iss": issuer.issuer_url, "aud": ["maas", "x"], "azp": "maas-cli", "sub": "a", "groups": ["maas-free"]}
    assert judged(jwt(good), "company", issuer, loaded, 0).warnings == ()
    [warning] = judged(jwt(good | changes), "company", issuer, loaded, 0).warnings
    assert says in warning
    assert "no JWT" in judged("opaque", "company", issuer, loaded, 0).warnings[0]
