"""`./maas diff` itself."""

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path

import typer

from cli.console import Console
from cli.diff import report
from cli.diff.compare import StackDiff, compare
from cli.diff.revisions import both, exported, lock_notes
from cli.exits import Exit, MaasError


class Format(StrEnum):
    """How to write it."""

    MARKDOWN = "markdown"
    TERMINAL = "terminal"
    JSON = "json"


def run(  # noqa: PLR0913 - its options
    base: str, stacks: Sequence[str], style: Format, out: Path | None, *, expect_no_changes: bool, console: Console
) -> Exit:
    """Compare, and write.

    Args:
        base: any name of a commit.
        stacks: which; none for all.
        style: how to write it.
        out: a folder that gets one file for each stack; None for stdout.
        expect_no_changes: end with CHANGES when there are any.
        console: for what is worth saying beside it.

    Returns:
        CONFIG when a stack is refused as it is now; else OK, or CHANGES.
    """
    with exported(base) as tree:
        remarks = lock_notes(tree)
        diffs = [compare(stack, before, after) for stack, (before, after) in both(tree, stacks).items()]
    _write(diffs, remarks, base, style, out)
    if out:
        console.note(f"{len(diffs)} files in {out}.")
    if any(each.status == "refused" for each in diffs):
        return Exit.CONFIG
    changed = any(each.status != "unchanged" for each in diffs)
    return Exit.CHANGES if expect_no_changes and changed else Exit.OK


def _write(diffs: Sequence[StackDiff], remarks: Sequence[str], base: str, style: Format, out: Path | None) -> None:
    if style is Format.JSON and out is None:
        typer.echo(report.as_json(diffs, remarks, base))
        return
    suffix = {Format.MARKDOWN: "md", Format.TERMINAL: "txt", Format.JSON: "json"}[style]
    for diff in diffs:
        match style:
            case Format.MARKDOWN:
                text = report.markdown(diff, remarks)
            case Format.TERMINAL:
                text = report.terminal(diff, remarks)
            case Format.JSON:
                text = report.as_json([diff], remarks, base) + "\n"
        if out is None:
            typer.echo(text)
            continue
        try:
            out.mkdir(parents=True, exist_ok=True)
            (out / f"{diff.stack}.{suffix}").write_text(text, encoding="utf-8")
        except OSError as error:
            raise MaasError(f"Cannot write to {out}: {error.strerror}.") from error
