"""What brings a stack to its cluster, looks at it there, and takes it away."""

from dataclasses import replace
from typing import Annotated

import typer

from cli.commands.options import (
    Copies,
    ExpectNoChanges,
    Json,
    Name,
    ProviderName,
    Stack,
    StandIn,
    Yes,
    end,
    open_console,
    operation_options,
)
from cli.exits import HELP
from cli.state import BACKUPS

app = typer.Typer()


@app.command(epilog=HELP)
def up(  # noqa: PLR0913 - its options
    stack: Stack = "sandbox",
    name: Name = "sandbox",
    provider: ProviderName = "auto",
    backups: Copies = BACKUPS,
    *,
    stand_in: StandIn = False,
    json_: Json = False,
    yes: Yes = False,
) -> None:
    """Deploy a stack. The sandbox is started first; from nothing that takes minutes once, for its tools."""
    from cli.deploy.operations import Command  # noqa: PLC0415

    options = operation_options(stack, name, provider, stand_in=stand_in, as_json=json_, yes=yes)
    end(Command(replace(options, backups=backups), open_console()).up())


@app.command(epilog=HELP)
def preview(  # noqa: PLR0913 - its options
    stack: Stack = "sandbox",
    name: Name = "sandbox",
    provider: ProviderName = "auto",
    *,
    expect_no_changes: ExpectNoChanges = False,
    with_policies: Annotated[
        bool, typer.Option("--policies", help="Also run the policy pack; a mandatory rule that is violated fails it.")
    ] = False,
    stand_in: StandIn = False,
    json_: Json = False,
) -> None:
    """Show what `up` would change, object by object and field by field."""
    from cli.deploy.operations import Command  # noqa: PLC0415

    command = Command(operation_options(stack, name, provider, stand_in=stand_in, as_json=json_), open_console())
    end(command.preview(expect_no_changes=expect_no_changes, with_policies=with_policies))


@app.command(epilog=HELP)
def refresh(  # noqa: PLR0913 - its options
    stack: Stack = "sandbox",
    name: Name = "sandbox",
    provider: ProviderName = "auto",
    *,
    expect_no_changes: ExpectNoChanges = False,
    preview_only: Annotated[bool, typer.Option("--preview-only", help="Look, but do not remember.")] = False,
    stand_in: StandIn = False,
    json_: Json = False,
) -> None:
    """Show what somebody changed on the cluster behind Pulumi's back; the next `up` puts it right.

    With --expect-no-changes nothing is remembered, so that asking twice gives the same answer.
    """
    from cli.deploy.operations import Command  # noqa: PLC0415

    command = Command(operation_options(stack, name, provider, stand_in=stand_in, as_json=json_), open_console())
    end(command.refresh(expect_no_changes=expect_no_changes, preview_only=preview_only))


@app.command(epilog=HELP)
def destroy(  # noqa: PLR0913 - its options
    stack: Stack = "sandbox",
    name: Name = "sandbox",
    provider: ProviderName = "auto",
    backups: Copies = BACKUPS,
    *,
    stand_in: StandIn = False,
    json_: Json = False,
    yes: Yes = False,
) -> None:
    """Delete all that a stack has on its cluster; a sandbox keeps running (`down` stops it, too)."""
    from cli.deploy.operations import Command  # noqa: PLC0415

    options = operation_options(stack, name, provider, stand_in=stand_in, as_json=json_, yes=yes)
    end(Command(replace(options, backups=backups), open_console()).destroy())


@app.command(epilog=HELP)
def down(name: Name = "sandbox", provider: ProviderName = "auto", *, json_: Json = False) -> None:
    """Destroy the sandbox's stack and stop the sandbox. Nothing stays but the tools in the cache."""
    from cli.deploy.operations import Command  # noqa: PLC0415

    end(Command(operation_options("sandbox", name, provider, as_json=json_), open_console()).down())
