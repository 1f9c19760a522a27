"""API keys from the command line to the cluster: a real engine, a real API server, 200 users."""

import base64
import json
import re
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from sandbox.kube import Kube
from tests.sandbox.test_main_road import UP_SECONDS, Tree, in_cluster

pytestmark = [pytest.mark.sandbox, pytest.mark.timeout(UP_SECONDS)]

USERS = [f"user{number:03}" for number in range(200)]
_PIECE = 16
"""Of a key that is searched for in base64: enough to be no accident."""


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Generator[Tree]:
    folder = tmp_path_factory.mktemp("keys")
    tree = Tree(folder / "tree", folder / "home")
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


def changed(tree: Tree, said: list[str], *words: str) -> dict[str, int]:
    """Run a command of `keys`, then `up`; says what that changed."""
    result = tree.json("keys", *words)
    up = tree.json("up")
    said += [json.dumps(result), json.dumps(up)]
    return {op: count for op, count in up["changes"].items() if op != "same"}


def test_a_key_is_made_rotated_revoked_and_ends_on_the_cluster_as_it_does_in_the_stack(
    tree: Tree, said: list[str]
) -> None:
    [(name, first)] = secrets_of(tree, "user000").items()
    assert changed(tree, said, "rotate", "user000", "--grace", "1h") == {"create": 1, "update": 1}
    found = secrets_of(tree, "user000")
    assert value(found[name]) != value(first), "the same Secret has the new key, which Authorino notices"
    [previous] = [each for other, each in found.items() if other != name]
    assert value(previous) == value(first)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", ends(previous))
    assert changed(tree, said, "revoke", "user000", "--previous") == {"delete": 1}
    assert list(secrets_of(tree, "user000")) == [name]
    assert changed(tree, said, "revoke", "user000") == {"delete": 1}
    assert secrets_of(tree, "user000") == {}
    assert tree.json("preview", "--expect-no-changes")["steps"] == [], "a revoked key is not made anew"
    assert changed(tree, said, "create", "user000", "--expires", "2020-01-01") == {"create": 1}
    [ended] = secrets_of(tree, "user000").values()
    assert ends(ended) == "2020-01-01T23:59:59Z", "by which the policy refuses it"
    assert changed(tree, said, "revoke", "--expired") == {"delete": 1}
    assert changed(tree, said, "create", "new-user", "--tier", "premium", "--kind", "program") == {"create": 1}
    [program] = secrets_of(tree, "new-user").values()
    assert program["metadata"]["annotations"]["kuadrant.io/groups"] == "premium"
    assert program["metadata"]["labels"]["maas.kuadrant.io/user-kind"] == "program"


def pieces(key: str) -> Iterator[str]:
    """A key as it could be found: in clear, whole and in halves, and in base64 at each of three alignments."""
    random = key.removeprefix("maas-")
    yield from (random, random[: len(random) // 2], random[len(random) // 2 :])
    for shift in range(3):
        text = base64.b64encode(b"x" * shift + random.encode()).decode().rstrip("=")
        yield text[4 : 4 + _PIECE]
        yield text[-_PIECE - 4 : -4]


def test_no_key_of_200_is_anywhere_but_in_the_cluster(tree: Tree, said: list[str], tmp_path: Path) -> None:
    async def keys(kube: Kube) -> list[str]:
        found = await kube.list("v1", "Secret", "kuadrant-system")
        return [value(each) for each in found if "maas.kuadrant.io/user" in each["metadata"].get("labels", {})]

    every = in_cluster(tree, keys)
    assert len(every) >= len(USERS)
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
    sought = {piece.encode() for key in every for piece in pieces(key)}
    pattern = re.compile(b"|".join(re.escape(each) for each in sorted(sought)))
    assert pattern.search(b"x" + next(iter(sought)) + b"x"), "the search finds what there is"
    assert [name for name, text in texts.items() if pattern.search(text)] == []
