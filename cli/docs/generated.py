"""The pages and pictures of docs/ that are written out of the program, so that they are never out of date."""

from collections.abc import Callable, Mapping
from pathlib import Path

from cli.docs import command_line, configuration
from cli.paths import ROOT


def _layers() -> str:
    from cli.program.graph import Format, drawn  # noqa: PLC0415 - loads the engine's SDK
    from cli.program.recorder import record, stack_config  # noqa: PLC0415

    return drawn(record("ocp", *stack_config("ocp")), Format.SVG, objects=False)


def makers(commands: object) -> Mapping[str, Callable[[], str]]:
    """What makes each file; one of them is about all `commands` (see `command_line.page`)."""
    return {
        "docs/reference/configuration.md": configuration.page,
        "docs/reference/command-line.md": lambda: command_line.page(commands),
        "docs/images/layers.svg": _layers,
    }


def write(commands: object, root: Path = ROOT) -> list[str]:
    """Write the files that are not as they should be; says which."""
    changed: list[str] = []
    for name, make in makers(commands).items():
        path, text = root / name, make()
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            changed.append(name)
    return changed
