"""No secret is in the tree, nor was one ever in its history."""

import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, cast

import pytest
from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class

ROOT = Path(__file__).parents[3]
GUESSES = {
    "Base64 High Entropy String",
    "Hex High Entropy String",
    "IBM COS HMAC Credentials",
    "Public IP (ipv4)",
    "Secret Keyword",
}
"""Detectors that go by entropy or by a word nearby: they would cry at every hash of a lock. The linter (S105, S106)
looks for what they look for, where it is written."""
OWN_KEY = re.compile(r"\bmaas-[A-Za-z0-9_-]{43}\b")
"""What `./maas keys create` makes: 256 random bits in base64url."""
HARMLESS = re.compile(r"(.)\1{7}|user(name)?:pass(word)?@|you:[a-z]+@|\{[a-z_]+\}|<[a-z-]+>|\$\{?[A-Za-z_]+")
"""What no secret has in it: a character eight times in a row, names in place of values."""


def detectors() -> dict[str, Any]:
    """Those that know a secret by its own form."""
    found = cast("dict[str, Any]", get_mapping_from_secret_type_to_class())
    return {kind: made() for kind, made in found.items() if kind not in GUESSES}


def secrets_in(text: str) -> Iterator[tuple[str, str]]:
    """Kind and line of everything that looks like a secret.

    The whole text is searched for each detector's patterns at once, and only lines with a match are given to the
    detector itself, which takes a hundred times as long.
    """
    for kind, detector in detectors().items():
        lines: dict[str, None] = {}
        for pattern in detector.denylist:
            lines |= dict.fromkeys(_line_at(text, found.start(), found.end()) for found in pattern.finditer(text))
        for line in lines:
            if detector.analyze_line("", line) and not HARMLESS.search(line):
                yield kind, line
    for found in OWN_KEY.finditer(text):
        if not HARMLESS.search(found[0]):
            yield "Key of a stack", _line_at(text, found.start(), found.end())


def _line_at(text: str, start: int, end: int) -> str:
    inside = start + len(text[start:end]) - len(text[start:end].lstrip("\n"))
    after = text.find("\n", inside)
    return text[text.rfind("\n", 0, inside) + 1 : after if after >= 0 else len(text)]


@cache
def history() -> str:
    """Every line that any commit up to this one has added, each once."""
    if _git("rev-parse", "--is-inside-work-tree").strip() != "true":
        pytest.skip("this is no git repository: a release has no history")
    if _git("rev-parse", "--is-shallow-repository").strip() == "true":
        pytest.skip("the history is not here: git fetch --unshallow")
    said = _git("log", "--patch", "--unified=0", "--no-color", "--no-ext-diff", "--no-textconv", "HEAD")
    return "\n".join(dict.fromkeys(line[1:] for line in said.splitlines() if line.startswith("+")))


def _git(*words: str) -> str:
    done = subprocess.run(  # noqa: S603 - our own words
        ["git", "-C", str(ROOT), *words],  # noqa: S607 - the one on PATH
        capture_output=True,
        check=False,
        timeout=120,
    )
    return done.stdout.decode("utf-8", "replace")


def test_no_commit_has_added_a_secret() -> None:
    assert len(history()) > 1_000_000
    assert list(secrets_in(history())) == []


# In parts, so that this file is none of the places where they are found.
PLANTED = {
    "AWS Access Key": "AKIA" + "Q3EGRI7JW2ND5XKB",
    "GitHub Token": "ghp_" + "wWPw5k4aXcaT4fNP0UcnZwJUVFk6LO0pINUx",
    "GitLab Token": "glpat-" + "hellOworld380_testin",
    "Private Key": "-----BEGIN EC PRIVATE" + " KEY-----",
    "OpenAI Token": "sk-Xi8tcNiHV9awbCcvilTe" + "T3BlbkFJ3UDnpdEwNNm6wVBpYM0o",
    "Slack Token": "xoxb-" + "34532454-e039d02840a0b9379c",
    "Basic Auth Credentials": "https://admin" + ":hunter2x@db.example.com/",
    "Key of a stack": "maas-" + "k3JhV0x_9QmZ1r-T7bNcYdWfUgEoSaPiLtHvXyRwKjM",
}


@pytest.mark.parametrize("kind", PLANTED)
def test_a_secret_in_the_middle_of_a_line_is_found(kind: str) -> None:
    text = f"first line\nvalue: {PLANTED[kind]}\nlast line\n"
    assert (kind, f"value: {PLANTED[kind]}") in list(secrets_in(text))


def test_names_in_place_of_values_are_none() -> None:
    text = "\n".join(("https://user:password" + "@host/", "maas-" + "x" * 43, "https://${USER}:${KEY}" + "@host/"))
    assert list(secrets_in(text)) == []
