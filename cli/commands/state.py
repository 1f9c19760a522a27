"""`./maas state`: names, options and help of its commands."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from cli.commands.options import Json, Stack, open_console
from cli.exits import HELP, Exit
from cli.guard import guarded
from cli.paths import of_user
from cli.state import BACKUPS

app = typer.Typer(
    help="The state of a stack: what the engine knows of it. Copies are taken around each `up` and `destroy` where the "
    "state is a folder on this machine; secrets stay encrypted in them.",
    no_args_is_help=True,
)

Name = Annotated[str, typer.Option("--name", help="Which sandbox, for the sandbox's stack.")]
Kind = Annotated[str, typer.Option("--kind", metavar="NAME", help="The stack of this kind cluster, instead.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


@app.command(epilog=HELP)
def backup(
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="File to write; with .gz at its end, compressed.")
    ] = None,
    stack: Stack = "sandbox",
    name: Name = "sandbox",
    kind: Kind = "",
    *,
    json_: Json = False,
) -> None:
    """Copy the state: beside those that are taken by themselves, but kept until you delete it, or into a file.

    The file is what `pulumi stack export` writes. The passphrase is not in it: keep it somewhere else.
    """

    def work() -> None:
        from cli.state import commands  # noqa: PLC0415

        file = of_user(out) if out else None
        path = commands.backup(commands.opened(stack, name, kind), file, open_console())
        _say({"file": str(path)}, f"The state is copied to {path}.", as_json=json_)

    guarded(work)


@app.command(epilog=HELP)
def restore(  # noqa: PLR0913 - its options
    source: Annotated[str, typer.Argument(metavar="NUMBER|FILE", help="Default: the newest copy.")] = "",
    stack: Stack = "sandbox",
    name: Name = "sandbox",
    kind: Kind = "",
    *,
    show: Annotated[bool, typer.Option("--list", help="Only show the copies that there are.")] = False,
    json_: Json = False,
) -> None:
    """Take a copy of the state back. What is there now becomes a copy itself, so that nothing is lost.

    The cluster is not touched: `up` brings it in line with the stack file, whatever happened since that copy.
    """

    def work() -> None:
        from cli.state import commands  # noqa: PLC0415

        target = commands.opened(stack, name, kind)
        if show:
            rows = [
                {"number": each.number, "reason": each.reason, "when": each.when, "file": str(each.path)}
                for each in commands.listed(target)
            ]
            lines = [f"{row['number']:>6}  {row['when']}  {row['reason']}" for row in rows]
            _say({"backups": rows}, "\n".join(lines) or "There are none.", as_json=json_)
            return
        path = commands.restore(target, source, of_user, BACKUPS, open_console())
        text = f"Took back {path}.\nNext: ./maas preview{target.words} shows what the cluster differs in."
        _say({"file": str(path)}, text, as_json=json_)

    guarded(work)


@app.command(epilog=HELP)
def check(stack: Stack = "sandbox", name: Name = "sandbox", kind: Kind = "", *, json_: Json = False) -> None:
    """Look at the state, change nothing, and say what is wrong with it: content, locks, passphrase, copies, room.

    Ends with 1 when there is a problem (warnings are none).
    """

    def work() -> None:
        from cli.state import checks, commands  # noqa: PLC0415

        found = commands.check(commands.opened(stack, name, kind), open_console())
        lines = [
            f"{each.level:8} {each.subject:12} {each.text}" + (f"\n{'':22}{each.fix}" if each.fix else "")
            for each in found
        ]
        broken = any(each.level == checks.PROBLEM for each in found)
        result = {"result": "failed" if broken else "succeeded", "findings": [asdict(each) for each in found]}
        typer.echo(json.dumps(result, indent=2) if json_ else "\n".join(lines))
        raise typer.Exit(int(Exit.FAILED if broken else Exit.OK))

    guarded(work)


@app.command(epilog=HELP)
def unlock(
    stack: Stack = "sandbox",
    name: Name = "sandbox",
    kind: Kind = "",
    *,
    force: Annotated[
        bool, typer.Option("--force", help="Also what another machine has locked: only when you know that it is gone.")
    ] = False,
    json_: Json = False,
) -> None:
    """Clear the locks of runs that are gone. Never one of a run that is at work on this machine."""

    def work() -> None:
        from cli.state import commands  # noqa: PLC0415

        target = commands.opened(stack, name, kind)
        count = commands.unlock(target, open_console(), force=force)
        text = f"Cleared {count} lock{'' if count == 1 else 's'}." if count else "There was no lock."
        _say({"cleared": count}, text, as_json=json_)

    guarded(work)


@app.command(epilog=HELP)
def adopt(  # noqa: PLR0913 - its options
    stack: Stack = "sandbox",
    name: Name = "sandbox",
    kind: Kind = "",
    *,
    lost_passphrase: Annotated[
        bool,
        typer.Option("--lost-passphrase", help="Also take out of the stack file what nobody can decrypt any more."),
    ] = False,
    yes: Yes = False,
    json_: Json = False,
) -> None:
    """Begin with an empty state: the next `up` takes over what is on the cluster. The old one is set aside.

    For a state that is lost or damaged without a copy. What the stack file no longer has stays on the cluster, as
    nobody knows of it: docs/state.md.
    """

    def work() -> None:
        from cli.state import commands  # noqa: PLC0415

        if not yes:
            typer.confirm("Begin with an empty state?", abort=True)
        target = commands.adopt(stack, name, kind, open_console(), lost_passphrase=lost_passphrase)
        _say({}, f"The state is empty. Next: ./maas up{target.words}", as_json=json_)

    guarded(work)


def _say(result: dict[str, object], text: str, *, as_json: bool) -> None:
    typer.echo(json.dumps({"result": "succeeded", **result}, indent=2) if as_json else text)
