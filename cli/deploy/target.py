"""Where a stack lives: its project folder, its state, and the environment that the engine works in."""

import hashlib
import os
import re
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from cli.deploy.recovery import Backend
from cli.exits import Exit, MaasError
from cli.files import passphrase_file, private_folder
from cli.paths import ROOT, home
from cli.stacks.stackfile import PROJECT_FILE, SANDBOX, mapping, read, stack_file
from cli.state.deployment import salt
from sandbox.instance import Sandbox

_PASSPHRASE_FILE = "PULUMI_CONFIG_PASSPHRASE_FILE"  # noqa: S105 - the name of a variable
_ALWAYS = {"PULUMI_SKIP_UPDATE_CHECK": "true"}


@dataclass(frozen=True)
class Target:
    """One stack, and all that is needed to work on it."""

    stack: str
    project: str
    work_dir: Path
    """The folder of Pulumi.yaml and Pulumi.<stack>.yaml that the engine uses."""
    environment: Mapping[str, str]
    """What the engine has in its environment, beside our own."""
    without: frozenset[str]
    """What of our own environment the engine must not see."""
    kubeconfig: Path | None
    """The cluster's kubeconfig; None when the usual rules decide (KUBECONFIG, ~/.kube/config)."""
    sandbox: Sandbox | None
    """The embedded control plane, for the sandbox's stack."""
    lock: Path
    """The file that keeps two commands from working on the stack at once."""
    backups: Path
    """The folder of the copies of its state: beside the state's own, to outlive it, and gone with the sandbox."""
    words: str
    """What the command line says to mean this stack, with a space before it; empty for the default."""

    @property
    def backend(self) -> Backend | None:
        """The state, when it is a local folder."""
        return _backend(self.environment, self.project, self.stack)

    def require_passphrase(self) -> None:
        """See that a passphrase is at hand where something is encrypted with one.

        Raises:
            MaasError: It is lost, as far as this machine can tell.
        """
        named = self.environment.get(_PASSPHRASE_FILE)
        if named is None or Path(named).is_file():
            return
        own = "" if self.sandbox else " Or set PULUMI_CONFIG_PASSPHRASE or PULUMI_CONFIG_PASSPHRASE_FILE to it."
        raise MaasError(
            f"Stack {self.stack} was encrypted with a passphrase, and {named} is not there. Put it back.{own} "
            f"Should it be lost for good: ./maas state adopt --lost-passphrase{self.words}",
            code=Exit.USAGE,
        )

    def wrong_passphrase(self) -> str:
        """What to say when the engine was given another passphrase than the one that it encrypted with."""
        named = self.environment.get(_PASSPHRASE_FILE)
        where = f"what {named} has" if named else f"PULUMI_CONFIG_PASSPHRASE, or what {_PASSPHRASE_FILE} names,"
        return (
            f"Stack {self.stack} was encrypted with another passphrase: {where} does not open it. Put the right one "
            f"back. Should it be lost for good: ./maas state adopt --lost-passphrase{self.words}"
        )

    @contextmanager
    def in_this_process(self) -> Generator[None]:
        """The SDK runs the program in this process and reads a few of the same variables: KUBECONFIG, PULUMI_K8S_*."""
        kept = dict(os.environ)
        for name in self.without:
            os.environ.pop(name, None)
        os.environ.update(self.environment)
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(kept)


def of_sandbox(sandbox: Sandbox) -> Target:
    """The sandbox's stack: nothing of the user's own Pulumi settings has a say, and all state is in its folder."""
    folder = private_folder(sandbox.folder)
    state = private_folder(folder / "state")
    engine_home = private_folder(folder / "pulumi")
    _share_plugins(engine_home)
    backend = Backend(f"file://{state}", state, project_name(), SANDBOX)
    work_dir = private_folder(folder / "project")
    passphrase = folder / "passphrase"
    if passphrase.is_file() or not _sealed(stack_file(SANDBOX, work_dir), backend):
        passphrase_file(passphrase)
    return Target(
        stack=SANDBOX,
        project=backend.project,
        work_dir=work_dir,
        environment={
            **_ALWAYS,
            "PULUMI_BACKEND_URL": backend.url,
            _PASSPHRASE_FILE: str(passphrase),
            "PULUMI_HOME": str(engine_home),
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            "KUBECONFIG": str(sandbox.kubeconfig),
        },
        without=frozenset(name for name in os.environ if name.startswith("PULUMI_")),
        kubeconfig=sandbox.kubeconfig,
        sandbox=sandbox,
        lock=sandbox.folder.parent / f".{sandbox.name}.lock",
        backups=folder / "backups",
        words=words_for(SANDBOX, sandbox.name),
    )


