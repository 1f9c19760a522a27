from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
import yaml
from rich.console import Console

from cli.exits import MaasError
from cli.paths import ROOT
from cli.program.recorder import record, stack_config
from cli.stacks import drift
from cli.stacks.command import Row, create, look, new_text, rows, table
from config.versions import KUADRANT_VERSION, OPENSHIFT_CERT_MANAGER_CHANNEL

SOURCE = """\
# Ours.
secretsprovider: passphrase
encryptionsalt: v1:abc
config:
  maas:domain: apps.one.example.com  # the wildcard
  maas:apiKeys:
    alice:
      secure: v1:xyz
  # what they may
  maas:tiers:
    free: {level: 0, requests: 5 per 2m, tokens: 100 per 1m}
"""


def test_a_copy_has_its_own_domain_and_context_and_no_secret_of_the_other() -> None:
    text = new_text(SOURCE, "apps.two.example.com", "two")
    content = yaml.safe_load(text)
    assert set(content) == {"config"}
    assert content["config"]["maas:domain"] == "apps.two.example.com"
    assert content["config"]["maas:cluster"] == {"context": "two"}
    assert "maas:apiKeys" not in content["config"]
    assert "xyz" not in text
    for kept in ("# Ours.", "# the wildcard", "free: {level: 0, requests: 5 per 2m, tokens: 100 per 1m}"):
        assert kept in text


def test_secrets_elsewhere_are_not_lost_silently() -> None:
    with pytest.raises(MaasError, match="maas:other: encrypted for the other stack"):
        new_text(SOURCE + "  maas:other: {secure: v1:q}\n", "x.example.com", "")


@pytest.mark.parametrize("context", ["", "two"])
def test_a_copy_of_a_copy_does_not_lead_to_the_others_cluster(context: str) -> None:
    of_one = new_text(SOURCE, "apps.one.example.com", "one").replace('"one"', '"one", identifier: one')
    config = yaml.safe_load(new_text(of_one + "environment: [maas/fleet]\n", "x.example.com", context))["config"]
    assert config.get("maas:cluster") == ({"context": "two"} if context else None)
    assert config["maas:tiers"]


@pytest.mark.parametrize("domain", ["", "Not A Domain", "*.example.com", "https://example.com", "a.example.com # b"])
def test_what_is_no_domain_makes_no_file(tmp_path: Path, domain: str) -> None:
    (tmp_path / "Pulumi.dev.yaml").write_text(SOURCE, encoding="utf-8")
    with pytest.raises(MaasError, match="not a domain name; allowed: DNS labels"):
        create("new", "dev", domain, "", tmp_path)
    assert not (tmp_path / "Pulumi.new.yaml").exists()


def test_a_copy_of_each_shipped_stack_can_be_deployed(tmp_path: Path) -> None:
    folder = tmp_path
    for name in ("Pulumi.yaml", "Pulumi.dev.yaml", "Pulumi.ocp.yaml"):
        (folder / name).write_bytes((ROOT / name).read_bytes())
    for source in ("dev", "ocp"):
        create(f"{source}-eu1", source, "eu1.example.com", "eu1", folder)
        recording = record(f"{source}-eu1", *stack_config(f"{source}-eu1", folder))
        assert all("eu1.example.com" in url for url in recording.outputs["endpoints"].values())
    with pytest.raises(MaasError, match="is there already"):
        create("dev-eu1", "dev", "x.example.com", "", folder)
    with pytest.raises(MaasError, match="does not exist"):
        create("x", "nowhere", "x.example.com", "", folder)
    with pytest.raises(MaasError, match="no name of a stack"):
        create("../x", "dev", "x.example.com", "", folder)
    found = {each.stack: each for each in rows(folder)}
    assert (found["ocp-eu1"].profile, found["ocp-eu1"].context) == ("openshift", "eu1")
    assert found["dev"].domain != found["dev-eu1"].domain


def test_a_row_tells_the_versions_that_the_stack_installs_or_who_else_does() -> None:
    found = {each.stack: each for each in rows()}
    assert found["dev"].versions["kuadrant"] == KUADRANT_VERSION
    assert found["ocp"].versions["certManager"] == f"channel {OPENSHIFT_CERT_MANAGER_CHANNEL}"
    assert found["sandbox"].versions["kserve"] == "preinstalled"


def test_what_is_not_known_here_is_said_to_be_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAAS_HOME", str(tmp_path))
    monkeypatch.setenv("PULUMI_BACKEND_URL", "s3://bucket")
    text = printed(rows())
    assert text.count("unknown") == 2 * len(rows()), "neither when it was updated nor whether it has drifted"


def test_the_newest_look_at_a_cluster_is_told_wherever_it_was_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAAS_HOME", str(tmp_path))
    nightly = tmp_path / "drift" / "drift-ocp" / "ocp.json"  # as `gh run download` lays artifacts down
    nightly.parent.mkdir(parents=True)
    nightly.write_text('{"checked": "2026-11-24T03:17:00Z", "drifted": true}', encoding="utf-8")
    (tmp_path / "drift" / "dev.json").write_text("[]", encoding="utf-8")
    found = {each.stack: each.drift for each in rows()}
    assert found == {"dev": "", "ocp": "yes (2026-11-24T03:17:00Z)", "sandbox": ""}
    drift.remember("ocp", drifted=False)
    assert {each.stack: each.drift for each in rows()}["ocp"].startswith("no (20")
    assert "yes (2026" not in printed(rows())


def test_a_stack_whose_settings_are_refused_has_a_row_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "Pulumi.yaml").write_bytes((ROOT / "Pulumi.yaml").read_bytes())
    (tmp_path / "Pulumi.eu1.yaml").write_text("config: {maas:domain: UPPER}\n", encoding="utf-8")
    (tmp_path / "Pulumi.eu2.yaml").write_text("config: [", encoding="utf-8")
    found = rows(tmp_path)
    assert [(row.stack, row.versions) for row in found] == [("eu1", {}), ("eu2", {})]
    assert printed(found).count("refused") == len(found)


def test_only_stacks_whose_state_is_here_are_compared_and_a_failure_does_not_end_it() -> None:
    one, two, three = (
        replace(rows()[0], stack=name, deployed=when) for name, when in (("a", ""), ("b", "x"), ("c", "x"))
    )
    asked: list[str] = []

    def refresh(stack: str) -> None:
        asked.append(stack)
        if stack == "b":
            raise MaasError("its cluster does not answer")

    said = list(look([one, two, three], refresh))
    assert asked == ["b", "c"]
    assert said[1:] == ["b: its cluster does not answer"]
    assert said[0].startswith("a: its state is not in a folder here")


def printed(found: list[Row]) -> str:
    text = StringIO()
    Console(width=200, file=text).print(table(found))
    return text.getvalue()
