from dataclasses import replace
from typing import Any

from cli.diff.changes import Action, changes
from cli.diff.compare import Topic, compare
from cli.diff.report import markdown
from cli.diff.snapshot import Item, Snapshot


def item(name: str, kind: str = "ConfigMap", urn: str = "", *, api: str = "v1", **rest: object) -> Item:
    known = {"aliases", "retained", "replace_on_changes"}
    fields = {key: value for key, value in rest.items() if key not in known}
    options: dict[str, Any] = {key: value for key, value in rest.items() if key in known}
    inputs = {"apiVersion": api, "kind": kind, "metadata": {"name": name, "namespace": "llm"}, **fields}
    return Item(urn or f"maas:x:X$kubernetes:{api}:{kind}::{name}", f"kubernetes:{api}:{kind}", "x", inputs, **options)


def stack(*items: Item) -> Snapshot:
    return Snapshot("s", items)


def actions(before: Snapshot, after: Snapshot) -> dict[str, Action]:
    return {each.item.metadata_name: each.action for each in changes(before, after)}


def test_what_comes_goes_changes_and_stays() -> None:
    before = stack(item("goes"), item("changes", data={"a": "1"}), item("stays"))
    after = stack(item("comes"), item("changes", data={"a": "2"}), item("stays"))
    assert actions(before, after) == {"goes": Action.DELETE, "comes": Action.CREATE, "changes": Action.UPDATE}


def test_another_name_under_the_same_urn_is_another_object() -> None:
    [change] = changes(stack(item("old", urn="a::b")), stack(item("new", urn="a::b")))
    assert (change.action, change.because) == (Action.REPLACE, ("metadata.name",))


def test_a_field_that_the_api_server_will_not_change_replaces_the_object() -> None:
    selectors = [
        item("d", "Deployment", api="apps/v1", spec={"selector": {"matchLabels": {"a": each}}}) for each in "ab"
    ]
    [change] = changes(stack(selectors[0]), stack(selectors[1]))
    assert change.action is Action.REPLACE
    assert change.because == ("spec.selector.matchLabels.a",)


def test_what_the_program_says_must_be_replaced_is() -> None:
    pair = [item("c", spec={"a": each}, replace_on_changes=("spec.a",)) for each in (1, 2)]
    assert actions(stack(pair[0]), stack(pair[1])) == {"c": Action.REPLACE}


def test_an_object_that_has_moved_in_the_program_without_an_alias_is_told_as_dangerous() -> None:
    before, after = stack(item("c", urn="maas:a:A$k::c")), stack(item("c", urn="maas:b:B$k::c"))
    assert actions(before, after) == {"c": Action.MOVE}
    assert [each.topic for each in compare("s", before, after).warnings] == [Topic.MOVED]


def test_an_alias_makes_a_move_nothing_at_all() -> None:
    before = stack(item("c", urn="maas:a:A$k::c"))
    after = stack(item("c", urn="maas:b:B$k::c", aliases=("maas:a:A$k::c",)))
    assert changes(before, after) == []


def test_two_patches_of_one_object_are_two_resources() -> None:
    def patch(urn: str) -> Item:
        return Item(urn, "kubernetes:core/v1:ConfigMapPatch", "x", item("c").inputs)

    assert actions(stack(patch("a::one")), stack(patch("a::two"))) == {"c": Action.CREATE} | {"c": Action.DELETE}
    assert {each.action for each in changes(stack(patch("a::one")), stack(patch("a::two")))} == {
        Action.CREATE,
        Action.DELETE,
    }


def test_what_stays_on_the_cluster_is_not_mourned() -> None:
    diff = compare("s", stack(item("c", "Namespace", retained=True)), stack())
    assert [each.text for each in diff.warnings] == ["Namespace llm/c: stays on the cluster"]


