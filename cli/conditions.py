"""`./maas sandbox conditions`: what real operators say, as tables."""

from collections.abc import Iterator

from rich.table import Table
from rich.text import Text

from sandbox.real.report import Report

_NEGATIVE = frozenset({"Conflicted", "OverlappingTLSConfig"})
"""Conditions that are well when they are not true."""


def tables(report: Report) -> Iterator[Table]:
    """The programs, then the conditions; what is not well is red."""
    programs = Table("program", "version", "ready", "starts", "MiB", "last")
    for each in report.programs:
        programs.add_row(
            each.program,
            each.version,
            _status("yes" if each.ready else "no", well=each.ready),
            str(each.starts),
            str(each.memory // 2**20),
            Text(each.note),
        )
    yield programs
    conditions = Table("kind", "object", "condition", "status", "reason", "message")
    for said in report.conditions:
        about = f"{said.type} ({said.about})" if said.about else said.type
        well = said.current and (said.status == "True") != (said.type in _NEGATIVE)
        status = said.status if said.current else f"{said.status}, of an older generation"
        conditions.add_row(
            said.kind, Text(said.name), about, _status(status, well=well), said.reason, Text(said.message)
        )
    yield conditions


def _status(words: str, *, well: bool) -> Text:
    return Text(words, style="" if well else "red")
