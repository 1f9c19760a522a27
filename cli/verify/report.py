"""What came of a run: for people, for scripts (JSON), for pipelines (JUnit's XML)."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

from rich.console import Console
from rich.table import Table
from rich.text import Text

from cli.exits import Exit
from cli.verify.client import Spent
from cli.verify.runner import Budget
from cli.verify.scenario import Outcome, Phase, Result, Scenario

_MARKS = {
    Outcome.PASSED: ("ok", "green"),
    Outcome.FAILED: ("FAIL", "bold red"),
    Outcome.BLOCKED: ("BLOCKED", "yellow"),
    Outcome.SKIPPED: ("skipped", "dim"),
}


@dataclass(frozen=True)
class Report:
    """One run."""

    stack: str
    url: str
    results: Sequence[Result]
    spent: Spent
    budget: Budget
    seconds: float
    strict: bool = False
    """Whether what was skipped counts as failed."""

    @property
    def count(self) -> Counter[Outcome]:
        """How many of each."""
        return Counter(each.outcome for each in self.results)

    @property
    def good(self) -> bool:
        """Whether the service does what the stack says, as far as it was asked; and it was asked something."""
        count = self.count
        bad = count[Outcome.FAILED] or count[Outcome.BLOCKED] or (self.strict and count[Outcome.SKIPPED])
        return not bad and not self.idle

    @property
    def idle(self) -> bool:
        """Whether nothing was tried but to reach the gateway, though more was wanted."""
        wanted = [each for each in self.results if each.scenario.phase is not Phase.REACH] or self.results
        return all(each.outcome is Outcome.SKIPPED for each in wanted)

    @property
    def code(self) -> Exit:
        """How the command ends."""
        return Exit.OK if self.good else Exit.FAILED

    @property
    def verdict(self) -> str:
        """The last line."""
        parts = [f"{self.count[each]} {each.value}" for each in Outcome if self.count[each]]
        spent = (
            f"{self.spent.requests} of at most {self.budget.max_requests} requests, "
            f"{self.spent.tokens} of {self.budget.max_tokens} tokens, "
            f"{self.seconds:.0f} of {self.budget.max_seconds:g} s"
        )
        says = "does what it says" if self.good else "does not do what it says"
        if self.idle and not self.count[Outcome.FAILED]:
            says = "was not verified, all that was wanted was skipped"
        elif self.good and self.count[Outcome.SKIPPED]:
            says += ", as far as it was asked"
        return f"Stack {self.stack} {says}: {', '.join(parts) or 'nothing was tried'}. {spent}."

    def as_json(self) -> str:
        """For scripts."""
        content = {
            "result": "passed" if self.good else "failed",
            "stack": self.stack,
            "url": self.url,
            "seconds": round(self.seconds, 1),
            "requests": self.spent.requests,
            "tokens": self.spent.tokens,
            "budget": vars(self.budget),
            "counts": {each.value: self.count[each] for each in Outcome},
            "scenarios": [
                {
                    "name": each.name,
                    "group": each.scenario.group,
                    "proves": each.scenario.proves,
                    "outcome": each.outcome.value,
                    "seconds": round(each.seconds, 2),
                    **{
                        key: value
                        for key, value in (
                            ("remark", each.remark),
                            ("expected", each.expected),
                            ("seen", each.seen),
                            ("requestId", each.request_id),
                            ("cause", each.cause),
                        )
                        if value
                    },
                }
                for each in self.results
            ],
        }
        # Half a letter, as a service may escape it in its JSON, cannot be written.
        return json.dumps(content, indent=2, ensure_ascii=False).encode(errors="replace").decode()

    def junit(self) -> bytes:
        """For pipelines: a suite for each group."""
        root = ET.Element("testsuites", name=f"maas verify {self.stack}", time=f"{self.seconds:.2f}")
        self._counted(root, self.results)
        for group in dict.fromkeys(each.scenario.group for each in self.results):
            within = [each for each in self.results if each.scenario.group == group]
            suite = ET.SubElement(root, "testsuite", name=group, time=f"{sum(each.seconds for each in within):.2f}")
            self._counted(suite, within)
            for each in within:
                case = ET.SubElement(
                    suite,
                    "testcase",
                    classname=f"maas.verify.{group}",
                    name=_plain(each.name),
                    time=f"{each.seconds:.2f}",
                )
                self._judged(case, each)
        ET.indent(root)
        return ET.tostring(root, encoding="utf-8", xml_declaration=True) + b"\n"

    def write_junit(self, path: Path) -> None:
        """Into a file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self.junit())

    def show(self, console: Console) -> None:
        """Print every scenario, and below those that went wrong what to know of it."""
        table = Table(box=None, pad_edge=False, show_header=False)
        table.add_column(no_wrap=True)
        table.add_column(justify="right", no_wrap=True)
        table.add_column(overflow="fold")
        for each in self.results:
            mark, style = _MARKS[each.outcome]
            table.add_row(Text(mark, style=style), Text(f"{each.seconds:.1f} s", style="dim"), _words(each))
        console.print(table)
        console.print(Text(self.verdict), soft_wrap=True)

    def _judged(self, case: ET.Element, each: Result) -> None:
        skipped_is_bad = self.strict and each.outcome is Outcome.SKIPPED
        match each.outcome:
            case Outcome.PASSED:
                return
            case Outcome.FAILED:
                message = f"expected {each.expected}, seen {each.seen}"
                ET.SubElement(case, "failure", message=_plain(message)).text = _plain("\n".join(details(each)))
            case Outcome.SKIPPED if not skipped_is_bad:
                ET.SubElement(case, "skipped", message=_plain(each.remark))
            case _:
                ET.SubElement(case, "error", message=_plain(each.remark))

    def _counted(self, element: ET.Element, results: Sequence[Result]) -> None:
        count = Counter(each.outcome for each in results)
        skipped = count[Outcome.SKIPPED]
        element.set("tests", str(len(results)))
        element.set("failures", str(count[Outcome.FAILED]))
        element.set("errors", str(count[Outcome.BLOCKED] + (skipped if self.strict else 0)))
        element.set("skipped", str(0 if self.strict else skipped))


def details(result: Result) -> list[str]:
    """What to know of a failure, a line each."""
    return [
        f"{name}: {value}"
        for name, value in (
            ("expected", result.expected),
            ("seen", result.seen),
            ("request", result.request_id),
            ("likely cause", result.cause),
        )
        if value
    ]


def listing(scenarios: Sequence[Scenario]) -> Table:
    """The scenarios by themselves, with what they need."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("group", "scenario", "proves", "needs"):
        table.add_column(heading, overflow="fold")
    for each in scenarios:
        table.add_row(each.group, each.name, each.proves, ", ".join(sorted(each.needs)))
    return table


def _words(each: Result) -> Text:
    text = Text.assemble((_plain(each.name), "bold" if each.outcome is not Outcome.SKIPPED else "dim"))
    if each.remark:
        text.append(f": {_plain(each.remark)}", style="" if each.outcome is Outcome.BLOCKED else "dim")
    for line in details(each) if each.outcome is Outcome.FAILED else ():
        text.append(f"\n{_plain(line)}", style="cyan" if line.startswith("likely") else "")
    return text


def _plain(text: str) -> str:
    """Without what XML cannot have, and a terminal should not: a service may answer anything."""
    return "".join(
        each if each in "\t\n" or " " <= each < "\ud800" or "\ue000" <= each <= "\ufffd" or each > "\uffff" else "?"
        for each in text
    )