def weaker(kind: str, before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    diff = compare("s", stack(item("c", kind, spec=before)), stack(item("c", kind, spec=after)))
    return [each.text for each in diff.warnings if each.topic is Topic.SECURITY]


def test_weaker_pods_are_told() -> None:
    def pod(**context: object) -> dict[str, Any]:
        return {"containers": [{"name": "main", "securityContext": context}]}

    assert weaker("ServingRuntime", pod(runAsNonRoot=True), pod()) == [
        "ServingRuntime llm/c: spec.containers[main].securityContext.runAsNonRoot: the container may run as root"
    ]
    assert weaker("ServingRuntime", pod(privileged=False), pod(privileged=True))
    assert weaker("ServingRuntime", pod(), pod(capabilities={"add": ["NET_ADMIN"]}))
    assert weaker("ServingRuntime", {"hostNetwork": False}, {"hostNetwork": True})
    assert not weaker("ServingRuntime", pod(privileged=True), pod(privileged=False, runAsNonRoot=True))


def test_a_guard_that_goes_and_another_way_in_are_told() -> None:
    policy: dict[str, Any] = {"rules": {"authentication": {"keys": {}}, "authorization": {"has-a-tier": {}}}}
    open_: dict[str, Any] = {"rules": {"authentication": {"keys": {}, "anyone": {"anonymous": {}}}}}
    assert weaker("AuthPolicy", policy, open_) == [
        "AuthPolicy llm/c: another way in, `anyone`",
        "AuthPolicy llm/c: the rule `has-a-tier` is gone",
    ]
    gone = compare("s", stack(item("c", "NetworkPolicy")), stack())
    assert [each.topic for each in gone.warnings] == [Topic.SECURITY, Topic.DELETED]


def test_values_of_a_stack_file_cannot_become_markup_of_the_comment() -> None:
    before, after = (
        Snapshot("s", settings={"users": {"a": {"tier": "t", "team": team}}}, items=(item("c", data={"a": team}),))
        for team in ("x", "<img src=x>\n# head ```\n@everyone")
    )
    before = replace(before, settings={**before.settings, "platform": {"kserve": {"version": "1"}}})
    after = replace(after, settings={**after.settings, "platform": {"kserve": {"version": "[2](https://x.test)"}}})
    text = markdown(compare("s", before, after))
    assert "<img" not in text.split("<details>")[0]
    assert "](" not in text.split("<details>")[0], "no link with another text"
    assert "\n# head" not in text.split("<details>")[0]
    assert "@everyone" not in text.split("<details>")[0]
    assert text.count("```") == 2, "the block is ended by us alone"


def test_a_long_list_of_warnings_does_not_hide_what_comes_after_it() -> None:
    before: dict[str, Any] = {
        "users": {f"u{number}": {"tier": "t", "models": []} for number in range(1000)},
        "domain": "a",
    }
    after = {"users": {name: {"tier": "t", "models": None} for name in before["users"]}, "domain": "b"}
    text = markdown(compare("s", Snapshot("s", settings=before), Snapshot("s", settings=after)))
    assert "- ⚠️ **security loosened**: 960 more: `./maas diff --base <base> --stack s` tells all\n" in text
    assert "- domain: `a` to `b`" in text


def test_a_stack_that_goes_loosens_nothing_and_deletes_nothing_by_itself() -> None:
    diff = compare("s", stack(item("c", "NetworkPolicy")), None)
    assert (diff.status, diff.warnings, diff.changes) == ("removed", (), ())


def test_a_stack_that_comes_is_held_against_the_rules() -> None:
    after = replace(stack(item("c")), violations=(("mandatory", "tls", "Gateway llm/g", "listens without TLS"),))
    [warning] = compare("s", None, after).warnings
    assert (warning.topic, warning.text) == (Topic.POLICY, "tls (mandatory): Gateway llm/g: listens without TLS")


def test_a_layer_of_a_thousand_objects_leaves_room_for_the_others() -> None:
    after = stack(*(item(f"c{number}", data={"a": "x" * 150}) for number in range(1000)))
    after = replace(after, items=(*after.items, replace(item("last"), layer="zoo")))
    assert "<summary>zoo: 1 object</summary>" in markdown(compare("s", stack(), after))


def test_a_comment_stays_within_what_github_takes() -> None:
    after = stack(*(item(f"c{number}", data={"a": "x" * 150, "b": "y" * 150}) for number in range(400)))
    text = markdown(compare("s", stack(), after))
    assert len(text) < 65_000
    shown = text.count("\n+ + ")
    assert shown > 100, "there is room for some"
    assert f"{400 - shown} objects left out here: `./maas diff --base <base> --stack s` shows" in text
    assert text.count("```") == 2
