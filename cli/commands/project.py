"""This project by itself: its tests, its measurements, its docs."""

from pathlib import Path
from typing import Annotated

import typer

from cli.commands.options import end, open_console
from cli.exits import HELP, Exit, MaasError
from cli.guard import guarded
from cli.paths import of_user

app = typer.Typer()


@app.command(epilog=HELP)
def bench(
    rounds: Annotated[int, typer.Option("--rounds", min=0, help="Rounds of the comparison; 0 leaves it out.")] = 3,
    models: Annotated[
        str, typer.Option("--models", help="Numbers of models for the series; empty leaves it out.")
    ] = "1,10",
    users: Annotated[str, typer.Option("--users", help="Numbers of users for the series.")] = "10,100",
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder for performance.md, .json and .svg. [.maas/bench]")
    ] = None,
) -> None:
    """Measure this program side by side with a bare one, Helm and kubectl, and how its work grows.

    In sandboxes of its own, some minutes on a quiet machine. `--out docs` brings docs/performance.md up to date.
    """

    def work() -> None:
        from benchmarks.measure import BenchError  # noqa: PLC0415
        from benchmarks.report import write  # noqa: PLC0415
        from benchmarks.suite import Plan, bench  # noqa: PLC0415
        from cli.paths import home  # noqa: PLC0415

        console = open_console()
        plan = Plan(rounds, _numbers(models, "--models"), _numbers(users, "--users"))
        try:
            results = bench(plan, console.note)
        except BenchError as error:
            raise MaasError(str(error)) from error
        for path in write(results, of_user(out) if out else home() / "bench"):
            typer.echo(path)

    guarded(work)


def _numbers(text: str, option: str) -> list[int]:
    words = [word.strip() for word in text.split(",") if word.strip()]
    if not all(word.isdecimal() for word in words):
        raise typer.BadParameter(f"{text!r} is no list of numbers such as 1,10,100", param_hint=option)
    return [int(word) for word in words]


@app.command(epilog=HELP)
def docs(
    context: typer.Context,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder to write to; default: .maas/site.")] = None,
    port: Annotated[int, typer.Option("--port", help="Port on loopback for --serve.")] = 8000,
    *,
    serve: Annotated[bool, typer.Option("--serve", help="Show the site at this machine, until Ctrl-C.")] = False,
    write: Annotated[
        bool, typer.Option("--write", help="Write the pages and pictures that come out of the program; no build.")
    ] = False,
) -> None:
    """Build the docs site from docs/; a link that leads nowhere fails it. Needs no other host."""

    def work() -> None:
        from cli.docs import command, generated  # noqa: PLC0415

        if write:
            typer.echo("\n".join(generated.write(context.find_root().command)) or "All as it should be.")
        elif serve:
            end(command.serve(port))
        else:
            end(command.build(of_user(out) if out else None))

    guarded(work)


@app.command(
    "test",
    epilog=HELP,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "allow_interspersed_args": False},
)
def check(
    context: typer.Context,
    *,
    fast: Annotated[bool, typer.Option("--fast", help="Leave out what needs a control plane.")] = False,
    tier: Annotated[str, typer.Option("--tier", help="Only this: fast, sandbox, conformance or faults.")] = "",
) -> None:
    """Check and test this project. What follows the options goes to pytest, such as `-k limits` or a path.

    The conformance tier has the operators' own programs. With `--tier`, and where CI is set, they are built where they
    are missing, which takes some twenty minutes; otherwise the tier is left out until they are built.
    """

    def work() -> None:
        from cli.project.checks import Tier, run  # noqa: PLC0415

        if tier and tier not in set(Tier):
            raise MaasError(f"--tier {tier}: allowed are {', '.join(Tier)}", code=Exit.USAGE)
        chosen = Tier(tier) if tier else None
        end(run(context.args, fast=fast, console=open_console(), tier=chosen))

    guarded(work)
