"""What a command says at its end: the changes, the closing table, or the same as JSON."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from cli.deploy.leftovers import Leftover
from cli.deploy.tracker import Diagnostic, Span, Step, Tracker
from cli.exits import Exit
from cli.program.urns import label, type_of
from cli.stacks.stackfile import mapping
from config.values import UNLIMITED

_RESULTS = {Exit.OK: "succeeded", Exit.CHANGES: "changes", Exit.CONFIG: "refused", Exit.INTERRUPTED: "interrupted"}
_MARKS = {"create": "+", "update": "~", "delete": "-", "replace": "±", "import": "="}
_QUIET_OPS = ("create-replacement", "delete-replaced")  # the halves of a `replace`, which is listed itself


@dataclass
class Summary:
    """All that a command has to tell."""

    code: Exit = Exit.OK
    seconds: float = 0.0
    changes: Mapping[str, int] = field(default_factory=dict[str, int])
    steps: Sequence[Step] = ()
    outputs: Mapping[str, Any] = field(default_factory=dict[str, Any])
    errors: Sequence[Diagnostic] = ()
    left: Sequence[Leftover] = ()
    """CRDs of operators that are gone."""
    spans: Mapping[str, Span] = field(default_factory=dict[str, Span])
    """When each resource's operation took place, by URN."""

    @classmethod
    def of(cls, tracker: Tracker, seconds: float, code: Exit = Exit.OK) -> "Summary":
        """Take over what the tracker has collected."""
        return cls(code, seconds, tracker.changes, tracker.steps, tracker.outputs, tracker.errors, spans=tracker.spans)

    def as_json(self) -> str:
        """For scripts. Secrets are already redacted."""
        content = {
            "result": _RESULTS.get(self.code, "failed"),
            "changes": dict(self.changes),
            "steps": [
                {
                    "op": step.op,
                    "urn": step.urn,
                    "type": step.type,
                    "name": step.name,
                    "layer": step.layer,
                    "diff": list(step.diff),
                    **({"failed": True} if step.failed else {}),
                    **_when(self.spans.get(step.urn)),
                }
                for step in self.steps
            ],
            "outputs": dict(self.outputs),
            "errors": [{"urn": each.urn, "message": each.message} for each in self.errors],
            **({"crdsLeft": {each.operator: each.objects for each in self.left}} if self.left else {}),
            "seconds": round(self.seconds, 1),
        }
        return json.dumps(content, indent=2, sort_keys=False, ensure_ascii=False)


def _when(span: Span | None) -> dict[str, float]:
    return {"began": round(span.began, 2), "seconds": round(span.seconds, 2)} if span else {}


def counts(changes: Mapping[str, int]) -> str:
    """`2 created, 1 updated, 30 unchanged`; `nothing` when there is nothing at all."""
    words = {"create": "created", "update": "updated", "delete": "deleted", "replace": "replaced", "same": "unchanged"}
    known = [f"{changes[op]} {word}" for op, word in words.items() if changes.get(op)]
    others = [
        f"{count} {op}" for op, count in sorted(changes.items()) if op not in words and op not in _QUIET_OPS and count
    ]
    return ", ".join(known + others) or "nothing"


