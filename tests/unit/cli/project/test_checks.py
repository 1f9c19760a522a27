import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from cli.console import Console
from cli.exits import Exit
from cli.project import checks
from cli.project.checks import Check, Group, failures
from cli.project.unchanged import fingerprint, has_passed

WAIT_FOR_THE_OTHER = """
import pathlib, sys, time
mine, other = map(pathlib.Path, sys.argv[1:])
mine.touch()
end = time.monotonic() + 20
while not other.exists():
    if time.monotonic() > end:
        sys.exit(1)
    time.sleep(0.01)
"""


def check(title: str, script: str, *words: object, shows_output: bool = False) -> Check:
    return Check(title, (sys.executable, "-c", script, *map(str, words)), shows_output)


@pytest.fixture
def console() -> Console:
    return Console(terminal=False)


def test_the_checks_of_a_group_run_side_by_side(tmp_path: Path, console: Console) -> None:
    one, two, three = (tmp_path / name for name in ("one", "two", "three"))
    quiet = check("one", WAIT_FOR_THE_OTHER, one, two), check("two", WAIT_FOR_THE_OTHER, two, three)
    assert failures(Group((*quiet, check("live", WAIT_FOR_THE_OTHER, three, one, shows_output=True)), 1), console) == []


def test_what_a_failed_check_says_is_told_whole_and_in_its_own_order(
    console: Console, capfd: pytest.CaptureFixture[str]
) -> None:
    talks = (
        "import sys\nfor n in range(20000): print(n, file=sys.stderr if n % 2 else sys.stdout, flush=True)\nsys.exit(3)"
    )
    failed = failures(Group((check("talker", talks), check("live", "print('dots')", shows_output=True)), 1), console)
    said = capfd.readouterr()
    assert failed == ["talker"]
    numbers = [line for line in said.err.splitlines() if line.isdigit()]
    assert numbers == [str(number) for number in range(20000)]
    assert said.out.split() == ["dots"], "nothing of it comes between what the other one shows"


