from pathlib import Path

import pytest

from cli.state.passphrase import fits, given
from tests.unit.cli.state.states import PASSPHRASE, SALT


def test_only_the_passphrase_that_the_engine_was_given_fits_the_proof_that_it_wrote() -> None:
    assert fits(PASSPHRASE, SALT)
    assert not fits("another", SALT)


@pytest.mark.parametrize("salt", ["", "v1:x", "v2:a:v1:b:c", SALT.replace("v1", "v9")])
def test_a_proof_of_an_unknown_form_is_an_error(salt: str) -> None:
    with pytest.raises(ValueError, match=r"proof|base64|padding"):
        fits(PASSPHRASE, salt)


def test_a_passphrase_is_found_where_the_engine_looks_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE"):
        monkeypatch.delenv(name, raising=False)
    file = tmp_path / "passphrase"
    named = {"PULUMI_CONFIG_PASSPHRASE_FILE": str(file)}
    assert given({}) is None
    assert given(named) is None, "the file is lost"
    file.write_text("from-a-file\n")
    assert given(named) == "from-a-file"
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "")
    assert given(named) == "", "an empty one is one"
