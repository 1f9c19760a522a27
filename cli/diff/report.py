"""A comparison as a comment of a pull request, for a terminal, or for a program. The same bytes for the same input."""

import difflib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cli.diff.changes import Action, Change
from cli.diff.compare import StackDiff
from cli.diff.fields import ABSENT, Field, changed_fields
from cli.diff.words import count

MARKER = "<!-- maas-diff: {stack} -->"
"""First line of a stack's comment: how the next run finds it again."""
_MOST_CHARACTERS = 60_000
"""GitHub takes comments of 65,536 characters."""
_HERE = "`./maas diff --base <base> --stack {stack}`"
_MOST_FIELDS = 60
_MOST_POINTS = 40
_LONGEST_PROBLEM = 20_000
_LONGEST_VALUE = 160
_SIGNS = {Action.CREATE: "+", Action.UPDATE: "~", Action.REPLACE: "±", Action.DELETE: "-", Action.MOVE: ">"}
_VERBS = {
    "create": "to create",
    "update": "to change",
    "replace": "to replace",
    "delete": "to delete",
    "move": "moved",
}
_HEADLINES = {
    "unchanged": "no changes",
    "refused": "the configuration is refused",
    "base refused": "no comparison, as the base's configuration is refused",
    "removed": "stack removed",
}


def headline(diff: StackDiff) -> str:
    """The whole in one line: `1 to change, 2 to delete`."""
    if diff.status in _HEADLINES:
        return _HEADLINES[diff.status]
    parts = [f"{number} {_VERBS[action]}" for action, number in diff.counts.items()]
    return ("stack added: " if diff.status == "added" else "") + (", ".join(parts) or "no object changes")