def of_stack(stack: str) -> Target:
    """A stack of a real cluster: the user's environment wins; what it does not say is local and private.

    Raises:
        MaasError: There is no such stack file.
    """
    settings = read(stack_file(stack))
    environment = dict(_ALWAYS)
    project, elsewhere = read(ROOT / PROJECT_FILE), ""
    if not os.environ.get("PULUMI_BACKEND_URL") and not mapping(project.get("backend")).get("url"):
        environment["PULUMI_BACKEND_URL"] = f"file://{private_folder(home() / 'state')}"
    else:
        # Stacks of one name in several backends: each has copies of its own.
        url = os.environ.get("PULUMI_BACKEND_URL") or str(mapping(project.get("backend")).get("url"))
        elsewhere = f"-{hashlib.sha256(url.encode()).hexdigest()[:8]}"
    if _needs_passphrase(str(settings.get("secretsprovider", ""))):
        passphrase = home() / "passphrase"
        if passphrase.is_file() or not _sealed(stack_file(stack), _backend(environment, project_name(), stack)):
            passphrase_file(passphrase)
        environment[_PASSPHRASE_FILE] = str(passphrase)
    return Target(
        stack=stack,
        project=project_name(),
        work_dir=ROOT,
        environment=environment,
        without=frozenset(),
        kubeconfig=None,
        sandbox=None,
        lock=private_folder(home()) / f".stack-{stack}.lock",
        backups=home() / "backups" / f"{stack}{elsewhere}",
        words=words_for(stack),
    )


def words_for(stack: str, sandbox: str = SANDBOX) -> str:
    """What the command line says to mean a stack; see `Target.words`."""
    if stack == SANDBOX:
        return "" if sandbox == SANDBOX else f" --name {sandbox}"
    return f" --stack {stack}"


def project_name() -> str:
    """The project's name, which is the namespace of its settings."""
    return str(read(ROOT / PROJECT_FILE).get("name", "maas"))


def user_pulumi_home() -> Path:
    """Where the user's own Pulumi keeps its plugins."""
    return Path(os.environ.get("PULUMI_HOME") or Path.home() / ".pulumi").expanduser()


def ambient_kubeconfig() -> Path:
    """The kubeconfig that Kubernetes' own rules lead to; of several in KUBECONFIG, the first that exists.

    Raises:
        MaasError: There is none.
    """
    named = [Path(part) for part in os.environ.get("KUBECONFIG", "").split(os.pathsep) if part]
    candidates = named or [Path.home() / ".kube" / "config"]
    for path in candidates:
        if path.is_file():
            return path
    raise MaasError(f"No kubeconfig: {', '.join(map(str, candidates))} does not exist. Set KUBECONFIG to one.")


def _needs_passphrase(secrets_provider: str) -> bool:
    """Whether the stack's secrets are sealed with a passphrase and the user has given none."""
    given = {"PULUMI_CONFIG_PASSPHRASE", _PASSPHRASE_FILE} & os.environ.keys()
    return not given and secrets_provider in ("", "default", "passphrase")


def _sealed(settings: Path, backend: Backend | None) -> bool:
    """Whether something is encrypted with a passphrase already: a new one could never open it."""
    written = settings.read_text(encoding="utf-8") if settings.is_file() else ""
    export = backend.export() if backend else None
    return bool(re.search(r"(?m)^encryptionsalt:", written) or (export and salt(export)))


def _backend(environment: Mapping[str, str], project: str, stack: str) -> Backend | None:
    url = environment.get("PULUMI_BACKEND_URL", os.environ.get("PULUMI_BACKEND_URL", ""))
    if not url.startswith("file://"):
        return None
    return Backend(url, Path(unquote(url.removeprefix("file://"))).expanduser(), project, stack)


def _share_plugins(engine_home: Path) -> None:
    """Let the sandbox's engine find the plugins that the user's Pulumi has, and nothing else of it."""
    shared, link = user_pulumi_home() / "plugins", engine_home / "plugins"
    if shared.is_dir() and not link.exists():
        link.unlink(missing_ok=True)
        link.symlink_to(shared.resolve())
