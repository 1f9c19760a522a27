"""Every rule and alert, evaluated by promtool over made-up series: tests/rules has what must come out."""

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from sandbox.progress import Silent
from sandbox.toolbox import find
from tests.rule_tests import RULE_TESTS, write_rules

pytestmark = pytest.mark.sandbox


@pytest.fixture(scope="module")
def promtool() -> Path:
    return find("promtool", Silent())


def run(promtool: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(promtool), *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=60)  # noqa: S603


@pytest.mark.parametrize("name", sorted(path.name for path in RULE_TESTS.glob("*.yaml")))
def test_rules_give_what_is_expected(name: str, promtool: Path, tmp_path: Path) -> None:
    cases = yaml.safe_load((RULE_TESTS / name).read_text(encoding="utf-8"))
    write_rules(tmp_path, every=cases["evaluation_interval"])
    shutil.copy(RULE_TESTS / name, tmp_path / f"test-{name}")
    done = run(promtool, tmp_path, "test", "rules", f"test-{name}")
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_check_above_would_see_another_result(promtool: Path, tmp_path: Path) -> None:
    write_rules(tmp_path)
    wrong = (RULE_TESTS / "usage.yaml").read_text(encoding="utf-8").replace("value: 1400", "value: 1401")
    (tmp_path / "test.yaml").write_text(wrong, encoding="utf-8")
    assert run(promtool, tmp_path, "test", "rules", "test.yaml").returncode != 0


def test_prometheus_accepts_every_file_of_rules(promtool: Path, tmp_path: Path) -> None:
    write_rules(tmp_path)
    done = run(promtool, tmp_path, "check", "rules", *sorted(path.name for path in tmp_path.glob("*.yaml")))
    assert done.returncode == 0, done.stdout + done.stderr
