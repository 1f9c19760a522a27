"""Credentials from a program that a kubeconfig names (`exec`), asked for as kubectl does.

Source: the ExecCredential API (client.authentication.k8s.io) and client-go's plugin/pkg/client/auth/exec.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

_GROUP = "client.authentication.k8s.io"
VERSIONS = (f"{_GROUP}/v1", f"{_GROUP}/v1beta1")
TIMEOUT_SECONDS = 60.0
_CLUSTER_INFO = (
    "server",
    "tls-server-name",
    "insecure-skip-tls-verify",
    "certificate-authority-data",
    "proxy-url",
    "disable-compression",
)
"""What of the kubeconfig's cluster a program gets that asks for it."""
_EXTENSION = f"{_GROUP}/exec"
_LAST_LINES, _LINE = 5, 300


class ExecCredentialError(Exception):
    """The program gave no credential; the message says why and what to do."""


@dataclass(frozen=True)
class Credential:
    """What the program gave: a token, or a client certificate with its key (PEM), or both."""

    token: str | None = field(default=None, repr=False)
    certificate: str | None = None
    key: str | None = field(default=None, repr=False)


def obtain(
    settings: Mapping[str, Any],
    cluster: Mapping[str, Any],
    *,
    base: Path | None = None,
    seconds: float = TIMEOUT_SECONDS,
    now: datetime | None = None,
) -> Credential:
    """Run the program and take the credential that it prints.

    It is run without a terminal: nobody may be there to answer. A credential is used for one command of ours and not
    asked for again meanwhile.

    Args:
        settings: The `exec` section of a kubeconfig's user.
        cluster: The kubeconfig's cluster, for a program that wants to know it.
        base: The kubeconfig's folder: what a relative path to the program refers to.
        seconds: How long it may take.
        now: The time, for the credential's end; the clock's when None.

    Raises:
        ExecCredentialError: The program is missing, failed, took too long, needs a terminal, or printed no credential
            that is valid now.
    """
    version, command = str(settings.get("apiVersion") or ""), str(settings.get("command") or "")
    if version not in VERSIONS:
        raise ExecCredentialError(f"its `exec` has apiVersion {version or '(none)'}; known: {', '.join(VERSIONS)}")
    if not command:
        raise ExecCredentialError("its `exec` names no command")
    if settings.get("interactiveMode") == "Always":
        raise ExecCredentialError(
            f"{command} needs a terminal to log in (interactiveMode: Always), and there is none here; "
            "use a token instead (kubectl create token)"
        )
    program = _found(command, base, str(settings.get("installHint") or ""))
    printed = _run(program, command, settings, _question(version, settings, cluster), seconds)
    return _credential(printed, command, version, now or datetime.now(UTC))


def _found(command: str, base: Path | None, hint: str) -> str:
    """A name is looked for on PATH; a relative path counts from the kubeconfig's folder."""
    place = str((base or Path()) / command) if os.sep in command else command
    found = shutil.which(place)
    if found is None:
        raise ExecCredentialError(f"it logs in with the program {command}, which is not installed\n{hint}".rstrip())
    return found


def _question(version: str, settings: Mapping[str, Any], cluster: Mapping[str, Any]) -> str:
    """What the program finds in KUBERNETES_EXEC_INFO."""
    spec: dict[str, Any] = {"interactive": False}
    if settings.get("provideClusterInfo"):
        spec["cluster"] = {key: cluster[key] for key in _CLUSTER_INFO if key in cluster}
        for extension in cast("list[Mapping[str, Any]]", cluster.get("extensions") or []):
            if extension.get("name") == _EXTENSION:
                spec["cluster"]["config"] = extension.get("extension")
    return json.dumps({"apiVersion": version, "kind": "ExecCredential", "spec": spec})


def _run(program: str, command: str, settings: Mapping[str, Any], question: str, seconds: float) -> str:
    arguments = [str(each) for each in cast("list[object]", settings.get("args") or [])]
    added = {str(each["name"]): str(each["value"]) for each in cast("list[Any]", settings.get("env") or [])}
    try:
        done = subprocess.run(  # noqa: S603 - what the user's own kubeconfig says
            [program, *arguments],
            env={**os.environ, **added, "KUBERNETES_EXEC_INFO": question},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=seconds,
        )
    except subprocess.TimeoutExpired:
        raise ExecCredentialError(
            f"{command} gave no credential within {seconds:.0f} s; log in by hand first, as kubectl get pods does"
        ) from None
    except OSError as error:
        raise ExecCredentialError(f"{command} cannot be run: {error.strerror}") from error
    if done.returncode:
        # Its standard output may hold a credential; what it complains of is on the other one.
        raise ExecCredentialError(f"{command} failed with exit code {done.returncode}{_said(done.stderr)}")
    return done.stdout


def _said(stderr: str) -> str:
    lines = [line.strip()[:_LINE] for line in stderr.splitlines() if line.strip()]
    return f": {' / '.join(lines[-_LAST_LINES:])}" if lines else ""


def _credential(printed: str, command: str, version: str, now: datetime) -> Credential:
    try:
        answer: object = json.loads(printed)
    except ValueError:
        answer = None
    if not isinstance(answer, dict) or cast("dict[str, Any]", answer).get("kind") != "ExecCredential":
        raise ExecCredentialError(f"{command} printed no ExecCredential")
    given = cast("dict[str, Any]", answer)
    if given.get("apiVersion") != version:
        raise ExecCredentialError(
            f"{command} printed a credential of {given.get('apiVersion')}, but the kubeconfig asks for {version}"
        )
    status = cast("dict[str, Any]", given.get("status") or {})
    credential = Credential(
        status.get("token") or None, status.get("clientCertificateData") or None, status.get("clientKeyData") or None
    )
    if (credential.certificate is None) != (credential.key is None):
        raise ExecCredentialError(f"{command} printed a client certificate without its key, or the other way round")
    if credential.token is None and credential.certificate is None:
        raise ExecCredentialError(f"{command} printed a credential with neither a token nor a client certificate")
    _refuse_expired(str(status.get("expirationTimestamp") or ""), command, now)
    return credential


def _refuse_expired(until: str, command: str, now: datetime) -> None:
    if not until:
        return
    try:
        end = datetime.fromisoformat(until)
    except ValueError as error:
        raise ExecCredentialError(f"{command} printed an expirationTimestamp that is no time: {until[:40]}") from error
    if (end if end.tzinfo else end.replace(tzinfo=UTC)) <= now:
        raise ExecCredentialError(f"{command} printed a credential that ended at {until}: log in anew")
