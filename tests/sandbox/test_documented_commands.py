"""The commands of the docs, typed as they stand in a copy of the checkout, by somebody who has no cluster."""

import os
import re
import shutil
import subprocess
from collections.abc import Generator, Mapping
from pathlib import Path

import pytest

from cli.paths import ROOT
from sandbox.progress import Silent
from sandbox.toolbox import find
from tests.documented import FIRST, TUTORIAL, blocks, commands

pytestmark = pytest.mark.sandbox
MARK = "=== block "
SHARED = """\
.venv/bin/python - <<'END'
import pathlib
import yaml
stack = pathlib.Path("Pulumi.sandbox.yaml")
content = yaml.safe_load(stack.read_text())
config = content["config"]
base = {key: config.pop(key) for key in ("maas:tiers", "maas:users", "maas:models")}
base["maas:users"]["ghost"] = {"tier": "free"}
config.update({"maas:extends": "base", "maas:users": {"ghost": None}})
pathlib.Path("shared").mkdir()
pathlib.Path("shared/base.yaml").write_text(yaml.safe_dump({"config": base}))
stack.write_text(yaml.safe_dump(content))
END
./maas preview --expect-no-changes
"""
"""The stack's values go into a file that it shares, with a user more that it takes away again."""


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tree as it is, as a clone whose branch main is the last commit, with this environment."""
    folder = tmp_path_factory.mktemp("copy") / "maas"
    git("clone", "--quiet", "--no-checkout", str(ROOT), str(folder))
    git("-C", str(folder), "checkout", "--quiet", "--detach", "HEAD")
    git("-C", str(folder), "update-ref", "refs/heads/main", "HEAD")
    for name in git("-C", str(ROOT), "ls-files", "-co", "--exclude-standard").splitlines():
        source, target = ROOT / name, folder / name
        if source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
    (folder / ".venv").symlink_to(ROOT / ".venv")
    return folder


@pytest.fixture(scope="module")
def environment(checkout: Path) -> Mapping[str, str]:
    """Nothing of the caller's own Pulumi or cluster, and the sandbox's kubectl."""
    tools = checkout.parent / "bin"
    tools.mkdir()
    (tools / "kubectl").symlink_to(find("kubectl", Silent()))
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PULUMI", "KUBE", "MAAS"))}
    return {**kept, "PATH": f"{tools}:{os.environ['PATH']}", "MAAS_HOME": str(checkout / ".maas")}


@pytest.fixture(scope="module")
def tutorial(checkout: Path, environment: Mapping[str, str]) -> Generator[list[str]]:
    """What the tutorial's blocks print, one after the other in one shell, with its edit of the stack file."""
    edit = "sed -i 's/tokens: 100 per 1m/tokens: 80 per 1m/' Pulumi.sandbox.yaml\n"
    steps = list(blocks(ROOT / TUTORIAL))
    assert "./maas diff" in steps[6], "the edit stands before the sixth step"
    steps[6] = edit + steps[6]
    steps.insert(-1, SHARED)
    # What is for people goes to the error output when no terminal is there; the reader has both before them.
    script = "exec 2>&1\n" + "".join(f"echo '{MARK}{number}'\n{step}" for number, step in enumerate(steps))
    try:
        done = run(script, checkout, environment)
        assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        yield re.split(rf"{MARK}\d+\n", done.stdout)[1:]
    finally:
        run("./maas down", checkout, environment)


def git(*words: str) -> str:
    return subprocess.run(["git", *words], check=True, capture_output=True, text=True).stdout  # noqa: S603, S607 - our own words


def run(script: str, folder: Path, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - lines of our docs
        ["bash", "-euo", "pipefail", "-c", script],  # noqa: S607 - bash as the reader has it
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=540,
    )


@pytest.mark.timeout(1200)
def test_the_tutorial_of_the_sandbox_does_what_it_says(tutorial: list[str]) -> None:
    up, chat, curl, limit, objects, offline, change, changed, drift, _, down = tutorial
    assert "without a key 401" in up
    assert re.search(r"of 5 requests left", chat)
    assert '"total_tokens"' in curl
    assert "Usage" in limit
    assert "freeuser2" in limit
    assert "tokenratelimitpolicy" in objects.lower()
    assert "graph LR" in offline
    assert "no rule is violated" in offline
    assert "tier `free`: 100 to 80 tokens a minute" in " ".join(change.split())
    assert "2 updated" in changed
    assert "gateway-token-limits" in drift
    assert down.strip()


@pytest.mark.timeout(1200)
def test_values_that_a_stack_shares_are_no_change_for_the_engine(tutorial: list[str]) -> None:
    assert re.search(r"would be \d+ unchanged", tutorial[-2], re.IGNORECASE)


@pytest.mark.timeout(900)
def test_commands_that_need_no_cluster_do_what_they_are_for(checkout: Path, environment: Mapping[str, str]) -> None:
    failed: list[str] = []
    for line in dict.fromkeys(each.line for each in commands() if each.is_run and each.page != TUTORIAL):
        done = run(f"{FIRST.get(line, '')}\n{line}", checkout, environment)
        if done.returncode:
            failed.append(f"{line}\n  {done.stdout[-500:]}{done.stderr[-500:]}")
    assert failed == [], "\n".join(failed)
