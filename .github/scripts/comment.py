"""Write what `./maas diff` said of each stack into the pull request: one comment for each, updated in place.

The files come from a run of the pull request's own code, perhaps a fork's: they are text to show and nothing else.
Nobody is notified by a name in them. Which pull request they belong to is asked of GitHub, not of them.
"""

import os
import re
import sys
from pathlib import Path
from typing import Any

from github import Repository

_FILE = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}\.md$")
_MOST_CHARACTERS = 65_536
_MOST_STACKS = 50
_MARKER = re.compile(r"<!-- maas-diff: (.+) -->")
_MENTION = re.compile(r"(?<![A-Za-z0-9])@(?=[A-Za-z0-9])")
"""An image's digest stays as it is, to be copied."""
_AUTHOR = "github-actions[bot]"


def texts(folder: Path) -> dict[str, str]:
    """The comment of each stack, with the marker that the next run finds it by."""
    found: dict[str, str] = {}
    for path in sorted(folder.iterdir())[:_MOST_STACKS]:
        if not _FILE.match(path.name) or path.is_symlink() or not path.is_file():
            continue
        text = _MENTION.sub("@\u200b", path.read_text(encoding="utf-8", errors="replace"))
        marker = f"<!-- maas-diff: {path.stem} -->"
        if not text.startswith(f"{marker}\n"):
            text = f"{marker}\n{text}"
        found[marker] = text[:_MOST_CHARACTERS]
    return found


def gone(ours: dict[str, Any], folder: Path) -> dict[str, str]:
    """What to write where a stack has a comment and nothing more is said of it: neither side has the stack now."""
    known = {path.stem for path in folder.iterdir()}
    if not known:  # the comparison itself did not work
        return {}
    markers = {marker: found[1] for marker in ours if (found := _MARKER.fullmatch(marker))}
    stacks = {marker: stack for marker, stack in markers.items() if stack not in known}
    return {marker: f"{marker}\n### Stack `{stack}`: no changes\n" for marker, stack in stacks.items()}


def pull_request(repository: Repository, head: str, sha: str) -> int | None:
    """The open pull request from a branch (`owner:branch`) that is still at this commit: a newer run knows more."""
    for each in repository.every("pulls", head=head, state="open"):
        if each["head"]["sha"] == sha:
            return int(each["number"])
    return None


def main(folder: Path) -> str:
    """Write the comments; says what was done."""
    repository = Repository()
    head = f"{os.environ['HEAD_OWNER']}:{os.environ['HEAD_BRANCH']}"
    number = pull_request(repository, head, os.environ["HEAD_SHA"])
    if number is None:
        return "No open pull request is at this commit."
    ours = {
        each["body"].split("\n", 1)[0].strip(): each
        for each in repository.every(f"issues/{number}/comments")
        if each["user"]["login"] == _AUTHOR
    }
    done = {"written": 0, "updated": 0, "left": 0}
    for marker, text in {**texts(folder), **gone(ours, folder)}.items():
        known = ours.get(marker)
        if known is None:
            # A stack that does not change needs no comment, unless there is one that says it did.
            if "no changes" in text.split("\n", 2)[1]:
                continue
            repository.call("POST", f"issues/{number}/comments", {"body": text})
            done["written"] += 1
        elif known["body"].replace("\r\n", "\n").strip() == text.strip():
            done["left"] += 1
        else:
            repository.call("PATCH", f"issues/comments/{known['id']}", {"body": text})
            done["updated"] += 1
    return ", ".join(f"{count} {word}" for word, count in done.items())


if __name__ == "__main__":
    print(main(Path(sys.argv[1])))  # noqa: T201 - the job's log
