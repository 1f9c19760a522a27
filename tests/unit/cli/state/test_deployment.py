import copy

from cli.state.deployment import as_checkpoint, digest, faults, of_checkpoint, pending, resources, salt
from tests.unit.cli.state.states import PROVIDER, SALT, STACK, export, resource, urn


def test_an_export_goes_into_a_file_backend_and_back_unchanged() -> None:
    state = {**export("a", "b"), "features": ["hooks"]}
    checkpoint = as_checkpoint(state, "organization/maas/dev")
    assert checkpoint["checkpoint"]["stack"] == "organization/maas/dev"
    assert checkpoint["features"] == ["hooks"]
    assert of_checkpoint(checkpoint) == state


def test_a_stack_that_was_never_deployed_has_no_state() -> None:
    assert of_checkpoint({"version": 3, "checkpoint": {"stack": "organization/maas/dev"}}) is None


def test_two_states_are_the_same_when_a_run_that_changes_nothing_wrote_the_second() -> None:
    first, second = export("a", "b", time="1"), export("b", "a", time="2")
    for state, position, urns in ((first, 1, ["x", "y"]), (second, 2, ["y", "x"])):
        for each in state["deployment"]["resources"]:
            each.update(inputs={"data": {"ciphertext": position}}, sourcePosition=f"x#{position}", dependencies=urns)
            each.update(propertyDependencies={"spec": urns, "kind": None}, stackTrace=[{}] * position)
    assert digest(first) == digest(second)


def test_two_states_that_say_different_things_differ() -> None:
    assert digest(export("a")) != digest(export("b"))
    one, other = export("a"), export("a")
    other["deployment"]["resources"][-1]["inputs"] = {"spec": {}}
    assert digest(one) != digest(other)
    other = export("a")
    other["deployment"]["resources"][-1]["modified"] = "2026-01-02T00:00:00Z"
    assert digest(one) != digest(other), "a secret may have changed, which nobody can read here"
    cut = {**one, "deployment": {**one["deployment"], "pending_operations": [{"type": "creating"}]}}
    assert digest(one) != digest(cut)


def test_a_sound_state_has_no_faults() -> None:
    state = export("a", "b")
    state["deployment"]["resources"].append(
        resource("c", dependencies=[urn("a")], propertyDependencies={"x": [urn("b")], "y": None}, deletedWith=urn("a"))
    )
    assert faults(state) == []
    assert len(resources(state)) == 4
    assert pending(state) == []


def test_a_resource_that_is_there_twice_is_a_fault_unless_one_is_about_to_be_deleted() -> None:
    twice = export("a", "a")
    assert faults(twice) == [f"{urn('a')} is there twice"]
    twice["deployment"]["resources"][-1]["delete"] = True
    assert faults(twice) == []


def test_what_a_resource_needs_has_to_be_there_before_it() -> None:
    for key, value in (
        ("parent", urn("gone")),
        ("dependencies", [urn("gone")]),
        ("propertyDependencies", {"spec": [urn("gone")]}),
        ("deletedWith", urn("gone")),
        ("provider", f"{urn('gone')}::1"),
    ):
        state = export()
        state["deployment"]["resources"].append(resource("a", **{key: value}))
        assert faults(state) == [f"{urn('a')} needs {urn('gone')}, which is not there before it"], key
    late = export()
    late["deployment"]["resources"] = [STACK, resource("a"), PROVIDER]
    assert faults(late) == [f"{urn('a')} needs {PROVIDER['urn']}, which is not there before it"]


def test_a_resource_without_a_name_is_a_fault() -> None:
    state = export()
    state["deployment"]["resources"].append({"type": "x"})
    assert faults(state) == ["resource 2 has no URN or no type"]


def test_only_a_passphrase_has_a_proof() -> None:
    state = export()
    assert salt(state) == SALT
    other = copy.deepcopy(state)
    other["deployment"]["secrets_providers"] = {"type": "cloud", "state": {"salt": "x"}}
    assert salt(other) == ""
    assert salt({"version": 3, "deployment": {}}) == ""
