"""The API keys of a stack, by user, and what can be done with them. Nothing here reads or writes anything."""

import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import SecretStr, TypeAdapter, ValidationError

from cli.exits import Exit, MaasError
from config.identity import KEYS_MOST, ApiKeys, Key
from config.problems import ConfigError, from_pydantic

Book = Mapping[str, tuple[Key, ...]]
"""Keys by user: the current one first, then the one before it."""

PREFIX = "maas-"
_KEY_BYTES = 32
_FINGERPRINT = 12


def new_key(prefix: str = PREFIX) -> Key:
    """A key with 256 random bits behind its prefix."""
    return Key(key=SecretStr(prefix + secrets.token_urlsafe(_KEY_BYTES)))


def fingerprint(key: Key) -> str:
    """What a key can be told by without being known: the first 48 bits of its SHA-256."""
    return hashlib.sha256(key.key.get_secret_value().encode()).hexdigest()[:_FINGERPRINT]


def loaded(stack: str, content: object) -> Book:
    """The keys as a stack file's decrypted `maas:apiKeys` has them.

    Raises:
        MaasError: They are not what the program takes; the message holds no key.
    """
    try:
        return TypeAdapter(ApiKeys).validate_python(content)
    except ValidationError as error:
        problems = from_pydantic("maas:apiKeys", ApiKeys, error, hide=True)
        raise MaasError(str(ConfigError(stack, problems)), code=Exit.CONFIG) from None


def dumped(book: Book) -> str:
    """The keys as JSON text, in clear: only ever to be encrypted or handed to their owner."""
    return json.dumps({user: [_plain(key) for key in keys] for user, keys in sorted(book.items())})


def created(book: Book, users: Mapping[str, Key], where: str = "") -> Book:
    """The keys with a first one for each of some users.

    Args:
        book: the keys.
        users: the key of each.
        where: the options that a command needs for this stack, such as ` --stack dev`; here and below.

    Raises:
        MaasError: One of them has keys already.
    """
    if taken := sorted(book.keys() & users.keys()):
        message = f"{', '.join(taken)}: has a key already. A new one in its place: ./maas keys rotate {taken[0]}{where}"
        raise MaasError(message, code=Exit.USAGE)
    return {**book, **{user: (key,) for user, key in users.items()}}


def rotated(  # noqa: PLR0913 - what a rotation is made of
    book: Book, users: Mapping[str, Key], grace: timedelta, now: datetime, where: str = "", *, at_once: bool = False
) -> Book:
    """The keys with a new one for each of some users; the present one stays valid for a while longer.

    Args:
        book: the keys.
        users: the new key of each.
        grace: how long the present key stays valid; with none, it ends now.
        now: the present.
        where: see `created`.
        at_once: end a key of an earlier rotation that is still valid.

    Raises:
        MaasError: A user has no key, or one of an earlier rotation that is still valid.
    """
    _require(book, users, where)
    waiting = [user for user in sorted(users) if len(_valid(book[user], now)) >= KEYS_MOST]
    if waiting and not at_once:
        until = book[waiting[0]][-1].expires or "revoked"
        raise MaasError(
            f"{', '.join(waiting)}: the key before the present one is still valid (until {until}), and there are "
            f"{KEYS_MOST} at most. End it: ./maas keys revoke {waiting[0]} --previous{where}, or rotate with "
            "--at-once.",
            code=Exit.USAGE,
        )
    until = _text(now + grace)
    result = dict(book)
    for user, key in users.items():
        present = book[user][0]
        ends = min(filter(None, (present.expires, until)))
        old = present.model_copy(update={"expires": ends})
        result[user] = (key, old) if grace and _valid((old,), now) else (key,)
    return result


def revoked(book: Book, users: Mapping[str, str | None], where: str = "") -> Book:
    """The keys without those of some users: all of them, or the one with a fingerprint that begins so.

    Raises:
        MaasError: A user has no key, or none or several with such a fingerprint.
    """
    _require(book, users, where)
    result = dict(book)
    for user, start in users.items():
        gone = [key for key in book[user] if fingerprint(key).startswith(start or "")]
        if start is not None and len(gone) != 1:
            known = ", ".join(fingerprint(key) for key in book[user])
            message = f"{user} has {len(gone)} keys whose fingerprint begins with {start!r}. There are: {known}."
            raise MaasError(message, code=Exit.USAGE)
        kept = tuple(key for key in book[user] if key not in gone)
        if kept:
            result[user] = kept
        else:
            del result[user]
    return result


def without_expired(book: Book, now: datetime, ends: Mapping[str, str | None] | None = None) -> Book:
    """The keys that are still valid, given when their users end."""
    kept = {user: _valid(keys, now, (ends or {}).get(user)) for user, keys in book.items()}
    return {user: keys for user, keys in kept.items() if keys}


def previous(book: Book, user: str, where: str = "") -> str:
    """The fingerprint of a user's key before the present one.

    Raises:
        MaasError: There is none.
    """
    _require(book, {user: None}, where)
    if len(book[user]) < KEYS_MOST:
        raise MaasError(f"{user} has one key only: there is no previous one.", code=Exit.USAGE)
    return fingerprint(book[user][1])


def given_out(book: Book, user: str, where: str = "", *, again: bool = False) -> tuple[Key, Book]:
    """A user's present key, and the keys with the mark that it has been given out.

    Raises:
        MaasError: The user has no key; or it has been given out, and `again` is off.
    """
    _require(book, {user: None}, where)
    key, *others = book[user]
    if key.shown and not again:
        raise MaasError(
            f"The key of {user} has been shown already. If it was lost: ./maas keys rotate {user}{where}. To see it "
            "again all the same: --again.",
            code=Exit.USAGE,
        )
    return key, {**book, user: (key.model_copy(update={"shown": True}), *others)}


@dataclass(frozen=True)
class Held:
    """What may be shown of one key."""

    fingerprint: str
    expires: str | None
    """When it stops being accepted, whichever is first: its own end or its user's."""
    expired: bool
    shown: bool


def held(keys: tuple[Key, ...], user_ends: str | None, now: datetime) -> tuple[Held, ...]:
    """What may be shown of a user's keys."""
    result: list[Held] = []
    for key in keys:
        ends = min(filter(None, (key.expires, user_ends)), default=None)
        result.append(Held(fingerprint(key), ends, bool(ends and ends <= _text(now)), key.shown))
    return tuple(result)


def _plain(key: Key) -> dict[str, Any]:
    extra = key.model_dump(mode="json", exclude={"key"}, exclude_defaults=True)
    return {"key": key.key.get_secret_value(), **extra}


def _valid(keys: tuple[Key, ...], now: datetime, user_ends: str | None = None) -> tuple[Key, ...]:
    moment = _text(now)
    return tuple(key for key in keys if moment < min(filter(None, (key.expires, user_ends)), default="9999"))


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _require(book: Book, users: Mapping[str, object], where: str) -> None:
    if unknown := sorted(users.keys() - book.keys()):
        message = f"{', '.join(unknown)}: no key. Make one: ./maas keys create {unknown[0]}{where}"
        raise MaasError(message, code=Exit.USAGE)
