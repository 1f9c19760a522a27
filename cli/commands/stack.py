"""`./maas stack`: names, options and help of its commands."""

import sys
from typing import Annotated

import typer

from cli.commands.options import Json, open_console, operation_options
from cli.exits import HELP, Exit, MaasError
from cli.guard import guarded

app = typer.Typer(help="The stacks of this project: one for each cluster.", no_args_is_help=True)


@app.command("list", epilog=HELP)
def stack_list(
    *,
    refresh: Annotated[
        bool, typer.Option("--refresh", help="First compare each with its cluster, as `refresh --preview-only` does.")
    ] = False,
    json_: Json = False,
) -> None:
    """Show every stack: its cluster, domain, versions, when it was last updated, and whether its cluster has drifted.

    Without --refresh nothing is asked of any cluster or backend: what is not known here is `unknown`.
    """

    def work() -> None:
        from cli.stacks import command as stacks  # noqa: PLC0415

        if refresh:
            for problem in stacks.look(stacks.rows(), _compare):
                open_console().note(problem)
        found = stacks.rows()
        if json_:
            typer.echo(stacks.as_json(found))
        else:
            open_console().out.print(stacks.table(found))

    guarded(work)


def _compare(stack: str) -> None:
    from cli.deploy.operations import Command  # noqa: PLC0415

    console = open_console()
    console.out = console.err  # the table alone is the result
    command = Command(operation_options(stack, "sandbox", "auto"), console)
    if command.refresh(expect_no_changes=False, preview_only=True) is not Exit.OK:
        raise MaasError("it could not be compared with its cluster")


@app.command("new", epilog=HELP)
def stack_new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The new stack, such as ocp-eu1.")],
    source: Annotated[str, typer.Option("--from", help="The stack whose file is copied.")],
    domain: Annotated[str, typer.Option("--domain", prompt=True, help="Models are reached below this domain.")],
    context: Annotated[
        str | None, typer.Option("--context", help="Context of the kubeconfig. Without it you are asked.")
    ] = None,
) -> None:
    """Make the file of a stack for another cluster: a copy with its own domain and context, and no secrets."""

    def work() -> None:
        from cli.stacks import command as stacks  # noqa: PLC0415

        wanted = context
        if wanted is None:
            asked = "Context of the kubeconfig (nothing for the current one)"
            wanted = typer.prompt(asked, default="", show_default=False) if sys.stdin.isatty() else ""
        path = stacks.create(name, source, domain, wanted)
        typer.echo(f"{path.name} is there. Next: edit it, then")
        typer.echo(f"  ./maas policy --stack {name}")
        typer.echo(f"  pulumi stack init {name}   # --secrets-provider awskms://... for a key of your cloud")
        typer.echo(f"  ./maas keys create <user> --stack {name}")
        typer.echo(f"  ./maas up --stack {name}")

    guarded(work)
