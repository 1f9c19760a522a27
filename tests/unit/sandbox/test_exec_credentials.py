"""Logging in with a program that the kubeconfig names, as EKS, GKE, AKS and OpenShift have it."""

import asyncio
import base64
import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from sandbox.exec_credentials import VERSIONS, Credential, ExecCredentialError, obtain
from sandbox.kube import Kube, Retry
from sandbox.kubeconfig import Connection, KubeconfigError

V1, V1BETA1 = VERSIONS
NOW = datetime(2026, 1, 1, tzinfo=UTC)
TOKEN = "only-in-a-test"  # noqa: S105

Plugin = Callable[..., dict[str, Any]]


def answer(version: str = V1, **status: str) -> str:
    return json.dumps({"apiVersion": version, "kind": "ExecCredential", "status": status})


@pytest.fixture
def plugin(tmp_path: Path) -> Plugin:
    """Makes a program that does what the test says; returns the kubeconfig's `exec` section for it."""

    def make(body: str, version: str = V1, **more: object) -> dict[str, Any]:
        program = tmp_path / "get-token"
        program.write_text(f"#!{sys.executable}\nimport os, sys, json, time\n{body}\n", encoding="utf-8")
        program.chmod(0o755)
        return {"apiVersion": version, "command": str(program), "interactiveMode": "IfAvailable", **more}

    return make


@pytest.mark.parametrize("version", VERSIONS)
def test_a_token_is_taken_from_what_the_program_prints(plugin: Plugin, version: str) -> None:
    text = answer(version, token=TOKEN, expirationTimestamp="2026-01-01T00:10:00Z")
    assert obtain(plugin(f"print({text!r})", version), {}, now=NOW) == Credential(TOKEN)


def test_arguments_and_environment_reach_the_program_and_ours_does_too(
    plugin: Plugin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OF_OURS", "c")
    body = (
        "token = '-'.join([*sys.argv[1:], os.environ['ADDED'], os.environ['OF_OURS']])\n"
        f"print(json.dumps({{'apiVersion': {V1!r}, 'kind': 'ExecCredential', 'status': {{'token': token}}}}))"
    )
    settings = plugin(body, args=["a", "--b"], env=[{"name": "ADDED", "value": "x"}])
    assert obtain(settings, {}) == Credential("a---b-x-c")


@pytest.mark.parametrize("asked", [True, False])
def test_the_program_learns_of_the_cluster_when_it_asks_for_it(plugin: Plugin, *, asked: bool) -> None:
    body = (
        "info = os.environ['KUBERNETES_EXEC_INFO']\n"
        f"print(json.dumps({{'apiVersion': {V1!r}, 'kind': 'ExecCredential', 'status': {{'token': info}}}}))"
    )
    cluster = {
        "server": "https://cluster.example.com",
        "certificate-authority-data": "Q0E=",
        "secret-of-ours": "no",
        "extensions": [{"name": "client.authentication.k8s.io/exec", "extension": {"audience": "x"}}],
    }
    info = json.loads(obtain(plugin(body, provideClusterInfo=asked), cluster).token or "")
    known = {key: cluster[key] for key in ("server", "certificate-authority-data")} | {"config": {"audience": "x"}}
    assert (info["apiVersion"], info["kind"]) == (V1, "ExecCredential")
    assert info["spec"] == {"interactive": False, **({"cluster": known} if asked else {})}


def test_a_program_by_a_relative_path_is_in_the_kubeconfigs_folder(plugin: Plugin, tmp_path: Path) -> None:
    settings = plugin(f"print({answer(token=TOKEN)!r})") | {"command": "./get-token"}
    assert obtain(settings, {}, base=tmp_path).token == TOKEN


def refusal(settings: dict[str, Any], **more: Any) -> str:  # noqa: ANN401 - whatever obtain takes
    with pytest.raises(ExecCredentialError) as error:
        obtain(settings, {}, **more)
    assert TOKEN not in str(error.value)
    return str(error.value)


def test_a_program_that_is_missing_is_named_with_its_hint() -> None:
    settings = {"apiVersion": V1, "command": "no-such-plugin", "installHint": "Install it from example.com"}
    said = refusal(settings)
    assert "no-such-plugin, which is not installed" in said
    assert "Install it from example.com" in said


def test_a_program_that_needs_a_terminal_is_not_run(plugin: Plugin, tmp_path: Path) -> None:
    settings = plugin(f"open({str(tmp_path / 'ran')!r}, 'w')", interactiveMode="Always")
    assert "needs a terminal" in refusal(settings)
    assert not (tmp_path / "ran").exists()


def test_a_program_that_reads_from_the_terminal_finds_none(plugin: Plugin) -> None:
    assert "EOFError" in refusal(plugin("input('user: ')"))


def test_a_program_that_does_not_end_is_ended(plugin: Plugin) -> None:
    assert "within 0 s" in refusal(plugin("time.sleep(60)"), seconds=0.4)


def test_what_the_program_complains_of_is_told_and_not_what_it_prints(plugin: Plugin) -> None:
    said = refusal(plugin(f"print({TOKEN!r}); print('session has ended: run login', file=sys.stderr); sys.exit(3)"))
    assert "failed with exit code 3: session has ended: run login" in said


@pytest.mark.parametrize(
    ("printed", "why"),
    [
        ("", "no ExecCredential"),
        (TOKEN, "no ExecCredential"),
        ("[]", "no ExecCredential"),
        (answer(V1BETA1, token=TOKEN), "asks for"),
        (answer(), "neither a token nor a client certificate"),
        (answer(clientCertificateData="PEM"), "without its key"),
        (answer(token=TOKEN, expirationTimestamp="2025-12-31T23:59:59Z"), "ended at 2025-12-31"),
        (answer(token=TOKEN, expirationTimestamp="2025-12-31T23:59:59+00:00"), "ended at 2025-12-31"),
        (answer(token=TOKEN, expirationTimestamp="soon"), "no time"),
    ],
)
def test_what_is_no_credential_that_is_valid_now_is_refused(plugin: Plugin, printed: str, why: str) -> None:
    assert why in refusal(plugin(f"print({printed!r})"), now=NOW)


@pytest.mark.parametrize("version", ["", "client.authentication.k8s.io/v1alpha1"])
def test_a_version_that_is_not_known_is_refused_with_those_that_are(plugin: Plugin, version: str) -> None:
    assert V1BETA1 in refusal(plugin("", version))


# In a kubeconfig.


def kubeconfig(user: dict[str, Any], **cluster: str) -> str:
    return json.dumps(
        {
            "current-context": "c",
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
            "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:1", **cluster}}],
            "users": [{"name": "u", "user": user}],
        }
    )


