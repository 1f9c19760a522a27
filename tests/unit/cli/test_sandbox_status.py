import pytest
from typer.testing import CliRunner

from cli.app import app
from sandbox import lifecycle
from sandbox.instance import Sandbox


def status(*, answers: bool) -> lifecycle.SandboxStatus:
    return lifecycle.SandboxStatus(
        name="sandbox",
        running=True,
        server="https://127.0.0.1:1",
        kubeconfig="/kubeconfig",
        version="v1.2.3",
        processes=(),
        ports={},
        gateway="http://127.0.0.1:2",
        admin="http://127.0.0.1:3",
        answers=answers,
    )


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        (True, "gateway http://127.0.0.1:2, its health, metrics and decisions http://127.0.0.1:3"),
        (False, "gateway http://127.0.0.1:2 does not answer. Start it: ./maas sandbox up --name sandbox"),
    ],
)
def test_the_gateway_is_told_to_be_there_when_it_answers(
    *, answers: bool, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def of(sandbox: Sandbox) -> lifecycle.SandboxStatus:
        assert sandbox.name == "sandbox"
        return status(answers=answers)

    monkeypatch.setattr(lifecycle, "status", of)
    assert f"  {words}\n" in CliRunner().invoke(app, ["sandbox", "status"]).stdout
