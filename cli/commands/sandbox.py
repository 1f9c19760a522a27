"""`./maas sandbox`: names, options and help of its commands."""

import json
from dataclasses import asdict
from typing import Annotated

import typer

from cli.commands.deployment import down
from cli.commands.options import Json, Name, ProviderName, open_console
from cli.exits import HELP, MaasError
from cli.guard import guarded

app = typer.Typer(
    help="The embedded control plane by itself: a real API server on loopback, without the stack.", no_args_is_help=True
)


@app.command("up", epilog=HELP)
def sandbox_up(
    name: Name = "sandbox",
    operators: Annotated[str, typer.Option("--operators", help="Played by stages, or real: their own programs.")] = "",
) -> None:
    """Start the control plane: API server, scheduler, CRDs, fake CPU and GPU nodes.

    The programs of the real operators are built once, which takes some twenty minutes.
    """

    def work() -> None:
        from sandbox import lifecycle  # noqa: PLC0415
        from sandbox.instance import Operators, Sandbox  # noqa: PLC0415

        sandbox = Sandbox.open(name)
        if operators and operators not in set(Operators):
            raise MaasError(f"--operators {operators}: allowed are {', '.join(Operators)}")
        if operators:
            sandbox = lifecycle.with_operators(sandbox, Operators(operators))
        lifecycle.up(sandbox, open_console())

    guarded(work)


@app.command("down", epilog=HELP)
def sandbox_down(name: Name = "sandbox", provider: ProviderName = "auto", *, json_: Json = False) -> None:
    """Stop the control plane and forget it, with whatever a stack has on it. The same as `maas down`."""
    down(name, provider, json_=json_)


@app.command("status", epilog=HELP)
def sandbox_status(name: Name = "sandbox", *, json_: Json = False) -> None:
    """Say whether the control plane runs, and where."""

    def work() -> None:
        from sandbox import lifecycle  # noqa: PLC0415
        from sandbox.instance import Sandbox  # noqa: PLC0415

        status = lifecycle.status(Sandbox.open(name))
        if json_:
            typer.echo(json.dumps(asdict(status), indent=2))
            return
        if not status.running:
            typer.echo(f"Sandbox {name} is not running. Start it: ./maas up")
            return
        typer.echo(f"Sandbox {name} is running: Kubernetes {status.version} at {status.server}")
        typer.echo(f"  kubeconfig {status.kubeconfig}")
        if status.answers:
            typer.echo(f"  gateway {status.gateway}, its health, metrics and decisions {status.admin}")
        else:
            typer.echo(f"  gateway {status.gateway} does not answer. Start it: ./maas sandbox up --name {name}")
        typer.echo(f"  {len(status.processes)} processes, {status.memory // 2**20} MiB")
        typer.echo("  " + ", ".join(f"{count} {what}" for what, count in status.objects.items()))

    guarded(work)


@app.command("conditions", epilog=HELP)
def sandbox_conditions(name: Name = "sandbox", *, json_: Json = False) -> None:
    """Show what real operators say: how each of their programs is, and every condition that they have set."""

    def work() -> None:
        from cli.conditions import tables  # noqa: PLC0415
        from sandbox import control_plane  # noqa: PLC0415
        from sandbox.instance import Operators, Sandbox  # noqa: PLC0415
        from sandbox.real.report import report  # noqa: PLC0415

        sandbox = Sandbox.open(name)
        if sandbox.operators is not Operators.REAL or not control_plane.running(sandbox):
            raise MaasError(
                f"Sandbox {name} does not run with real operators. "
                f"Start one: ./maas sandbox up --name {name} --operators real"
            )
        found = report(sandbox)
        if json_:
            typer.echo(json.dumps(found.as_json(), indent=2))
        else:
            for table in tables(found):
                open_console().out.print(table)

    guarded(work)


@app.command("kubeconfig", epilog=HELP)
def sandbox_kubeconfig(name: Name = "sandbox") -> None:
    """Print the path of the kubeconfig, for `kubectl --kubeconfig $(./maas sandbox kubeconfig) ...`."""

    def work() -> None:
        from sandbox.instance import Sandbox  # noqa: PLC0415

        path = Sandbox.open(name).kubeconfig
        if not path.is_file():
            raise MaasError(f"Sandbox {name} is not there. Start it: ./maas up")
        typer.echo(path)

    guarded(work)


@app.command("env", epilog=HELP)
def sandbox_env(
    name: Name = "sandbox",
    user: Annotated[str, typer.Option("--user", "-u", help="Whose key; default: a user of the lowest tier.")] = "",
    model: Annotated[str, typer.Option("--model", "-m", help="Which model; default: the simulator.")] = "",
) -> None:
    """Print variables for OpenAI clients, with a key, for `eval "$(./maas sandbox env)"`."""

    def work() -> None:
        from cli.service.calls import Service  # noqa: PLC0415
        from cli.service.connect import Wish, connect, environment  # noqa: PLC0415

        users = Service.of("sandbox", name).users()
        if not user and not users:
            raise MaasError("No user of the stack has a key.")
        wish = Wish(user or users[0], model, "sandbox", name, show_key=True)
        typer.echo(environment(connect(wish, open_console())), nl=False)

    guarded(work)


@app.command("usage", epilog=HELP)
def sandbox_usage(name: Name = "sandbox", *, json_: Json = False) -> None:
    """Show the counters that run now: who has used how much of which limit."""

    def work() -> None:
        from cli.deploy.summary import show, usage  # noqa: PLC0415
        from cli.service.calls import Service  # noqa: PLC0415

        counters = Service.of("sandbox", name).admin("/counters")
        if counters is None:
            raise MaasError(f"The gateway of sandbox {name} does not answer. Start it: ./maas sandbox up")
        if json_:
            typer.echo(json.dumps({"result": "succeeded", "usage": counters}, indent=2))
        else:
            show(open_console().out, usage(counters))

    guarded(work)
