"""The reference of the command line, written out of the commands themselves."""

from collections.abc import Iterator

from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption

from cli.docs.markdown import inline
from cli.exits import HELP
from cli.paths import ROOT

_INTRODUCTION = f"""\
# Command line
Every command and option. This page is generated from the commands by `./maas docs --write`; `./maas <command> --help`
says the same.

{HELP}. With `--json` the result is on stdout, and nothing else.
"""


def page(commands: object) -> str:
    """The page, in Markdown, of the whole command line (a group of Typer's)."""
    return _INTRODUCTION + "".join(_section(commands, ("./maas",)))


def _section(command: object, path: tuple[str, ...]) -> Iterator[str]:
    if isinstance(command, TyperGroup):
        if len(path) > 1:
            yield f"\n## `{' '.join(path)}`\n{_text(command.help or '')}\n"
        for name, child in command.commands.items():
            yield from _section(child, (*path, name))
    elif isinstance(command, TyperCommand):
        level = "##" if len(path) == _ALONE else "###"
        yield f"\n{level} `{' '.join(path)}`\n{_text(command.help or '')}\n"
        arguments = [_usage(each) for each in command.params if isinstance(each, TyperArgument)]
        yield f"```\n{' '.join([*path, *arguments, '[options]'])}\n```\n"
        rows = [_row(each) for each in command.params if isinstance(each, TyperArgument | TyperOption)]
        if rows:
            yield "\n| | default | meaning |\n|---|---|---|\n"
            yield from rows


_ALONE = 2
"""Words of a command that is in no group: `./maas up`."""


def _usage(argument: TyperArgument) -> str:
    word = _placeholder(argument) + ("..." if argument.nargs == -1 else "")
    return word if argument.required else f"[{word}]"


def _placeholder(argument: TyperArgument) -> str:
    return f"<{(argument.metavar or argument.name or '').strip('[]').removesuffix('...').lower()}>"


def _row(each: TyperArgument | TyperOption) -> str:
    if isinstance(each, TyperArgument):
        names = f"`{_placeholder(each)}`"
    else:
        names = ", ".join(f"`{name}`" for name in [*each.opts, *each.secondary_opts])
    variable = f" Or the variable `{each.envvar}`." if isinstance(each.envvar, str) else ""
    return f"| {names} | {_default(each)} | {_text(each.help or '')}{variable} |\n"


def _default(each: TyperArgument | TyperOption) -> str:
    if each.required:
        return "required"
    value: object = each.default
    if isinstance(value, bool) or value is None or value == "" or callable(value):
        return ""
    return f"`{value}`"


def _text(text: str) -> str:
    """Help as Markdown, without what is of this machine."""
    return "\n\n".join(inline(part) for part in text.replace("\b", "").replace(str(ROOT), ".").split("\n\n"))
