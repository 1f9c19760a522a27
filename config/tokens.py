"""Callers with tokens instead of API keys: users of an identity provider, and service accounts of the cluster."""

import re
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from config.model import Model
from config.problems import RefusalError
from config.values import DnsLabel, Duration, window_seconds

GROUP_LETTERS, LONGEST_GROUP = "A-Za-z0-9:._/-", 128
"""What a group has to look like; others in a token are passed over."""
_GROUP = re.compile(f"^[{GROUP_LETTERS}]{{1,{LONGEST_GROUP}}}$")
_ACCOUNT = re.compile(r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(/[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?)?$")
_RESERVED_ISSUERS = frozenset({"anonymous", "system"})
_SHORTEST_TTL = 30


def _listed(value: object) -> object:
    return (value,) if isinstance(value, str) else value


def _filled(value: tuple[str, ...]) -> tuple[str, ...]:
    if not value or not all(value):
        raise RefusalError("an empty list or name would accept what was made for somebody else", fix="[maas]")
    return value


Names = Annotated[tuple[str, ...], BeforeValidator(_listed), AfterValidator(_filled)]
"""One name or a list of them."""
Claim = Annotated[tuple[str, ...], BeforeValidator(_listed)]
"""Where a claim is: its name, or the names from the outermost object to it, such as `[realm_access, roles]`."""


class Claims(Model):
    """Which claims of a token say what."""

    user: Annotated[Claim, AfterValidator(_filled)] = ("sub",)
    """Who it is. It has to be one that the provider never gives to somebody else."""
    groups: Claim = ("groups",)
    """The groups, which decide the tier."""
    team: Claim = ()
    """The team, for reports."""
    cost_centre: Claim = ()
    """Who pays."""
    models: Claim = ()
    """A list of models that the user may call; without the claim, all that the tier may."""


def _issuer_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment or parts.username:
        raise RefusalError(
            "not the URL of an issuer", allowed="https://<host>/<path>, as tokens name it in `iss`", fix="https://..."
        )
    return value


def _group(value: str) -> str:
    if not _GROUP.match(value):
        raise RefusalError(
            "not a name of a group that policies look at",
            allowed="letters, digits and : . _ / - , at most 128",
            fix=re.sub(r"[^A-Za-z0-9:._/-]+", "-", value).strip("-"),
        )
    return value


class Issuer(Model):
    """An identity provider that signs tokens (OpenID Connect)."""

    issuer_url: Annotated[str, AfterValidator(_issuer_url)]
    """As tokens name it in `iss`. Authorino fetches the keys from below it."""
    audiences: Names
    """A token has to be meant for one of these (`aud`)."""
    clients: Annotated[tuple[str, ...], BeforeValidator(_listed)] = ()
    """The applications that a token may come from (`azp`, or `client_id` where there is none); empty for all."""
    claims: Claims = Claims()
    """Where a token says what: a name, or the names from the outermost object on, such as `[realm_access, roles]`."""
    groups: dict[Annotated[str, AfterValidator(_group)], str] = Field(default_factory=dict)
    """The tier of each group; who is in several gets the one with the highest level."""
    default_tier: str | None = None
    """The tier of who is in none of these groups; default: refused."""
    ttl: Duration = "5m"
    """How often the provider's settings are read again; `30s` or more."""
    allow_http: bool = False
    """Take an issuer without TLS, for development: who can change what Authorino reads can sign tokens."""

    @model_validator(mode="after")
    def _holds(self) -> Self:
        if self.issuer_url.startswith("http://") and not self.allow_http:
            raise RefusalError(
                "the issuer's keys would come over plain HTTP: whoever is on the way could sign tokens",
                allowed="https, or allowHttp: true for development",
                fix=f"issuerUrl: {self.issuer_url.replace('http://', 'https://', 1)}",
            )
        if window_seconds(self.ttl) < _SHORTEST_TTL:
            raise RefusalError(f"ttl {self.ttl} would ask the issuer all the time", allowed="30s or more", fix="5m")
        if not self.groups and self.default_tier is None:
            raise RefusalError(
                "no token of this issuer would get a tier",
                allowed="groups: {<group>: <tier>}, or defaultTier",
                fix="{groups: {maas-free: free}}",
            )
        return self

    @property
    def tiers(self) -> set[str]:
        """The tiers that its tokens can get."""
        return {*self.groups.values(), *([self.default_tier] if self.default_tier is not None else [])}


def _own_prefix(value: dict[str, Issuer]) -> dict[str, Issuer]:
    for name in _RESERVED_ISSUERS & value.keys():
        raise RefusalError(f"'{name}' is the start of other user ids", allowed="any other name", fix=f"{name}-tokens")
    return value


Issuers = Annotated[dict[DnsLabel, Issuer], AfterValidator(_own_prefix)]
"""Issuers by name; user ids of their tokens begin with that name and a colon."""


class Grant(Model):
    """What a service account, or every one of a namespace, gets."""

    tier: str
    """The tier whose limits hold."""
    team: str = ""
    """For reports."""
    cost_centre: str = ""
    """Who pays."""
    models: tuple[str, ...] = ()
    """The models that it may call; empty for all that the tier may."""


def _account(value: str) -> str:
    if not _ACCOUNT.match(value):
        raise RefusalError(
            "neither a namespace nor a service account", allowed="<namespace>, or <namespace>/<name>", fix="team-a"
        )
    return value


class ServiceAccounts(Model):
    """Service accounts of the cluster that call with tokens of their own. None, unless `accounts` names them."""

    audiences: Names = ("maas",)
    """What the tokens have to be made for. Never the API server's own audience: a token for it would be sent here."""
    accounts: dict[Annotated[str, AfterValidator(_account)], Grant] = Field(default_factory=dict)
    """By `<namespace>` or `<namespace>/<name>`; the latter wins."""


Anonymous = tuple[Literal["models", "health"], ...]
"""What may be asked for without any credential."""
