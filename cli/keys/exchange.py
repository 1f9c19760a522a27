"""Keys from elsewhere and for elsewhere: JSON, CSV, Kubernetes Secrets, and a file that only a passphrase opens."""

import base64
import binascii
import csv
import io
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, cast

import yaml
from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

from cli.exits import Exit, MaasError
from cli.keys.book import Book
from cli.stacks.stackfile import mapping
from components.identity import (
    COST_CENTRE_ANNOTATION,
    EXPIRES_ANNOTATION,
    GROUPS_ANNOTATION,
    KEY_PROPERTY,
    KIND_LABEL,
    MODELS_ANNOTATION,
    TEAM_ANNOTATION,
    USER_ANNOTATION,
)
from config.identity import User

_ALGORITHM, _CIPHER = "PBES2-HS512+A256KW", "A256GCM"
_ROUNDS = 250_000
"""Of PBKDF2 with SHA-512: above the 210,000 that OWASP asks for, below the 300,000 that joserfc takes."""
PASSPHRASE_SHORTEST = 16
_OBJECTS = re.compile(r'"kind": *"(Secret|SecretList|List)"|^kind: (Secret|SecretList|List)$', re.MULTILINE)


class Format(StrEnum):
    """How a file of keys is written."""

    JSON = "json"
    CSV = "csv"
    SECRETS = "secrets"
    """Kubernetes Secrets, as `kubectl get secrets -o yaml` prints them."""


@dataclass(frozen=True)
class Imported:
    """One key from elsewhere, with what was said of its owner."""

    user: str
    key: str
    expires: str | None = None
    """Of the key."""
    entry: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """What would stand below the user's name in `maas:users`; in place of the tier, groups with commas between."""


def read(text: str, name: str, wanted: Format | None = None) -> list[Imported]:
    """The keys in a file.

    Args:
        text: what is in it.
        name: its name, which tells the format where `wanted` does not.
        wanted: the format.

    Raises:
        MaasError: It cannot be read so; the message holds no key.
    """
    form = wanted or _guessed(text, name)
    try:
        match form:
            case Format.JSON:
                found = list(_from_json(json.loads(text)))
            case Format.CSV:
                found = list(_from_csv(text))
            case Format.SECRETS:
                found = list(_from_secrets(text))
    except (ValueError, KeyError, TypeError, AttributeError, binascii.Error, yaml.YAMLError):
        # Whatever is wrong, the error's own text may hold a key.
        raise MaasError(f"{name} cannot be read as {form}. {_EXPECTED[form]}", code=Exit.USAGE) from None
    if not found:
        raise MaasError(f"{name} has no keys. {_EXPECTED[form]}", code=Exit.USAGE)
    return found


_EXPECTED = {
    Format.JSON: 'Expected: {"alice": {"keys": ["<key>"], "tier": "free"}}, or a list of {"user": ..., "key": ...}.',
    Format.CSV: "Expected: a first line with user,key and any of expires,tier,team,costCentre,kind,models,labels.",
    Format.SECRETS: (
        f"Expected: Secrets with {KEY_PROPERTY}, and the annotations {USER_ANNOTATION} and {GROUPS_ANNOTATION}."
    ),
}


def written(book: Book, users: Mapping[str, User], form: Format) -> str:
    """The keys in clear, with what is said of their owners, in a form that `read` takes."""
    if form is Format.CSV:
        return _as_csv(book, users)
    if form is Format.SECRETS:
        raise MaasError("Secrets are what `./maas up` makes; export as json or csv.", code=Exit.USAGE)
    content = {
        user: {
            **_entry(users[user]),
            "keys": [
                {"key": key.key.get_secret_value(), **({"expires": key.expires} if key.expires else {})} for key in keys
            ],
        }
        for user, keys in sorted(book.items())
        if user in users
    }
    return json.dumps(content, indent=2) + "\n"


def sealed(text: str, passphrase: str) -> str:
    """A text encrypted with a passphrase: a JSON Web Encryption (RFC 7516) in its compact form.

    Raises:
        MaasError: The passphrase is too short.
    """
    if len(passphrase) < PASSPHRASE_SHORTEST:
        message = f"The passphrase has {len(passphrase)} characters; it needs {PASSPHRASE_SHORTEST}."
        raise MaasError(message, code=Exit.USAGE)
    header = {"alg": _ALGORITHM, "enc": _CIPHER, "p2c": _ROUNDS}
    registry = jwe.JWERegistry(algorithms=[_ALGORITHM, _CIPHER])
    return jwe.encrypt_compact(header, text.encode(), OctKey.import_key(passphrase), registry=registry) + "\n"


