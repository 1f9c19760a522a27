"""What a kubeconfig says about reaching one API server."""

import base64
import ssl
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, cast

import yaml

from sandbox.exec_credentials import ExecCredentialError, obtain
from sandbox.go_yaml import load

_UNSUPPORTED = ("auth-provider", "username", "password", "as", "as-uid", "as-groups", "as-user-extra")


class KubeconfigError(Exception):
    """The kubeconfig cannot be used; the message says why and what to do."""


@dataclass(frozen=True)
class Connection:
    """One API server and the right to talk to it.

    Attributes:
        server: Base URL.
        namespace: The context's default namespace.
        tls: Trust and client certificate; True stands for the system's trust store.
        headers: The bearer token, when there is one.
        proxy: The cluster's `proxy-url`.
        server_name: The name that the server's certificate is for, where it is not that of the URL.
        context: The context's name.
    """

    server: str
    namespace: str = "default"
    tls: ssl.SSLContext | bool = True
    headers: dict[str, str] = field(default_factory=dict[str, str], repr=False)
    proxy: str | None = None
    server_name: str | None = None
    context: str = ""

    @classmethod
    def read(cls, path: Path, context: str | None = None) -> Self:
        """Read a kubeconfig file; relative paths in it are relative to its folder.

        Raises:
            KubeconfigError: The file is missing, incomplete, or asks for a way to log in that is not supported.
        """
        try:
            text = path.read_text(encoding="utf-8")
        except OSError as error:
            raise KubeconfigError(f"kubeconfig {path} cannot be read: {error.strerror}") from error
        return cls.parse(text, context, base=path.parent, origin=f"kubeconfig {path}")

    @classmethod
    def parse(
        cls, text: str, context: str | None = None, *, base: Path | None = None, origin: str = "kubeconfig"
    ) -> Self:
        """Read a kubeconfig's text.

        Args:
            text: YAML or JSON.
            context: The context to use; the current one when None.
            base: Folder that relative paths refer to.
            origin: How errors call the source.

        A user without a token and a certificate of its own may name a program that gives one (`exec`): it is run.

        Raises:
            KubeconfigError: As `read`; or the program that gives the credential could not.
        """
        try:
            config = load(text)
        except yaml.YAMLError as error:
            # The parser's own message quotes the text, which holds credentials.
            raise KubeconfigError(f"{origin} is not valid YAML") from error
        if not isinstance(config, dict):
            raise KubeconfigError(f"{origin} is empty or not a mapping")
        entries = cast("dict[str, Any]", config)
        name = context or entries.get("current-context")
        if not name:
            raise KubeconfigError(f"{origin} has no current-context: name one")
        chosen = _entry(entries, "context", str(name), origin)
        cluster = _entry(entries, "cluster", str(chosen.get("cluster")), origin)
        user = _entry(entries, "user", str(chosen["user"]), origin) if chosen.get("user") else {}
        for key in _UNSUPPORTED:
            if key in user:
                raise KubeconfigError(
                    f"{origin}: user {chosen.get('user')} logs in with `{key}`, which this client does not support; "
                    "use a client certificate or a token (kubectl create token)"
                )
        files = _Files(base or Path(), origin)
        user = _with_credential(user, cluster, base, f"{origin}: user {chosen.get('user')}")
        # A file wins, as its token may have been renewed since.
        token = files.text(user["tokenFile"]) if user.get("tokenFile") else user.get("token")
        return cls(
            server=str(cluster["server"]).rstrip("/"),
            namespace=str(chosen.get("namespace") or "default"),
            tls=_tls(cluster, user, files) if str(cluster["server"]).startswith("https") else True,
            headers={"Authorization": f"Bearer {token}"} if token else {},
            proxy=cluster.get("proxy-url"),
            server_name=cluster.get("tls-server-name"),
            context=str(name),
        )


@dataclass(frozen=True)
class _Files:
    """Finds the certificates and keys that a kubeconfig holds or names."""

    base: Path
    origin: str

    def text(self, name: str) -> str:
        try:
            return (self.base / name).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise KubeconfigError(f"{self.origin} names {name}, which cannot be read: {error.strerror}") from error

    def pem(self, section: dict[str, Any], key: str) -> str | None:
        if section.get(f"{key}-data"):
            return base64.b64decode(section[f"{key}-data"]).decode()
        return self.text(section[key]) if section.get(key) else None


def _entry(config: dict[str, Any], what: str, name: str, origin: str) -> dict[str, Any]:
    entries = cast("list[dict[str, Any]]", config.get(f"{what}s") or [])
    for entry in entries:
        if entry.get("name") == name:
            return cast("dict[str, Any]", entry.get(what) or {})
    names = ", ".join(str(entry.get("name")) for entry in entries) or "none"
    raise KubeconfigError(f"{origin} has no {what} {name}; it has: {names}")


def _with_credential(user: dict[str, Any], cluster: dict[str, Any], base: Path | None, whose: str) -> dict[str, Any]:
    """The user with what its program gives; what the kubeconfig itself has wins, as it does for kubectl."""
    own = ("token", "tokenFile", "client-certificate", "client-certificate-data")
    if not user.get("exec") or any(user.get(key) for key in own):
        return user
    known = dict(cluster)
    if known.get("certificate-authority") and not known.get("certificate-authority-data"):
        authority = _Files(base or Path(), whose).text(known["certificate-authority"])
        known["certificate-authority-data"] = base64.b64encode(authority.encode()).decode()
    try:
        credential = obtain(user["exec"], known, base=base)
    except ExecCredentialError as error:
        raise KubeconfigError(f"{whose}: {error}") from error
    given = {"token": credential.token}
    if credential.certificate and credential.key:
        given["client-certificate-data"] = base64.b64encode(credential.certificate.encode()).decode()
        given["client-key-data"] = base64.b64encode(credential.key.encode()).decode()
    return {**user, **given}


def _tls(cluster: dict[str, Any], user: dict[str, Any], files: _Files) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=files.pem(cluster, "certificate-authority"))
    if cluster.get("insecure-skip-tls-verify"):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    certificate, key = files.pem(user, "client-certificate"), files.pem(user, "client-key")
    if certificate and key:
        # The ssl module takes client keys from files only; a temporary file is readable by its owner alone.
        with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
            file.write(f"{certificate}\n{key}\n")
            file.flush()
            context.load_cert_chain(file.name)
    return context
