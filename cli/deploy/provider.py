"""Which program speaks to the cluster for the engine: the official kubernetes plugin, or the sandbox's stand-in."""

import os
import shutil
import subprocess
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path

from cli.deploy.target import Target, ambient_kubeconfig, user_pulumi_home
from cli.exits import Exit, MaasError
from components.objects import sdk_version as version
from sandbox.progress import Reporter
from sandbox.toolbox import cache_folder

PLUGIN = "pulumi-resource-kubernetes"
_INSTALL_SECONDS = 45.0
_RETRY_AFTER_SECONDS = 24 * 3600.0


class Choice(StrEnum):
    """What the user asked for."""

    AUTO = "auto"
    """The official plugin where it is there or can be had; else, in the sandbox, the stand-in."""
    OFFICIAL = "official"
    STAND_IN = "stand-in"


@contextmanager
def attached(choice: Choice, target: Target, pulumi: Path, reporter: Reporter) -> Generator[Mapping[str, str]]:
    """Have a provider ready for as long as the context lasts.

    Yields:
        What the engine needs in its environment to use it.

    Raises:
        MaasError: The official plugin cannot be had, and the stand-in is not allowed.
    """
    if choice is not Choice.STAND_IN and official(pulumi, reporter):
        if target.sandbox:
            reporter.note(f"Provider: the official kubernetes plugin {version()}.")
        yield {}
        return
    if choice is Choice.OFFICIAL or (choice is Choice.AUTO and target.sandbox is None):
        raise MaasError(
            f"The official kubernetes provider plugin {version()} is neither installed nor to be had from here. "
            f"Install it (pulumi plugin install resource kubernetes v{version()}), or say --stand-in to use the "
            "provider that the sandbox brings, which does only what this program needs.",
            code=Exit.FAILED,
        )
    reporter.note("Provider: the sandbox's stand-in for the kubernetes plugin.")
    from sandbox.provider import serve  # noqa: PLC0415 - loads gRPC, which most commands do without

    with serve(target.kubeconfig or ambient_kubeconfig()) as port:
        yield {"PULUMI_DEBUG_PROVIDERS": f"kubernetes:{port}"}


def official(pulumi: Path, reporter: Reporter) -> bool:
    """Whether the official plugin is there, after one try at installing it."""
    return _present() or (not _recently_failed() and _install(pulumi, reporter))


def _present() -> bool:
    folder = user_pulumi_home() / "plugins" / f"resource-kubernetes-v{version()}"
    return shutil.which(PLUGIN) is not None or (folder / PLUGIN).is_file()


def _install(pulumi: Path, reporter: Reporter) -> bool:
    command = [str(pulumi), "plugin", "install", "resource", "kubernetes", f"v{version()}", "--non-interactive"]
    environment = {**os.environ, "PULUMI_HOME": str(user_pulumi_home()), "PULUMI_SKIP_UPDATE_CHECK": "true"}
    environment.pop("PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION", None)
    with reporter.step("Looking for the official kubernetes provider plugin", usually_seconds=15):
        try:
            done = subprocess.run(  # noqa: S603 - the engine, with our own words
                command, env=environment, capture_output=True, text=True, timeout=_INSTALL_SECONDS, check=False
            )
            said = done.stderr or done.stdout
        except subprocess.TimeoutExpired:
            said = f"no answer within {_INSTALL_SECONDS:.0f} s"
    if _present():
        return True
    _failure_mark().parent.mkdir(parents=True, exist_ok=True)
    _failure_mark().write_text(said.strip() + "\n", encoding="utf-8")
    return False


def _failure_mark() -> Path:
    return cache_folder() / f"kubernetes-plugin-{version()}.unavailable"


def _recently_failed() -> bool:
    """Whether an install was tried in vain within the last day: it costs seconds, and the network rarely changes."""
    try:
        return time.time() - _failure_mark().stat().st_mtime < _RETRY_AFTER_SECONDS
    except FileNotFoundError:
        return False