def markdown(diff: StackDiff, remarks: Sequence[str] = ()) -> str:
    """A comment of a pull request, short enough for one."""
    head = [MARKER.format(stack=diff.stack), f"### Stack `{diff.stack}`: {headline(diff)}", ""]
    if diff.problem:
        head += ["```", _unfenced(diff.problem[:_LONGEST_PROBLEM]), "```", ""]
    if diff.warnings:
        for topic in dict.fromkeys(each.topic for each in diff.warnings):
            texts = [each.text for each in diff.warnings if each.topic is topic]
            head += _points(texts, f"⚠️ **{topic.value}**: ", diff.stack)
        head.append("")
    if diff.summary:
        head += [*_points(diff.summary, "", diff.stack), ""]
    if remarks:
        head += [*(f"> {_inline(each)}" for each in remarks), ""]
    text = _fitting("\n".join(head))
    left_out = 0
    layers = _by_layer(diff.changes)
    for place, (layer, found) in enumerate(layers.items()):
        # A layer of a thousand keys leaves room for those behind it.
        block, shown = _markdown_layer(layer, found, (_MOST_CHARACTERS - len(text)) // (len(layers) - place))
        left_out += len(found) - shown
        text += block
    if left_out:
        text += f"\n{count(left_out, 'object')} left out here: {_HERE.format(stack=diff.stack)} shows all of it.\n"
    return text.rstrip("\n") + "\n"


def _points(lines: Sequence[str], before: str, stack: str) -> list[str]:
    """A list, so short that what comes after it is seen, too."""
    shown = [f"- {before}{_inline(line)}" for line in lines[:_MOST_POINTS]]
    more = len(lines) - len(shown)
    return [
        *shown,
        *([f"- {before}{count(more, 'more', 'more')}: {_HERE.format(stack=stack)} tells all"] if more else []),
    ]


def terminal(diff: StackDiff, remarks: Sequence[str] = ()) -> str:
    """Plain lines."""
    lines = [f"Stack {diff.stack}: {headline(diff)}"]
    lines += [f"  {line}" for line in diff.problem.splitlines()]
    lines += [f"  ! {each.topic.value}: {each.text}" for each in diff.warnings]
    lines += [f"  * {line}" for line in diff.summary]
    lines += [f"  ({each})" for each in remarks]
    for layer, found in _by_layer(diff.changes).items():
        lines.append(f"  {layer}:")
        for each in found:
            lines.append(f"    {_SIGNS[each.action]} {each.item.title}")
            lines += [f"        {line}" for field in _shown_fields(each) for line in _field_lines(field)]
    return "\n".join(lines) + "\n"


def as_json(diffs: Iterable[StackDiff], remarks: Sequence[str], base: str) -> str:
    """Everything, for programs."""
    return json.dumps(
        {"base": base, "remarks": list(remarks), "stacks": [_json(each) for each in diffs]},
        indent=2,
        ensure_ascii=False,
    )


def _json(diff: StackDiff) -> dict[str, Any]:
    return {
        "stack": diff.stack,
        "status": diff.status,
        "headline": headline(diff),
        "counts": dict(diff.counts),
        "summary": list(diff.summary),
        "warnings": [{"topic": each.topic.value, "text": each.text} for each in diff.warnings],
        "problem": diff.problem,
        "changes": [
            {
                "action": each.action.value,
                "layer": each.item.layer,
                "kind": each.item.kind,
                "namespace": each.item.namespace,
                "name": each.item.metadata_name,
                "patch": each.item.is_patch,
                "because": list(each.because),
                "fields": [_json_field(field) for field in each.fields],
            }
            for each in diff.changes
        ],
    }


def _json_field(field: Field) -> dict[str, Any]:
    shown = {"path": field.path}
    pairs = {"before": field.before, "after": field.after}
    return {**shown, **{name: value for name, value in pairs.items() if value is not ABSENT}}


def _by_layer(found: Iterable[Change]) -> Mapping[str, list[Change]]:
    layers: dict[str, list[Change]] = {}
    for each in found:
        layers.setdefault(each.item.layer or "stack", []).append(each)
    return layers


def _markdown_layer(layer: str, found: Sequence[Change], room: int) -> tuple[str, int]:
    """The objects of a layer, as many as there is room for; and how many that is."""
    title = f"{layer}: {count(len(found), 'object')}"
    before, after = f"<details><summary>{title}</summary>\n\n```diff\n", "```\n\n</details>\n"
    room -= len(before) + len(after)
    body, shown = "", 0
    for each in found:
        lines = [f"{_diff_sign(each)} {_SIGNS[each.action]} {_unfenced(each.item.title)}"]
        for field in _shown_fields(each):
            lines += [_unfenced(line) for line in _field_lines(field)]
        text = "\n".join([*lines, ""])
        if len(body) + len(text) > room:
            break
        body, shown = body + text, shown + 1
    return (before + body + after if shown else "", shown)


def _diff_sign(change: Change) -> str:
    """What makes the line green or red in a diff block; a heading in it is neither."""
    return {Action.CREATE: "+", Action.DELETE: "-"}.get(change.action, "@@")


def _shown_fields(change: Change) -> list[Field]:
    """The fields that differ, the most of what is created, and none of what goes."""
    fields = list(change.fields)
    if change.action is Action.CREATE:
        fields = [each for each in changed_fields(ABSENT, change.item.inputs) if not _is_common(each)]
    if len(fields) > _MOST_FIELDS:
        more = Field(f"... and {count(len(fields) - _MOST_FIELDS, 'field')} more", ABSENT, ABSENT)
        return [*fields[:_MOST_FIELDS], more]
    return fields


def _is_common(field: Field) -> bool:
    """What every object of ours has, and the heading has said already."""
    return field.path in {"apiVersion", "kind", "metadata.name", "metadata.namespace"} or field.path.startswith(
        "metadata.labels"
    )


def _field_lines(field: Field) -> list[str]:
    texts = isinstance(field.before, str) and isinstance(field.after, str)
    if texts and ("\n" in field.before or "\n" in field.after):
        return _text_lines(field)
    lines = [f"- {field.path}: {_value(field.before)}"] if field.before is not ABSENT else []
    lines += [f"+ {field.path}: {_value(field.after)}"] if field.after is not ABSENT else []
    return lines or [f"  {field.path}"]


def _text_lines(field: Field) -> list[str]:
    """A text of many lines: which of them differ."""
    before, after = str(field.before).splitlines(), str(field.after).splitlines()
    lines = [
        line for line in difflib.unified_diff(before, after, lineterm="", n=1) if not line.startswith(("---", "+++"))
    ]
    most = 40
    more = [f"  ... and {count(len(lines) - most, 'line')} more"] if len(lines) > most else []
    return [f"  {field.path}:", *(_short(line) for line in lines[:most]), *more]


def _value(value: object) -> str:
    return _short(json.dumps(value, ensure_ascii=False, sort_keys=True))


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_VALUE else f"{text[: _LONGEST_VALUE - 1]}…"


def _unfenced(text: str) -> str:
    """Text of others that must not end the code block that it stands in."""
    return re.sub(r"`{3,}", "'''", text)


def _inline(text: str) -> str:
    """A value of a stack file must not become markup: no tags, links or mentions, no line of its own."""
    text = re.sub(r"\s*\n\s*", " ", _unfenced(text))
    return text.replace("<", "&lt;").replace("](", "]\u200b(").replace("@", "@\u200b")


def _fitting(text: str) -> str:
    return text if len(text) <= _MOST_CHARACTERS else text[: _MOST_CHARACTERS - 2].rsplit("\n", 1)[0] + "\n…\n"
