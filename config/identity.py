"""Who calls models: users, their API keys, and where the keys come from."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Literal, Self, cast

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError, model_validator

from config.keycloak import ISSUER, Keycloak
from config.model import Model
from config.problems import RefusalError
from config.tokens import Anonymous, Issuers, ServiceAccounts
from config.values import DnsLabel, Duration, LabelKey, LabelValue, label_key

_KEY_SHORTEST = 32
_KEY_LONGEST = 256
_KEY = re.compile(r"^[A-Za-z0-9._~+/=-]+$")
KEYS_MOST = 2
"""Of one user: the current key, and the one before it for as long as a rotation lasts."""


class UserKind(StrEnum):
    """Who is behind a user id."""

    PERSON = "person"
    PROGRAM = "program"
    """A service account: an application, a pipeline, an agent."""


_DATE = re.compile(r"^\d{4}-\d{2}-\d{2}$")
# How the engine writes down, and hands over, a YAML timestamp that stands without quotes (Go's time.Time.String).
_GO_TIME = re.compile(r"^(\d{4}-\d{2}-\d{2}) (\d{2}:\d{2}:\d{2}(?:\.\d+)?) ([+-]\d{2})(\d{2}) \S+$")
_EXPIRY_ALLOWED = "a date, which lasts to its end in UTC, or an RFC 3339 time with its zone"


def _expiry(value: object) -> object:
    """Any way of writing an expiry as RFC 3339 text in UTC, whole seconds."""
    if not isinstance(value, str):
        raise RefusalError("not a point in time", allowed=_EXPIRY_ALLOWED, fix='"2027-12-31"')
    text = _GO_TIME.sub(r"\1T\2\3:\4", value.strip())
    # A bare date comes from the engine as its midnight in UTC.
    if text.endswith("T00:00:00+00:00"):
        text = text.removesuffix("T00:00:00+00:00")
    if _DATE.match(text):
        text += "T23:59:59Z"
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise RefusalError("not a point in time", allowed=_EXPIRY_ALLOWED, fix='"2027-12-31"') from None
    if moment.tzinfo is None:
        raise RefusalError("a time without its zone", allowed=_EXPIRY_ALLOWED, fix=f'"{text}Z"')
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


Expiry = Annotated[str, BeforeValidator(_expiry)]
"""A point in time as RFC 3339 text in UTC, such as `2027-12-31T23:59:59Z`; so texts sort as the times do."""

_RESERVED = ("kuadrant.io", "kubernetes.io", "k8s.io")


def _free_label_key(value: str) -> str:
    domain = value.rpartition("/")[0]
    if any(domain == each or domain.endswith(f".{each}") for each in _RESERVED):
        raise RefusalError(
            "keys below this domain have a meaning here", allowed="your own", fix=value.rsplit("/", maxsplit=1)[-1]
        )
    return label_key(value)


FreeLabelKey = Annotated[str, AfterValidator(_free_label_key)]


def _some_models(value: tuple[str, ...]) -> tuple[str, ...]:
    if not value:
        raise RefusalError("an empty list allows no model at all", allowed="names of models", fix="no models at all")
    return tuple(sorted(set(value)))


class User(Model):
    """Someone, or some program, that calls models."""

    tier: str
    """Name of the tier whose limits hold for this user."""
    kind: UserKind = UserKind.PERSON
    """Who is behind it."""
    team: str = ""
    """Team that the user belongs to, for reports."""
    cost_centre: str = ""
    """Who pays, as the company's books name it."""
    models: Annotated[tuple[str, ...], AfterValidator(_some_models)] | None = None
    """The models that the user may call, by name; default: all that the tier allows."""
    expires: Expiry | None = None
    """When the user's keys stop being accepted; default: never."""
    labels: dict[FreeLabelKey, LabelValue] = Field(default_factory=dict)
    """Labels of the user's Secrets, for whoever lists them."""


def _api_key(value: SecretStr) -> SecretStr:
    text = value.get_secret_value()
    if not _KEY_SHORTEST <= len(text) <= _KEY_LONGEST or not _KEY.match(text):
        raise RefusalError(
            "not an API key that can be sent in a header and not be guessed",
            allowed=f"{_KEY_SHORTEST} to {_KEY_LONGEST} letters, digits and . _ ~ + / = -",
            fix="./maas keys create, or a random key: openssl rand -hex 32",
        )
    return value


ApiKey = Annotated[SecretStr, AfterValidator(_api_key)]


class Key(Model):
    """One API key. Written as the key alone, or, when it ends before its user does, `{key: ..., expires: ...}`."""

    key: ApiKey
    """The key: 32 to 256 letters, digits and `. _ ~ + / = -`."""
    expires: Expiry | None = None
    """When it ends, before its user does."""
    shown: bool = False
    """Whether `./maas keys` has given it out. The cluster is not told."""

    @model_validator(mode="before")
    @classmethod
    def _alone(cls, value: object) -> object:
        return {"key": value} if isinstance(value, str | SecretStr) else value

    def ends(self, user: User) -> str | None:
        """When it stops being accepted, whichever is first: its own end or its user's; None for never."""
        return min(filter(None, (self.expires, user.expires)), default=None)


def _as_list(value: object) -> object:
    return cast("object", value) if isinstance(value, list | tuple) else (value,)


def _one_or_two(value: tuple[Key, ...]) -> tuple[Key, ...]:
    if not 1 <= len(value) <= KEYS_MOST:
        raise RefusalError(
            f"{len(value)} keys for one user", allowed="the current key, and the one before it", fix="a user for each"
        )
    return value


