"""From a stack's settings to a token of one of its identity providers, and what the gateway would make of it."""

import asyncio
import base64
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import httpx

from cli.deploy.target import ambient_kubeconfig
from cli.exits import Exit, MaasError
from cli.models.catalogue import load
from cli.service.addresses import address, trusting
from cli.stacks.stackfile import SANDBOX, mapping
from cli.token.provider import Claims, Client, Provider, claims
from components.keycloak import PASSWORD, user_secret
from components.policies.identities import TOKEN_USER
from config.keycloak import ISSUER
from config.problems import closest, one_of
from config.settings import Settings
from config.tokens import Issuer
from sandbox.instance import Sandbox
from sandbox.kube import Kube

FLOWS = ("auto", "password", "device", "client-credentials")


@dataclass(frozen=True)
class Wanted:
    """What the command line says."""

    stack: str
    sandbox: str
    issuer: str = ""
    user: str = ""
    flow: str = "auto"
    client: str = ""
    client_secret: str = ""
    password: str = ""
    scope: str = "openid"
    reach: str = ""
    ca: Path | None = None
    seconds: float = 300.0
    """For a sign-in in a browser."""
    timeout: float = 30.0
    """For each question to the provider."""


@dataclass(frozen=True)
class Given:
    """A token, and what the gateway would make of it."""

    token: str
    issuer: str
    user: str
    tier: str | None
    expires_in: int | None
    """Seconds from now."""
    warnings: tuple[str, ...]


def get(wanted: Wanted, tell: Callable[[str, str], None]) -> Given:
    """Ask for a token.

    Args:
        wanted: which.
        tell: is given an address to open and the code to enter there, where somebody has to sign in.

    Raises:
        MaasError: There is no such provider or user, or it gives no token.
    """
    if wanted.flow not in FLOWS:
        raise MaasError(f"--flow {wanted.flow}: none of {', '.join(FLOWS)}.", code=Exit.USAGE)
    settings, _ = load(wanted.stack)
    name, issuer = _issuer(settings, wanted)
    client = Client(wanted.client or next(iter(issuer.clients), ""), wanted.client_secret)
    if not client.id:
        raise MaasError("Which application asks? Say --client-id.", code=Exit.USAGE)
    if wanted.reach:
        address("--reach", wanted.reach)
    trusted = trusting("--ca", wanted.ca) if wanted.ca else True
    with httpx.Client(timeout=wanted.timeout, verify=trusted, follow_redirects=False) as http:
        provider = Provider.discover(issuer.issuer_url, http, wanted.reach)
        token = _token(settings, name, provider, client, wanted, tell)
    return judged(token, name, issuer, settings, time.time())


def _token(  # noqa: PLR0913, PLR0917 - what a token is made of
    settings: Settings,
    name: str,
    provider: Provider,
    client: Client,
    wanted: Wanted,
    tell: Callable[[str, str], None],
) -> str:
    match _flow(wanted, name, provider):
        case "password":
            if not wanted.user:
                raise MaasError("Whose token? Say --user.", code=Exit.USAGE)
            password = wanted.password or _generated(settings, name, wanted)
            return provider.by_password(client, wanted.user, password, wanted.scope)
        case "client-credentials":
            return provider.by_client(client, wanted.scope)
        case _:
            return provider.by_device(client, wanted.scope, wanted.seconds, tell)


def _flow(wanted: Wanted, name: str, provider: Provider) -> str:
    if wanted.flow != "auto":
        return wanted.flow
    if wanted.user and (wanted.password or name == ISSUER):
        return "password"
    if wanted.client_secret:
        return "client-credentials"
    if provider.has_device_flow:
        return "device"
    raise MaasError(f"{provider.issuer} lets nobody sign in by a browser: say --flow, and what it needs.")


