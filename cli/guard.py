"""How a short command ends: its errors are one line and an exit code."""

from collections.abc import Callable

import typer

from cli.exits import Exit, MaasError, unusable


def guarded(work: Callable[[], None]) -> None:
    """Run something short.

    Raises:
        typer.Exit: It failed; why is on stderr.
    """
    from sandbox.instance import SandboxError  # noqa: PLC0415 - help stays quick
    from sandbox.tools.errors import ToolError  # noqa: PLC0415

    try:
        work()
    except MaasError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(int(error.code)) from error
    except (SandboxError, ToolError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(int(Exit.FAILED)) from error
    except OSError as error:
        typer.echo(unusable(error), err=True)
        raise typer.Exit(int(Exit.FAILED)) from error
    except KeyboardInterrupt as error:
        raise typer.Exit(int(Exit.INTERRUPTED)) from error
