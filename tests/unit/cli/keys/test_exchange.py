"""Keys from elsewhere and for elsewhere."""

import base64
import json

import pytest
import yaml

from cli.exits import MaasError
from cli.keys.book import new_key
from cli.keys.exchange import Format, Imported, is_sealed, opened, read, sealed, written
from config.identity import User

KEY, OTHER = "k" * 40, "o" * 40
PASSPHRASE = "a passphrase of some length"  # noqa: S105 - of this test
USERS = {
    "ann": User.model_validate({"tier": "free", "team": "search", "costCentre": "4711", "models": ["a", "b"]}),
    "bob": User.model_validate(
        {"tier": "premium", "kind": "program", "labels": {"owner": "ann", "example.com/app": "x"}}
    ),
}


def secret(name: str, **about: str) -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "annotations": {"secret.kuadrant.io/user-id": name, **about}},
        "data": {"api_key": base64.b64encode(KEY.encode()).decode()},
    }


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (json.dumps({"ann": KEY}), "keys.json"),
        (json.dumps({"ann": [KEY]}), "-"),
        (json.dumps([{"user": "ann", "key": KEY}]), "-"),
        (json.dumps({"ann": {"keys": [{"key": KEY}]}}), "keys"),
        (f"user,key\nann,{KEY}\n", "keys.csv"),
        (f"user, key, team\r\nann, {KEY},\r\n", "-"),
    ],
)
def test_each_way_of_writing_a_key_down_is_read(text: str, name: str) -> None:
    assert read(text, name) == [Imported("ann", KEY)]


def test_secrets_as_kubectl_prints_them_tell_user_tier_and_the_rest() -> None:
    items = [
        secret("ann", **{"kuadrant.io/groups": "free", "maas.kuadrant.io/models": "a,b"}),
        secret("bob", **{"kuadrant.io/groups": "premium,beta", "maas.kuadrant.io/expires": "2027-01-01T00:00:00Z"}),
    ]
    for text in (json.dumps({"kind": "List", "items": items}), yaml.safe_dump_all(items)):
        found = read(text, "-", None if text[0] == "{" else Format.SECRETS)
        assert found == [
            Imported("ann", KEY, None, {"tier": "free", "models": ["a", "b"]}),
            Imported("bob", KEY, "2027-01-01T00:00:00Z", {"tier": "premium,beta"}),
        ]


@pytest.mark.parametrize("form", [Format.JSON, Format.CSV])
def test_what_is_exported_can_be_imported_with_all_that_is_said_of_a_user(form: Format) -> None:
    old = new_key().model_copy(update={"expires": "2027-01-01T00:00:00Z"})
    book = {"ann": (new_key(), old), "bob": (new_key(),)}
    found = read(written(book, USERS, form), f"keys.{form}")
    assert [(each.user, each.key, each.expires) for each in found] == [
        (user, key.key.get_secret_value(), key.expires) for user, keys in book.items() for key in keys
    ]
    assert {each.user: User.model_validate(each.entry) for each in found} == USERS


@pytest.mark.parametrize("form", [Format.JSON, Format.CSV])
def test_a_key_that_ends_with_its_user_ends_where_it_is_imported(form: Format) -> None:
    user = USERS["ann"].model_copy(update={"expires": "2027-01-01T00:00:00Z"})
    [found] = read(written({"ann": (new_key(),)}, {"ann": user}, form), f"keys.{form}")
    assert {found.expires, found.entry.get("expires")} == {None, user.expires}


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("{", "keys.json"),
        (f'{{"ann": 7, "bob": "{KEY}"}}', "keys.json"),
        (f"name,secret\nann,{KEY}\n", "keys.csv"),
        (f"kind: Secret\nstringData: {{api_key: {KEY}}}\n", "keys.yaml"),
        ("", "keys.csv"),
    ],
)
def test_what_cannot_be_read_is_refused_with_what_is_expected_and_without_any_key(text: str, name: str) -> None:
    with pytest.raises(MaasError, match="Expected: ") as refused:
        read(text, name)
    assert KEY not in str(refused.value)


def test_a_sealed_file_opens_with_its_passphrase_and_with_no_other() -> None:
    text = sealed(KEY, PASSPHRASE)
    assert is_sealed(text)
    assert KEY not in text
    assert opened(text, PASSPHRASE) == KEY
    with pytest.raises(MaasError, match="cannot be opened with this passphrase"):
        opened(text, "another passphrase of some length")
    changed = text[:-8] + ("A" if text[-8] != "A" else "B") + text[-7:]
    with pytest.raises(MaasError, match="or it has been changed"):
        opened(changed, PASSPHRASE)
    assert not is_sealed(json.dumps({"ann": KEY}))


def test_a_short_passphrase_is_refused() -> None:
    with pytest.raises(MaasError, match="needs 16"):
        sealed(KEY, "short")
