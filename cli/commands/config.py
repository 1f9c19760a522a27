"""`./maas config`: names, options and help of its commands."""

import json
from typing import Annotated

import typer

from cli.commands.options import Json, Stack
from cli.exits import HELP
from cli.guard import guarded

app = typer.Typer(help="The stack file by itself.", no_args_is_help=True)


@app.command("migrate", epilog=HELP)
def config_migrate(
    stack: Stack = "sandbox",
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would change in the file, and leave it.")
    ] = False,
    json_: Json = False,
) -> None:
    """Rewrite a stack file of an older version for this one, and show what changes. Comments and all else stay."""

    def work() -> None:
        from cli.stacks.migrate import migrate  # noqa: PLC0415

        diff = migrate(stack, dry_run=dry_run)
        if json_:
            typer.echo(
                json.dumps({"result": "succeeded", "changed": bool(diff) and not dry_run, "diff": diff}, indent=2)
            )
        elif not diff:
            typer.echo("Nothing to migrate.")
        else:
            typer.echo(diff)
            typer.echo(
                "Nothing was written." if dry_run else f"Written. See what it means: ./maas preview --stack {stack}"
            )

    guarded(work)
