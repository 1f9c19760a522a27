from typing import Any

from pulumi.automation.events import EngineEvent

from cli.deploy.summary import problems
from cli.deploy.tracker import Tracker, differing

PREFIX = "urn:pulumi:sandbox::maas::"
POLICY = f"{PREFIX}maas:policies:Policies$kubernetes:kuadrant.io/v1alpha1:TokenRateLimitPolicy::limits"
STACK = f"{PREFIX}pulumi:pulumi:Stack::maas-sandbox"


def parsed(content: dict[str, Any]) -> EngineEvent:
    return EngineEvent.from_json(content)  # pyright: ignore[reportUnknownMemberType] - the SDK says `dict`


def event(kind: str, op: str = "", urn: str = POLICY, **metadata: Any) -> EngineEvent:  # noqa: ANN401 - as in JSON
    type_ = urn.split("::")[2].rsplit("$", maxsplit=1)[-1]
    return parsed({kind: {"metadata": {"op": op, "urn": urn, "type": type_, **metadata}}})


def diagnostic(message: str, severity: str = "error", urn: str = POLICY) -> EngineEvent:
    return parsed({"diagnosticEvent": {"message": message, "severity": severity, "urn": urn}})


def test_one_changed_field_is_one_step_with_that_field() -> None:
    tracker = Tracker()
    tracker.on_event(
        event("resourcePreEvent", "update", detailedDiff={"spec.limits.free.rates[0].limit": {"diffKind": "update"}})
    )
    tracker.on_event(event("resOutputsEvent", "update"))
    (step,) = tracker.steps
    assert (step.op, step.layer, step.label) == ("update", "policies", "TokenRateLimitPolicy limits")
    assert step.diff == ("spec.limits.free.rates[0].limit",), (
        "the second event, without a diff, does not hide the first"
    )


def test_unchanged_and_refreshed_resources_are_no_steps() -> None:
    tracker = Tracker()
    for op in ("same", "refresh", "read"):
        tracker.on_event(event("resourcePreEvent", op))
        tracker.on_event(event("resOutputsEvent", op))
    assert not tracker.changed


def test_a_changed_output_is_no_change_of_an_object() -> None:
    tracker = Tracker()
    tracker.on_event(event("resourcePreEvent", "update", STACK))
    assert not tracker.changed


def test_outputs_come_from_the_stacks_own_event_with_secrets_redacted() -> None:
    tracker = Tracker()
    secret = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "ciphertext": "[secret]"}
    tracker.on_event(event("resOutputsEvent", "same", STACK, new={"outputs": {"url": "http://x", "key": secret}}))
    assert tracker.outputs == {"url": "http://x", "key": "<redacted>"}


def test_a_layer_counts_each_resource_once_also_when_it_is_refreshed_before() -> None:
    tracker = Tracker({"policies": 1})
    for op in ("refresh", "create"):
        tracker.on_event(event("resourcePreEvent", op))
        tracker.on_event(event("resOutputsEvent", op))
    (layer,) = tracker.snapshot()
    assert (layer.done, layer.total) == (1, 1)


def test_the_slowest_wait_comes_first_and_ends_with_its_resource() -> None:
    now = [0.0]
    tracker = Tracker(clock=lambda: now[0])
    other = POLICY + "-2"
    tracker.on_event(event("resourcePreEvent", "create"))
    now[0] = 5.0
    tracker.on_event(event("resourcePreEvent", "create", other))
    now[0] = 7.0
    assert tracker.slowest() == [(POLICY, "create", 7.0), (other, "create", 2.0)]
    tracker.on_event(event("resOutputsEvent", "create"))
    assert [urn for urn, _, _ in tracker.slowest()] == [other]


def test_a_failed_resource_is_marked_and_its_error_kept_once() -> None:
    tracker = Tracker()
    tracker.on_event(event("resourcePreEvent", "create"))
    tracker.on_event(diagnostic("webhook refused it\n"))
    tracker.on_event(diagnostic("webhook refused it\n"))
    tracker.on_event(diagnostic("update failed", urn=STACK))
    tracker.on_event(diagnostic("registering resource: ...", severity="debug"))
    tracker.on_event(event("resOpFailedEvent", "create"))
    assert [each.message for each in tracker.errors] == ["webhook refused it"]
    assert [step.failed for step in tracker.steps] == [True]
    assert tracker.slowest() == []


def test_differences_are_told_to_the_leaf() -> None:
    old = {"a": {"b": 1, "c": [1, 2]}, "d": [1]}
    new = {"a": {"b": 2, "c": [1, 3]}, "d": [1, 2], "e": 1}
    assert differing(old, new) == ["a.b", "a.c[1]", "d", "e"]


def test_a_broken_rule_is_told_without_sending_anybody_to_the_cluster() -> None:
    said = {"resourceUrn": POLICY, "message": "What the rule is for.\nlistens without TLS", "color": "never"}
    rule = {"policyName": "tls", "policyPackName": "maas", "policyPackVersion": "1", "policyPackVersionTag": "1"}
    tracker = Tracker()
    tracker.on_event(parsed({"policyEvent": {**said, **rule, "enforcementLevel": "mandatory"}}))
    text = "TokenRateLimitPolicy limits: tls (mandatory): listens without TLS"
    assert problems(tracker.errors, "kubectl describe") == text
    tracker.on_event(diagnostic("it is not there"))
    assert problems(tracker.errors, "kubectl describe").endswith("kubectl describe <kind> <name>")
