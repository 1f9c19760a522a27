"""API keys from the command line to the cluster: a real engine, a real API server, 200 users."""

import base64
import json
import re
import secrets
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from sandbox.kube import Kube
from tests.tree import UP_SECONDS, Tree, in_cluster

pytestmark = [pytest.mark.sandbox, pytest.mark.timeout(UP_SECONDS)]

USERS = [f"user{number:03}" for number in range(200)]
_PIECE = 16
"""How long a part of a key is that is searched for: enough to be no accident."""
_RUN = re.compile(rb"[A-Za-z0-9_+/-]{16,}")
"""Where a key could be, in clear or in base64."""


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Generator[Tree]:
    tree = Tree(tmp_path_factory.mktemp("keys"))
    content = yaml.safe_load(tree.settings.read_text())
    content["config"]["maas:users"] = {user: {"tier": "free"} for user in USERS}
    tree.settings.write_text(yaml.safe_dump(content))
    yield tree
    tree.run("down")


@pytest.fixture(scope="module")
def said(tree: Tree) -> list[str]:
    """All that the commands of these tests have printed."""
    code, out, err = tree.run("up")
    assert code == 0, out + err
    return [out, err]


def secrets_of(tree: Tree, user: str) -> dict[str, dict[str, Any]]:
    async def look(kube: Kube) -> list[dict[str, Any]]:
        return await kube.list("v1", "Secret", "kuadrant-system")

    return {
        each["metadata"]["name"]: each
        for each in in_cluster(tree, look)
        if each["metadata"].get("labels", {}).get("maas.kuadrant.io/user") == user
    }


def value(secret: dict[str, Any]) -> str:
    return base64.b64decode(secret["data"]["api_key"]).decode()


def ends(secret: dict[str, Any]) -> str:
    return secret["metadata"]["annotations"]["maas.kuadrant.io/expires"]


def keys(tree: Tree, said: list[str], *words: str) -> None:
    said.append(json.dumps(tree.json("keys", *words)))


def brought_up(tree: Tree, said: list[str]) -> set[tuple[str, str]]:
    """Run `up`; says what happened to which key's Secret."""
    up = tree.json("up")
    said.append(json.dumps(up))
    return {(step["op"], step["name"]) for step in up["steps"] if step["layer"] == "identity"}


def test_keys_are_made_rotated_revoked_and_end_on_the_cluster_as_they_do_in_the_stack(
    tree: Tree, said: list[str], tmp_path: Path
) -> None:
    [(name, first)] = secrets_of(tree, "user000").items()
    keys(tree, said, "rotate", "user000", "--grace", "1h")
    keys(tree, said, "revoke", "user001")
    keys(tree, said, "revoke", "user002")
    ended_keys = tmp_path / "ended.csv"
    ended_keys.write_text(f"user,key,expires\nuser002,{secrets.token_urlsafe(32)},2020-01-01\n")
    keys(tree, said, "import", str(ended_keys))
    keys(tree, said, "create", "new-user", "--tier", "premium", "--kind", "program")
    ops = brought_up(tree, said)
    assert {each for each in ops if "user002" not in each[1]} == {
        ("create", "key-user000.previous"),
        ("update", "key-user000"),
        ("delete", "key-user001"),
        ("create", "key-new-user"),
    }
    found = secrets_of(tree, "user000")
    assert value(found[name]) != value(first), "the same Secret has the new key, which Authorino notices"
    [previous] = [each for other, each in found.items() if other != name]
    assert value(previous) == value(first)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", ends(previous))
    assert secrets_of(tree, "user001") == {}
    [ended] = secrets_of(tree, "user002").values()
    assert ends(ended) == "2020-01-01T23:59:59Z", "by which the policy refuses it"
    [program] = secrets_of(tree, "new-user").values()
    assert program["metadata"]["annotations"]["kuadrant.io/groups"] == "premium"
    assert program["metadata"]["labels"]["maas.kuadrant.io/user-kind"] == "program"

    keys(tree, said, "revoke", "user000", "--previous")
    keys(tree, said, "revoke", "--expired")
    assert brought_up(tree, said) == {("delete", "key-user000.previous"), ("delete", "key-user002")}
    assert list(secrets_of(tree, "user000")) == [name]
    assert tree.json("preview", "--expect-no-changes")["steps"] == [], "a revoked key is not made anew"


def pieces(key: str) -> Iterator[str]:
    """A key as it could be found: in clear, whole and in halves, and in base64 at each of three alignments."""
    random = key.removeprefix("maas-")
    yield from (random, random[: len(random) // 2], random[len(random) // 2 :])
    for shift in range(3):
        text = base64.b64encode(b"x" * shift + random.encode()).decode().rstrip("=")
        yield text[4 : 4 + _PIECE]
        yield text[-_PIECE - 4 : -4]


def holds(text: bytes, sought: set[bytes]) -> bool:
    """Whether one of the pieces is somewhere in a text."""
    return any(
        run[start : start + _PIECE] in sought for run in _RUN.findall(text) for start in range(len(run) - _PIECE + 1)
    )


def test_no_key_of_200_is_anywhere_but_in_the_cluster(tree: Tree, said: list[str], tmp_path: Path) -> None:
    async def look(kube: Kube) -> list[str]:
        found = await kube.list("v1", "Secret", "kuadrant-system")
        return [value(each) for each in found if "maas.kuadrant.io/user" in each["metadata"].get("labels", {})]

    every = in_cluster(tree, look)
    assert len(every) >= len(USERS) - 1, "at most two were revoked, one was made"
    assert len(set(every)) == len(every)
    for words in (("preview",), ("keys", "list"), ("refresh", "--preview-only"), ("doctor",)):
        _, out, err = tree.run(*words)
        said += [out, err]
    code, out, err = tree.run("render", "--out", str(tmp_path / "rendered"))
    assert code == 0, err
    said += [out, err]
    texts = {"what was printed": "\n".join(said).encode()}
    for root in (tree.home, tree.root, tmp_path / "rendered"):
        for path in root.rglob("*"):
            # kwok's folder is the cluster itself: etcd holds the Secrets.
            if path.is_file() and not path.is_symlink() and "/kwok/" not in str(path):
                texts[str(path)] = path.read_bytes()
    assert any(name.endswith("state/.pulumi/stacks/maas/sandbox.json") for name in texts)
    sought = {piece.encode()[:_PIECE] for key in every for piece in pieces(key)}
    assert holds(b"x" + every[0].encode() + b"x", sought), "the search finds what there is"
    assert holds(base64.b64encode(b"say " + every[0].encode() + b"!"), sought)
    assert [name for name, text in texts.items() if holds(text, sought)] == []
