"""What the docs tell people to type exists, and is run by a test where that can be."""

import subprocess

import pytest

from cli.paths import ROOT
from tests.documented import TUTORIAL, Command, commands, complaint, mentioned


def test_every_command_and_option_that_a_page_names_exists() -> None:
    found = list(mentioned())
    assert len(found) > 120
    wrong = [f"{each.page}: {each.line}: {why}" for each in found if (why := complaint(each.line))]
    assert wrong == []


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("./maas digest --base main", "no command"),
        ("./maas diff --bases main", "no option"),
        ("./maas keys create|list|rotatte", "no command ['rotatte']"),
        ("./maas keys create alice --stack dev", ""),
        ("./maas up [--stack dev]", ""),
    ],
)
def test_what_does_not_exist_is_found(line: str, says: str) -> None:
    assert says in complaint(line) if says else complaint(line) == ""


def test_every_command_is_run_or_has_a_reason_why_not() -> None:
    unclear = sorted(
        {
            f"{each.page}: {each.line}"
            for each in commands()
            if each.page != TUTORIAL and not each.is_run and not each.reason
        }
    )
    assert unclear == [], "say in tests/documented.py that these are run (RUN), or what they would need (NOT_RUN)"
    run = [each for each in commands() if each.is_run]
    assert len(run) > 12, "most of the reference would be run by nobody"
    assert Command("docs/review.md", "./maas policy --stack ocp") in run


@pytest.mark.parametrize(
    "line", ["./maas models estimate --source hf://meta-llama/Llama-3.3-70B-Instruct", "./maas stack list"]
)
def test_quick_ones_are_run_as_they_stand(line: str) -> None:
    assert line in {each.line for each in commands()}
    done = subprocess.run(["bash", "-c", line], cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603, S607 - a line of our docs
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
