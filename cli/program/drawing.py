"""A directed graph without cycles as an SVG picture, from left to right: the same graph gives the same bytes.

The usual way of drawing layers: each node stands one column behind the last one that it needs, edges over several
columns get a place of their own in each (so that they do not run through boxes), and columns are ordered so that what
belongs together is near.
"""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

Edge = tuple[str, str]
_SWEEPS = 8
_CHARACTER, _LINE, _PADDING, _GAP, _COLUMN_GAP, _MARGIN, _BEND = 7.2, 17, 10, 14, 56, 12, 8
"""Pixels: a character of the font, a line of text, around the text, between boxes, between columns, around all, and of
the place that an edge takes where it passes a column."""
_HEAD = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
    'font-family="ui-monospace, monospace" font-size="12" role="img">'
)
_ARROW = (
    '<defs><marker id="arrow" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
    '<path d="M0 0 8 4 0 8z" fill="#5c6b7a"/></marker></defs>'
)
Slot = tuple[str, str, int]
"""What takes a place in a column: a node (its name, nothing, its column), or an edge that passes (its ends, column)."""


@dataclass(frozen=True)
class _Box:
    """A place in the picture."""

    left: float
    top: float
    width: float
    height: float

    @property
    def middle(self) -> float:
        return self.top + self.height / 2


def svg(nodes: Mapping[str, Sequence[str]], edges: Iterable[Edge]) -> str:
    """The picture of a graph.

    Args:
        nodes: what is written below each node's name, by the name.
        edges: what is needed, and what needs it; without cycles.
    """
    links = sorted(set(edges))
    columns = arranged(columns_of(nodes, links), links)
    boxes = _placed(columns, nodes)
    right = max((box.left + box.width for box in boxes.values()), default=0.0)
    bottom = max((box.top + box.height for box in boxes.values()), default=0.0)
    head = _HEAD.format(width=f"{right + _MARGIN:.0f}", height=f"{bottom + _MARGIN:.0f}")
    paths = [_path(_way(link, boxes)) for link in links]
    drawn = [_node(name, nodes[name], boxes[slot]) for name, slot in sorted(_own_slots(boxes).items())]
    return "\n".join([head, _ARROW, *paths, *drawn, "</svg>", ""])


def columns_of(nodes: Iterable[str], edges: Sequence[Edge]) -> dict[str, int]:
    """The column of each node: one behind the last one that it needs.

    Raises:
        ValueError: The edges go in a circle.
    """
    needs: dict[str, set[str]] = {name: set() for name in nodes}
    for first, second in edges:
        needs[second].add(first)
    found: dict[str, int] = {}
    while len(found) < len(needs):
        ready = [name for name in sorted(needs.keys() - found.keys()) if needs[name] <= found.keys()]
        if not ready:
            raise ValueError(f"a circle among {', '.join(sorted(needs.keys() - found.keys()))}")
        found |= {name: 1 + max((found[each] for each in needs[name]), default=-1) for name in ready}
    return found


def arranged(ranks: Mapping[str, int], edges: Sequence[Edge]) -> list[list[Slot]]:
    """The columns from left to right, each from top to bottom, with neighbours of neighbours side by side."""
    columns: list[list[Slot]] = [[] for _ in range(1 + max(ranks.values(), default=-1))]
    for name, rank in sorted(ranks.items()):
        columns[rank].append((name, "", rank))
    before: dict[Slot, list[Slot]] = {}
    after: dict[Slot, list[Slot]] = {}
    for first, second in edges:
        passing = [(first, second, rank) for rank in range(ranks[first] + 1, ranks[second])]
        for slot in passing:
            columns[slot[2]].append(slot)
        chain = [(first, "", ranks[first]), *passing, (second, "", ranks[second])]
        for here, there in itertools.pairwise(chain):
            before.setdefault(there, []).append(here)
            after.setdefault(here, []).append(there)
    for _ in range(_SWEEPS):
        for index in range(1, len(columns)):
            columns[index] = _sorted(columns[index], columns[index - 1], before)
        for index in reversed(range(len(columns) - 1)):
            columns[index] = _sorted(columns[index], columns[index + 1], after)
    return columns


