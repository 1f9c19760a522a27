"""Rules and alerts as files, and that every one of them is tested and has its page."""

import json
import re
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml

from components.models.inference_service import LABEL
from components.models.llm_inference_service import PODS, pod_labels
from components.observability import rule_files
from components.observability.monitors import fork_relabelings, llm_models_monitor_spec, models_monitor_spec
from components.observability.rule_folder import FOLDER, documents
from components.observability.rules import FILES
from components.observability.values import annotated
from tests.rule_tests import RULE_TESTS, TESTED

RUNBOOKS = Path(__file__).parents[3] / "docs" / "observability" / "runbooks.md"
RULES: list[dict[str, Any]] = [rule for file in FILES for rule in file.rules]
ALERTS = sorted(rule["alert"] for rule in RULES if "alert" in rule)
RECORDS = sorted({rule["record"] for rule in RULES if "record" in rule})
CASES = [
    case
    for path in RULE_TESTS.glob("*.yaml")
    for group in yaml.safe_load(path.read_text(encoding="utf-8"))["tests"]
    for case in [*group.get("alert_rule_test", []), *group.get("promql_expr_test", [])]
]


def test_the_folder_of_rules_is_what_the_code_says() -> None:
    assert {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.yaml")} == documents(), (
        "run: python -m components.observability.rule_folder"
    )


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_is_tested_firing_and_not_firing(alert: str) -> None:
    expected = [bool(case["exp_alerts"]) for case in CASES if case.get("alertname") == alert]
    assert set(expected) == {True, False}


@pytest.mark.parametrize("name", RECORDS)
def test_a_recording_rule_is_tested_with_data(name: str) -> None:
    assert [case for case in CASES if name in case.get("expr", "") and case["exp_samples"]]


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_leads_to_its_page(alert: str) -> None:
    page = RUNBOOKS.read_text(encoding="utf-8")
    assert page.count(f"\n## {alert}\n") == 1
    [rule] = annotated([rule for rule in RULES if rule.get("alert") == alert], "https://docs.example.com/runbooks")
    assert rule["annotations"]["runbook_url"] == f"https://docs.example.com/runbooks#{alert.lower()}"


def test_no_page_is_left_over() -> None:
    assert sorted(re.findall(r"(?m)^## (Maas\w+)$", RUNBOOKS.read_text(encoding="utf-8"))) == ALERTS


def test_every_expression_of_a_stack_is_promql() -> None:
    for file in rule_files(TESTED):
        for rule in file.rules:
            promql_parser.parse(rule["expr"])


def test_no_rule_sums_a_counter_as_it_stands() -> None:
    """A restart of the limiter would take usage away again."""
    counters = r"(authorized_hits|authorized_calls|limited_calls|\w+_with_user_and_group)"
    for rule in RULES:
        if rule.get("alert") != "MaasTooManySeries":
            uses = re.findall(rf"(?<![\w:]){counters}\b(\{{[^}}]*\}})?(.?)", rule["expr"])
            assert all(after == "[" for *_, after in uses), rule


def test_rules_know_every_model_by_one_label_whatever_kind_of_object_it_is() -> None:
    for spec, label in (
        (models_monitor_spec("30s"), LABEL),
        (llm_models_monitor_spec("30s"), next(iter(pod_labels("qwen3").keys() - PODS.keys()))),
    ):
        [endpoint] = spec["podMetricsEndpoints"]
        discovered = "__meta_kubernetes_pod_label_" + re.sub(r"\W", "_", label)
        assert endpoint["relabelings"] == [{"sourceLabels": [discovered], "targetLabel": "inference_service"}]


def test_labels_written_into_the_name_of_a_counter_become_labels() -> None:
    labels = {"__name__": "wasmcustom_token_usage_with_user_and_group__user___alice___group___premium___namespace__llm"}
    for rule in fork_relabelings():
        # Prometheus writes a group as $1, Python as \\1; both match the whole value.
        replacement = re.sub(r"\$\{?(\d)\}?", r"\\\1", rule["replacement"])
        if match := re.fullmatch(rule["regex"], labels["__name__"]):
            labels[rule["targetLabel"]] = match.expand(replacement.replace("\\1_", r"\g<1>_"))
    assert labels == {"__name__": "token_usage_with_user_and_group", "user": "alice", "group": "premium"}
    assert json.dumps(fork_relabelings()).count("$") == 3
