"""The work of `./maas sbom`."""

import tomllib

from cli.paths import ROOT
from cli.program.recorder import Recording
from cli.sbom.bom import document
from cli.sbom.inventory import inventory, unpinned


def made(stack: str, recording: Recording) -> tuple[str, list[str]]:
    """The bill of materials, and what it does not know."""
    found = inventory(recording)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    counts = (
        f"{len(found.packages)} Python packages, {len(found.programs)} Go programs, {len(found.images)} images, "
        f"{len(found.charts)} charts."
    )
    notes = [counts]
    if by_tag := unpinned(found.images):
        names = ", ".join(f"{each.name}:{each.tag}" for each in by_tag)
        notes.append(f"Named by tag, not by digest: {names}")
    return document(found, stack, str(project["version"])), notes
