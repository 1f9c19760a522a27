"""`./maas keys` on a project of its own, with an engine that only keeps settings."""

import base64
import json
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from cli.app import app
from cli.deploy import composed
from cli.keys import store as stores
from cli.keys.book import loaded
from cli.keys.store import Store
from cli.paths import ROOT
from sandbox.progress import Silent
from tests.unit.cli.keys.engine import engine


class Project:
    """A copy of the project's settings, with a state of its own."""

    def __init__(self, folder: Path, calls: Path) -> None:
        self.folder, self.calls = folder, calls

    def run(self, *words: str, code: int = 0, stdin: str | None = None) -> Result:
        result = CliRunner().invoke(app, ["keys", *words], input=stdin)
        assert result.exit_code == code, f"{words}: {result.output}"
        return result

    def json(self, *words: str) -> dict[str, Any]:
        return json.loads(self.run(*words, "--json").stdout)

    def text(self, stack: str = "dev") -> str:
        return (self.folder / f"Pulumi.{stack}.yaml").read_text()

    def kept(self, stack: str = "dev") -> dict[str, Any]:
        """The keys in clear."""
        sealed = yaml.safe_load(self.text(stack))["config"]["maas:apiKeys"]["secure"]
        return json.loads(base64.b64decode(sealed.removeprefix("v1:"))[::-1])

    def runs(self) -> list[list[str]]:
        lines = self.calls.read_text().splitlines() if self.calls.exists() else []
        return [words for words in map(json.loads, lines) if words[0] == "config"]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    for path in (ROOT / "Pulumi.yaml", *ROOT.glob("Pulumi.*.yaml")):
        shutil.copy(path, tmp_path)
    program, calls = engine(tmp_path / "engine")
    for name in ("PULUMI_BACKEND_URL", "PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE", "MAAS_CWD"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MAAS_HOME", str(tmp_path / "home"))

    def find(_name: str, _reporter: object) -> Path:
        return program

    def stack_file(stack: str, root: Path = tmp_path) -> Path:
        return root / f"Pulumi.{stack}.yaml"

    monkeypatch.setattr(stores, "find", find)
    monkeypatch.setattr("cli.deploy.target.ROOT", tmp_path)
    monkeypatch.setattr("cli.deploy.target.stack_file", stack_file)

    @contextmanager
    def opened(stack: str, name: str) -> Generator[Store]:
        with stores.opened(stack, name, Silent(), tmp_path) as store:
            yield store

    monkeypatch.setattr("cli.commands.keys._opened", opened)
    return Project(tmp_path, calls)


def test_a_new_user_and_its_key_are_all_that_changes_in_the_stack_file(project: Project) -> None:
    before = project.text()
    about = ("--tier", "free", "--team", "search", "--kind", "program", "--cost-centre", "4711")
    result = project.run("create", "zoe", "--stack", "dev", *about)
    added = [line for line in project.text().splitlines() if line not in before.splitlines()]
    assert [line.split(":")[0].strip() for line in added] == ["zoe", "maas", "secure", "encryptionsalt"]
    assert '    zoe:          {tier: free, team: search, costCentre: "4711", kind: program}' in added
    assert project.kept()["zoe"][0]["key"] not in result.output
    assert "show-once zoe --stack dev" in result.output
    assert "./maas up --stack dev" in result.output


def test_however_many_users_the_engine_encrypts_once(project: Project) -> None:
    project.run("create", *[f"u{number}" for number in range(50)], "--stack", "dev", "--tier", "free")
    assert [words[:2] for words in project.runs()] == [["config", "set"]]
    assert len({keys[0]["key"] for keys in project.kept().values()}) == 50
    assert "maas-" not in json.dumps(project.runs())


def test_keys_that_were_set_one_by_one_are_kept(project: Project) -> None:
    sealed = base64.b64encode(("k" * 40)[::-1].encode()).decode()
    path = project.folder / "Pulumi.dev.yaml"
    path.write_text(project.text() + f"  maas:apiKeys:\n    freeuser1:\n      secure: v1:{sealed}\n")
    project.run("create", "premiumuser1", "--stack", "dev")
    assert project.kept()["freeuser1"] == [{"key": "k" * 40}]
    assert project.kept().keys() == {"freeuser1", "premiumuser1"}


def test_a_key_is_printed_when_asked_for_and_then_only_once(project: Project) -> None:
    shown = project.run("create", "freeuser1", "--stack", "dev", "--show").stdout
    assert shown == project.kept()["freeuser1"][0]["key"] + "\n", "on stdout is the key alone"
    assert "shown already" in project.run("show-once", "freeuser1", "--stack", "dev", code=2).stderr
    assert project.run("show-once", "freeuser1", "--stack", "dev", "--again").stdout == shown
    project.run("create", "premiumuser1", "--stack", "dev")
    project.run("show-once", "premiumuser1", "--stack", "dev")
    project.run("show-once", "premiumuser1", "--stack", "dev", code=2)


def test_rotation_and_revocation_as_the_list_shows_them(project: Project) -> None:
    project.run("create", "freeuser1", "--stack", "dev")
    first = project.json("list", "--stack", "dev")["users"][0]["keys"][0]["fingerprint"]
    rotated = project.json("rotate", "freeuser1", "--stack", "dev", "--grace", "1h")["rotated"]["freeuser1"]
    user = project.json("list", "--stack", "dev")["users"][0]
    assert [key["fingerprint"] for key in user["keys"]] == [rotated["fingerprint"], first]
    assert user["keys"][1]["expires"] == rotated["previousUntil"]
    assert "revoke freeuser1 --previous" in project.run("rotate", "freeuser1", "--stack", "dev", code=2).stderr
    project.run("revoke", "freeuser1", "--stack", "dev", "--fingerprint", first)
    assert len(project.kept()["freeuser1"]) == 1
    project.run("revoke", "freeuser1", "--stack", "dev")
    assert project.kept() == {}
    table = project.run("list", "--stack", "dev").stdout
    assert "freeuser1" in table, "the user stays"
    assert "maas-" not in table


def test_expired_keys_of_all_users_are_cleared_away_and_nothing_is_written_when_there_are_none(
    project: Project,
) -> None:
    keys = f"user,key,expires\nfreeuser1,{'f' * 40},2020-01-01\n"
    project.run("import", "-", "--stack", "dev", stdin=keys)
    project.run("create", "premiumuser1", "--stack", "dev")
    assert "ended 2020" in project.run("list", "--stack", "dev").stdout
    project.run("revoke", "--expired", "--stack", "dev")
    assert project.kept().keys() == {"premiumuser1"}
    before = project.text()
    assert project.run("revoke", "--expired", "--stack", "dev").stdout == "Nothing to revoke.\n"
    assert project.text() == before


def test_a_rotated_key_ends_when_the_one_before_it_would_have_unless_another_end_is_said(project: Project) -> None:
    def ends() -> list[str | None]:
        return [key.get("expires") for key in project.kept()["freeuser1"]]

    project.run("create", "freeuser1", "--stack", "dev", "--expires", "2099-01-01")
    project.run("rotate", "freeuser1", "--stack", "dev", "--grace", "0")
    assert ends() == ["2099-01-01T23:59:59Z"]
    project.run("rotate", "freeuser1", "--stack", "dev", "--grace", "0", "--expires", "2098-01-01")
    assert ends() == ["2098-01-01T23:59:59Z"]
    project.run("rotate", "freeuser1", "--stack", "dev", "--grace", "0", "--expires", "never")
    assert ends() == [None]


def test_no_key_is_made_that_would_be_over_already(project: Project) -> None:
    keys = f"user,key,expires\nfreeuser1,{'f' * 40},2020-01-01\n"
    project.run("import", "-", "--stack", "dev", stdin=keys)
    before = project.text()
    said = project.run("rotate", "freeuser1", "--stack", "dev", code=2).stderr
    assert "freeuser1: the present key ended at 2020-01-01T23:59:59Z" in said
    assert "--expires never" in said
    for words in (["create", "premiumuser1"], ["create", "zoe", "--tier", "free"], ["rotate", "freeuser1"]):
        said = project.run(*words, "--stack", "dev", "--expires", "2020-01-01", code=2).stderr
        assert "--expires 2020-01-01: that is over already" in said
    assert project.text() == before
    path = project.folder / "Pulumi.dev.yaml"
    path.write_text(before.replace("team: search}", "team: search, expires: 2020-01-01}"))
    assert "maas:users.premiumuser1.expires" in project.run("create", "premiumuser1", "--stack", "dev", code=2).stderr


def test_a_key_of_a_user_that_was_taken_out_is_listed_and_can_be_revoked(project: Project) -> None:
    project.run("create", "zoe", "--tier", "free", "--stack", "dev")
    path = project.folder / "Pulumi.dev.yaml"
    path.write_text("".join(line for line in project.text().splitlines(keepends=True) if "    zoe:" not in line))
    assert "no such user" in project.run("list", "--stack", "dev").stdout
    assert "./maas keys revoke zoe" in project.run("create", "freeuser1", "--stack", "dev", code=3).stderr
    project.run("revoke", "zoe", "--stack", "dev")
    assert project.kept() == {}


def test_a_command_that_is_told_is_for_the_same_stack(project: Project) -> None:
    project.run("create", "freeuser1", "--stack", "dev", "--show")
    project.run("rotate", "freeuser1", "--stack", "dev", "--show")
    for words in (
        ["create", "freeuser1"],
        ["rotate", "freeuser1"],
        ["rotate", "premiumuser1"],
        ["revoke", "premiumuser1"],
        ["show-once", "freeuser1"],
    ):
        said = project.run(*words, "--stack", "dev", code=2).stderr.replace("\n", " ")
        assert said.count("./maas keys") == said.count("--stack dev") == 1, said


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["create", "freeusr1"], "Did you mean freeuser1?"),
        (["create", "freeuser1", "--tier", "premium"], "--tier is for new users"),
        (["create", "zoe", "--tier", "prem"], "try: premium"),
        (["create", "Zoe", "--tier", "free"], "not a DNS label"),
        (["create", "freeuser1", "--expires", "soon"], "allowed: a date"),
        (["rotate", "freeuser1"], "./maas keys create freeuser1"),
        (["rotate", "frieuser1"], "Did you mean freeuser1?"),
        (["show-once", "frieuser1"], "Did you mean freeuser1?"),
        (["revoke", "frieuser1"], "Did you mean freeuser1?"),
        (["rotate", "freeuser1", "--grace", "7d"], "for a week, 168h"),
        (["rotate", "freeuser1", "--grace=-5h"], "--grace -5h: not a length of time; allowed: whole numbers"),
        (["revoke"], "or --expired"),
        (["revoke", "freeuser1", "--expired"], "or --expired"),
        (["list", "--stack", "nowhere"], "Stack files in"),
    ],
)
def test_what_cannot_be_is_refused_with_what_to_do_and_nothing_is_written(
    project: Project, words: list[str], says: str
) -> None:
    before = project.text()
    given = words if "--stack" in words else [*words, "--stack", "dev"]
    result = CliRunner().invoke(app, ["keys", *given])
    assert result.exit_code in {2, 3}, result.output
    assert says in result.stderr.replace("\n", " ")
    assert project.text() == before


