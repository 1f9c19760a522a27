"""A stack that has most of its values from a file that it shares is the stack that says them itself."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from cli.paths import ROOT
from cli.stacks.command import rows
from cli.stacks.stackfile import stack_config
from config.migrations import SCHEMA

OWN = {"maas:schemaVersion": SCHEMA, "maas:domain": "maas.example.com", "maas:extends": "fleet"}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """This program with a stack `eu1`, which is `dev` by way of shared/fleet.yaml, with a user less and one more."""
    tree = tmp_path_factory.mktemp("tree")
    for name in ("components", "dashboards", "enforcement", "policy", "rules", "sandbox", "simulator", "__main__.py"):
        (tree / name).symlink_to(ROOT / name)
    shutil.copytree(ROOT / "config", tree / "config")  # it looks for shared/ beside itself
    for name in ("Pulumi.yaml", "Pulumi.dev.yaml"):
        shutil.copy(ROOT / name, tree / name)
    config: dict[str, Any] = yaml.safe_load((ROOT / "Pulumi.dev.yaml").read_text(encoding="utf-8"))["config"]
    fleet = {key: value for key, value in config.items() if key not in OWN}
    (tree / "shared").mkdir()
    (tree / "shared" / "fleet.yaml").write_text(yaml.safe_dump({"config": fleet}), encoding="utf-8")
    users = {"freeuser1": None, "carol": {"tier": "premium"}}
    stacks = {"same": OWN, "eu1": {**OWN, "maas:users": users}, "lost": {**OWN, "maas:extends": "fleat"}}
    for name, own in stacks.items():
        (tree / f"Pulumi.{name}.yaml").write_text(yaml.safe_dump({"config": own}), encoding="utf-8")
    return tree


@pytest.fixture(scope="module")
def snapshots(tree: Path) -> Mapping[str, Mapping[str, Any]]:
    command = [sys.executable, "-m", "cli.diff.worker", str(tree), "dev", "same", "eu1", "lost"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONSAFEPATH": "1"}
    done = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, check=False)  # noqa: S603 - our own words
    assert done.returncode == 0, done.stderr
    return {each["stack"]: each for each in json.loads(done.stdout)}


def bodies(snapshot: Mapping[str, Any], stack: str) -> str:
    """What is registered, without the stack's name."""
    return json.dumps([each["inputs"] for each in snapshot["items"]], sort_keys=True).replace(f'"{stack}"', '"dev"')


def test_shared_values_give_the_objects_that_the_same_values_in_the_stack_file_give(
    snapshots: Mapping[str, Mapping[str, Any]],
) -> None:
    assert len(snapshots["dev"]["items"]) > 40
    assert bodies(snapshots["same"], "same") == bodies(snapshots["dev"], "dev")
    assert snapshots["same"]["given"]["maas:tiers"] == snapshots["dev"]["given"]["maas:tiers"]


def test_a_stack_says_itself_what_is_different(tree: Path, snapshots: Mapping[str, Mapping[str, Any]]) -> None:
    assert set(snapshots["eu1"]["settings"]["users"]) == {"premiumuser1", "carol"}
    assert json.loads(stack_config("eu1", tree)[0]["maas:users"])["freeuser1"] is None
    table = {row.stack: row for row in rows(tree)}
    assert (table["eu1"].users, table["same"].users, table["eu1"].models) == (2, 2, 1)


def test_a_file_that_is_not_there_is_told_with_the_likely_one(snapshots: Mapping[str, Mapping[str, Any]]) -> None:
    assert (
        'maas:extends = "fleat": there is no shared/fleat.yaml; allowed: fleet; try: fleet'
        in snapshots["lost"]["refused"]
    )
