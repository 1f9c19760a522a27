"""Run a pinned tool, fetched or built when it is missing: `python -m cli.project.run_tool actionlint <words>`."""

import os
import sys

from cli.console import Console
from sandbox.toolbox import ToolError, find


def main(words: list[str]) -> None:
    """Become the tool; ends with 1, and why, when it cannot be had."""
    try:
        program = find(words[0], Console())
    except ToolError as error:
        sys.exit(str(error))
    os.execv(program, [str(program), *words[1:]])  # noqa: S606 - a tool of ours, with our words


if __name__ == "__main__":
    main(sys.argv[1:])
