"""The script that renews Grafana's token, run as a process with the rights of its account."""

import asyncio
import base64
import json
import os
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from components.observability.grafana import READER, ROTATOR, SCRIPT_FILE, TOKEN, rotator_rules
from sandbox.kube import Kube
from sandbox.kubeconfig import Connection
from tests.namespaces import namespaces_present

pytestmark = pytest.mark.sandbox

OURS = "rotation"
RBAC = "rbac.authorization.k8s.io"


def _object(api_version: str, kind: str, name: str, **body: object) -> dict[str, Any]:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name, "namespace": OURS}, **body}


OBJECTS = [
    _object("v1", "ServiceAccount", READER),
    _object("v1", "ServiceAccount", ROTATOR),
    _object("v1", "Secret", TOKEN),
    _object("v1", "Secret", "another"),
    _object(f"{RBAC}/v1", "Role", ROTATOR, rules=rotator_rules()),
    _object(
        f"{RBAC}/v1",
        "RoleBinding",
        ROTATOR,
        roleRef={"apiGroup": RBAC, "kind": "Role", "name": ROTATOR},
        subjects=[{"kind": "ServiceAccount", "name": ROTATOR, "namespace": OURS}],
    ),
]


@pytest.fixture(scope="module")
def account(kubeconfig: Path, tmp_path_factory: pytest.TempPathFactory) -> Generator[Path]:
    """The files that a pod of the CronJob would find in its account's folder."""
    folder = tmp_path_factory.mktemp("account")
    cluster = yaml.safe_load(kubeconfig.read_text(encoding="utf-8"))["clusters"][0]["cluster"]
    if "certificate-authority" in cluster:
        authority = (kubeconfig.parent / cluster["certificate-authority"]).read_bytes()
    else:
        authority = base64.b64decode(cluster["certificate-authority-data"])
    (folder / "ca.crt").write_bytes(authority)

    async def make() -> None:
        async with Kube.connect(kubeconfig) as kube:
            for each in OBJECTS:
                await kube.apply(each, field_manager="test")

    with namespaces_present(kubeconfig, [OURS]):
        asyncio.run(make())
        connection = Connection.read(kubeconfig)
        request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 600}}
        url = f"{connection.server}/api/v1/namespaces/{OURS}/serviceaccounts/{ROTATOR}/token"
        answer = httpx.post(url, json=request, verify=connection.tls, trust_env=False)
        (folder / "token").write_text(answer.json()["status"]["token"], encoding="utf-8")
        yield folder


def rotate(kubeconfig: Path, account: Path, secret: str = TOKEN) -> subprocess.CompletedProcess[str]:
    environment = {
        "PATH": os.environ["PATH"],
        "MAAS_API_SERVER": Connection.read(kubeconfig).server,
        "MAAS_ACCOUNT": str(account),
        "MAAS_NAMESPACE": OURS,
        "MAAS_READER": READER,
        "MAAS_SECRET": secret,
        "MAAS_SECONDS": "3600",
    }
    command = [sys.executable, "-S", str(SCRIPT_FILE)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)  # noqa: S603


def stored(kubeconfig: Path) -> dict[str, Any]:
    """What the token in the Secret says."""

    async def read() -> str:
        async with Kube.connect(kubeconfig) as kube:
            secret = await kube.get("v1", "Secret", TOKEN, OURS)
            assert secret is not None
            return base64.b64decode(secret["data"]["token"]).decode()

    body = asyncio.run(read()).split(".")[1]
    return json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))


def test_the_secret_gets_a_token_of_the_reader_for_an_hour(kubeconfig: Path, account: Path) -> None:
    done = rotate(kubeconfig, account)
    assert done.returncode == 0, done.stderr
    claims = stored(kubeconfig)
    assert claims["sub"] == f"system:serviceaccount:{OURS}:{READER}"
    assert claims["exp"] - claims["iat"] == 3600
    assert "eyJ" not in done.stdout + done.stderr, "the token is in the log"


def test_the_next_run_puts_another_in_its_place(kubeconfig: Path, account: Path) -> None:
    rotate(kubeconfig, account)
    before = stored(kubeconfig)
    rotate(kubeconfig, account)
    assert stored(kubeconfig)["jti"] != before["jti"]


def test_the_account_may_write_no_other_secret(kubeconfig: Path, account: Path) -> None:
    done = rotate(kubeconfig, account, "another")
    assert done.returncode != 0
    assert "403" in done.stderr
