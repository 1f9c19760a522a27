"""The commit that the last deployment brought to every stack, on stdout; nothing when there was none.

The push before this one would not do: a deployment that failed, that nobody approved, or that a newer one took the
place of has left stacks behind, and the next comparison has to see what they lack.
"""

import os
import urllib.parse

from github import Repository


def main() -> str:
    """Where the branch was at the newest run of deploy.yml, begun by a push, that went through."""
    words = {"branch": os.environ["GITHUB_REF_NAME"], "event": "push", "status": "success", "per_page": 1}
    found = Repository().call("GET", f"actions/workflows/deploy.yml/runs?{urllib.parse.urlencode(words)}")
    return next((str(each["head_sha"]) for each in found["workflow_runs"]), "")


if __name__ == "__main__":
    print(main())  # noqa: T201 - the next command reads it
