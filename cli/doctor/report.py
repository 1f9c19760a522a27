"""The diagnosis as a table for people and as JSON for scripts."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict

from rich.console import Console
from rich.table import Table
from rich.text import Text

from cli.doctor.findings import Finding, Level
from cli.exits import Exit

_MARKS = {Level.OK: ("ok", "green"), Level.WAITS: ("waits", "dim"), Level.WARNING: ("warn", "yellow")}
_PROBLEM = ("BAD", "bold red")


def code(findings: Sequence[Finding]) -> Exit:
    """Failed when there is a problem; warnings are none."""
    return Exit.FAILED if any(each.level is Level.PROBLEM for each in findings) else Exit.OK


def verdict(findings: Sequence[Finding], stack: str) -> str:
    """The last line."""
    count = Counter(each.level for each in findings)
    problems, warnings = count[Level.PROBLEM], count[Level.WARNING]
    said = [f"{count[Level.OK]} ok", f"{warnings} warning{'s' * (warnings != 1)}"]
    said.append(f"{problems} problem{'s' * (problems != 1)}")
    if count[Level.WAITS]:
        said.append(f"{count[Level.WAITS]} that wait for these")
    words = "is not well" if problems else "is well, with reservations" if warnings else "is well"
    return f"Stack {stack} {words}: {', '.join(said)}."


def as_json(findings: Sequence[Finding], stack: str, server: str) -> str:
    """For scripts: the result, the counts, every finding."""
    count = Counter(each.level for each in findings)
    result = "problems" if count[Level.PROBLEM] else "warnings" if count[Level.WARNING] else "ok"
    content = {
        "result": result,
        "stack": stack,
        "server": server,
        "counts": {level.value: count[level] for level in Level},
        "findings": [{key: value for key, value in asdict(each).items() if key != "symptom"} for each in findings],
    }
    return json.dumps(content, indent=2, ensure_ascii=False)


def show(findings: Sequence[Finding], stack: str, console: Console) -> None:
    """Print every finding, the fix below what is wrong, and the verdict."""
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for each in findings:
        mark, style = _MARKS.get(each.level, _PROBLEM)
        text = Text.assemble((each.object, "bold"), f": {each.message}")
        if each.fix:
            text.append(f"\nfix: {each.fix}", style="cyan")
        table.add_row(Text(mark, style=style), Text(each.check), text)
    console.print(table)
    console.print(Text(verdict(findings, stack)))