def _sorted(column: list[Slot], beside: list[Slot], neighbours: Mapping[Slot, list[Slot]]) -> list[Slot]:
    """A column in the order of the places that its neighbours have; what has none stays about where it is."""
    there, here = _shares(beside), _shares(column)

    def place(slot: Slot) -> float:
        known = [there[each] for each in neighbours.get(slot, ())]
        return sum(known) / len(known) if known else here[slot]

    return sorted(column, key=lambda slot: (place(slot), here[slot]))


def _shares(column: list[Slot]) -> dict[Slot, float]:
    """Where each slot of a column is, from 0 (top) to 1."""
    return {slot: (index + 0.5) / len(column) for index, slot in enumerate(column)}


def _placed(columns: list[list[Slot]], nodes: Mapping[str, Sequence[str]]) -> dict[Slot, _Box]:
    sizes = {slot: _size(slot, nodes) for column in columns for slot in column}
    heights = [sum(sizes[slot][1] + _GAP for slot in column) for column in columns]
    tallest = max(heights, default=0.0)
    boxes: dict[Slot, _Box] = {}
    left: float = _MARGIN
    for column, height in zip(columns, heights, strict=True):
        width = max(sizes[slot][0] for slot in column)
        top = _MARGIN + (tallest - height) / 2
        for slot in column:
            boxes[slot] = _Box(left, top, width, sizes[slot][1])
            top += sizes[slot][1] + _GAP
        left += width + _COLUMN_GAP
    return boxes


def _size(slot: Slot, nodes: Mapping[str, Sequence[str]]) -> tuple[float, float]:
    name, passing, _ = slot
    if passing:
        return 0.0, _BEND
    lines = (name, *nodes[name])
    return 2 * _PADDING + _CHARACTER * max(map(len, lines)), 2 * _PADDING + _LINE * len(lines)


def _own_slots(boxes: Mapping[Slot, _Box]) -> dict[str, Slot]:
    return {slot[0]: slot for slot in boxes if not slot[1]}


def _way(link: Edge, boxes: Mapping[Slot, _Box]) -> list[tuple[float, float]]:
    """The points that an edge goes through: out of its first node, along the columns that it passes, to its last."""
    own = _own_slots(boxes)
    first, last = boxes[own[link[0]]], boxes[own[link[1]]]
    passing = [boxes[slot] for slot in sorted(boxes, key=lambda slot: slot[2]) if slot[:2] == link]
    between = [point for box in passing for point in ((box.left, box.middle), (box.left + box.width, box.middle))]
    return [(first.left + first.width, first.middle), *between, (last.left, last.middle)]


def _path(points: Sequence[tuple[float, float]]) -> str:
    """A line that leaves and reaches every point level."""
    words = [f"M{points[0][0]:.0f} {points[0][1]:.0f}"]
    for (x, y), (to_x, to_y) in itertools.pairwise(points):
        half = (x + to_x) / 2
        words.append(f"C{half:.0f} {y:.0f} {half:.0f} {to_y:.0f} {to_x:.0f} {to_y:.0f}")
    return f'<path d="{" ".join(words)}" fill="none" stroke="#5c6b7a" marker-end="url(#arrow)"/>'


def _node(name: str, below: Sequence[str], box: _Box) -> str:
    frame = (
        f'<rect x="{box.left:.0f}" y="{box.top:.0f}" width="{box.width:.0f}" height="{box.height:.0f}" rx="4" '
        'fill="#f4f6f8" stroke="#3f5166"/>'
    )
    texts = [
        f'<text x="{box.left + _PADDING:.0f}" y="{box.top + _PADDING + _LINE * (index + 0.75):.0f}" '
        f'fill="#1f2933"{" font-weight=" + chr(34) + "bold" + chr(34) if index == 0 else ""}>{escape(line)}</text>'
        for index, line in enumerate((name, *below))
    ]
    return "".join([frame, *texts])
