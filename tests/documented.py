"""The commands that README.md and docs/ tell people to type: which are run by a test, and why others are not."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import typer
from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption

from cli.app import app
from cli.paths import ROOT

TUTORIAL = "docs/tutorial/sandbox.md"
"""Its blocks are run as they stand, one after the other, in tests/sandbox/test_documented_commands.py."""
_FENCE = re.compile(r"^ *```(?P<language>\w*)\n(?P<text>.*?)^ *```$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`(\./maas [^`\n]+)`")
_COMMAND = re.compile(r"^(\./maas|pulumi|kubectl|oc|curl|helm|git|export|eval|for|[A-Z_]+=|\.venv/bin/python)\b")

NOT_RUN: tuple[tuple[str, str], ...] = (
    (r"^\./maas bench", "measures for many minutes, in sandboxes of its own"),
    (
        r"^\./maas (up|preview|refresh|destroy|doctor|bill|usage|token|chat|status)\b.*--stack (dev|ocp)",
        "the stack's cluster",
    ),
    (r"^\./maas (chat|sandbox usage|preview|refresh|up|down)( |$)", "as in the tutorial of the sandbox, which is run"),
    (r"^export KUBECONFIG=|^kubectl get gateway,httproute", "as in the tutorial of the sandbox, which is run"),
    (r"^\./maas verify(?! --list)", "the stack's cluster; tests/sandbox/test_verify.py does it on a sandbox"),
    (r"\./maas connect ", "a user of the reader's; tests/unit/cli/service/test_connect.py runs the snippets"),
    (r"^\./maas load ", "the stack's cluster; tests/unit/cli/load does it on a gateway of its own"),
    (r"\./maas kind ", "Docker and kind"),
    (r"\bpulumi ", "Pulumi's own command line, a backend and a cluster"),
    (r"^(kubectl|oc|helm|curl) |^TOKEN=|\| \./maas keys import -", "a cluster with the stack on it"),
    (r"^export PULUMI_BACKEND_URL", "a variable for what follows"),
    (r"--operators real|--name real", "tests/conformance does this"),
    (r"^\./maas test", "this is it"),
    (r"^\.venv/bin/python -m (benchmarks|tests)", "minutes of load, on a quiet machine"),
    (r"(keys\.csv|trace\.jsonl|config\.json)", "a file of the reader's"),
    (r"keys export --out keys\.jwe", "asks for a passphrase at a terminal"),
    (r"--stack ocp-eu1$|--stack ocp-eu1 ", "a cluster, and the steps before it"),
    (r"--base (v0|HEAD\^)", "a tag, or a commit before"),
)
"""Why a command is not run: what it would need, by a pattern of its line."""

RUN = re.compile(r"^\./maas (--help|policy|render|diff|graph|models|simulate|stack|keys|hosts|verify)( |$)")
"""What needs neither a cluster nor a terminal, and is run in a copy of the checkout."""

FIRST = {
    "./maas keys create alice --stack dev": "sed -i 's/^  maas:users:$/&\\n    alice: {tier: free}/' Pulumi.dev.yaml",
    "./maas models add qwen3 --source hf://Qwen/Qwen3-0.6B --profile small-gpu --stack ocp": (
        "./maas models remove qwen3 --stack ocp"
    ),
}
"""What makes a stack of this checkout the one that a page speaks of, before a command is run."""


@dataclass(frozen=True)
class Command:
    """One command, as it stands on a page."""

    page: str
    line: str

    @property
    def reason(self) -> str:
        """What it would need; empty when it is run."""
        return next((why for pattern, why in NOT_RUN if re.search(pattern, self.line)), "")

    @property
    def is_run(self) -> bool:
        """Whether it is run in a copy of the checkout."""
        return not self.reason and RUN.search(self.line) is not None


def pages() -> list[Path]:
    """Every page that people write."""
    return [
        ROOT / "README.md",
        *sorted(path for path in (ROOT / "docs").rglob("*.md") if path.parent.name != "reference"),
    ]


def blocks(page: Path) -> Iterator[str]:
    """The blocks of commands on a page; transcripts, drawings and formulas are none."""
    for match in _FENCE.finditer(page.read_text(encoding="utf-8")):
        if not match["language"] and _COMMAND.match(match["text"].lstrip()):
            yield match["text"]


def commands() -> Iterator[Command]:
    """Every command of every block; what a backslash goes on with is one."""
    for page in pages():
        for block in blocks(page):
            for line in block.replace("\\\n", " ").splitlines():
                if line.strip():
                    yield Command(page.relative_to(ROOT).as_posix(), without_comment(line.strip()))


def mentioned() -> Iterator[Command]:
    """Every call of ./maas on a page, also in the midst of a sentence or of another command."""
    for command in commands():
        for piece in re.split(r"&&|\||;|\$\(|\)", command.line):
            if piece.strip().startswith("./maas "):
                yield Command(command.page, piece.strip())
    for page in pages():
        for match in _CODE.finditer(page.read_text(encoding="utf-8")):
            yield Command(page.relative_to(ROOT).as_posix(), match[1].partition(" > ")[0])


def without_comment(line: str) -> str:
    """A line without what stands behind two spaces and a #."""
    return re.sub(r"\s{2,}#.*$|\s+#\s.*$", "", line)


@cache
def _root() -> object:
    return typer.main.get_command(app)


def complaint(line: str) -> str:
    """Why a call of ./maas cannot be made; empty when it can. Placeholders and `a|b` are as docs write them."""
    words = line.split()[1:]
    here: object = _root()
    while isinstance(here, TyperGroup):
        if not words or words[0].startswith(("-", "<")) or words[0] == "...":
            return ""
        names = words.pop(0).rstrip(".,").split("|")
        if missing := [name for name in names if name not in here.commands]:
            return f"no command {missing}"
        here = here.commands[names[0]]
    assert isinstance(here, TyperCommand)
    if here.name == "test":
        return ""  # what follows is pytest's
    known = {
        name
        for each in here.params
        if isinstance(each, TyperArgument | TyperOption)
        for name in [*each.opts, *each.secondary_opts]
    }
    given = [word.partition("=")[0].strip("[](),.;'\"") for word in words if word.startswith(("-", "[-"))]
    wrong = [name for each in given for name in each.split("|") if name not in {*known, "--help", "-"}]
    return f"no option {wrong}" if wrong else ""