def test_another_passphrase_is_an_error_that_says_where_to_look(project: Project) -> None:
    project.run("create", "freeuser1", "--stack", "dev")
    (project.folder / "home" / "passphrase").write_text("another")
    result = project.run("list", "--stack", "dev", code=1)
    assert "PULUMI_CONFIG_PASSPHRASE" in result.stderr
    assert "incorrect passphrase" in result.stderr


def test_import_takes_keys_and_users_and_export_gives_them_back(project: Project) -> None:
    source = project.folder / "keys.csv"
    source.write_text(f"user,key,tier\nfreeuser1,{'f' * 40},\nzoe,{'z' * 40},premium\n")
    assert project.json("import", str(source), "--stack", "dev")["imported"] == ["freeuser1", "zoe"]
    assert project.json("import", str(source), "--stack", "dev")["same"] == ["freeuser1", "zoe"]
    passphrase = project.folder / "phrase"
    passphrase.write_text("a passphrase of some length\n")
    out, phrase = project.folder / "out", ("--passphrase-file", str(passphrase))
    project.run("export", "--stack", "dev", "--out", str(out), *phrase)
    assert out.stat().st_mode & 0o777 == 0o600
    assert "zzzz" not in out.read_text()
    project.run("revoke", "zoe", "--stack", "dev")
    project.run("import", str(out), "--stack", "dev", *phrase)
    assert project.kept()["zoe"][0]["key"] == "z" * 40
    assert "is there already" in project.run("export", "--stack", "dev", "-o", str(out), *phrase, code=2).stderr
    clear = project.folder / "clear.json"
    project.run("export", "--stack", "dev", "--out", str(clear), "--clear")
    assert clear.stat().st_mode & 0o777 == 0o600
    assert "z" * 40 in clear.read_text()


