"""`./maas keys`: names, options and help of its commands."""

import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.commands.options import Json, Stack, print_json, print_part
from cli.exits import HELP, Exit, MaasError
from cli.guard import guarded
from cli.paths import of_user

if TYPE_CHECKING:
    from cli.keys.book import Book
    from cli.keys.store import Store

app = typer.Typer(
    help="The API keys of a stack: made, listed, rotated, revoked. They are kept encrypted in the stack file, those of "
    "the sandbox with its state; none is printed unless asked for. `up` brings a change to the cluster.",
    no_args_is_help=True,
)

Name = Annotated[str, typer.Option("--name", help="Which sandbox, for the sandbox's stack.")]
Show = Annotated[bool, typer.Option("--show", help="Print the new keys, in clear, on stdout.")]
Users = Annotated[list[str], typer.Argument(metavar="USER...", help="Names below maas:users.")]
Form = Annotated[str, typer.Option("--format", help="json, csv or secrets; default: by the file's name and content.")]
PassphraseFile = Annotated[
    Path | None, typer.Option("--passphrase-file", help="Where the passphrase is; otherwise you are asked.")
]


@app.command(epilog=HELP)
def create(  # noqa: PLR0913, PLR0917 - its options
    users: Users,
    stack: Stack = "sandbox",
    name: Name = "sandbox",
    tier: Annotated[str, typer.Option("--tier", help="Make users that do not exist, in this tier.")] = "",
    team: Annotated[str, typer.Option("--team", help="Team of a new user.")] = "",
    cost_centre: Annotated[str, typer.Option("--cost-centre", help="Who pays for a new user.")] = "",
    models: Annotated[
        list[str] | None, typer.Option("--models", help="A model that a new user may call; can be repeated.")
    ] = None,
    kind: Annotated[str, typer.Option("--kind", help="Of a new user: person or program.")] = "",
    expires: Annotated[
        str, typer.Option("--expires", help="When a new user, or the key of one that exists, ends: 2027-12-31.")
    ] = "",
    *,
    show: Show = False,
    json_: Json = False,
) -> None:
    """Make a key for users that have none: `maas-` and 256 random bits."""

    def work() -> None:
        from cli.keys import commands  # noqa: PLC0415

        entry: dict[str, Any] = {"tier": tier, "team": team, "costCentre": cost_centre, "kind": kind, "models": models}
        with _opened(stack, name) as store:
            given = {key: value for key, value in entry.items() if value}
            made = commands.create(store, users, given, expires, shown=show)
        _made(made, "created", stack, name, show=show, as_json=json_)

    guarded(work)


@app.command("list", epilog=HELP)
def list_(stack: Stack = "sandbox", name: Name = "sandbox", *, json_: Json = False) -> None:
    """Show users, tiers, and of each key a fingerprint and its end; never a key."""

    def work() -> None:
        from cli.keys import commands  # noqa: PLC0415
        from cli.keys.report import shown_rows  # noqa: PLC0415

        with _opened(stack, name) as store:
            found = commands.rows(store, commands.now())
        if json_:
            print_json({"users": [asdict(each) for each in found]})
        else:
            print_part(shown_rows(found, stack))

    guarded(work)


@app.command(epilog=HELP)
def rotate(  # noqa: PLR0913 - its options
    users: Users,
    stack: Stack = "sandbox",
    name: Name = "sandbox",
    grace: Annotated[str, typer.Option("--grace", help="How long the present key stays valid, such as 24h; or 0.")] = (
        "24h"
    ),
    expires: Annotated[
        str, typer.Option("--expires", help="When the new key ends, or never; default: when the present one would.")
    ] = "",
    *,
    at_once: Annotated[bool, typer.Option("--at-once", help="End a key of an earlier rotation, too.")] = False,
    show: Show = False,
    json_: Json = False,
) -> None:
    """Make a new key for users; the present one stays valid for a while, so that nobody is locked out."""

    def work() -> None:
        from cli.keys import commands  # noqa: PLC0415

        with _opened(stack, name) as store:
            made = commands.rotate(store, users, grace, expires, at_once=at_once, shown=show)
        _made(made, "rotated", stack, name, show=show, as_json=json_)

    guarded(work)


@app.command(epilog=HELP)
def revoke(  # noqa: PLR0913 - its options
    users: Annotated[list[str] | None, typer.Argument(metavar="[USER...]", help="Names below maas:users.")] = None,
    stack: Stack = "sandbox",
    name: Name = "sandbox",
    fingerprint: Annotated[
        str | None, typer.Option("--fingerprint", help="Only the key whose fingerprint begins so.")
    ] = None,
    *,
    previous: Annotated[bool, typer.Option("--previous", help="Only the key before the present one.")] = False,
    expired: Annotated[bool, typer.Option("--expired", help="All keys, of all users, that have ended.")] = False,
    json_: Json = False,
) -> None:
    """Take keys away: all of a user, one of two, or all that have ended. The user stays in the stack file."""

    def work() -> None:
        from cli.keys import commands  # noqa: PLC0415

        if bool(users) == expired or (expired and (previous or fingerprint)) or (previous and fingerprint):
            raise MaasError("Say users, with --previous or --fingerprint or neither; or --expired.", code=Exit.USAGE)
        with _opened(stack, name) as store:
            gone = commands.revoke(store, users or [], fingerprint, previous=previous, expired=expired)
        if json_:
            print_json({"revoked": gone})
        else:
            typer.echo("\n".join(f"revoked {each}" for each in gone) or "Nothing to revoke.")
            if gone:
                _next(stack, name)

    guarded(work)