def changed_objects(steps: Sequence[Step]) -> RenderableType:
    """One row for each changed object, with the properties that changed."""
    table = Table(box=None, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for step in steps:
        if step.op not in _QUIET_OPS:
            table.add_row(_MARKS.get(step.op, step.op), step.layer, label(step.urn), ", ".join(step.diff))
    return table


def problems(errors: Sequence[Diagnostic], describe: str = "") -> str:
    """The errors, each with its object, and where to look next.

    Args:
        errors: What the engine and the provider said.
        describe: How to look at an object, such as `kubectl --kubeconfig ... describe`.
    """
    lines = [_with_object(each) for each in errors]
    if describe and any(each.urn and not each.rule for each in errors):
        lines.append(f"Look at the object's status and events: {describe} <kind> <name>")
    return "\n".join(lines)


def _with_object(error: Diagnostic) -> str:
    """The message, with the object before it unless it begins with that itself."""
    kind = type_of(error.urn).split(":")[-1]
    return error.message if not error.urn or error.message.startswith(kind) else f"{label(error.urn)}: {error.message}"


def closing(outputs: Mapping[str, Any], hints: Sequence[tuple[str, str]], *, port: int | None = None) -> RenderableType:
    """What stands now: models with their endpoints, tiers, users, and what to try next. Never a key.

    Args:
        outputs: of the stack.
        hints: commands to try, each with what it is for.
        port: of a sandbox's gateway on this machine, which is another than that of a cluster, and plain HTTP.
    """
    parts: list[RenderableType] = []
    endpoints, models = mapping(outputs.get("endpoints")), mapping(outputs.get("models"))
    if port is not None:
        endpoints = {name: _here(str(url), port) for name, url in endpoints.items()}
    if models:
        parts.append(_models(models, endpoints))
    if tiers := mapping(outputs.get("tiers")):
        parts.append(_tiers(tiers))
    if users := mapping(outputs.get("users")):
        parts.append(_users(users))
    if hints:
        table = _table("Next")
        for command, why in hints:
            table.add_row(command, why)
        parts.append(table)
    return Group(*[item for part in parts for item in (part, Text(""))])


def _table(title: str, *headings: str) -> Table:
    table = Table(
        title=title, title_justify="left", box=None, show_header=bool(headings), pad_edge=False, header_style="dim"
    )
    for heading in headings:
        table.add_column(heading, overflow="fold")
    return table


def _models(models: Mapping[str, Any], endpoints: Mapping[str, Any]) -> Table:
    table = _table("Models", "name", "called as", "runtime", "GPUs", "endpoint")
    for name, entry in sorted(models.items()):
        model = mapping(entry)
        row = (model.get("servedName", name), model.get("runtime", ""), model.get("gpus", 0), endpoints.get(name, ""))
        table.add_row(name, *[_word(each) for each in row])
    return table


def _here(url: str, port: int) -> str:
    parts = urlsplit(url)
    return parts._replace(scheme="http", netloc=f"{parts.hostname}:{port}").geturl()


def _tiers(tiers: Mapping[str, Any]) -> Table:
    table = _table("Tiers", "name", "level", "requests", "tokens", "price of a token")
    for name, entry in sorted(tiers.items(), key=lambda item: (float(mapping(item[1]).get("level", 0)), item[0])):
        tier = mapping(entry)
        table.add_row(name, *[_word(tier.get(key, "")) for key in ("level", "requests", "tokens", "price")])
    return table


def _users(users: Mapping[str, Any]) -> Table:
    table = _table("Users", "name", "tier", "Secret with the key")
    for name, entry in sorted(users.items()):
        user = mapping(entry)
        table.add_row(name, _word(user.get("tier", "")), _word(user.get("keySecret") or "none: no key was set"))
    return table


def usage(counters: Mapping[str, Any]) -> RenderableType:
    """The counters of each user whose windows run, as the sandbox's gateway tells them."""
    table = _table("Usage", "user", "model's route", "limit", "counts", "used", "of", "window", "ends in")
    for user, all_ in sorted(counters.items()):
        for each in all_:
            row = [each[key] for key in ("route", "limit", "counts", "used")]
            most = UNLIMITED if each["max"] is None else each["max"]
            table.add_row(
                user, *map(_word, (*row, most)), f"{each['windowSeconds']} s", f"{each['endsInSeconds']:.0f} s"
            )
    return table if table.row_count else Text("No window runs: nobody has called a model of late.")


def _word(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(str(each) for each in value)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType] - any list
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def show(console: Console, part: RenderableType) -> None:
    """Print a part with an empty line before it."""
    console.print()
    console.print(part)
