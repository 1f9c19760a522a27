import re
from collections.abc import Iterator
from typing import get_args

from pydantic import BaseModel

from cli.paths import ROOT
from config.settings import Settings

REFERENCE = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")


def keys(annotation: object) -> Iterator[str]:
    """Every key that can be written at or below a type."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        for name, field in annotation.model_fields.items():
            if name not in {"root", "limit", "window"}:  # a rate has a paragraph of its own
                yield field.alias or name
            yield from keys(field.annotation)
    for argument in get_args(annotation):
        yield from keys(argument)


def test_the_reference_has_every_key_and_no_other_section() -> None:
    missing = {key for key in keys(Settings) if f"`{key}`" not in REFERENCE and f"`maas:{key}`" not in REFERENCE}
    assert missing == set()
    sections = set(re.findall(r"^## `maas:(\w+)`$", REFERENCE, flags=re.MULTILINE))
    assert sections == {field.alias or name for name, field in Settings.model_fields.items()}
