"""What `./maas token` says: on stdout the token alone, and only when asked."""

import json
from dataclasses import asdict
from pathlib import Path

import typer

from cli.exits import Exit, MaasError
from cli.paths import of_user
from cli.token.command import Given


def secret_in(file: Path | None) -> str:
    """What a file holds, without the line end at its end; nothing without a file.

    Raises:
        MaasError: It cannot be read.
    """
    if file is None:
        return ""
    try:
        return of_user(file).read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError):
        raise MaasError(f"{file} cannot be read.", code=Exit.USAGE) from None


def tell_where(address: str, code: str) -> None:
    """Tell somebody where to sign in."""
    typer.echo(f"Open {address} and enter {code}", err=True)


def told(given: Given, *, show: bool, as_json: bool) -> None:
    """Say what was given."""
    if as_json:
        about = {key: value for key, value in asdict(given).items() if show or key != "token"}
        typer.echo(json.dumps({"result": "succeeded", **about}, indent=2))
        return
    ends = "never ends" if given.expires_in is None else f"ends in {given.expires_in} s"
    typer.echo(f"{given.user}, tier {given.tier or 'none'}, {ends}", err=True)
    for each in given.warnings:
        typer.echo(f"The gateway would refuse it. {each}", err=True)
    if show:
        typer.echo(given.token)
    else:
        typer.echo("The token itself: --show", err=True)
