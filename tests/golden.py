"""Compare what a builder makes with the file that was reviewed. MAAS_UPDATE_GOLDENS=1 rewrites the files."""

import os
from pathlib import Path

import yaml


class _NoAliases(yaml.SafeDumper):
    """Writes a value out wherever it stands: a reviewer should not have to follow anchors."""

    def ignore_aliases(self, data: object) -> bool:
        del data
        return True


def check_golden(path: Path, value: object) -> None:
    """Fail when `value` differs from the reviewed file."""
    text = yaml.dump(value, Dumper=_NoAliases, sort_keys=True, allow_unicode=True, width=120)
    if os.environ.get("MAAS_UPDATE_GOLDENS") == "1":
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert path.exists(), f"{path.name} is missing: run the tests once with MAAS_UPDATE_GOLDENS=1 and review the file"
    assert text == path.read_text(encoding="utf-8"), f"{path.name} differs from what was reviewed"
