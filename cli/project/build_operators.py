"""`python -m cli.project.build_operators`: have every program that the conformance tests need."""

import sys

from cli.console import Console
from sandbox import control_plane, toolbox
from sandbox.real.lifecycle import TOOLS
from sandbox.tools.errors import ToolError

UPGRADED = "kuadrant-operator-before"
"""The release from which the tests upgrade."""
CONFORMANCE_TOOLS = (*TOOLS, UPGRADED)
"""What has to be built for them and for nothing else."""


def main() -> None:
    """Find, fetch or build them; ends with 1, and why, when one cannot be had."""
    try:
        toolbox.find_all((*control_plane.TOOLS, "pulumi", "helm", *CONFORMANCE_TOOLS), Console())
    except ToolError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
