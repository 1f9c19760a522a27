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
from cli.stacks.typed import typed
from config.identity import Expiry, Key
from config.problems import closest
from config.values import Duration, window_seconds

NEVER = "never"
"""For `--expires`: no end, where there would be one otherwise."""


@dataclass(frozen=True)
class Row:
    """A user of a stack and the keys that there are, without any of them."""

    user: str
    tier: str | None
    """None where the stack has no such user any longer; the keys are left."""
    kind: str
    team: str
    keys: tuple[Held, ...]


def now() -> datetime:
    """The present, in UTC."""
    return datetime.now(UTC)


def rows(store: Store, moment: datetime) -> list[Row]:
    """Every user, in alphabetical order, and whoever has a key without being one."""
    found: list[Row] = []
    for name in sorted(store.settings.users.keys() | store.book.keys()):
        user, keys = store.settings.users.get(name), store.book.get(name, ())
        held = pages.held(keys, user.expires if user else None, moment)
        found.append(Row(name, user.tier, user.kind.value, user.team, held) if user else Row(name, None, "", "", held))
    return found


def create(store: Store, names: Sequence[str], entry: Mapping[str, Any], expires: str, *, shown: bool) -> Book:
    """A first key for each of some users, who are made where they do not exist.

    Args:
        store: the stack.
        names: the users.
        entry: what stands below the name of a new user.
        expires: when a new user, or the key of one that exists, ends; empty for never.
        shown: whether the keys are about to be given out.

    Raises:
        MaasError: A user does not exist and `entry` has no tier, or exists and `entry` has anything; or a key would be
            over already.
    """
    users = store.settings.users
    fresh = [name for name in names if name not in users]
    if fresh and not entry.get("tier"):
        raise MaasError(f"{_nobody(store, fresh[0])} To make one: --tier.", code=Exit.USAGE)
    if entry and (known := [name for name in names if name in users]):
        given = ", ".join(f"--{key}" for key in entry)
        message = f"{', '.join(known)}: there already; {given} is for new users. Edit the stack file to change a user."
        raise MaasError(message, code=Exit.USAGE)
    ends = _ahead(expires) if expires else None
    keys: dict[str, Key] = {}
    for name in names:
        key = new_key().model_copy(update={"shown": shown})
        keys[name] = key if name in fresh else key.model_copy(update={"expires": ends})
    book = pages.created(store.book, keys, store.where)
    _require_users_ahead(store, names)
    store.add_users({name: {**entry, **({"expires": ends} if ends else {})} for name in fresh})
    store.save(book)
    return {name: book[name] for name in names}


def rotate(  # noqa: PLR0913 - its options
    store: Store, names: Sequence[str], grace: str, expires: str, *, at_once: bool, shown: bool
) -> Book:
    """A new key for each of some users; see `book.rotated`.

    Args:
        store: the stack.
        names: the users.
        grace: how long the present key stays valid.
        expires: when the new key ends; `never`; or empty for when the present one would.
        at_once: end a key of an earlier rotation, too.
        shown: whether the keys are about to be given out.

    Raises:
        MaasError: A user has no key, or the new one would be over already, or the rotation cannot be.
    """
    _require_known(store, names)
    period, said = _grace(grace), _ahead(expires) if expires not in {"", NEVER} else None
    fresh = {name: new_key().model_copy(update={"shown": shown, "expires": said}) for name in names}
    if not expires:
        for name in fresh.keys() & store.book.keys():
            fresh[name] = fresh[name].model_copy(update={"expires": _still_ahead(name, store.book[name][0])})
    book = pages.rotated(store.book, fresh, period, now(), store.where, at_once=at_once)
    _require_users_ahead(store, names)
    store.save(book)
    return {name: book[name] for name in names}


def revoke(store: Store, names: Sequence[str], fingerprint: str | None, *, previous: bool, expired: bool) -> list[str]:
    """Take keys away: all of some users, one of each, or all that have expired; returns their fingerprints."""
    if expired:
        ends = {name: user.expires for name, user in store.settings.users.items()}
        book = pages.without_expired(store.book, now(), ends)
    else:
        _require_known(store, names)
        which = {name: pages.previous(store.book, name, store.where) if previous else fingerprint for name in names}
        book = pages.revoked(store.book, which, store.where)
    gone = sorted(_fingerprints(store.book) - _fingerprints(book))
    if gone:
        store.save(book)
    return gone


