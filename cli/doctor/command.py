"""`./maas doctor`: read the settings, run the program on paper, read the cluster, judge."""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pulumi
import typer

from cli.console import Console
from cli.deploy.target import ambient_kubeconfig
from cli.doctor import report
from cli.doctor.case import Case, listings
from cli.doctor.causes import causes
from cli.doctor.checks import CHECKS
from cli.doctor.findings import Finding, Level, settle
from cli.doctor.snapshot import Snapshot, fetch
from cli.exits import Exit, MaasError
from cli.paths import ROOT
from cli.program.recorder import Object, RecordingError, record
from cli.stacks.stackfile import SANDBOX, stack_config
from config.problems import ConfigError
from config.settings import Settings
from config.source import load
from sandbox.instance import Sandbox
from sandbox.kube import ApiError, Kube, Retry
from sandbox.kubeconfig import KubeconfigError

_RETRY = Retry(attempts=3, seconds=15)


def run(stack: str, sandbox: str, *, as_json: bool, console: Console) -> Exit:
    """Diagnose a stack's cluster, and print what was found.

    Args:
        stack: Which stack.
        sandbox: Name of the sandbox, for the sandbox's stack.
        as_json: Print JSON instead of a table.
        console: Where to.

    Raises:
        MaasError: The settings are refused, or there is no way to a cluster.
    """
    settings, wanted = program(stack)
    kubeconfig = _kubeconfig(stack, sandbox)
    server, findings = asyncio.run(examine(stack, settings, wanted, kubeconfig))
    if as_json:
        typer.echo(report.as_json(findings, stack, server))
    else:
        report.show(findings, stack, console.out)
    return report.code(findings)


def program(stack: str, root: Path = ROOT) -> tuple[Settings, tuple[Object, ...]]:
    """The stack's settings and the objects that its program would deploy.

    Args:
        stack: which stack.
        root: the folder of its file.

    Raises:
        MaasError: The settings are refused.
    """
    values, secrets = stack_config(stack, root)
    with _refusals():
        objects = record(stack, values, secrets).objects
        return load(stack, values), objects


def diagnose(case: Case) -> tuple[Finding, ...]:
    """Run every check, and tell causes from consequences."""
    return settle((finding for check in CHECKS for finding in check(case)), causes(case))


async def examine(
    stack: str, settings: Settings, wanted: tuple[Object, ...], kubeconfig: Path
) -> tuple[str, tuple[Finding, ...]]:
    """Read the cluster and judge it; returns the server's address and the findings.

    Raises:
        MaasError: The kubeconfig cannot be used.
    """
    context = None if stack == SANDBOX else settings.cluster.context or None
    try:
        kube = Kube.connect(kubeconfig, context, retry=_RETRY)
    except KubeconfigError as error:
        raise MaasError(str(error)) from error
    async with kube:
        try:
            snapshot: Snapshot = await fetch(kube, listings(settings, wanted))
        except ApiError as error:
            fix = "see that the cluster runs, and that the kubeconfig is for it and not expired"
            return kube.server, (Finding("cluster", Level.PROBLEM, "API server", error.message, fix),)
    return kube.server, diagnose(Case(stack, settings, wanted, snapshot))


def _kubeconfig(stack: str, sandbox: str) -> Path:
    if stack != SANDBOX:
        return ambient_kubeconfig()
    path = Sandbox.open(sandbox).kubeconfig
    if not path.is_file():
        raise MaasError(f"Sandbox {sandbox} is not there. Start it: ./maas up")
    return path


@contextmanager
def _refusals() -> Generator[None]:
    """What is wrong with the settings, as the other commands say it."""
    try:
        yield
    except (pulumi.RunError, ConfigError) as error:
        raise MaasError(str(error), code=Exit.CONFIG) from error
    except RecordingError as error:
        raise MaasError(str(error)) from error
