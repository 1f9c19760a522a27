"""Stack files of older versions, rewritten."""

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from cli import app as commands
from cli.exits import Exit, MaasError
from cli.models.edit import changed, difference
from cli.paths import ROOT
from cli.stacks import migrate as module
from cli.stacks.migrate import migrate, migrated
from config.migrations import FIRST, MIGRATIONS, SCHEMA, Rename, apply, pending
from config.problems import ConfigError
from config.settings import Settings
from tests.stackfiles import layouts, stacks
from tests.unit.config.bad import GOOD

NEVER = 2**53
OLD = f"""\
# Our cluster.
config:
  maas:domain: example.com   # ours
  maas:tiers:
    # who only looks
    free: {{level: 0, requests: 5 per 2m, tokens: 100 per 1m}}   # the least
    gold:
      level: 1
      requests: [ {NEVER} per 1m,  7 per 1h ] # two
      tokens:   # no limit, but counted
        - limit: {NEVER}
          window: 24h

      models: {{qwen3: {{tokens: "{NEVER} per 1m"}}}}
  maas:models: {{qwen3: {{source: hf://Qwen/Qwen3-0.6B, profile: small-gpu}}}}
encryptionsalt: v1:abc
"""
NEW = """\
# Our cluster.
config:
  maas:schemaVersion: 2
  maas:domain: example.com   # ours
  maas:tiers:
    # who only looks
    free: {level: 0, requests: 5 per 2m, tokens: 100 per 1m}   # the least
    gold:
      level: 1
      requests: ["7 per 1h"] # two
      tokens: unlimited   # no limit, but counted

      models: {qwen3: {tokens: unlimited}}
  maas:models: {qwen3: {source: hf://Qwen/Qwen3-0.6B, profile: small-gpu}}
encryptionsalt: v1:abc
"""


def values(text: str) -> dict[str, Any]:
    return {key.removeprefix("maas:"): value for key, value in yaml.safe_load(text)["config"].items()}


def test_what_older_files_say_otherwise_is_rewritten_and_all_else_stays() -> None:
    assert migrated(OLD, "Pulumi.dev.yaml") == NEW
    Settings.load("dev", values(NEW))


def test_an_older_file_is_refused_with_the_command_and_nothing_that_comes_from_it() -> None:
    with pytest.raises(ConfigError) as refused:
        Settings.load("dev", values(OLD))
    (problem,) = refused.value.problems
    assert problem.key == "maas:schemaVersion"
    assert "tiers.gold.models.qwen3.tokens, tiers.gold.requests, tiers.gold.tokens: written otherwise" in problem.why
    assert problem.fix == "./maas config migrate --stack dev"


def test_an_older_file_that_says_nothing_otherwise_is_taken_as_it_is() -> None:
    assert Settings.load("dev", GOOD).schema_version == FIRST
    assert Settings.load("dev", GOOD | {"schemaVersion": SCHEMA}).schema_version == SCHEMA


def test_every_version_up_to_this_one_has_a_way_to_the_next() -> None:
    assert sorted(MIGRATIONS) == list(range(FIRST, SCHEMA))


def test_a_file_of_this_version_is_not_touched() -> None:
    assert migrated(NEW, "Pulumi.dev.yaml") == NEW


@pytest.mark.parametrize("version", ["3", "99", "0", "x", "2.5", "true"])
def test_a_file_of_a_version_that_nobody_knows_is_refused(version: str) -> None:
    with pytest.raises(MaasError, match=r"Pulumi\.dev\.yaml") as refused:
        migrated(NEW.replace("schemaVersion: 2", f"schemaVersion: {version}"), "Pulumi.dev.yaml")
    assert refused.value.code is Exit.CONFIG


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("config: {domain: x}", "config: {maas:schemaVersion: 2, domain: x}"),
        ("config:\r\n    domain: x\r\n", "config:\r\n    maas:schemaVersion: 2\r\n    domain: x\r\n"),
        ("config:\n  schemaVersion: 1 # old\n  domain: x", "config:\n  schemaVersion: 2 # old\n  domain: x"),
    ],
)
def test_the_version_is_noted_however_the_file_is_laid_out(old: str, new: str) -> None:
    assert migrated(old, "Pulumi.dev.yaml") == new