def test_an_import_that_would_replace_a_key_or_make_a_user_of_no_tier_changes_nothing(project: Project) -> None:
    project.run("create", "freeuser1", "--stack", "dev")
    before = project.text()
    keys = json.dumps({"freeuser1": "f" * 40, "zoe": "z" * 40})
    result = project.run("import", "-", "--stack", "dev", stdin=keys, code=2)
    assert "freeuser1: has another key already" in result.stderr
    assert "./maas up" not in result.output
    assert "zoe: no such user" in result.stderr
    assert "ffff" not in result.output
    assert project.text() == before
    project.run("import", "-", "--stack", "dev", "--tier", "free", "--replace", stdin=keys)
    assert project.kept()["freeuser1"][0]["key"] == "f" * 40


def test_an_import_brings_another_end_of_the_same_key_only_where_it_may_replace(project: Project) -> None:
    def imported(expires: str, *words: str, code: int = 0) -> Result:
        keys = f"user,key,expires\nfreeuser1,{'f' * 40},{expires}\n"
        return project.run("import", "-", "--stack", "dev", *words, stdin=keys, code=code)

    imported("")
    assert imported("").stdout == "Imported the keys of 0 users; 1 had them already.\n"
    assert "freeuser1: has this key already, with another end" in imported("2099-01-01", code=2).stderr
    imported("2099-01-01", "--replace")
    assert project.kept()["freeuser1"][0]["expires"] == "2099-01-01T23:59:59Z"
    assert "freeuser1: expires: tomorrow: not a point in time" in imported("tomorrow", code=2).stderr


