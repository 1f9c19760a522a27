"""Keep one issue for each stack about what differs on its cluster: open it, update it, close it when it is gone.

Beside the output that it is given it leaves `<stack>.json`, which `./maas stack list` reads.
"""

import json
import os
import re
import sys
from datetime import UTC, datetime
from pathlib import Path

from github import Repository

_MOST_CHARACTERS = 60_000
_LABEL = "drift"


def body(stack: str, text: str, run: str) -> str:
    """The issue's text; the end of the output is kept, as that is where the engine sums up."""
    shown = re.sub(r"`{3,}", "'''", text)[-_MOST_CHARACTERS:]
    return (
        f"<!-- maas-drift: {stack} -->\nThe cluster of stack `{stack}` is not as its state says ([run]({run})). "
        "Somebody changed it, or the comparison failed: the last lines say which.\n\n"
        f"```diff\n{shown}\n```\n\n"
        f"To put it back as it was: `pulumi up --refresh --stack {stack}`. To keep it: write it into "
        f"`Pulumi.{stack}.yaml`, then the same.\n"
    )


def main(output: Path) -> str:
    """Bring the issue in line with what was found; says what was done."""
    stack, drifted = os.environ["STACK"], os.environ["STATUS"] != "0"
    server, name, number = (os.environ[f"GITHUB_{key}"] for key in ("SERVER_URL", "REPOSITORY", "RUN_ID"))
    run = f"{server}/{name}/actions/runs/{number}"
    found = {"checked": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), "drifted": drifted}
    output.with_name(f"{stack}.json").write_text(json.dumps(found), encoding="utf-8")
    repository = Repository()
    marker = f"<!-- maas-drift: {stack} -->"
    known = next(
        (
            each
            for each in repository.every("issues", labels=_LABEL, state="open")
            if (each.get("body") or "").startswith(marker)
        ),
        None,
    )
    if not drifted:
        if known is None:
            return "No drift."
        repository.call("POST", f"issues/{known['number']}/comments", {"body": f"The drift is gone ([run]({run}))."})
        repository.call("PATCH", f"issues/{known['number']}", {"state": "closed"})
        return f"Closed #{known['number']}."
    text = body(stack, output.read_text(encoding="utf-8", errors="replace"), run)
    if known is None:
        made = repository.call("POST", "issues", {"title": f"Drift of stack {stack}", "body": text, "labels": [_LABEL]})
        return f"Opened #{made['number']}."
    repository.call("PATCH", f"issues/{known['number']}", {"body": text})
    return f"Updated #{known['number']}."


if __name__ == "__main__":
    print(main(Path(sys.argv[1])))  # noqa: T201 - the job's log