def _issuer(settings: Settings, wanted: Wanted) -> tuple[str, Issuer]:
    issuers = settings.identity.oidc
    if not issuers:
        message = (
            f"Stack {wanted.stack} takes no tokens: maas:identity.oidc, or for development maas:identity.keycloak."
        )
        raise MaasError(message, code=Exit.USAGE)
    name = wanted.issuer or (next(iter(issuers)) if len(issuers) == 1 else ISSUER)
    if name not in issuers:
        near = closest(name, issuers)
        hint = f" Did you mean {near}?" if near and wanted.issuer else ""
        raise MaasError(f"Which issuer? --issuer with one of {one_of(issuers)}.{hint}", code=Exit.USAGE)
    return name, issuers[name]


def _generated(settings: Settings, name: str, wanted: Wanted) -> str:
    """The password that the stack has drawn for a user of its own Keycloak, out of the cluster."""
    keycloak = settings.identity.keycloak
    if keycloak is None or name != ISSUER:
        raise MaasError("--flow password needs --password-file.", code=Exit.USAGE)
    if wanted.user not in keycloak.users:
        near = closest(wanted.user, keycloak.users)
        hint = f" Did you mean {near}?" if near else ""
        message = f"Keycloak has no user {wanted.user}; it has {one_of(keycloak.users)}.{hint}"
        raise MaasError(message, code=Exit.USAGE)
    sandboxed = wanted.stack == SANDBOX
    kubeconfig = Sandbox.open(wanted.sandbox).kubeconfig if sandboxed else ambient_kubeconfig()

    async def read() -> dict[str, Any] | None:
        async with Kube.connect(kubeconfig) as kube:
            return await kube.get("v1", "Secret", user_secret(wanted.user), keycloak.namespace)

    secret = asyncio.run(read())
    if secret is None:
        where = f"{keycloak.namespace}/{user_secret(wanted.user)}"
        raise MaasError(f"The cluster has no Secret {where}. Deploy the stack first: ./maas up --stack {wanted.stack}")
    return base64.b64decode(secret["data"][PASSWORD]).decode()


def judged(token: str, name: str, issuer: Issuer, settings: Settings, now: float) -> Given:
    """What the gateway would make of a token; the signature is not looked at here."""
    said = claims(token)
    groups = [each for each in _listed(_claim(said, issuer.claims.groups)) if isinstance(each, str)]
    tiers = {issuer.groups[each] for each in groups if each in issuer.groups}
    tier = max(tiers, key=lambda each: settings.tiers[each].level) if tiers else issuer.default_tier
    expires = said.get("exp")
    letters, longest = TOKEN_USER
    checks = {
        "It is no JWT: Authorino cannot read it.": not said,
        f"It is from {said.get('iss')}, which is another issuer.": bool(said) and said.get("iss") != issuer.issuer_url,
        f"It is for {said.get('aud')}, and none of {', '.join(issuer.audiences)}.": bool(said)
        and not set(_listed(said.get("aud"))) & set(issuer.audiences),
        f"It came by {_client(said)}, and none of {', '.join(issuer.clients)}.": bool(said)
        and bool(issuer.clients)
        and _client(said) not in issuer.clients,
        f"Its claim {'.'.join(issuer.claims.user)} names no user: {letters}, at most {longest}.": bool(said)
        and not _names_user(_claim(said, issuer.claims.user)),
        f"None of its groups ({', '.join(groups) or 'none'}) has a tier.": bool(said) and tier is None,
    }
    return Given(
        token=token,
        issuer=name,
        user=f"{name}:{_claim(said, issuer.claims.user)}",
        tier=tier,
        expires_in=int(expires - now) if isinstance(expires, int | float) else None,
        warnings=tuple(text for text, wrong in checks.items() if wrong),
    )


def _names_user(value: object) -> bool:
    letters, longest = TOKEN_USER
    return isinstance(value, str) and len(value) <= longest and bool(re.fullmatch(f"[{letters}]+", value))


def _client(said: Claims) -> str:
    return str(said.get("azp") or said.get("client_id") or "")


def _claim(said: Claims, path: tuple[str, ...]) -> object:
    here: object = said
    for step in path:
        here = mapping(here).get(step)
    return here


def _listed(value: object) -> list[object]:
    return cast("list[object]", value) if isinstance(value, list) else [] if value is None else [value]
