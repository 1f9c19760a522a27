"""Which stacks are deployed now, as an output of a workflow's step: `stacks=["dev"]`."""

import json
import sys
from pathlib import Path
from typing import Any


def chosen(deployed: list[str], asked: list[str], diff: dict[str, Any] | None) -> list[str]:
    """Those that were asked for; else those that change, in the order of `deployed`.

    Raises:
        SystemExit: A stack that is not among `deployed` was asked for; or one that changes is refused.
    """
    if unknown := [stack for stack in asked if stack not in deployed]:
        sys.exit(f"Not in DEPLOY_STACKS: {', '.join(unknown)}.")
    if asked:
        return asked
    status = {each["stack"]: each["status"] for each in (diff or {}).get("stacks", [])}
    if refused := [stack for stack in deployed if status.get(stack) == "refused"]:
        sys.exit(f"The configuration is refused: {', '.join(refused)}.")
    return [stack for stack in deployed if status.get(stack, "unchanged") not in {"unchanged", "removed"}]


def main(deployed: str, asked: str, diff: Path) -> str:
    """The line for GITHUB_OUTPUT."""
    content = json.loads(diff.read_text(encoding="utf-8")) if diff.is_file() else None
    found = chosen(json.loads(deployed), json.loads(asked) if asked else [], content)
    return f"stacks={json.dumps(found)}"


if __name__ == "__main__":
    print(main(sys.argv[1], sys.argv[2], Path(sys.argv[3])))  # noqa: T201 - goes into GITHUB_OUTPUT
