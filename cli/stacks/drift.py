"""What was last found to differ on a stack's cluster: by `./maas refresh` here, or each night by the workflow."""

import json
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from cli.files import private_folder, write_private
from cli.paths import home


@dataclass(frozen=True)
class Drift:
    """One look at a cluster."""

    checked: str
    """When, in UTC."""
    drifted: bool

    def __str__(self) -> str:
        """For people."""
        return f"{'yes' if self.drifted else 'no'} ({self.checked})"


def folder() -> Path:
    """Where results are: one file for each stack, also in folders below, as `gh run download` makes them."""
    return home() / "drift"


def remember(stack: str, *, drifted: bool) -> None:
    """Note down what was found now."""
    private_folder(folder())
    found = Drift(datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), drifted)
    write_private(folder() / f"{stack}.json", json.dumps(asdict(found)))


def forget(stack: str) -> None:
    """Drop what was noted down here of a stack that is gone; results of the workflow in folders below stay."""
    (folder() / f"{stack}.json").unlink(missing_ok=True)
    with suppress(OSError):  # others are in it, or it is not there
        folder().rmdir()


def last(stack: str) -> Drift | None:
    """The newest result that is here; None when nobody has looked."""
    found = [drift for path in folder().rglob(f"{stack}.json") if (drift := _read(path))]
    return max(found, key=lambda each: each.checked, default=None)


def _read(path: Path) -> Drift | None:
    """A file that does not say what it should counts as none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        checked, drifted = content["checked"], content["drifted"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return Drift(checked, drifted) if isinstance(checked, str) and isinstance(drifted, bool) else None