def is_sealed(text: str) -> bool:
    """Whether a text was made by `sealed`."""
    try:
        header = json.loads(base64.urlsafe_b64decode(text.split(".", 1)[0] + "=="))
    except ValueError:
        return False
    return isinstance(header, dict) and "enc" in header


def opened(text: str, passphrase: str) -> str:
    """The text that was sealed.

    Raises:
        MaasError: The passphrase is another, or the text was changed.
    """
    registry = jwe.JWERegistry(algorithms=[_ALGORITHM, _CIPHER])
    try:
        found = jwe.decrypt_compact(text.strip(), OctKey.import_key(passphrase), registry=registry).plaintext
    except (JoseError, ValueError):
        message = "The file cannot be opened with this passphrase, or it has been changed."
        raise MaasError(message, code=Exit.USAGE) from None
    return (found or b"").decode()


def _guessed(text: str, name: str) -> Format:
    if name.endswith(".csv"):
        return Format.CSV
    if name.endswith((".yaml", ".yml")) or _OBJECTS.search(text):
        return Format.SECRETS
    return Format.JSON if text.lstrip()[:1] in "{[" else Format.CSV


def _from_json(content: object) -> Iterator[Imported]:
    if isinstance(content, list):
        for each in cast("list[dict[str, Any]]", content):
            yield _of(each)
        return
    for user, value in cast("dict[str, object]", content).items():
        about = dict(mapping(value))
        keys: object = about.pop("keys") if about else value
        for each in cast("list[object]", keys) if isinstance(keys, list) else [keys]:
            written = dict(mapping(each)) or {"key": each}
            yield Imported(user, _key(written["key"]), cast("str | None", written.get("expires")), about)


def _from_csv(text: str) -> Iterator[Imported]:
    for row in csv.DictReader(io.StringIO(text), skipinitialspace=True, strict=True):
        row.pop(cast("Any", None), None)
        yield _of({key.strip(): value.strip() for key, value in row.items() if value and value.strip()})


def _of(row: Mapping[str, Any]) -> Imported:
    entry = {key: value for key, value in row.items() if key not in {"user", "key", "expires"}}
    models = entry.get("models")
    if isinstance(models, str):
        entry["models"] = models.replace(",", " ").split()
    labels = entry.get("labels")
    if isinstance(labels, str):
        entry["labels"] = dict(each.split("=", 1) for each in labels.split())
    return Imported(str(row["user"]), _key(row["key"]), row.get("expires"), entry)


def _from_secrets(text: str) -> Iterator[Imported]:
    for document in yaml.safe_load_all(text):
        for each in cast("list[Any]", mapping(document).get("items") or [document]):
            secret = mapping(each)
            if secret.get("kind") != "Secret":
                continue
            about = mapping(mapping(secret["metadata"]).get("annotations"))
            labels = mapping(mapping(secret["metadata"]).get("labels"))
            plain = mapping(secret.get("stringData")).get(KEY_PROPERTY)
            key = plain or base64.b64decode(mapping(secret["data"])[KEY_PROPERTY], validate=True).decode()
            entry = {
                "tier": str(about[GROUPS_ANNOTATION]),
                "team": about.get(TEAM_ANNOTATION),
                "costCentre": about.get(COST_CENTRE_ANNOTATION),
                "kind": labels.get(KIND_LABEL) if labels.get(KIND_LABEL) != "person" else None,
                "models": [name for name in str(about.get(MODELS_ANNOTATION) or "").split(",") if name],
            }
            known = {name: value for name, value in entry.items() if value}
            yield Imported(str(about[USER_ANNOTATION]), _key(key), about.get(EXPIRES_ANNOTATION) or None, known)


def _key(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("a key is text")
    return value


def _entry(user: User) -> dict[str, Any]:
    return user.model_dump(mode="json", by_alias=True, exclude_defaults=True)


def _as_csv(book: Book, users: Mapping[str, User]) -> str:
    out = io.StringIO()
    columns = ["user", "key", "expires", "tier", "team", "costCentre", "kind", "models", "labels"]
    writer = csv.DictWriter(out, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for user, keys in sorted(book.items()):
        if user in users:
            about = _entry(users[user])
            about["models"] = " ".join(users[user].models or ())
            about["labels"] = " ".join(f"{name}={value}" for name, value in users[user].labels.items())
            for key in keys:
                # A line is about a key: it ends with its user, where that is first.
                ends = key.ends(users[user])
                writer.writerow({**about, "user": user, "key": key.key.get_secret_value(), "expires": ends})
    return out.getvalue()
