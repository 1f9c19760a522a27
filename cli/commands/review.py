"""What needs no cluster: what a stack comes to, what a change would change, and what rules say of it."""

import json
from pathlib import Path
from typing import Annotated

import typer

from cli.commands.options import ExpectNoChanges, Json, Stack, end, open_console
from cli.exits import HELP
from cli.guard import guarded
from cli.paths import of_user

app = typer.Typer()


@app.command(epilog=HELP)
def render(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write to; earlier renders there are replaced.")],
    stack: Stack = "sandbox",
    *,
    json_: Json = False,
) -> None:
    """Write each object that a stack would deploy as a YAML file, secrets redacted. Needs no engine and no cluster."""
    from cli.deploy.operations import Command, Options  # noqa: PLC0415
    from cli.program import render as files  # noqa: PLC0415

    folder = of_user(out)

    def work() -> None:
        written = files.write(Command(Options(stack=stack, json=json_), open_console()).check(), folder)
        if json_:
            typer.echo(json.dumps({"result": "succeeded", "files": [str(path) for path in written]}, indent=2))
        else:
            typer.echo(f"{len(written)} objects of stack {stack} in {folder}.")

    guarded(work)


@app.command(epilog=HELP)
def diff(
    base: Annotated[str, typer.Option("--base", help="The commit to compare with: a branch, a tag, HEAD^1 ...")],
    stacks: Annotated[
        list[str] | None, typer.Option("--stack", "-s", help="Only this stack; can be repeated. Default: all.")
    ] = None,
    format_: Annotated[
        str, typer.Option("--format", help="terminal, markdown or json.", metavar="FORMAT")
    ] = "terminal",
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder that gets a file for each stack.")] = None,
    *,
    expect_no_changes: ExpectNoChanges = False,
) -> None:
    """Show what the tree as it is would change against another commit, and what that means.

    Needs no cluster, no engine and no secret: both revisions are rendered by their own program.
    """

    def work() -> None:
        from cli.diff.command import Format, run  # noqa: PLC0415

        if format_ not in set(Format):
            raise typer.BadParameter(f"{format_!r} is none of {', '.join(Format)}", param_hint="--format")
        folder = of_user(out) if out else None
        style = Format(format_)
        end(run(base, stacks or [], style, folder, expect_no_changes=expect_no_changes, console=open_console()))

    guarded(work)


@app.command(epilog=HELP)
def graph(
    stack: Stack = "sandbox",
    format_: Annotated[
        str, typer.Option("--format", help="mermaid, dot (for Graphviz) or svg.", metavar="FORMAT")
    ] = "mermaid",
    *,
    objects: Annotated[bool, typer.Option("--objects", help="Every resource, not only the layers.")] = False,
) -> None:
    """Draw what a stack registers and what waits for what. Needs no engine and no cluster."""

    def work() -> None:
        from cli.deploy.operations import Command, Options  # noqa: PLC0415
        from cli.program.graph import Format, drawn  # noqa: PLC0415

        if format_ not in set(Format):
            raise typer.BadParameter(f"{format_!r} is none of {', '.join(Format)}", param_hint="--format")
        recording = Command(Options(stack=stack), open_console()).check()
        typer.echo(drawn(recording, Format(format_), objects=objects))

    guarded(work)


@app.command(epilog=HELP)
def sbom(
    stack: Stack = "sandbox",
    out: Annotated[Path | None, typer.Option("--out", "-o", help="File to write to; default: stdout.")] = None,
) -> None:
    """Write what a stack is made of as CycloneDX: Python packages, Go programs with their modules, images, charts.

    Needs no engine and no cluster. What is in images and charts is theirs to tell.
    """

    def work() -> None:
        from cli.deploy.operations import Command, Options  # noqa: PLC0415
        from cli.sbom.command import made  # noqa: PLC0415

        console = open_console()
        text, notes = made(stack, Command(Options(stack=stack), console).check())
        if out:
            of_user(out).write_text(text, encoding="utf-8")
        else:
            typer.echo(text, nl=False)
        for note in notes:
            console.note(note)

    guarded(work)


@app.command(epilog=HELP)
def policy(
    stack: Stack = "sandbox",
    rendered: Annotated[
        Path | None, typer.Option("--rendered", help="A folder that `render` wrote of this stack, instead of it.")
    ] = None,
    *,
    install: Annotated[
        bool,
        typer.Option("--install", help="Make the environment that the pack needs under `pulumi preview`; no check."),
    ] = False,
    json_: Json = False,
) -> None:
    """Hold a stack against the rules of the policy pack. Needs no engine and no cluster.

    Ends with 1 when a mandatory rule is violated.
    """

    def work() -> None:
        from cli.deploy.operations import Command, Options  # noqa: PLC0415
        from cli.program import policies  # noqa: PLC0415

        if install:
            policies.install()
            return
        if rendered:
            found = policies.check(policies.of_rendered(of_user(rendered), stack))
        else:
            found = policies.violations(stack, Command(Options(stack=stack, json=json_), open_console()).check())
        if json_:
            typer.echo(json.dumps(policies.as_json(found, stack), indent=2))
        else:
            typer.echo("\n".join(policies.lines(found, stack)))
        end(policies.result(found))

    guarded(work)


@app.command(epilog=HELP)
def simulate(  # noqa: PLR0913, PLR0917 - its options
    traffic: Annotated[
        str,
        typer.Option(
            "--traffic",
            "-t",
            metavar="FILE|TEXT",
            help="A trace (JSON lines), or traffic to make up: docs/simulate.md.",
        ),
    ],
    stack: Stack = "sandbox",
    against: Annotated[
        str, typer.Option("--against", metavar="REVISION", help="Compare with what a git revision would do.")
    ] = "",
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="PATH=VALUE",
            help="Compare with other settings: maas:tiers.free.tokens='50 per 1m'; can be repeated.",
        ),
    ] = None,
    unknown_users: Annotated[
        str, typer.Option("--unknown-users", metavar="TIER", help="Give users that the stack does not have this tier.")
    ] = "",
    speed: Annotated[
        float, typer.Option("--tokens-per-second", min=0, help="Of an answer whose length in time is not given.")
    ] = 50.0,
    chart: Annotated[Path | None, typer.Option("--chart", help="Draw into a .png, .svg, .pdf or .html file.")] = None,
    save: Annotated[Path | None, typer.Option("--save-traffic", help="Write the requests as a trace.")] = None,
    *,
    all_users: Annotated[bool, typer.Option("--all-users", help="Show every user.")] = False,
    json_: Json = False,
) -> None:
    """Say what a stack would do with some traffic: who is limited, by what, what it costs, and what a change changes.

    Needs no cluster and no sandbox. Ends with 1 when the trace has recorded decisions and one of them would be another.
    """

    def work() -> None:
        from cli.simulate.command import Wish, run  # noqa: PLC0415

        wish = Wish(
            stack,
            traffic,
            against,
            settings or [],
            unknown_users,
            speed,
            chart,
            save,
            as_json=json_,
            all_users=all_users,
        )
        end(run(wish, open_console()))

    guarded(work)