@pytest.fixture
def sources(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A tree of sources, and a place for what is remembered of it."""
    root = tmp_path / "tree"
    for name in ("pyproject.toml", "requirements.lock", "cli/one.py", "stubs/two.pyi", ".venv/three.py"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    monkeypatch.setenv("MAAS_HOME", str(tmp_path / "home"))

    def of_tree(command: Sequence[str]) -> str:
        return fingerprint(command, root)

    monkeypatch.setattr(checks, "fingerprint", of_tree)
    return root


COUNTED = (
    "import pathlib, sys; pathlib.Path(sys.argv[1]).open('a').write('.'); sys.exit(pathlib.Path(sys.argv[2]).exists())"
)


def times_run(tmp_path: Path, console: Console) -> int:
    """How often a check by sources has run, after it was asked for once more; it fails where `broken` exists."""
    count, broken = tmp_path / "count", tmp_path / "broken"
    counted = (sys.executable, "-c", COUNTED, str(count), str(broken))
    failures(Group((Check("types", counted, by_sources=True),), 1), console)
    return len(count.read_text())


def test_what_has_passed_on_the_same_sources_is_not_run_again(
    sources: Path, tmp_path: Path, console: Console, capfd: pytest.CaptureFixture[str]
) -> None:
    assert [times_run(tmp_path, console) for _ in range(2)] == [1, 1]
    assert "types has passed on exactly these sources." in capfd.readouterr().err
    (sources / ".venv" / "three.py").write_text("as installed from the lock")
    assert times_run(tmp_path, console) == 1


@pytest.mark.parametrize("name", ["pyproject.toml", "requirements.lock", "cli/one.py", "stubs/two.pyi", "cli/new.py"])
def test_it_is_run_again_when_anything_that_it_reads_is_another(
    name: str, sources: Path, tmp_path: Path, console: Console
) -> None:
    times_run(tmp_path, console)
    (sources / name).write_text("another")
    assert times_run(tmp_path, console) == 2


def test_what_has_failed_is_run_again(sources: Path, tmp_path: Path, console: Console) -> None:
    assert sources.is_dir()
    (tmp_path / "broken").touch()
    assert [times_run(tmp_path, console) for _ in range(2)] == [1, 2]
    (tmp_path / "broken").unlink()
    assert [times_run(tmp_path, console) for _ in range(2)] == [3, 3]


def test_sources_that_change_while_it_runs_have_not_passed(sources: Path, console: Console) -> None:
    edits = (
        sys.executable,
        "-c",
        f"import pathlib; pathlib.Path({str(sources / 'cli/one.py')!r}).write_text('edited')",
    )
    check_of_edits = Check("types", edits, by_sources=True)
    failures(Group((check_of_edits,), 1), console)
    assert not has_passed("types", checks.fingerprint(edits))
    (sources / "cli/one.py").write_text("cli/one.py")
    assert not has_passed("types", checks.fingerprint(edits)), "nor those of before"


def test_a_check_that_passes_says_nothing(console: Console, capfd: pytest.CaptureFixture[str]) -> None:
    assert failures(Group((check("quiet", "print('0 errors')"),), 1), console) == []
    assert "0 errors" not in "".join(capfd.readouterr())


def test_all_that_failed_is_named_and_what_comes_after_a_failure_still_runs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, console: Console, capfd: pytest.CaptureFixture[str]
) -> None:
    mark = tmp_path / "ran"
    groups = [
        Group((check("one", "raise SystemExit(1)"), check("two", "")), 1),
        Group((check("three", "raise SystemExit(2)"), check("four", "exit(1)", shows_output=True)), 1),
        Group((check("five", f"import pathlib; pathlib.Path({str(mark)!r}).touch()"),), 1),
    ]

    def plan(*, fast: bool, operators: bool) -> list[Group]:
        del fast, operators
        return groups

    monkeypatch.setattr(checks, "plan", plan)
    assert checks.run((), fast=True, console=console) is Exit.FAILED
    assert capfd.readouterr().err.splitlines()[-1] == "Failed: one, four, three."
    assert mark.exists()


def test_an_interrupt_ends_what_runs_beside(monkeypatch: pytest.MonkeyPatch, console: Console) -> None:
    def interrupted(*_words: object, **_options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(subprocess, "run", interrupted)
    sleeper, began = check("sleeper", "import time; time.sleep(60)"), time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        failures(Group((sleeper, check("live", "", shows_output=True)), 1), console)
    assert time.monotonic() - began < 30


def test_the_faults_are_run_whole_by_their_tier_and_in_part_by_the_sandboxs() -> None:
    [group] = checks.of_tier(checks.Tier.FAULTS)
    [only] = group.checks
    assert only.command[:2] == ("env", "MAAS_TEST_FAULTS=all")
    assert only.command[-1] == "tests/faults"
    assert (checks.ROOT / only.command[-1]).is_dir()


@pytest.mark.parametrize("fast", [True, False])
def test_one_check_at_a_time_has_the_terminal(*, fast: bool) -> None:
    groups = checks.plan(fast=fast, operators=True)
    assert all(sum(each.shows_output for each in group.checks) <= 1 for group in groups)
    sandbox = [group for group in groups if "sandbox" in group.title]
    assert [len(group.checks) for group in sandbox] == ([] if fast else [1]), "control planes share two cores badly"


@pytest.mark.parametrize("tier", sorted(set(checks.Tier) - {checks.Tier.FAULTS}))
def test_a_tier_can_be_run_alone_and_all_of_them_are_in_the_whole(tier: checks.Tier) -> None:
    whole = {each.title for group in checks.plan(fast=False, operators=True) for each in group.checks}
    alone = {each.title for group in checks.of_tier(tier) for each in group.checks}
    assert alone < whole


def test_the_operators_own_programs_are_part_of_the_whole_where_they_are_built() -> None:
    def titles(*, operators: bool) -> list[str]:
        return [group.title for group in checks.plan(fast=False, operators=operators)]

    assert titles(operators=True) == [*titles(operators=False), "the operators' programs", "pytest: conformance"]


def test_programs_that_are_not_built_are_not_taken_for_built(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MAAS_CACHE", str(tmp_path))
    assert not checks.operators_built()


@pytest.mark.parametrize(("ci", "wanted"), [("true", True), ("", False)])
def test_programs_that_are_not_built_are_built_in_continuous_integration_and_left_out_elsewhere(  # noqa: PLR0913
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    console: Console,
    capfd: pytest.CaptureFixture[str],
    ci: str,
    *,
    wanted: bool,
) -> None:
    asked: list[bool] = []

    def plan(*, fast: bool, operators: bool) -> list[Group]:
        assert not fast
        asked.append(operators)
        return []

    monkeypatch.setattr(checks, "plan", plan)
    monkeypatch.setenv("MAAS_CACHE", str(tmp_path))
    monkeypatch.setenv("CI", ci)
    assert checks.run((), fast=False, console=console) is Exit.OK
    assert asked == [wanted]
    assert ("left out until its programs are built" in capfd.readouterr().err) is not wanted


def test_no_test_is_in_two_tiers() -> None:
    (sandbox,), (conformance,) = (
        [each.command for group in checks.of_tier(tier) for each in group.checks if "pytest" in each.title]
        for tier in (checks.Tier.SANDBOX, checks.Tier.CONFORMANCE)
    )
    assert sandbox[sandbox.index("--ignore") + 1] == conformance[-1] == "tests/conformance"