def show_once(store: Store, name: str, *, again: bool) -> str:
    """The key of a user, in clear; remembered as shown."""
    _require_known(store, [name])
    key, book = pages.given_out(store.book, name, store.where, again=again)
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
        ends = typed(Expiry, each.expires, f"{each.user}: expires:") if each.expires else None
        key = Key.model_construct(key=SecretStr(each.key), expires=ends, shown=True)
        coming.setdefault(each.user, []).append(key)
        if each.user not in store.settings.users:
            about = {name: value for name, value in each.entry.items() if value not in (None, "", [])}
            if "tier" in about:
                about["tier"] = _highest(store, str(about["tier"]))
            entries[each.user] = {**({"tier": tier} if tier else {}), **about, **entries.get(each.user, {})}
    if problems := [*_unplaced(store, entries), *_in_the_way(store, coming, replace=replace)]:
        raise MaasError("Nothing was imported:\n" + "\n".join(f"  - {each}" for each in problems), code=Exit.USAGE)
    changed = {user: tuple(keys) for user, keys in coming.items() if not _same(store, user, keys)}
    if changed or entries:
        store.add_users(entries)
        store.save({**store.book, **changed})
    return sorted(changed), sorted(coming.keys() - changed.keys())


def _highest(store: Store, groups: str) -> str:
    """The tier that policies would give to somebody in these groups; the first name where they would give none."""
    tiers, names = store.settings.tiers, groups.split(",")
    return max((name for name in names if name in tiers), key=lambda name: tiers[name].level, default=names[0])


def _unplaced(store: Store, entries: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for user, entry in entries.items():
        if "tier" not in entry:
            yield f"{user}: no such user in stack {store.stack}, and no tier is said: --tier is for all that lack one"


def _in_the_way(store: Store, coming: Mapping[str, Sequence[Key]], *, replace: bool) -> Iterator[str]:
    for user, keys in coming.items():
        present = store.book.get(user, ())
        if present and not replace and not _same(store, user, keys):
            what = "this key already, with another end" if _values(present) == _values(keys) else "another key already"
            yield f"{user}: has {what}; --replace puts the imported one in its place"


def _same(store: Store, user: str, keys: Sequence[Key]) -> bool:
    """Whether a user has these keys already, accepted for as long."""
    present, known = store.book.get(user, ()), store.settings.users.get(user)
    users_end = known.expires if known else None

    def ends(which: Sequence[Key]) -> list[str | None]:
        return [min(filter(None, (key.expires, users_end)), default=None) for key in which]

    return _values(present) == _values(keys) and ends(present) == ends(keys)


def _values(keys: Sequence[Key]) -> list[str]:
    return [key.key.get_secret_value() for key in keys]


def _fingerprints(book: Book) -> set[str]:
    return {f"{user} {pages.fingerprint(key)}" for user, keys in book.items() for key in keys}


def _nobody(store: Store, name: str) -> str:
    near = closest(name, store.settings.users)
    return f"Stack {store.stack} has no user {name}." + (f" Did you mean {near}?" if near else "")


def _require_known(store: Store, names: Sequence[str]) -> None:
    for name in names:
        if name not in store.settings.users and name not in store.book:
            raise MaasError(_nobody(store, name), code=Exit.USAGE)


def _require_users_ahead(store: Store, names: Sequence[str]) -> None:
    for name in names:
        user = store.settings.users.get(name)
        if user and user.expires and _is_over(user.expires):
            message = f"{name}: maas:users.{name}.expires was {user.expires}: no key is accepted. Change that first."
            raise MaasError(message, code=Exit.USAGE)


def _still_ahead(name: str, present: Key) -> str | None:
    if present.expires and _is_over(present.expires):
        message = f"{name}: the present key ended at {present.expires}. Say when the new one does: --expires <date>, "
        raise MaasError(f"{message}or --expires {NEVER}.", code=Exit.USAGE)
    return present.expires


def _ahead(text: str) -> str:
    ends = typed(Expiry, text, "--expires")
    if _is_over(ends):
        raise MaasError(f"--expires {text}: that is over already; nobody could use such a key.", code=Exit.USAGE)
    return ends


def _is_over(ends: str) -> bool:
    return datetime.fromisoformat(ends) <= now()


def _grace(text: str) -> timedelta:
    if text == "0":
        return timedelta()
    try:
        return timedelta(seconds=window_seconds(TypeAdapter(Duration).validate_python(text)))
    except ValidationError:
        allowed = "whole numbers with h, m or s, such as 30m, 24h or, for a week, 168h; 0 for none"
        raise MaasError(f"--grace {text}: not a length of time; allowed: {allowed}", code=Exit.USAGE) from None
