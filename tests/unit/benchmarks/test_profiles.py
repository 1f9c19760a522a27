"""Profiles: what is read of Python's own account of imports, and where a picture's boxes are."""

from benchmarks.profiles import Box, Profile, boxes, imports, origin

SAID = """\
import time: self [us] | cumulative | imported package
import time:       100 |        100 |   cli.exits
import time:        50 |         50 |     typing
import time:       200 |        250 |   cli.console
import time:       400 |        750 | cli.app
import time:       300 |        300 | json
"""


def test_a_module_has_the_time_of_those_that_it_loads_below_it() -> None:
    profile = Profile("", dict(imports(SAID)))
    assert profile.whole()["cli.app"] * 1e6 == 750
    assert profile.own()["cli.app"] * 1e6 == 400
    assert ("cli.app", "cli.console", "typing") in profile.stacks
    assert round(profile.total * 1e6) == 1050


def test_a_function_that_calls_itself_is_counted_once() -> None:
    assert Profile("", {("a", "b", "a"): 3, ("a",): 1}).whole() == {"a": 4, "b": 3}


def test_boxes_lie_below_their_callers_and_are_as_wide_as_their_time() -> None:
    profile = Profile("", {("a", "b"): 3, ("a", "c"): 6, ("d",): 1, ("e",): 0.001})
    assert [(each.name, round(each.left, 2), round(each.width, 2), each.row) for each in boxes(profile)] == [
        ("a", 0.0, 0.9, 0),
        ("c", 0.0, 0.6, 1),
        ("b", 0.6, 0.3, 1),
        ("d", 0.9, 0.1, 0),
    ]
    assert Box("a", 0, 1, 0) in boxes(Profile("", {("a",): 2}))


def test_functions_are_told_apart_by_whose_they_are() -> None:
    names = ("cli.app.up", "pulumi.resource.Resource.__init__", "pydantic.main", "asyncio.events.Handle", "<frozen x>")
    assert [origin(each)[:5] for each in names] == ["this ", "Pulum", "other", "Pytho", "Pytho"]
