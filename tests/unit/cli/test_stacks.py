from pathlib import Path

import pytest
import yaml

from cli.exits import MaasError
from cli.paths import ROOT
from cli.recorder import record, stack_config
from cli.stacks import create, new_text, rows

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


def test_a_context_that_is_there_is_not_written_over() -> None:
    with pytest.raises(MaasError, match="maas:cluster already"):
        new_text(SOURCE + "  maas:cluster: {context: one}\n", "x.example.com", "two")


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
    table = {each.stack: each for each in rows(folder)}
    assert (table["ocp-eu1"].profile, table["ocp-eu1"].context) == ("openshift", "eu1")
    assert table["dev"].domain != table["dev-eu1"].domain
