import re

from cli.paths import ROOT
from config.settings import Settings

PAGE = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")


def test_every_section_is_explained_and_leads_to_its_keys_and_there_is_no_other() -> None:
    """Keys themselves are in docs/reference/configuration.md, which is generated: tests/unit/docs/test_generated.py."""
    wanted = [field.alias or name for name, field in Settings.model_fields.items()]
    sections = dict(re.findall(r"^## `maas:(\w+)`\n(.*)$", PAGE, flags=re.MULTILINE))
    assert sorted(sections) == sorted(wanted)
    for name, first in sections.items():
        assert first.startswith(f"[Keys](reference/configuration.md#maas{name.lower()}). "), name
        assert len(first) > 60, f"{name} is not explained"
