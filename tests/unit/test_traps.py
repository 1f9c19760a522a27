"""The page of traps: each row names tests that exist."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAMED = re.compile(r"`(tests/[^`:]+)::([^`]+)`")

HEADS = ("|---", "| what ")


def table(page: Path) -> list[tuple[str, str, str]]:
    """What happens, what is done, the tests; a line with other than three columns is an error."""
    found: list[tuple[str, str, str]] = []
    for line in page.read_text(encoding="utf-8").splitlines():
        if line.startswith("|") and not line.startswith(HEADS):
            happens, done, tests = (cell.strip() for cell in line.strip("|").split("|"))
            found.append((happens, done, tests))
    return found


def rows() -> list[tuple[str, str, str]]:
    """The rows of the page of traps."""
    return table(ROOT / "docs" / "traps.md")


@cache
def functions_of(file: str) -> frozenset[str]:
    """Names of the test functions in a file; none when there is no such file."""
    path = ROOT / file
    if not path.is_file():
        return frozenset()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions = (node for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return frozenset(node.name for node in functions if node.name.startswith("test_"))


def test_there_is_a_table() -> None:
    assert rows()


def problems_of(row: tuple[str, str, str]) -> list[str]:
    """What is wrong with a row: something that is not said, or a test that is not there."""
    happens, done, tests = row
    problems = [] if happens and done else [f"nothing is said of what happens, or of what we do about it: {row}"]
    for each in tests.split("; "):
        named = NAMED.fullmatch(each)
        if not named:
            problems.append(f"{each!r} is no `path::test_name`")
        elif named[2] not in functions_of(named[1]):
            problems.append(f"{named[1]} has no {named[2]}")
    return problems


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[0][:60])
def test_a_trap_names_tests_that_exist(row: tuple[str, str, str]) -> None:
    assert problems_of(row) == []


def test_a_test_that_is_not_there_is_a_problem() -> None:
    here = "`tests/unit/test_traps.py::test_there_is_a_table`"
    assert problems_of(("a", "b", here)) == []
    assert problems_of(("a", "b", here.replace("table", "chair"))) == [
        "tests/unit/test_traps.py has no test_there_is_a_chair"
    ]
    assert len(problems_of(("a", "", f"{here}; somewhere"))) == 2
