import stat
from pathlib import Path

import pytest

from cli.deploy import target
from cli.deploy.target import of_sandbox, of_stack
from cli.exits import Exit, MaasError
from sandbox.instance import Sandbox


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("PULUMI_BACKEND_URL", "PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE", "KUBECONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MAAS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PULUMI_HOME", str(tmp_path / "user-pulumi"))
    return tmp_path / "home"


def stack_file(root: Path, monkeypatch: pytest.MonkeyPatch, content: str) -> None:
    (root / "Pulumi.yaml").write_text("name: maas\n")
    (root / "Pulumi.dev.yaml").write_text(content)
    monkeypatch.setattr(target, "ROOT", root)

    def path(stack: str) -> Path:
        return root / f"Pulumi.{stack}.yaml"

    monkeypatch.setattr(target, "stack_file", path)


def test_a_sandbox_keeps_all_its_state_in_its_folder_and_hears_nothing_of_the_users_pulumi(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PULUMI_ACCESS_TOKEN", "hush")
    monkeypatch.setenv("PULUMI_K8S_DELETE_UNREACHABLE", "true")
    found = of_sandbox(Sandbox.open("sandbox", home))
    folder = home / "sandbox"
    assert found.environment["PULUMI_BACKEND_URL"] == f"file://{folder}/state"
    assert found.environment["KUBECONFIG"] == str(folder / "kubeconfig.yaml")
    assert found.work_dir == folder / "project"
    assert {"PULUMI_ACCESS_TOKEN", "PULUMI_K8S_DELETE_UNREACHABLE"} <= found.without
    assert stat.S_IMODE((folder / "passphrase").stat().st_mode) == 0o600


def test_a_real_stack_is_local_and_private_unless_the_user_says_otherwise(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack_file(tmp_path, monkeypatch, "config: {}")
    found = of_stack("dev")
    assert found.environment["PULUMI_BACKEND_URL"] == f"file://{home}/state"
    passphrase = Path(found.environment["PULUMI_CONFIG_PASSPHRASE_FILE"])
    assert passphrase == home / "passphrase"
    assert stat.S_IMODE(passphrase.stat().st_mode) == 0o600
    assert len(passphrase.read_text()) >= 43, "256 random bits"
    assert of_stack("dev").environment == found.environment, "made once"


def test_what_the_user_sets_wins(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stack_file(tmp_path, monkeypatch, "encryptionsalt: v1:x\n")
    monkeypatch.setenv("PULUMI_BACKEND_URL", "s3://states")
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "")
    found = of_stack("dev")
    assert not {"PULUMI_BACKEND_URL", "PULUMI_CONFIG_PASSPHRASE_FILE"} & found.environment.keys()
    assert found.backend is None, "a state elsewhere is not ours to look into"
    assert not (home / "passphrase").exists()


def test_a_backend_in_the_project_file_and_another_secrets_provider_are_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack_file(tmp_path, monkeypatch, "secretsprovider: awskms://alias/x\n")
    (tmp_path / "Pulumi.yaml").write_text("name: maas\nbackend: {url: gs://states}\n")
    assert of_stack("dev").environment == {"PULUMI_SKIP_UPDATE_CHECK": "true"}


def test_a_stack_that_was_sealed_elsewhere_asks_for_its_passphrase(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack_file(tmp_path, monkeypatch, "encryptionsalt: v1:x\n")
    with pytest.raises(MaasError, match="PULUMI_CONFIG_PASSPHRASE") as caught:
        of_stack("dev").require_passphrase()
    assert caught.value.code is Exit.USAGE, "a new passphrase could never open it"


def test_plugins_of_the_user_are_shared_with_the_sandbox(home: Path, tmp_path: Path) -> None:
    (tmp_path / "user-pulumi" / "plugins" / "resource-kubernetes-v4").mkdir(parents=True)
    found = of_sandbox(Sandbox.open("sandbox", home))
    assert (Path(found.environment["PULUMI_HOME"]) / "plugins" / "resource-kubernetes-v4").is_dir()
