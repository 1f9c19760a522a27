"""docs/faults.md shows the table that drives the tests. MAAS_UPDATE_GOLDENS=1 writes it."""

import os
from pathlib import Path

from tests.faults.table import FAULTS, SECTIONS, Fault

PAGE = Path(__file__).parents[2] / "docs" / "faults.md"
BEGIN, END = "<!-- faults: begin -->\n", "<!-- faults: end -->\n"


def test_the_page_has_every_fault_as_it_is_tested() -> None:
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    shown, _, after = rest.partition(END)
    wanted = "\n".join(section(title, faults) for title, faults in SECTIONS)
    if os.environ.get("MAAS_UPDATE_GOLDENS") == "1":
        PAGE.write_text(before + BEGIN + wanted + END + after, encoding="utf-8")
        shown = wanted
    assert shown == wanted, "run this test once with MAAS_UPDATE_GOLDENS=1 and look at the page"


def test_every_fault_has_a_name_of_its_own_and_one_that_fails_says_something() -> None:
    names = [fault.name for fault in FAULTS]
    assert len(set(names)) == len(names) >= 30
    assert [fault.name for fault in FAULTS if not fault.gets_over_it and not fault.says] == []
    assert [fault.name for fault in FAULTS if fault.way_back and fault.gets_over_it] == []


def section(title: str, faults: tuple[Fault, ...]) -> str:
    """A heading, and a line for each fault."""
    lines = [
        f"## {title}",
        "| what goes wrong | how the test makes it | what happens | way back |",
        "|---|---|---|---|",
    ]
    lines += [f"| {fault.what} | {fault.made} | {outcome(fault)} | {way_back(fault)} |" for fault in faults]
    return "\n".join(lines) + "\n"


def outcome(fault: Fault) -> str:
    if fault.gets_over_it:
        return "gets over it" + ("; says " + quoted(fault) if fault.says else "")
    return f"ends with {fault.code}: {quoted(fault)}"


def quoted(fault: Fault) -> str:
    return ", ".join(f'"{words}"' for words in fault.says)


def way_back(fault: Fault) -> str:
    if fault.gets_over_it:
        return "none needed"
    again = "`up` again" if fault.words[0] == "up" else f"`{fault.words[0]}` again"
    commands = [
        " ".join(word for word in words if word not in {"--stack", "faults", "--stand-in"}) for words in fault.way_back
    ]
    return ", then ".join([*(f"`./maas {command}`" for command in commands), again])
