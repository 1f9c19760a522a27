"""How a command ends."""

from enum import IntEnum


class Exit(IntEnum):
    """The exit codes, the same for every command."""

    OK = 0
    FAILED = 1
    """Something went wrong; the last lines say what, and what to look at next."""
    USAGE = 2
    """The command line, or the name of a stack, is wrong."""
    CONFIG = 3
    """The configuration was refused; nothing was touched."""
    CHANGES = 4
    """`--expect-no-changes`, and there were changes."""
    INTERRUPTED = 130
    """Stopped by Ctrl-C or a signal; the same command again goes on from there."""


HELP = "Exit codes: " + ", ".join(
    f"{code:d} {words}"
    for code, words in {
        Exit.OK: "ok",
        Exit.FAILED: "failed",
        Exit.USAGE: "wrong usage",
        Exit.CONFIG: "configuration refused",
        Exit.CHANGES: "changes found where none were expected",
        Exit.INTERRUPTED: "interrupted",
    }.items()
)


class MaasError(Exception):
    """Ends the command with a message for the user and an exit code; never with a traceback."""

    def __init__(self, message: str, *, code: Exit = Exit.FAILED) -> None:
        super().__init__(message)
        self.code = code


def unusable(error: OSError) -> str:
    """What to say of a file or folder that cannot be used: no room, no right to, a mount that is read-only."""
    where = f": {error.filename}" if error.filename else ""
    return f"{error.strerror or error}{where}. Nothing is lost: mend that, then run the same command again."
