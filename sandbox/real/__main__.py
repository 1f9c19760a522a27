"""`python -m sandbox.real <name> <home>`: the supervisor of one sandbox's real operators. Started by lifecycle.py."""

import asyncio
import sys
from pathlib import Path

from sandbox.instance import Sandbox
from sandbox.real.lifecycle import TOOLS
from sandbox.real.supervisor import Supervisor
from sandbox.toolbox import cached_path
from sandbox.tools.declarations import TOOLS as DECLARED

if __name__ == "__main__":
    name, home = sys.argv[1:]
    tools = {tool: cached_path(DECLARED[tool]) for tool in TOOLS}
    asyncio.run(Supervisor(Sandbox.open(name, Path(home)), tools).run())
