"""`python -m cli.build_operators`: have every program that a sandbox with real operators needs."""

import sys

from cli.console import Console
from sandbox import control_plane, toolbox
from sandbox.real.lifecycle import prepare
from sandbox.tools.errors import ToolError


def main() -> None:
    """Find, fetch or build them; ends with 1, and why, when one cannot be had."""
    try:
        toolbox.find_all((*control_plane.TOOLS, "pulumi"), Console())
        prepare(Console())
    except ToolError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
