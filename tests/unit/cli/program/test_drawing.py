import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.program.drawing import arranged, columns_of, svg

NAMES = "abcdefg"
EDGES = st.sets(st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES)).filter(lambda pair: pair[0] < pair[1]))


def test_a_node_stands_behind_the_last_one_that_it_needs() -> None:
    found = columns_of("abcd", [("a", "b"), ("b", "c"), ("a", "c"), ("a", "d")])
    assert found == {"a": 0, "b": 1, "d": 1, "c": 2}
    with pytest.raises(ValueError, match="a circle among a, b"):
        columns_of("ab", [("a", "b"), ("b", "a")])


@given(EDGES)
def test_every_node_and_every_edge_is_in_the_picture_whatever_order_they_are_given_in(
    edges: set[tuple[str, str]],
) -> None:
    nodes = {name: [f"<{name}> & more"] for name in NAMES}
    text = svg(nodes, edges)
    picture = ET.fromstring(text)  # noqa: S314 - our own text
    tag = "{http://www.w3.org/2000/svg}"
    assert len(picture.findall(f"{tag}rect")) == len(NAMES)
    assert [each.text for each in picture.findall(f"{tag}text")][1] == "<a> & more"
    assert len(picture.findall(f"{tag}path")) == len(edges)
    assert text == svg(dict(reversed(nodes.items())), sorted(edges, reverse=True))


@given(EDGES)
def test_an_edge_has_a_place_of_its_own_in_every_column_that_it_passes(edges: set[tuple[str, str]]) -> None:
    ranks = columns_of(NAMES, sorted(edges))
    columns = arranged(ranks, sorted(edges))
    for first, second in edges:
        passed = [index for index, column in enumerate(columns) if any(slot[:2] == (first, second) for slot in column)]
        assert passed == list(range(ranks[first] + 1, ranks[second]))


def test_boxes_do_not_overlap() -> None:
    picture = ET.fromstring(svg({name: [] for name in NAMES}, [("a", "g"), ("a", "b"), ("b", "g"), ("c", "g")]))  # noqa: S314
    boxes = [
        tuple(float(each.attrib[key]) for key in ("x", "y", "width", "height"))
        for each in picture.iter("{http://www.w3.org/2000/svg}rect")
    ]
    for index, (x, y, width, height) in enumerate(boxes):
        for other in boxes[index + 1 :]:
            assert (
                x + width <= other[0] or other[0] + other[2] <= x or y + height <= other[1] or other[1] + other[3] <= y
            )
