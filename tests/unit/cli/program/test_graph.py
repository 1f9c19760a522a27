from hypothesis import given
from hypothesis import strategies as st

from cli.program.graph import Format, drawn, of_layers, of_objects, reduced
from cli.program.recorder import record, stack_config

RECORDING = record("sandbox", *stack_config("sandbox"))


def test_the_layers_stand_in_the_order_that_the_architecture_gives_them() -> None:
    names, edges = of_layers(RECORDING)
    assert {"cluster", "operators", "kuadrant", "gateway", "policies", "models"} <= set(names)
    assert {("gateway", "policies"), ("kuadrant", "policies"), ("policies", "models")} <= set(edges)
    assert not any(second == "cluster" for _, second in edges), "the provider waits for nothing"


def test_every_object_is_drawn_in_its_layer() -> None:
    groups, _ = of_objects(RECORDING)
    assert sum(len(members) for members in groups.values()) == sum(each.request.custom for each in RECORDING.resources)
    assert "CustomResource gateway-auth" not in groups["policies"]
    assert "AuthPolicy gateway-auth" in groups["policies"]


def test_the_same_stack_gives_the_same_text_in_both_languages() -> None:
    mermaid = drawn(RECORDING, Format.MERMAID, objects=False)
    assert mermaid.startswith("graph LR\n")
    assert mermaid == drawn(record("sandbox", *stack_config("sandbox")), Format.MERMAID, objects=False)
    dot = drawn(RECORDING, Format.DOT, objects=True)
    assert dot.startswith("digraph maas {")
    assert dot.count("{") == dot.count("}")
    assert 'subgraph "cluster_policies"' in dot


NAMES = st.integers(0, 6)


@given(st.sets(st.tuples(NAMES, NAMES).filter(lambda pair: pair[0] < pair[1])))
def test_what_is_left_out_follows_from_what_is_drawn(pairs: set[tuple[int, int]]) -> None:
    edges = {(str(first), str(second)) for first, second in pairs}
    kept = set(reduced(edges))
    assert kept <= edges
    assert closure(kept) == closure(edges)
    assert all(closure(kept - {edge}) != closure(edges) for edge in kept), "each edge that is drawn says something"


def closure(edges: set[tuple[str, str]]) -> set[tuple[str, str]]:
    found = set(edges)
    while more := {(a, d) for a, b in found for c, d in found if b == c} - found:
        found |= more
    return found
