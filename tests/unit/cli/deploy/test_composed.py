import stat
from pathlib import Path
from typing import Any

import pytest
import yaml

from cli.deploy.composed import compose, merge, remember_keyed
from cli.exits import Exit, MaasError

TRACKED: dict[str, Any] = {
    "config": {"maas:domain": "a.example", "maas:users": {"ann": {"tier": "free"}, "bob": {"tier": "free"}}}
}
OWN: dict[str, Any] = {
    "encryptionsalt": "v1:salt",
    "config": {"maas:apiKeys": {"ann": {"secure": "v1:ann"}, "gone": {"secure": "v1:gone"}}},
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "repo"
    folder.mkdir()
    (folder / "Pulumi.yaml").write_text("name: maas\n")
    (folder / "Pulumi.sandbox.yaml").write_text(yaml.safe_dump(TRACKED))
    return folder


def test_salt_and_generated_keys_stay_when_the_tracked_file_changes() -> None:
    merged = merge({"config": {**TRACKED["config"], "maas:domain": "b.example"}}, OWN)
    assert merged["encryptionsalt"] == "v1:salt"
    assert merged["config"]["maas:apiKeys"]["ann"] == {"secure": "v1:ann"}
    assert merged["config"]["maas:domain"] == "b.example"


def test_the_key_of_a_user_that_has_gone_goes_too() -> None:
    assert "gone" not in merge(TRACKED, OWN)["config"]["maas:apiKeys"]


def test_settings_that_were_removed_from_the_tracked_file_do_not_linger() -> None:
    earlier = {**OWN, "config": {**OWN["config"], "maas:limiter": {"replicas": 2}}}
    assert "maas:limiter" not in merge(TRACKED, earlier)["config"]


def test_a_salt_in_the_tracked_file_is_not_taken_for_the_sandboxs_own() -> None:
    assert merge({**TRACKED, "encryptionsalt": "v1:other"}, OWN)["encryptionsalt"] == "v1:salt"
    assert "encryptionsalt" not in merge({**TRACKED, "encryptionsalt": "v1:other"}, {})


def test_encrypted_values_in_the_tracked_file_are_refused_by_name() -> None:
    tracked = {"config": {**TRACKED["config"], "maas:apiKeys": {"ann": {"secure": "v1:x"}}}}
    with pytest.raises(MaasError, match="maas:apiKeys") as caught:
        merge(tracked, OWN)
    assert caught.value.code is Exit.CONFIG


def test_the_composed_files_are_private_and_the_tracked_ones_untouched(root: Path, tmp_path: Path) -> None:
    before = (root / "Pulumi.sandbox.yaml").read_bytes()
    missing = compose(tmp_path / "project", root)
    composed = tmp_path / "project" / "Pulumi.sandbox.yaml"
    assert missing == ["ann", "bob"]
    assert stat.S_IMODE(composed.stat().st_mode) == 0o600
    assert yaml.safe_load(composed.read_text())["config"] == TRACKED["config"]
    assert (root / "Pulumi.sandbox.yaml").read_bytes() == before


def test_composing_again_writes_nothing_when_nothing_changed(root: Path, tmp_path: Path) -> None:
    compose(tmp_path / "project", root)
    composed = tmp_path / "project" / "Pulumi.sandbox.yaml"
    # As the engine leaves it: other order, other style, its own additions.
    composed.write_text(
        yaml.safe_dump({**yaml.safe_load(composed.read_text()), "encryptionsalt": "v1:salt"}, default_flow_style=True)
    )
    written = composed.read_bytes()
    compose(tmp_path / "project", root)
    assert composed.read_bytes() == written


def test_a_composed_file_that_a_killed_engine_cut_short_is_made_anew(root: Path, tmp_path: Path) -> None:
    compose(tmp_path / "project", root)
    composed = tmp_path / "project" / "Pulumi.sandbox.yaml"
    composed.write_text("config:\n  maas:apiKeys: {ann: {secu")
    assert compose(tmp_path / "project", root) == ["ann", "bob"]
    assert yaml.safe_load(composed.read_text())["config"] == TRACKED["config"]


SEALED: dict[str, Any] = {"encryptionsalt": "v1:salt", "config": {"maas:apiKeys": {"secure": "v1:all-of-them"}}}


def composed_with_sealed_keys(root: Path, folder: Path, keyed: list[str]) -> Path:
    compose(folder, root)
    composed = folder / "Pulumi.sandbox.yaml"
    content = yaml.safe_load(composed.read_text())
    content["config"]["maas:apiKeys"] = SEALED["config"]["maas:apiKeys"]
    composed.write_text(yaml.safe_dump({**content, "encryptionsalt": "v1:salt"}))
    remember_keyed(folder, keyed)
    return composed


def test_keys_in_one_encrypted_text_stay_and_are_settled_for_the_users_that_were_noted_down(
    root: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "project"
    composed = composed_with_sealed_keys(root, folder, ["ann", "bob"])
    assert compose(folder, root) == []
    assert yaml.safe_load(composed.read_text())["config"]["maas:apiKeys"] == {"secure": "v1:all-of-them"}
    assert stat.S_IMODE((folder / "keyed-users.json").stat().st_mode) == 0o600


def test_users_that_came_and_users_that_went_have_their_keys_settled_anew(root: Path, tmp_path: Path) -> None:
    folder = tmp_path / "project"
    composed_with_sealed_keys(root, folder, ["ann", "gone"])
    assert compose(folder, root) == ["bob", "gone"], "the program would refuse a key without a user"


def test_where_it_was_not_noted_down_whose_keys_are_settled_nobodys_are(root: Path, tmp_path: Path) -> None:
    folder = tmp_path / "project"
    composed_with_sealed_keys(root, folder, ["ann", "bob"])
    (folder / "keyed-users.json").write_text('["ann", "b')
    assert compose(folder, root) == ["ann", "bob"]


def test_an_overlay_stands_over_the_tracked_settings_key_by_key_and_can_take_one_away(
    root: Path, tmp_path: Path
) -> None:
    tracked = {
        "maas:domain": "a.example",
        "gateway": {"name": "gate", "tls": {"mode": "none"}},
        "maas:users": {"ann": {"tier": "free"}},
        "maas:apiKeys": {"ann": {"secure": "v1:sealed-with-another-passphrase"}},
    }
    (root / "Pulumi.dev.yaml").write_text(yaml.safe_dump({"config": tracked}))
    overlay = {
        "maas:domain": "b.example",
        "maas:gateway": {"expose": "nodePort", "tls": {"mode": "x"}},
        "maas:apiKeys": None,
    }
    missing = compose(tmp_path / "project", root, stack="dev", overlay=overlay)
    config = yaml.safe_load((tmp_path / "project" / "Pulumi.dev.yaml").read_text())["config"]
    assert config["maas:domain"] == "b.example"
    assert config["maas:gateway"] == {"name": "gate", "expose": "nodePort", "tls": {"mode": "x"}}
    assert "maas:apiKeys" not in config
    assert missing == ["ann"], "a key is generated in place of the one that cannot be read"
