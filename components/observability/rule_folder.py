"""The rules that are the same everywhere, as files that people can open and load into any Prometheus.

`python -m components.observability.rule_folder` writes `rules/` anew.
"""

from pathlib import Path

import yaml

from components.observability.rules import FILES, RuleFile

FOLDER = Path(__file__).parent.parent.parent / "rules"
_WRITTEN = "# Written by `python -m components.observability.rule_folder`; change components/observability/rules.py.\n"


class _Dumper(yaml.SafeDumper):
    """Writes expressions of several lines as blocks."""


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar(  # pyright: ignore[reportUnknownMemberType] - its stubs leave the value open
        "tag:yaml.org,2002:str", value, style="|" if "\n" in value else None
    )


_Dumper.add_representer(str, _text)


def document(file: RuleFile) -> str:
    """One file of rules, as Prometheus and promtool read it."""
    about = "".join(f"# {line}\n" for line in file.about.splitlines())
    body = yaml.dump({"groups": file.groups}, Dumper=_Dumper, sort_keys=False, width=120, allow_unicode=True)
    return f"{_WRITTEN}{about}{body}"


def documents() -> dict[str, str]:
    """Every file of the folder by its name."""
    return {f"{file.name}.yaml": document(file) for file in FILES}


def main() -> None:
    """Write the folder."""
    FOLDER.mkdir(exist_ok=True)
    for old in FOLDER.glob("*.yaml"):
        old.unlink()
    for name, text in documents().items():
        (FOLDER / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