def test_a_key_with_another_name_keeps_its_value_and_its_place() -> None:
    old = "config:\n  maas:users:\n    # hers\n    alice:  {team: a}   # x\n  maas:domain: x\n"
    new = changed(old, Rename(("users", "alice", "team"), "group"))
    assert new == old.replace("team", "group")
    assert changed(old, Rename(("users",), "callers")) == old.replace("maas:users", "maas:callers")


def test_what_cannot_be_changed_safely_is_left_to_a_person() -> None:
    shared = f"config:\n  maas:tiers:\n    a: &a {{level: 0, requests: {NEVER} per 1m, tokens: 1 per 1m}}\n    b: *a\n"
    with pytest.raises(MaasError, match="by hand"):
        migrated(shared, "Pulumi.dev.yaml")


@settings(max_examples=25, phases=[Phase.generate])  # whole stacks take long to shrink
@given(sections=stacks(), data=st.data())
def test_any_file_is_migrated_to_what_its_values_are_migrated_to(sections: dict[str, Any], data: st.DataObject) -> None:
    tier = data.draw(st.sampled_from(sorted(sections["tiers"])))
    key = data.draw(st.sampled_from(["requests", "tokens"]))
    old: list[Any] = [f"{NEVER} per 1s", {"limit": NEVER, "window": "1m"}, [f"{NEVER} per 1s", "3 per 1m"]]
    sections["tiers"][tier][key] = data.draw(st.sampled_from(old))
    text = data.draw(layouts(sections))
    expected = values(text)
    for change in pending(expected):
        apply(expected, change)
    try:
        new = migrated(text, "Pulumi.dev.yaml")
    except MaasError:
        assert "*a" in text, "only what is shared cannot be changed in one place"
        return
    assert values(new) == {"schemaVersion": SCHEMA, **expected}
    gone = [each for each in difference(text, new, "x").splitlines()[2:] if each.startswith("-")]
    assert all(re.search(r"requests|tokens|limit|window| per |^-\s*(#.*)?$", each) for each in gone), gone


def test_what_a_stack_shares_is_migrated_with_it(tmp_path: Path) -> None:
    (tmp_path / "Pulumi.dev.yaml").write_text("config:\n  maas:extends: [fleet, gone]\n  maas:domain: x\n")
    (tmp_path / "shared").mkdir()
    shared = tmp_path / "shared" / "fleet.yaml"
    shared.write_text(OLD.replace("  maas:domain: example.com   # ours\n", ""), encoding="utf-8")
    diff = migrate("dev", tmp_path)
    assert "--- Pulumi.dev.yaml" in diff
    assert "--- shared/fleet.yaml" in diff
    expected = NEW.replace("  maas:schemaVersion: 2\n  maas:domain: example.com   # ours\n", "")
    assert shared.read_text(encoding="utf-8") == expected
    assert migrate("dev", tmp_path) == ""


def test_the_command_writes_shows_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(ROOT / "Pulumi.yaml", tmp_path)
    path = tmp_path / "Pulumi.dev.yaml"
    path.write_text(OLD, encoding="utf-8")
    real = module.migrate

    def here(stack: str, *, dry_run: bool) -> str:
        return real(stack, tmp_path, dry_run=dry_run)

    monkeypatch.setattr(module, "migrate", here)

    def run(*options: str) -> str:
        done = CliRunner().invoke(commands.app, ["config", "migrate", "--stack", "dev", *options])
        assert done.exit_code == 0, done.output
        return done.output

    assert "+      tokens: unlimited" in run("--dry-run")
    assert path.read_text(encoding="utf-8") == OLD
    assert "Written. See what it means: ./maas preview --stack dev" in run()
    assert path.read_text(encoding="utf-8") == NEW
    assert run() == "Nothing to migrate.\n"
    assert migrate("dev", tmp_path) == ""