UserKeys = Annotated[tuple[Key, ...], BeforeValidator(_as_list), AfterValidator(_one_or_two)]
Users = dict[DnsLabel, User]
"""The users by name; the name is the user id that limits count by."""
ApiKeys = dict[str, UserKeys]
"""The keys of each user that has any: the current one first, then the one before it."""


class KeyBackend(StrEnum):
    """Where the Secrets that hold the API keys come from."""

    STACK = "stack"
    """Made from maas:apiKeys."""
    EXISTING = "existing"
    """Somebody else makes them."""
    EXTERNAL_SECRETS = "externalSecrets"
    """Made by the External Secrets operator, out of a store of secrets."""


class SecretStore(Model):
    """A store of the External Secrets operator."""

    name: DnsLabel
    """Of an object that is there."""
    kind: Literal["ClusterSecretStore", "SecretStore"] = "ClusterSecretStore"
    """A SecretStore is looked for in Kuadrant's namespace."""


_USER_PLACE = "{user}"


_HEADER = re.compile(r"^[a-z0-9]+(-[a-z0-9]+)*$")
IDENTITY_HEADERS = "x-maas-"
"""How the names of headers begin that only the gateway may set; a request that brings one is refused."""
_NOT_FOR_KEYS = frozenset({"authorization", "cookie", "host", "content-type", "content-length", "accept"})


def _header(value: str) -> str:
    if not _HEADER.match(value) or value in _NOT_FOR_KEYS or value.startswith(IDENTITY_HEADERS):
        raise RefusalError(
            "not a header that keys can be sent in",
            allowed=f"a name in lower case; not one that HTTP needs, nor {IDENTITY_HEADERS}*",
            fix="x-api-key",
        )
    return value


HeaderName = Annotated[str, AfterValidator(_header)]


class ApiKeySource(Model):
    """Where API keys come from."""

    backend: KeyBackend = KeyBackend.STACK
    """Where the Secrets with the keys come from."""
    selector: dict[LabelKey, LabelValue] = Field(default_factory=dict)
    """With `existing`: the labels that the Secrets have."""
    store: SecretStore | None = None
    """With `externalSecrets`: where the keys are."""
    remote_key: str = f"maas/{_USER_PLACE}"
    """With `externalSecrets`: name of a user's entry in the store; `{user}` stands for the user."""
    remote_property: str = ""
    """With `externalSecrets`: the property of the entry that is the key; empty: the entry itself is."""
    refresh: Duration = "1h"
    """With `externalSecrets`: how often the store is asked."""
    headers: tuple[HeaderName, ...] = ()
    """More headers that a key may be sent in besides `Authorization`, such as `x-api-key`; taken off before the
    model."""

    @model_validator(mode="after")
    def _belong_together(self) -> Self:
        needs: Mapping[KeyBackend, str] = {
            KeyBackend.STACK: "{}",
            KeyBackend.EXISTING: "{backend: existing, selector: {<label>: <value>}}",
            KeyBackend.EXTERNAL_SECRETS: "{backend: externalSecrets, store: {name: <store>}}",
        }
        own = {
            "selector": KeyBackend.EXISTING,
            "store": KeyBackend.EXTERNAL_SECRETS,
            "remote_key": KeyBackend.EXTERNAL_SECRETS,
            "remote_property": KeyBackend.EXTERNAL_SECRETS,
            "refresh": KeyBackend.EXTERNAL_SECRETS,
        }
        useless = [name for name in own if name in self.model_fields_set and own[name] is not self.backend]
        if useless:
            names = ", ".join(type(self).model_fields[name].alias or name for name in useless)
            raise RefusalError(
                f"has no use for {names} with backend: {self.backend}",
                allowed=f"{names} with backend: {own[useless[0]]}",
                fix=needs[own[useless[0]]],
            )
        if (self.backend is KeyBackend.EXISTING and not self.selector) or (
            self.backend is KeyBackend.EXTERNAL_SECRETS and self.store is None
        ):
            raise RefusalError("does not say where the keys are", allowed=needs[self.backend], fix=needs[self.backend])
        if _USER_PLACE not in self.remote_key:
            raise RefusalError(
                "remoteKey is the same for all users, so all would have one key",
                allowed=f"a text with {_USER_PLACE} in it",
                fix=f"{self.remote_key}/{_USER_PLACE}",
            )
        return self

    def entry(self, user: str) -> str:
        """Name of a user's entry in the store."""
        return self.remote_key.replace(_USER_PLACE, user)


class Identity(Model):
    """How callers prove who they are."""

    api_keys: ApiKeySource = ApiKeySource()
    """Where API keys come from, and how they are sent."""
    keycloak: Keycloak | None = None
    """For development: an identity provider of the stack's own, whose tokens are accepted."""
    oidc: Issuers = Field(default_factory=dict)
    """Identity providers whose tokens are accepted, by name."""
    kubernetes: ServiceAccounts = ServiceAccounts()
    """Service accounts of the cluster, whose tokens are accepted."""
    anonymous: Anonymous = ()
    """What may be asked for without a credential: the list of models, the health of one."""

    @model_validator(mode="before")
    @classmethod
    def _accept_own_keycloak(cls, value: object) -> object:
        """The stack's own Keycloak is one of the issuers, unless the stack says itself how."""
        if not isinstance(value, dict):
            return value
        given = cast("dict[str, object]", value)
        issuers = given.get("oidc", {})
        if given.get("keycloak") is None or not isinstance(issuers, dict) or ISSUER in issuers:
            return given
        try:
            keycloak = Keycloak.model_validate(given["keycloak"])
        except ValidationError:  # which the field itself reports
            return given
        return {**given, "oidc": {ISSUER: keycloak.issuer(), **cast("dict[str, object]", issuers)}}
