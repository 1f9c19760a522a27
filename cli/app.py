"""The command line: which commands there are, in the order of the help."""

import signal
import sys
from types import FrameType

import typer

from cli.commands import config, deployment, keys, kind, models, project, review, sandbox, service, stack, state, usage
from cli.exits import HELP, Exit
from cli.paths import ROOT

app = typer.Typer(
    name="maas",
    help="Models-as-a-Service on Kuadrant: one stack file, one deployment.",
    epilog=HELP,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
)
_BY_SUBJECT = {
    "A stack on its cluster": deployment,
    "The running service": service,
    "Before it lands": review,
    "Who has used how much": usage,
    "This project": project,
}
_GROUPS = {
    "models": models,
    "keys": keys,
    "stack": stack,
    "config": config,
    "state": state,
    "sandbox": sandbox,
    "kind": kind,
}
for _title, _subject in _BY_SUBJECT.items():
    for _command in _subject.app.registered_commands:
        _command.rich_help_panel = _title
    app.add_typer(_subject.app)
for _name, _group in _GROUPS.items():
    app.add_typer(_group.app, name=_name, rich_help_panel="Groups of commands")


def _on_terminate(number: int, frame: FrameType | None) -> None:
    """A polite request to end is handled like Ctrl-C: the engine is asked to cancel and the state is saved."""
    del number, frame
    raise KeyboardInterrupt


def let_children_hear_interrupts() -> None:
    """Where SIGINT is ignored (`nohup ./maas up &`, a job of a script), go on not minding it, but do not pass that on.

    An ignored signal stays ignored in every program that we start, and SIGINT is how the engine is asked to cancel and
    save its state; a signal with a handler is back to normal there.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, lambda _number, _frame: None)


def main() -> None:
    """Run the command line."""
    signal.signal(signal.SIGTERM, _on_terminate)
    let_children_hear_interrupts()
    if str(ROOT) not in sys.path:
        sys.path.insert(0, str(ROOT))
    try:
        app(prog_name="maas")
    except KeyboardInterrupt:
        sys.exit(Exit.INTERRUPTED)
