import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.diff.fields import ABSENT, changed_fields

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@given(JSON)
def test_nothing_differs_from_itself(value: object) -> None:
    assert changed_fields(value, value) == []


@given(JSON, JSON)
def test_what_differs_is_found_in_both_directions(one: object, other: object) -> None:
    there, back = changed_fields(one, other), changed_fields(other, one)
    assert len(there) == len(back)
    if one != other:
        assert there


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({"a": {"b": 1}}, {"a": {"b": 2}}, [("a.b", 1, 2)]),
        ({"a": 1}, {"a": 1, "b": {"c": 2}}, [("b.c", ABSENT, 2)]),
        ({"a": 1}, {"a": True}, [("a", 1, True)]),
        ({"a": None}, {}, [("a", None, ABSENT)]),
        ({"x": {"a.b/c": 1}}, {"x": {"a.b/c": 2}}, [("x[a.b/c]", 1, 2)]),
        ({"l": [1, 2]}, {"l": [1]}, [("l[1]", 2, ABSENT)]),
        (
            {"c": [{"name": "one", "image": "a"}, {"name": "two", "image": "b"}]},
            {"c": [{"name": "zero", "image": "z"}, {"name": "one", "image": "a"}, {"name": "two", "image": "c"}]},
            [("c[two].image", "b", "c"), ("c[zero].image", ABSENT, "z"), ("c[zero].name", ABSENT, "zero")],
        ),
        (
            {"c": [{"name": "one"}, {"name": "two"}]},
            {"c": [{"name": "two"}, {"name": "one"}]},
            [("c (order)", ["one", "two"], ["two", "one"])],
        ),
    ],
)
def test_fields_go_by_names_where_list_elements_have_them(
    before: object, after: object, expected: list[tuple[str, object, object]]
) -> None:
    assert [(each.path, each.before, each.after) for each in changed_fields(before, after)] == expected


def test_steps_leave_indexes_and_dotted_keys_out() -> None:
    [field] = changed_fields({"m": {"a.b/c": [1]}}, {"m": {"a.b/c": [2]}})
    assert field.steps == ("m",)
