"""Diffs, drift and property paths."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.provider.diff import Change, FieldChange, changes, format_path, observe, parse_path, without_server_fields
from sandbox.provider.values import UNKNOWN

JSON = st.recursive(
    st.one_of(st.text("ab", max_size=2), st.booleans(), st.integers(0, 3)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text("abc", min_size=1, max_size=1), inner)
    ),
    max_leaves=10,
)
STEPS = st.one_of(st.integers(0, 9), st.text('ab./-[]"', min_size=1, max_size=6).filter(lambda s: "\\" not in s))


def paths(old: Any, new: Any) -> dict[str, Change]:  # noqa: ANN401
    return {format_path(change.path): change.change for change in changes(old, new)}


def test_one_changed_field_shows_as_exactly_that_field() -> None:
    old: dict[str, Any] = {
        "spec": {"limits": {"free": {"rates": [{"limit": 5, "window": "2m"}]}, "premium": {"rates": []}}}
    }
    new: dict[str, Any] = {
        "spec": {"limits": {"free": {"rates": [{"limit": 6, "window": "2m"}]}, "premium": {"rates": []}}}
    }
    assert paths(old, new) == {"spec.limits.free.rates[0].limit": Change.UPDATE}


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ({"a": 1}, {"a": 1, "b": {"c": 2}}, {"b": Change.ADD}),
        ({"a": 1, "b": 2}, {"a": 1}, {"b": Change.DELETE}),
        ({"a": [1, 2, 3]}, {"a": [1, 5]}, {"a[1]": Change.UPDATE, "a[2]": Change.DELETE}),
        ({"a": {"b": 1}}, {"a": [1]}, {"a": Change.UPDATE}),
        ({"a": 1}, {"a": True}, {"a": Change.UPDATE}),
        ({"a": 1}, {"a": 1.0}, {}),
        ({"a": 1}, {"a": UNKNOWN}, {"a": Change.UPDATE}),
        ({}, {"a": UNKNOWN}, {"a": Change.ADD}),
        (
            {"metadata": {"labels": {"x.y/z": "1"}}},
            {"metadata": {"labels": {}}},
            {'metadata.labels["x.y/z"]': Change.DELETE},
        ),
    ],
)
def test_each_kind_of_change_is_told_apart(old: Any, new: Any, expected: dict[str, Change]) -> None:  # noqa: ANN401
    assert paths(old, new) == expected


@given(JSON)
def test_nothing_differs_from_itself(value: Any) -> None:  # noqa: ANN401
    assert list(changes(value, value)) == []


@given(
    st.dictionaries(st.text("abc", min_size=1, max_size=1), JSON),
    st.dictionaries(st.text("abc", min_size=1, max_size=1), JSON),
)
def test_no_difference_means_equality(old: Any, new: Any) -> None:  # noqa: ANN401
    assert bool(list(changes(old, new))) == (old != new or str(old) != str(new))


@given(st.lists(STEPS, min_size=1, max_size=4).filter(lambda steps: isinstance(steps[0], str)))
def test_paths_survive_being_written_and_read(steps: list[str | int]) -> None:
    assert parse_path(format_path(tuple(steps))) == tuple(steps)


DECLARED: dict[str, Any] = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "d", "labels": {"a": "b"}},
    "spec": {"replicas": 1, "template": {"containers": [{"name": "c", "resources": {"cpu": "1000m"}}]}},
}
LIVE: dict[str, Any] = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "d", "labels": {"a": "b", "added": "by-controller"}, "uid": "u", "resourceVersion": "1"},
    "spec": {
        "replicas": 1,
        "strategy": {"type": "RollingUpdate"},
        "template": {"containers": [{"name": "c", "resources": {"cpu": "1"}, "pullPolicy": "Always"}]},
    },
    "status": {"replicas": 1},
}


def changed(path: tuple[str | int, ...], value: Any) -> dict[str, Any]:  # noqa: ANN401
    """LIVE with one field changed behind our back, and another resourceVersion."""

    def put(node: Any, rest: tuple[str | int, ...]) -> Any:  # noqa: ANN401
        if not rest:
            return value
        copy: Any = node.copy()
        copy[rest[0]] = put(copy[rest[0]], rest[1:])
        return copy

    return put(LIVE, path)


def test_defaults_controllers_and_the_servers_own_spelling_are_no_drift() -> None:
    later = LIVE | {"metadata": LIVE["metadata"] | {"resourceVersion": "9"}, "status": {"replicas": 0}}
    assert observe(DECLARED, LIVE, later) == DECLARED


@pytest.mark.parametrize(
    ("path", "value", "drift"),
    [
        (("spec", "replicas"), 7, "spec.replicas"),
        (("metadata", "labels", "a"), "edited", "metadata.labels.a"),
        (("spec", "template", "containers", 0, "resources", "cpu"), "2", "spec.template.containers[0].resources.cpu"),
    ],
)
def test_an_edited_field_shows_as_that_very_field(path: tuple[str | int, ...], value: object, drift: str) -> None:
    assert paths(observe(DECLARED, LIVE, changed(path, value)), DECLARED) == {drift: Change.UPDATE}


def test_a_field_that_someone_removed_shows_as_missing() -> None:
    found = observe(DECLARED, LIVE, changed(("metadata", "labels"), {"added": "by-controller"}))
    assert paths(found, DECLARED) == {"metadata.labels.a": Change.ADD}


def test_a_list_element_that_someone_appended_shows() -> None:
    containers = [*LIVE["spec"]["template"]["containers"], {"name": "sidecar"}]
    found = observe(DECLARED, LIVE, changed(("spec", "template", "containers"), containers))
    assert paths(found, DECLARED) == {"spec.template.containers[1]": Change.DELETE}


def test_a_list_element_that_the_server_added_at_creation_is_no_drift() -> None:
    before = changed(
        ("spec", "template", "containers"), [*LIVE["spec"]["template"]["containers"], {"name": "injected"}]
    )
    now = before | {"spec": before["spec"] | {"replicas": 2}}
    assert paths(observe(DECLARED, before, now), DECLARED) == {"spec.replicas": Change.UPDATE}


def test_string_data_of_a_secret_is_compared_with_the_data_that_it_becomes() -> None:
    declared = {"kind": "Secret", "stringData": {"k": "pw"}}
    before = {"kind": "Secret", "data": {"k": "cHc="}}
    assert observe(declared, before, before | {"type": "Opaque"}) == declared
    assert observe(declared, before, {"kind": "Secret", "data": {"k": "bmV3"}})["stringData"] == {"k": "new"}


def test_an_import_takes_what_someone_could_have_declared() -> None:
    live: dict[str, Any] = {
        "kind": "ConfigMap",
        "metadata": {
            "name": "c",
            "uid": "u",
            "managedFields": [],
            "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}"},
        },
        "data": {"a": "b"},
        "status": {},
    }
    assert without_server_fields(live) == {"kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"a": "b"}}


def test_a_deleted_subtree_is_reported_with_what_it_was() -> None:
    assert list(changes({"a": {"b": 1}}, {})) == [FieldChange(("a",), Change.DELETE, {"b": 1})]