@app.command("show-once", epilog=HELP)
def show_once(
    user: Annotated[str, typer.Argument(metavar="USER", help="A name below maas:users.")],
    stack: Stack = "sandbox",
    name: Name = "sandbox",
    *,
    again: Annotated[bool, typer.Option("--again", help="Even if it has been shown already.")] = False,
    json_: Json = False,
) -> None:
    """Print the present key of a user on stdout, in clear; a second time only with --again."""

    def work() -> None:
        from cli.keys import commands  # noqa: PLC0415

        with _opened(stack, name) as store:
            key = commands.show_once(store, user, again=again)
        if json_:
            print_json({"user": user, "key": key})
        else:
            typer.echo(key)

    guarded(work)


@app.command("import", epilog=HELP)
def import_(  # noqa: PLR0913, PLR0917 - its options
    file: Annotated[Path, typer.Argument(metavar="FILE", help="JSON, CSV, Secrets, or what export wrote; - is stdin.")],
    stack: Stack = "sandbox",
    name: Name = "sandbox",
    form: Form = "",
    tier: Annotated[str, typer.Option("--tier", help="For new users of which the file says no tier.")] = "",
    passphrase_file: PassphraseFile = None,
    *,
    replace: Annotated[bool, typer.Option("--replace", help="Put imported keys in the place of others.")] = False,
    json_: Json = False,
) -> None:
    """Take keys over, and users that the stack lacks: `kubectl get secrets -l ... -o yaml | ./maas keys import -`."""

    def work() -> None:
        from cli.keys import commands, exchange  # noqa: PLC0415

        text = sys.stdin.read() if str(file) == "-" else _text(of_user(file))
        if exchange.is_sealed(text):
            text = exchange.opened(text, _passphrase(passphrase_file, new=False))
        found = exchange.read(text, file.name, _format(form))
        with _opened(stack, name) as store:
            changed, same = commands.take_in(store, found, tier, replace=replace)
        if json_:
            print_json({"imported": changed, "same": same})
        else:
            typer.echo(f"Imported the keys of {len(changed)} users; {len(same)} had them already.")
            if changed:
                _next(stack, name)

    guarded(work)


@app.command(epilog=HELP)
def export(  # noqa: PLR0913 - its options
    out: Annotated[Path, typer.Option("--out", "-o", help="File to write, readable by you only; must not exist.")],
    stack: Stack = "sandbox",
    name: Name = "sandbox",
    form: Form = "",
    passphrase_file: PassphraseFile = None,
    *,
    encrypt: Annotated[bool, typer.Option("--encrypt/--clear", help="With a passphrase, or in clear.")] = True,
    json_: Json = False,
) -> None:
    """Write all keys to a file: encrypted with a passphrase (JWE), or, with --clear, as they are."""

    def work() -> None:
        from cli.files import write_private  # noqa: PLC0415
        from cli.keys import exchange  # noqa: PLC0415

        path = of_user(out)
        if path.exists():
            raise MaasError(f"{out} is there already. Name another file.", code=Exit.USAGE)
        wanted = _format(form) or (exchange.Format.CSV if path.suffix == ".csv" else exchange.Format.JSON)
        secret = _passphrase(passphrase_file, new=True) if encrypt else ""
        with _opened(stack, name) as store:
            text = exchange.written(store.book, store.settings.users, wanted)
            count = len(store.book.keys() & store.settings.users.keys())
        write_private(path, exchange.sealed(text, secret) if encrypt else text)
        if json_:
            print_json({"users": count, "file": str(path), "encrypted": encrypt})
        else:
            typer.echo(f"The keys of {count} users, {'encrypted' if encrypt else 'in clear'}, are in {out}.")

    guarded(work)


@contextmanager
def _opened(stack: str, name: str) -> Generator["Store"]:
    from cli.console import Console  # noqa: PLC0415
    from cli.keys.store import opened  # noqa: PLC0415

    with opened(stack, name, Console()) as store:
        yield store


def _made(made: "Book", what: str, stack: str, name: str, *, show: bool, as_json: bool) -> None:  # noqa: PLR0913
    from cli.deploy.target import words_for  # noqa: PLC0415
    from cli.keys.book import fingerprint  # noqa: PLC0415

    users: dict[str, dict[str, str | None]] = {}
    for user, (key, *older) in made.items():
        users[user] = {
            "fingerprint": fingerprint(key),
            **({"previousUntil": older[0].expires} if older else {}),
            **({"key": key.key.get_secret_value()} if show else {}),
        }
    if as_json:
        print_json({what: users})
        return
    for user, about in users.items():
        until = f"; the one before it is valid until {about['previousUntil']}" if "previousUntil" in about else ""
        typer.echo(f"{what} {user} {about['fingerprint']}{until}", err=show)
        if show:
            typer.echo(about["key"])
    if not show:
        typer.echo(f"Hand it over: ./maas keys show-once {next(iter(users))}{words_for(stack, name)}")
        _next(stack, name)


def _next(stack: str, name: str) -> None:
    from cli.deploy.target import words_for  # noqa: PLC0415

    typer.echo(f"On the cluster after: ./maas up{words_for(stack, name)}")


def _format(form: str) -> Any:  # noqa: ANN401 - imported late, so that help is quick
    from cli.keys.exchange import Format  # noqa: PLC0415

    if form and form not in set(Format):
        raise MaasError(f"--format {form}: none of {', '.join(Format)}.", code=Exit.USAGE)
    return Format(form) if form else None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise MaasError(f"{path} cannot be read: {why}.", code=Exit.USAGE) from None


def _passphrase(file: Path | None, *, new: bool) -> str:
    if file is not None:
        return _text(of_user(file)).strip()
    if not sys.stdin.isatty():
        raise MaasError("Nobody can be asked for a passphrase here: say --passphrase-file.", code=Exit.USAGE)
    return str(typer.prompt("Passphrase", hide_input=True, confirmation_prompt=new, err=True))
