"""What the commands of `./maas keys` do, between what was asked for and the store."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import SecretStr, TypeAdapter, ValidationError

from cli.exits import Exit, MaasError
from cli.keys import book as pages
from cli.keys.book import Book, Held, new_key
from cli.keys.exchange import Imported
from cli.keys.store import Store
from config.identity import Expiry, Key
from config.problems import closest
from config.values import Duration, window_seconds


@dataclass(frozen=True)
class Row:
    """A user of a stack and the keys that there are, without any of them."""

    user: str
    tier: str
    kind: str
    team: str
    keys: tuple[Held, ...]


def now() -> datetime:
    """The present, in UTC."""
    return datetime.now(UTC)


def rows(store: Store, moment: datetime) -> list[Row]:
    """Every user, in alphabetical order."""
    return [
        Row(name, user.tier, user.kind.value, user.team, pages.held(store.book.get(name, ()), user.expires, moment))
        for name, user in sorted(store.settings.users.items())
    ]


def create(store: Store, names: Sequence[str], entry: Mapping[str, Any], expires: str, *, shown: bool) -> Book:
    """A first key for each of some users, who are made where they do not exist.

    Args:
        store: the stack.
        names: the users.
        entry: what stands below the name of a new user.
        expires: when a new user, or the key of one that exists, ends; empty for never.
        shown: whether the keys are about to be given out.

    Raises:
        MaasError: A user does not exist and `entry` has no tier, or exists and `entry` has anything.
    """
    users = store.settings.users
    fresh = [name for name in names if name not in users]
    if fresh and not entry.get("tier"):
        near = closest(fresh[0], users)
        hint = f" Did you mean {near}?" if near else ""
        raise MaasError(f"Stack {store.stack} has no user {fresh[0]}.{hint} To make one: --tier.", code=Exit.USAGE)
    if entry and (known := [name for name in names if name in users]):
        given = ", ".join(f"--{key}" for key in entry)
        message = f"{', '.join(known)}: there already; {given} is for new users. Edit the stack file to change a user."
        raise MaasError(message, code=Exit.USAGE)
    ends = _expiry(expires)
    keys: dict[str, Key] = {}
    for name in names:
        key = new_key().model_copy(update={"shown": shown})
        keys[name] = key if name in fresh else key.model_copy(update={"expires": ends})
    book = pages.created(store.book, keys)
    store.add_users({name: {**entry, **({"expires": ends} if ends else {})} for name in fresh})
    store.save(book)
    return {name: book[name] for name in names}


def rotate(store: Store, names: Sequence[str], grace: str, *, at_once: bool, shown: bool) -> Book:
    """A new key for each of some users; see `book.rotated`."""
    fresh = {name: new_key().model_copy(update={"shown": shown}) for name in names}
    book = pages.rotated(store.book, fresh, _grace(grace), now(), at_once=at_once)
    store.save(book)
    return {name: book[name] for name in names}


def revoke(store: Store, names: Sequence[str], fingerprint: str | None, *, previous: bool, expired: bool) -> list[str]:
    """Take keys away: all of some users, one of each, or all that have expired; returns their fingerprints."""
    if expired:
        ends = {name: user.expires for name, user in store.settings.users.items()}
        book = pages.without_expired(store.book, now(), ends)
    else:
        which = {name: pages.previous(store.book, name) if previous else fingerprint for name in names}
        book = pages.revoked(store.book, which)
    gone = sorted(_fingerprints(store.book) - _fingerprints(book))
    if gone:
        store.save(book)
    return gone


def show_once(store: Store, name: str, *, again: bool) -> str:
    """The key of a user, in clear; remembered as shown."""
    key, book = pages.given_out(store.book, name, again=again)
    if not key.shown:
        store.save(book)
    return key.key.get_secret_value()


def take_in(store: Store, found: Sequence[Imported], tier: str, *, replace: bool) -> tuple[list[str], list[str]]:
    """Put keys from elsewhere into the stack, and the users that it lacks.

    Returns:
        The users that have other keys now, and those that had the same.

    Raises:
        MaasError: Any of it cannot be; then nothing was written.
    """
    coming: dict[str, list[Key]] = {}
    entries: dict[str, dict[str, Any]] = {}
    for each in found:
        key = Key.model_construct(key=SecretStr(each.key), expires=_expiry(each.expires or ""), shown=True)
        coming.setdefault(each.user, []).append(key)
        if each.user not in store.settings.users:
            about = {name: value for name, value in each.entry.items() if value not in (None, "", [])}
            entries[each.user] = {**({"tier": tier} if tier else {}), **about, **entries.get(each.user, {})}
    if problems := [*_unplaced(store, entries), *_in_the_way(store, coming, replace=replace)]:
        raise MaasError("Nothing was imported:\n" + "\n".join(f"  - {each}" for each in problems), code=Exit.USAGE)
    changed = {user: tuple(keys) for user, keys in coming.items() if _values(store.book.get(user, ())) != _values(keys)}
    if changed or entries:
        store.add_users(entries)
        store.save({**store.book, **changed})
    return sorted(changed), sorted(coming.keys() - changed.keys())


def _unplaced(store: Store, entries: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for user, entry in entries.items():
        if "tier" not in entry:
            yield f"{user}: no such user in stack {store.stack}, and no tier is said: --tier is for all that lack one"


def _in_the_way(store: Store, coming: Mapping[str, Sequence[Key]], *, replace: bool) -> Iterator[str]:
    for user, keys in coming.items():
        present = store.book.get(user, ())
        if present and not replace and _values(present) != _values(keys):
            yield f"{user}: has another key already; --replace puts the imported one in its place"


def _values(keys: Sequence[Key]) -> list[str]:
    return [key.key.get_secret_value() for key in keys]


def _fingerprints(book: Book) -> set[str]:
    return {f"{user} {pages.fingerprint(key)}" for user, keys in book.items() for key in keys}


def _expiry(text: str) -> str | None:
    return _parsed(Expiry, text, "--expires") if text else None


def _grace(text: str) -> timedelta:
    return timedelta(seconds=window_seconds(_parsed(Duration, text, "--grace"))) if text != "0" else timedelta()


def _parsed(annotation: Any, text: str, option: str) -> str:  # noqa: ANN401 - a type
    try:
        return TypeAdapter(annotation).validate_python(text)
    except ValidationError as error:
        refusal = (error.errors()[0].get("ctx") or {}).get("error")
        allowed = getattr(refusal, "allowed", "")
        raise MaasError(f"{option} {text}: {refusal}; allowed: {allowed}", code=Exit.USAGE) from None
