"""`./maas kind`: names, options and help of its commands."""

import json
from dataclasses import asdict
from typing import Annotated

import typer

from cli.commands.options import Json, KindName, end, open_console
from cli.exits import HELP
from cli.guard import guarded

app = typer.Typer(
    help="The dev stack on a kind cluster of its own, for whoever has Docker. Changes no tracked file.",
    no_args_is_help=True,
)


@app.command("up", epilog=HELP)
def kind_up(
    name: KindName = "maas",
    http_port: Annotated[int | None, typer.Option("--http-port", help="Port on loopback for HTTP; default 80.")] = None,
    https_port: Annotated[
        int | None, typer.Option("--https-port", help="Port on loopback for HTTPS; default 443.")
    ] = None,
    *,
    json_: Json = False,
) -> None:
    """Create a kind cluster, unless it is there, and deploy the dev stack on it."""

    def work() -> None:
        from cli.deploy.kind import STACK, KindCluster  # noqa: PLC0415
        from cli.deploy.operations import Command, Options  # noqa: PLC0415

        cluster = KindCluster.open(name, http_port, https_port)
        # The cluster is ours alone: nobody has to be asked.
        end(Command(Options(stack=STACK, kind=cluster, json=json_, yes=True), open_console()).up())

    guarded(work)


@app.command("down", epilog=HELP)
def kind_down(name: KindName = "maas") -> None:
    """Delete the kind cluster with all that is on it, and forget its state."""

    def work() -> None:
        from cli.deploy.kind import KindCluster  # noqa: PLC0415

        KindCluster.open(name).delete(open_console())
        typer.echo(f"kind cluster {name} is gone.")

    guarded(work)


@app.command("status", epilog=HELP)
def kind_status(name: KindName = "maas", *, json_: Json = False) -> None:
    """Say whether the kind cluster is there, and how to reach it."""

    def work() -> None:
        from cli.deploy.kind import KindCluster  # noqa: PLC0415

        status = KindCluster.open(name).status()
        if json_:
            typer.echo(json.dumps(asdict(status), indent=2))
        elif not status.running:
            typer.echo(f"There is no kind cluster {name}. Make it: ./maas kind up")
        else:
            typer.echo(f"kind cluster {name} is there: context {status.context}")
            typer.echo(f"  export KUBECONFIG={status.kubeconfig}")
            typer.echo(f"  HTTP on 127.0.0.1:{status.http_port}, HTTPS on 127.0.0.1:{status.https_port}")

    guarded(work)
