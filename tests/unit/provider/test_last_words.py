"""What the error of a wait that ran out tells of the object's status."""

from typing import Any

import pytest

from sandbox.provider.last_words import last_words


def with_status(**status: Any) -> dict[str, Any]:  # noqa: ANN401
    return {"kind": "Widget", "status": status}


def test_a_failed_phase_comes_with_its_reason_and_message() -> None:
    csv = with_status(phase="Failed", reason="InstallCheckFailed", message="deployment x not ready")
    assert last_words(csv) == "phase Failed, reason InstallCheckFailed: deployment x not ready"


def test_a_subscription_names_the_install_plan_that_waits() -> None:
    subscription = with_status(
        state="UpgradePending",
        conditions=[{"type": "InstallPlanPending", "status": "True", "reason": "RequiresApproval"}],
        installPlanRef={"kind": "InstallPlan", "name": "install-abc12"},
    )
    assert last_words(subscription) == (
        "state UpgradePending; InstallPlanPending=True, reason RequiresApproval; see InstallPlan install-abc12"
    )


def test_a_condition_that_the_error_has_named_already_is_not_said_twice() -> None:
    obj = with_status(conditions=[{"type": "Ready", "status": "False", "reason": "Slow", "message": "wait"}])
    assert last_words(obj, "condition Ready=True: Ready=False, reason Slow: wait") == ""
    assert last_words(obj, "condition Other=True: not reported yet") == "Ready=False, reason Slow: wait"


@pytest.mark.parametrize("obj", [{}, {"status": None}, {"status": "text"}, {"status": {}}])
def test_an_object_without_a_status_says_nothing(obj: dict[str, Any]) -> None:
    assert last_words(obj) == ""


def test_a_message_of_many_lines_becomes_one_that_is_not_too_long() -> None:
    words = last_words(with_status(message="first\n  second " + "x" * 1000))
    assert words.startswith("first second xxx")
    assert len(words) == 400


def test_odd_statuses_do_no_harm() -> None:
    assert last_words(with_status(phase=3, conditions="none", someRef="text", otherRef={"name": "no kind"})) == ""
