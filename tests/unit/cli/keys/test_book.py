"""What can be done with keys, without any stack."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.exits import MaasError
from cli.keys import book as pages
from cli.keys.book import Book, dumped, fingerprint, loaded, new_key

NOW = datetime(2027, 1, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
LATER = "2027-01-02T12:00:00Z"


def values(book: Book, user: str) -> list[str]:
    return [key.key.get_secret_value() for key in book[user]]


def test_a_key_has_256_random_bits_behind_its_prefix() -> None:
    keys = {new_key().key.get_secret_value() for _ in range(200)}
    assert len(keys) == 200
    assert all(key.startswith("maas-") and len(key) == len("maas-") + 43 for key in keys)


def test_a_first_key_is_for_users_that_have_none() -> None:
    book = pages.created({}, {"ann": new_key()})
    with pytest.raises(MaasError, match=r"ann: has a key already.*rotate ann"):
        pages.created(book, {"ann": new_key(), "bob": new_key()})


def test_after_a_rotation_both_keys_are_valid_for_the_grace_period() -> None:
    old, new = new_key(), new_key()
    book = pages.rotated({"ann": (old,)}, {"ann": new}, DAY, NOW)
    assert values(book, "ann") == [new.key.get_secret_value(), old.key.get_secret_value()]
    assert [key.expires for key in book["ann"]] == [None, LATER]


def test_a_rotation_never_prolongs_a_key() -> None:
    old = new_key().model_copy(update={"expires": "2027-01-01T13:00:00Z"})
    assert pages.rotated({"ann": (old,)}, {"ann": new_key()}, DAY, NOW)["ann"][1].expires == "2027-01-01T13:00:00Z"
    ended = old.model_copy(update={"expires": "2026-12-31T00:00:00Z"})
    assert len(pages.rotated({"ann": (ended,)}, {"ann": new_key()}, DAY, NOW)["ann"]) == 1, "it is over anyway"


def test_a_rotation_without_grace_leaves_one_key() -> None:
    assert len(pages.rotated({"ann": (new_key(),)}, {"ann": new_key()}, timedelta(), NOW)["ann"]) == 1


def test_a_second_rotation_in_the_grace_period_has_to_be_meant() -> None:
    book = pages.rotated({"ann": (new_key(),)}, {"ann": new_key()}, DAY, NOW)
    with pytest.raises(MaasError, match=rf"still valid \(until {LATER}\).*revoke ann --previous.*--at-once"):
        pages.rotated(book, {"ann": new_key()}, DAY, NOW)
    second = book["ann"][0]
    third = pages.rotated(book, {"ann": new_key()}, DAY, NOW, at_once=True)
    assert fingerprint(third["ann"][1]) == fingerprint(second), "the one that was the present key is kept"
    assert len(pages.rotated(book, {"ann": new_key()}, DAY, NOW + 2 * DAY)["ann"]) == 2, "by itself once it is over"


def test_keys_are_revoked_all_together_or_one_by_its_fingerprint() -> None:
    first, second = new_key(), new_key()
    book = {"ann": (first, second), "bob": (new_key(),)}
    assert "ann" not in pages.revoked(book, {"ann": None})
    assert pages.revoked(book, {"ann": fingerprint(first)[:6]})["ann"] == (second,)
    assert pages.revoked(book, {"ann": pages.previous(book, "ann")})["ann"] == (first,)
    with pytest.raises(MaasError, match="0 keys whose fingerprint"):
        pages.revoked(book, {"ann": "nothex"})
    with pytest.raises(MaasError, match="bob has one key only"):
        pages.previous(book, "bob")
    with pytest.raises(MaasError, match="cyd: no key"):
        pages.revoked(book, {"cyd": None})


def test_what_has_ended_by_itself_or_with_its_user_can_be_cleared_away() -> None:
    old = new_key().model_copy(update={"expires": "2027-01-01T11:59:59Z"})
    book = {"ann": (new_key(), old), "bob": (new_key(),), "cyd": (new_key(),)}
    left = pages.without_expired(book, NOW, {"bob": "2027-01-01T12:00:00Z", "cyd": LATER})
    assert {user: len(keys) for user, keys in left.items()} == {"ann": 1, "cyd": 1}


def test_a_key_is_given_out_once() -> None:
    key, book = pages.given_out({"ann": (new_key(),)}, "ann")
    with pytest.raises(MaasError, match="shown already"):
        pages.given_out(book, "ann")
    assert pages.given_out(book, "ann", again=True)[0].key == key.key
    assert pages.held(book["ann"], None, NOW)[0].shown


def test_what_is_shown_of_a_key_ends_with_its_user_when_that_is_first() -> None:
    key = new_key().model_copy(update={"expires": LATER})
    assert pages.held((key,), "2027-01-01T00:00:00Z", NOW)[0].expired
    assert pages.held((key,), None, NOW)[0].expires == LATER
    assert key.key.get_secret_value() not in repr(pages.held((key,), None, NOW))


@given(st.dictionaries(st.from_regex(r"[a-z]{1,8}", fullmatch=True), st.integers(1, 2), max_size=5))
def test_what_is_written_is_read_again(users: dict[str, int]) -> None:
    book = {user: tuple(new_key() for _ in range(count)) for user, count in users.items()}
    assert loaded("dev", json.loads(dumped(book))) == dict(sorted(book.items()))


def test_keys_that_cannot_be_are_refused_without_being_repeated() -> None:
    with pytest.raises(MaasError) as refused:
        loaded("dev", {"ann": "too short"})
    assert "too short" not in str(refused.value)
    assert "maas:apiKeys.ann" in str(refused.value)
