"""Options that several commands have, and what they make of them."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from cli.exits import Exit

if TYPE_CHECKING:
    from cli.console import Console
    from cli.deploy.operations import Options

Stack = Annotated[str, typer.Option("--stack", "-s", help="Which stack: the middle of Pulumi.<stack>.yaml.")]
Name = Annotated[str, typer.Option("--name", help="Which sandbox; several can live side by side.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON on stdout.")]
KindName = Annotated[str, typer.Option("--name", help="Which kind cluster.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask. The sandbox never asks.")]
ExpectNoChanges = Annotated[bool, typer.Option("--expect-no-changes", help="Exit with 4 when there are changes.")]
StandIn = Annotated[
    bool, typer.Option("--stand-in", help="Use the sandbox's provider instead of the official kubernetes plugin.")
]
ProviderName = Annotated[
    str, typer.Option("--provider", envvar="MAAS_PROVIDER", help="auto, official or stand-in.", metavar="WHICH")
]
Copies = Annotated[
    int,
    typer.Option(
        "--backups",
        envvar="MAAS_STATE_BACKUPS",
        min=0,
        help="How many copies of a local state stay that are taken by themselves; 0 takes none.",
    ),
]


def operation_options(  # noqa: PLR0913 - what the commands have in common
    stack: str, name: str, provider: str, *, stand_in: bool = False, as_json: bool = False, yes: bool = False
) -> "Options":
    """The options of an operation, from those of its command.

    Raises:
        typer.BadParameter: There is no such provider.
    """
    from cli.deploy.operations import Options  # noqa: PLC0415
    from cli.deploy.provider import Choice  # noqa: PLC0415

    try:
        choice = Choice.STAND_IN if stand_in else Choice(provider)
    except ValueError:
        raise typer.BadParameter(f"{provider!r} is none of {', '.join(Choice)}", param_hint="--provider") from None
    return Options(stack=stack, sandbox=name, json=as_json, yes=yes, provider=choice)


def open_console() -> "Console":
    """Where commands speak."""
    from cli.console import Console  # noqa: PLC0415

    return Console()


def print_json(content: Mapping[str, object]) -> None:
    """The result of a command that went well, for `--json`."""
    typer.echo(json.dumps({"result": "succeeded", **content}, indent=2, ensure_ascii=False))


def print_part(part: object) -> None:
    """A table, or another part of an answer, on stdout."""
    open_console().out.print(part)


def end(code: Exit) -> None:
    """Leave the command with this code."""
    raise typer.Exit(int(code))
