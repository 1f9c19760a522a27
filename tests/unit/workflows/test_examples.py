"""The pipelines for other systems are examples that nobody runs here: what can be said of them without running is."""

import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import pytest
import yaml

from cli.paths import ROOT
from tests.documented import complaint

CI = ROOT / "docs" / "examples" / "ci"
GITLAB: dict[str, Any] = yaml.safe_load((CI / "gitlab-ci.yml").read_text(encoding="utf-8"))
TEKTON: list[dict[str, Any]] = list(yaml.safe_load_all((CI / "tekton.yaml").read_text(encoding="utf-8")))
JOBS: dict[str, dict[str, Any]] = {
    name: job for name, job in GITLAB.items() if name not in {"stages", "default"} and not name.startswith(".")
}


def scripts() -> Iterator[tuple[str, str]]:
    """The shell in both, by where it is."""
    for name, job in GITLAB.items():
        if isinstance(job, dict):
            for key in ("before_script", "script"):
                if lines := cast("dict[str, Any]", job).get(key):
                    yield f"gitlab {name}.{key}", "#!/bin/sh\nset -eu\n" + "\n".join(lines) + "\n"
    for document in TEKTON:
        for step in document["spec"].get("steps", ()):
            yield f"tekton {document['metadata']['name']}.{step['name']}", step["script"]


SCRIPTS = dict(scripts())


@pytest.mark.parametrize("where", SCRIPTS)
def test_the_shell_in_it_is_sound(where: str, tmp_path: Path) -> None:
    path = tmp_path / "script.sh"
    path.write_text(SCRIPTS[where], encoding="utf-8")
    tool = str(Path(sys.executable).with_name("shellcheck"))
    done = subprocess.run([tool, str(path)], capture_output=True, text=True, check=False)  # noqa: S603 - our own words
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("where", SCRIPTS)
def test_it_calls_commands_that_exist(where: str) -> None:
    calls = re.findall(r"\./maas [^;|>\n]+", SCRIPTS[where])
    assert [(call, why) for call in calls if (why := complaint(call))] == []


def test_every_job_on_gitlab_has_a_stage_that_exists_and_says_when_it_runs() -> None:
    assert len(JOBS) >= 5
    for name, job in JOBS.items():
        whole: Mapping[str, Any] = {**GITLAB.get(str(job.get("extends")), {}), **job}
        assert whole["stage"] in GITLAB["stages"], name
        assert whole["rules"], name
        assert whole["script"], name
        assert set(whole.get("needs", ())) <= JOBS.keys(), name


def test_nothing_with_credentials_runs_for_a_fork_on_gitlab() -> None:
    with_credentials = {name: job for name, job in JOBS.items() if "environment" in job}
    assert with_credentials.keys() >= {"preview", "deploy-dev", "deploy-ocp", "drift"}
    for name, job in with_credentials.items():
        for rule in job["rules"]:
            if "merge_request_event" in rule["if"]:
                assert "$CI_MERGE_REQUEST_SOURCE_PROJECT_ID == $CI_PROJECT_ID" in rule["if"], name


def test_every_task_and_parameter_that_the_tekton_pipeline_names_is_there() -> None:
    tasks = {each["metadata"]["name"]: each["spec"] for each in TEKTON if each["kind"] == "Task"}
    (pipeline,) = (each["spec"] for each in TEKTON if each["kind"] == "Pipeline")
    names = [each["name"] for each in pipeline["tasks"]]
    given = {each["name"] for each in pipeline["params"]}
    for each in pipeline["tasks"]:
        task = tasks[each["taskRef"]["name"]]
        passed = {param["name"] for param in each["params"]}
        assert {param["name"] for param in task["params"] if "default" not in param} <= passed
        assert passed <= {param["name"] for param in task["params"]}
        assert {
            name for param in each["params"] for name in re.findall(r"\$\(params\.(\w+)\)", param["value"])
        } <= given
        assert {space["name"] for space in each["workspaces"]} == {space["name"] for space in task["workspaces"]}
        assert set(each.get("runAfter", ())) <= set(names)


def test_tekton_takes_it_without_a_feature_that_is_off_unless_somebody_turns_it_on() -> None:
    assert [param for each in TEKTON for param in each["spec"]["params"] if "enum" in param] == []


def test_a_step_on_tekton_uses_only_parameters_that_its_task_has() -> None:
    for each in TEKTON:
        if each["kind"] == "Task":
            known = {param["name"] for param in each["spec"]["params"]}
            assert set(re.findall(r"\$\(params\.(\w+)\)", yaml.safe_dump(each["spec"]))) <= known
            assert "$(params" not in "".join(step["script"] for step in each["spec"]["steps"]), "shell gets variables"
