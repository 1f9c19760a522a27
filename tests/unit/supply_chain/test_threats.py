"""The threat model: each row names what stands in the way, and tests of it that exist."""

import pytest

from tests.unit.test_traps import ROOT, problems_of, table

ROWS = table(ROOT / "docs" / "security.md")
ACTORS = ("caller", "tenant", "operator", "CI", "cluster admin", "made of")


def test_everybody_who_could_do_harm_has_a_section() -> None:
    titles = [
        line for line in (ROOT / "docs" / "security.md").read_text(encoding="utf-8").splitlines() if line[:3] == "## "
    ]
    assert len(titles) == len(ACTORS)
    assert all(actor in title for actor, title in zip(ACTORS, titles, strict=True))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0][:60])
def test_a_threat_names_tests_that_exist(row: tuple[str, str, str]) -> None:
    assert problems_of(row) == []


def test_there_are_many_threats() -> None:
    assert len(ROWS) > 30
