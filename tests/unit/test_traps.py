"""The page of traps: each row names tests that exist, or says that there is none."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAMED = re.compile(r"`(tests/[^`:]+)::([^`]+)`")
NONE = "not tested"


def rows() -> list[tuple[str, str, str]]:
    """What happens, what is done, the tests; a line with other than three columns is an error."""
    found: list[tuple[str, str, str]] = []
    for line in (ROOT / "docs" / "traps.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("|") and not line.startswith(("|---", "| what happens |")):
            happens, done, tests = (cell.strip() for cell in line.strip("|").split("|"))
            found.append((happens, done, tests))
    return found


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


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[0][:60])
def test_a_trap_names_tests_that_exist_or_says_that_there_is_none(row: tuple[str, str, str]) -> None:
    happens, done, tests = row
    assert happens
    assert done, "nothing is said of what we do about it"
    if tests == NONE:
        return
    for each in tests.split("; "):
        named = NAMED.fullmatch(each)
        assert named, f"{each!r} is neither `path::test_name` nor '{NONE}'"
        file, name = named.groups()
        assert name in functions_of(file), f"{file} has no {name}"