def test_the_token_of_a_program_is_the_bearer_token(plugin: Plugin) -> None:
    connection = Connection.parse(kubeconfig({"exec": plugin(f"print({answer(token=TOKEN)!r})")}))
    assert connection.headers == {"Authorization": f"Bearer {TOKEN}"}
    assert TOKEN not in repr(connection)


@pytest.mark.parametrize("own", [{"token": "mine"}, {"tokenFile": "token"}])
def test_a_token_of_the_kubeconfigs_own_wins_and_no_program_is_run(
    plugin: Plugin, tmp_path: Path, own: dict[str, str]
) -> None:
    (tmp_path / "token").write_text("mine\n", encoding="utf-8")
    user = {"exec": plugin("sys.exit(1)"), **own}
    assert Connection.parse(kubeconfig(user), base=tmp_path).headers == {"Authorization": "Bearer mine"}


def test_a_token_in_a_file_wins_over_one_that_may_be_older(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("renewed\n", encoding="utf-8")
    user = {"token": "old", "tokenFile": "token"}
    assert Connection.parse(kubeconfig(user), base=tmp_path).headers == {"Authorization": "Bearer renewed"}


def test_a_program_that_fails_is_told_with_the_user_and_the_kubeconfig(plugin: Plugin) -> None:
    with pytest.raises(KubeconfigError, match=r"my config: user u: .*exit code 1"):
        Connection.parse(kubeconfig({"exec": plugin("sys.exit(1)")}), origin="my config")


def test_a_certificate_authority_in_a_file_reaches_the_program_as_data(plugin: Plugin, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("CERTIFICATE", encoding="utf-8")
    body = (
        "ca = json.loads(os.environ['KUBERNETES_EXEC_INFO'])['spec']['cluster']['certificate-authority-data']\n"
        f"print(json.dumps({{'apiVersion': {V1!r}, 'kind': 'ExecCredential', 'status': {{'token': ca}}}}))"
    )
    text = kubeconfig({"exec": plugin(body, provideClusterInfo=True)}, **{"certificate-authority": "ca.pem"})
    sent = Connection.parse(text, base=tmp_path).headers["Authorization"].removeprefix("Bearer ")
    assert base64.b64decode(sent) == b"CERTIFICATE"


def test_the_certificate_is_checked_against_the_name_that_the_kubeconfig_gives() -> None:
    names: list[object] = []

    def serve(request: httpx.Request) -> httpx.Response:
        names.append(request.extensions.get("sni_hostname"))
        return httpx.Response(200, json={"gitVersion": "v1.33.0"})

    async def ask(connection: Connection) -> None:
        async with Kube(connection, transport=httpx.MockTransport(serve), retry=Retry(attempts=1)) as kube:
            await kube.version()

    asyncio.run(ask(Connection.parse(kubeconfig({}, **{"tls-server-name": "kubernetes.example.com"}))))
    asyncio.run(ask(Connection.parse(kubeconfig({}))))
    assert names == ["kubernetes.example.com", None]
