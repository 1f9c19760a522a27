"""The audit asks about everything that is locked, and goes on to the next when one has a hole."""

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[3]
AUDIT: dict[str, Any] = yaml.safe_load((ROOT / ".github" / "workflows" / "audit.yml").read_text(encoding="utf-8"))


def asked(job: str, program: str, folder: Path, *, finds: bool) -> tuple[int, list[str]]:
    """Run a job's script with a stand-in for its program: how it ended, and what the program was called with."""
    told, stand_in = folder / "told", folder / program
    stand_in.write_text(f'#!/bin/sh\necho "$@" >> {told}\nexit {int(finds)}\n', encoding="utf-8")
    stand_in.chmod(0o755)
    script = AUDIT["jobs"][job]["steps"][-1]["run"]
    path = f"{folder}:{os.environ['PATH']}"
    done = subprocess.run(  # noqa: S603 - the script under test
        ["/bin/bash", "-e", "-c", script], cwd=ROOT, env={"PATH": path}, capture_output=True, check=False, timeout=60
    )
    return done.returncode, told.read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize(
    ("job", "program", "locked"),
    [
        ("python", "pipx", sorted(str(each.relative_to(ROOT)) for each in (ROOT, ROOT / "policy"))),
        ("go", "go", sorted(each.parent.name for each in (ROOT / "sandbox" / "tools").glob("*/go.mod"))),
    ],
)
def test_what_is_audited_is_all_that_is_locked(job: str, program: str, locked: list[str], tmp_path: Path) -> None:
    code, calls = asked(job, program, tmp_path, finds=False)
    assert code == 0
    assert len(calls) == len(locked) > 1
    words = {word for call in calls for word in call.split()}
    where = {"python": "{}/requirements.lock", "go": "sandbox/tools/{}"}[job]
    assert {where.format(name).removeprefix("./") for name in locked} <= words
    assert all("==" in call or "@v" in call for call in calls), "the program that asks is pinned, too"


@pytest.mark.parametrize(("job", "program"), [("python", "pipx"), ("go", "go")])
def test_a_finding_fails_the_job_when_all_have_been_asked(job: str, program: str, tmp_path: Path) -> None:
    code, calls = asked(job, program, tmp_path, finds=True)
    assert code == 1
    assert len(calls) > 1


def test_every_lock_of_python_packages_is_named() -> None:
    script = AUDIT["jobs"]["python"]["steps"][-1]["run"]
    found = [each for each in ROOT.rglob("requirements.lock") if not {".venv", ".maas"} & set(each.parts)]
    assert {str(each.relative_to(ROOT)) for each in found} == {"requirements.lock", "policy/requirements.lock"}
    assert "in requirements.lock policy/requirements.lock;" in script