def test_who_comes_with_several_groups_gets_the_highest_tier_of_them(project: Project) -> None:
    about = {"secret.kuadrant.io/user-id": "zoe", "kuadrant.io/groups": "free,staff,premium"}
    secret = {"kind": "Secret", "metadata": {"annotations": about}, "stringData": {"api_key": "z" * 40}}
    project.run("import", "-", "--stack", "dev", stdin=json.dumps(secret))
    assert "zoe:          {tier: premium}" in project.text()


def test_the_sandboxs_keys_are_with_its_state_and_its_users_in_the_tracked_file(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "Make it: ./maas up\n" in project.run("list", code=1).stderr
    assert "Make it: ./maas up --name other\n" in project.run("list", "--name", "other", code=1).stderr
    home = project.folder / "home" / "sandbox"
    home.mkdir(parents=True)
    monkeypatch.setattr(composed, "ROOT", project.folder)
    project.run("create", "zoe", "--tier", "free")
    assert "    zoe:             {tier: free}\n" in project.text("sandbox")
    assert "secure" not in project.text("sandbox")
    kept = Project(home / "project", project.calls).kept("sandbox")
    assert {"zoe", "freeuser1"} <= kept.keys(), "and the others got theirs"
    project.run("revoke", "freeuser1")
    assert "freeuser1" not in Project(home / "project", project.calls).kept("sandbox")
    assert composed.compose(home / "project", project.folder) == [], "`up` gives it no other"


def test_whoever_calls_a_model_has_the_key_in_use_from_where_the_keys_are_kept(project: Project) -> None:
    project.run("create", "freeuser1", "--stack", "dev")
    first, before = project.kept()["freeuser1"], project.text()
    assert stores.current_key("dev", "freeuser1", Silent(), project.folder) == key_of(first)
    assert project.text() == before, "reading changes nothing"
    project.run("rotate", "freeuser1", "--stack", "dev", "--grace", "1h")
    current = project.kept()["freeuser1"]
    assert stores.current_key("dev", "freeuser1", Silent(), project.folder) == key_of(current) != key_of(first)
    assert stores.current_key("dev", "premiumuser1", Silent(), project.folder) is None


def key_of(kept: object) -> str:
    """The key in use, of what is kept of a user."""
    return loaded("dev", {"somebody": kept})["somebody"][0].key.get_secret_value()
