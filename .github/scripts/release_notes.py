"""The section of CHANGELOG.md for a tag, on stdout; refuses a tag that is not the project's version."""

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def notes(tag: str, project: str, changelog: str) -> str:
    """What changed in the release of `tag`.

    Raises:
        SystemExit: The tag is not `v` and the version in pyproject.toml; or the changelog has no section for it.
    """
    version = str(tomllib.loads(project)["project"]["version"])
    if tag != f"v{version}":
        sys.exit(f"The tag is {tag}, and pyproject.toml says {version}: change one of them.")
    found = re.search(rf"^## {re.escape(version)}\b[^\n]*\n(.*?)(?=^## |\Z)", changelog, re.MULTILINE | re.DOTALL)
    if not found or not found[1].strip():
        sys.exit(f"CHANGELOG.md has no section '## {version}' with anything in it.")
    return found[1].strip() + "\n"


if __name__ == "__main__":
    project, changelog = ((ROOT / name).read_text(encoding="utf-8") for name in ("pyproject.toml", "CHANGELOG.md"))
    print(notes(sys.argv[1], project, changelog), end="")  # noqa: T201 - goes into a file
