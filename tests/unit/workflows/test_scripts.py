"""The scripts of the workflows, run as a job runs them, against a made-up GitHub on loopback."""

import json
import os
import re
import subprocess
import sys
import threading
import tomllib
from collections.abc import Generator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

from cli.paths import ROOT

SCRIPTS = ROOT / ".github" / "scripts"
BOT = {"login": "github-actions[bot]"}


class GitHub:
    """What there is, and what was written."""

    def __init__(self) -> None:
        self.pulls: list[dict[str, Any]] = [{"number": 7, "head": {"sha": "new"}}]
        self.comments: list[dict[str, Any]] = []
        self.issues: list[dict[str, Any]] = []
        self.deployments: list[dict[str, Any]] = []
        self.written: list[tuple[str, str, dict[str, Any]]] = []
        self.url = ""

    def answer(self, method: str, path: str, query: dict[str, list[str]], body: dict[str, Any]) -> object:
        assert query.get("head", ["someone:branch"]) == ["someone:branch"]
        if method != "GET":
            self.written.append((method, path, body))
            return {"number": 12}
        if path == "actions/workflows/deploy.yml/runs":
            asked = {key: values[0] for key, values in query.items()}
            assert asked == {"branch": "main", "event": "push", "status": "success", "per_page": "1"}
            return {"workflow_runs": self.deployments[:1]}
        found = {"pulls": self.pulls, "issues/7/comments": self.comments, "issues": self.issues}[path]
        page, size = int(query["page"][0]), int(query["per_page"][0])
        return found[(page - 1) * size : page * size]

    def run(self, script: str, *words: str, code: int = 0, **environment: str) -> str:
        names = {"GITHUB_API_URL": self.url, "GITHUB_REPOSITORY": "o/r", "GITHUB_TOKEN": "test-only", **environment}
        done = subprocess.run(  # noqa: S603 - our own words
            [sys.executable, "-I", "-c", RUN, str(SCRIPTS), script, *words],
            env={"PATH": os.environ["PATH"], **names},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, done.stderr
        return done.stdout.strip() + done.stderr.strip()


# -I keeps this tree out of the path, as in a job, where only the scripts were checked out.
RUN = """
import runpy, sys
folder, name = sys.argv[1:3]
sys.path.insert(0, folder)
sys.argv = sys.argv[2:]
runpy.run_path(f"{folder}/{name}", run_name="__main__")
"""


@pytest.fixture
def github() -> Generator[GitHub]:
    state = GitHub()

    class Handler(BaseHTTPRequestHandler):
        def handle_any(self) -> None:
            assert self.headers["Authorization"] == "Bearer test-only"
            parts = urlsplit(self.path)
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length) or b"{}")
            path = parts.path.removeprefix("/repos/o/r/")
            content = json.dumps(state.answer(self.command, path, parse_qs(parts.query), body)).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PATCH = handle_any  # noqa: N815 - the base class's names

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
            del format, args

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_port}"
    yield state
    server.shutdown()
    server.server_close()
    thread.join()


def comment(stack: str, text: str) -> str:
    return f"<!-- maas-diff: {stack} -->\n### Stack `{stack}`: {text}\n"


def commented(github: GitHub, folder: Path) -> str:
    return github.run("comment.py", str(folder), HEAD_OWNER="someone", HEAD_BRANCH="branch", HEAD_SHA="new")


def test_each_stack_gets_one_comment_which_is_updated_in_place(github: GitHub, tmp_path: Path) -> None:
    for stack, text in (("dev", "1 to change"), ("ocp", "2 to change"), ("same", "no changes"), ("old", "as before")):
        (tmp_path / f"{stack}.md").write_text(comment(stack, text), encoding="utf-8")
    others = [{"id": number, "user": {"login": "x"}, "body": "hm"} for number in range(120)]
    github.comments = [
        *others,
        {"id": 201, "user": BOT, "body": comment("dev", "9 to change")},
        {"id": 202, "user": BOT, "body": comment("old", "as before").replace("\n", "\r\n")},
        {"id": 203, "user": {"login": "mallory"}, "body": comment("ocp", "forged")},
    ]
    assert commented(github, tmp_path) == "1 written, 1 updated, 1 left"
    assert [(method, path) for method, path, _ in github.written] == [
        ("PATCH", "issues/comments/201"),
        ("POST", "issues/7/comments"),
    ]
    assert github.written[0][2]["body"] == comment("dev", "1 to change")


def test_a_change_that_was_taken_back_is_told_in_the_comment_that_is_there(github: GitHub, tmp_path: Path) -> None:
    (tmp_path / "dev.md").write_text(comment("dev", "no changes"), encoding="utf-8")
    github.comments = [{"id": 201, "user": BOT, "body": comment("dev", "9 to change")}]
    assert commented(github, tmp_path) == "0 written, 1 updated, 0 left"


def test_what_a_fork_may_have_put_into_the_folder_is_text_of_bounded_length(github: GitHub, tmp_path: Path) -> None:
    (tmp_path / "dev.md").write_text("no marker\n" + "x" * 100_000, encoding="utf-8")
    (tmp_path / "secret.md").symlink_to("/etc/hostname")
    (tmp_path / "..sh.md").write_text("x", encoding="utf-8")
    (tmp_path / "run.sh").write_text("x", encoding="utf-8")
    assert commented(github, tmp_path) == "1 written, 0 updated, 0 left"
    [(_, _, body)] = github.written
    assert body["body"].startswith("<!-- maas-diff: dev -->\nno marker")
    assert len(body["body"]) == 65_536


def test_a_file_of_a_fork_that_says_nothing_or_calls_people_harms_nobody(github: GitHub, tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("", encoding="utf-8")
    (tmp_path / "b.md").write_text("<!-- maas-diff: b -->", encoding="utf-8")
    (tmp_path / "c.md").write_text(comment("c", "@someone @org/team\n@@ ~ x@sha256:1"), encoding="utf-8")
    assert commented(github, tmp_path) == "3 written, 0 updated, 0 left"
    said = github.written[-1][2]["body"]
    assert "\n@@ ~ x@sha256:1\n" in said, "this calls nobody"
    assert re.findall(r"(?<!\w)@\w", said) == []


def test_a_stack_that_the_pull_request_no_longer_brings_is_told_as_unchanged(github: GitHub, tmp_path: Path) -> None:
    github.comments = [
        {"id": 201, "user": BOT, "body": comment("new", "stack added: 9 to create")},
        {"id": 202, "user": BOT, "body": "another workflow's"},
        {"id": 203, "user": {"login": "mallory"}, "body": comment("ocp", "forged")},
    ]
    assert commented(github, tmp_path) == "0 written, 0 updated, 0 left", "there is nothing to go by"
    (tmp_path / "dev.md").write_text(comment("dev", "no changes"), encoding="utf-8")
    assert commented(github, tmp_path) == "0 written, 1 updated, 0 left"
    assert github.written == [("PATCH", "issues/comments/201", {"body": comment("new", "no changes")})]


def test_a_stack_that_there_is_no_room_for_is_not_told_as_unchanged(github: GitHub, tmp_path: Path) -> None:
    for number in range(52):
        (tmp_path / f"s{number:02}.md").write_text(comment(f"s{number:02}", "1 to change"), encoding="utf-8")
    github.comments = [{"id": 201, "user": BOT, "body": comment("s51", "9 to change")}]
    assert commented(github, tmp_path) == "50 written, 0 updated, 0 left"


def test_an_older_run_does_not_write_over_a_newer_one(github: GitHub, tmp_path: Path) -> None:
    (tmp_path / "dev.md").write_text(comment("dev", "1 to change"), encoding="utf-8")
    github.pulls = [{"number": 7, "head": {"sha": "newer"}}]
    assert commented(github, tmp_path) == "No open pull request is at this commit."
    assert github.written == []


def drift(github: GitHub, output: Path, status: str) -> str:
    return github.run(
        "drift.py", str(output), STACK="ocp", STATUS=status, GITHUB_SERVER_URL="https://github.com", GITHUB_RUN_ID="1"
    )


def test_drift_has_one_issue_that_is_opened_updated_and_closed(github: GitHub, tmp_path: Path) -> None:
    output = tmp_path / "drift.txt"
    output.write_text("~ spec: changed\n```\nbreaks out", encoding="utf-8")
    assert drift(github, output, "255") == "Opened #12."
    [(method, path, body)] = github.written
    assert (method, path, body["labels"]) == ("POST", "issues", ["drift"])
    assert body["body"].count("```") == 2, "what the engine said cannot end its block"
    assert json.loads((tmp_path / "ocp.json").read_text(encoding="utf-8"))["drifted"] is True

    github.issues = [{"number": 12, "body": body["body"]}, {"number": 13, "body": "<!-- maas-drift: dev -->"}]
    assert drift(github, output, "1") == "Updated #12."
    assert github.written[-1][:2] == ("PATCH", "issues/12")
    assert drift(github, output, "0") == "Closed #12."
    assert github.written[-1] == ("PATCH", "issues/12", {"state": "closed"})
    github.issues = []
    assert drift(github, output, "0") == "No drift."
    assert json.loads((tmp_path / "ocp.json").read_text(encoding="utf-8"))["drifted"] is False


@pytest.mark.parametrize(
    ("asked", "statuses", "expected"),
    [
        ("", {"ocp": "changed", "dev": "changed", "sandbox": "changed"}, ["dev", "ocp"]),
        ("", {"ocp": "changed", "dev": "unchanged"}, ["ocp"]),
        ("", {"ocp": "removed", "dev": "unchanged"}, []),
        ('["ocp"]', {}, ["ocp"]),
    ],
)
def test_what_changes_is_deployed_in_the_order_of_promotion(
    github: GitHub, tmp_path: Path, asked: str, statuses: dict[str, str], expected: list[str]
) -> None:
    diff = tmp_path / "diff.json"
    diff.write_text(json.dumps({"stacks": [{"stack": name, "status": each} for name, each in statuses.items()]}))
    assert github.run("stacks.py", '["dev", "ocp"]', asked, str(diff)) == f"stacks={json.dumps(expected)}"


def test_what_changes_is_seen_against_the_last_deployment_that_went_through(github: GitHub) -> None:
    assert github.run("deployed.py", GITHUB_REF_NAME="main") == "", "there was none: every stack is deployed"
    github.deployments = [{"head_sha": "newest"}, {"head_sha": "older"}]
    assert github.run("deployed.py", GITHUB_REF_NAME="main") == "newest"


def test_a_stack_that_is_refused_or_not_deployed_stops_it(github: GitHub, tmp_path: Path) -> None:
    diff = tmp_path / "diff.json"
    diff.write_text(json.dumps({"stacks": [{"stack": "dev", "status": "refused"}]}))
    assert "refused: dev" in github.run("stacks.py", '["dev"]', "", str(diff), code=1)
    assert "Not in DEPLOY_STACKS: prod" in github.run("stacks.py", '["dev"]', '["prod"]', str(diff), code=1)


def test_a_release_has_the_notes_of_its_version_and_no_other_tag_is_taken(github: GitHub) -> None:
    assert "pyproject.toml says" in github.run("release_notes.py", "v99.0.0", code=1)
    namespace: dict[str, Any] = {"__name__": "release_notes", "__file__": str(SCRIPTS / "release_notes.py")}
    exec((SCRIPTS / "release_notes.py").read_text(encoding="utf-8"), namespace)  # noqa: S102 - our own script
    project, changelog = '[project]\nversion = "1.2.0"\n', "# C\n## Unreleased\n- x\n## 1.2.0\n- a\n\n## 1.1.0\n- b\n"
    assert namespace["notes"]("v1.2.0", project, changelog) == "- a\n"
    with pytest.raises(SystemExit, match="no section"):
        namespace["notes"]("v1.2.0", project, "# C\n## Unreleased\n")


def test_the_changelog_has_the_projects_version_and_is_newest_first() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    first, *versions = re.findall(r"^## (\S+)", text, re.MULTILINE)
    assert first == "Unreleased"
    assert versions == sorted(versions, key=lambda each: [int(part) for part in each.split(".")], reverse=True)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert versions[0] == project["version"], "a release needs a section of its version"


# --- Renovate


def patterns() -> list[re.Pattern[str]]:
    text = (ROOT / ".github" / "renovate.json5").read_text(encoding="utf-8")
    found = [json.loads(f'"{each}"') for each in re.findall(r'^ +"(# renovate: .*)",$', text, re.MULTILINE)]
    return [re.compile(each.replace("(?<", "(?P<")) for each in found]


def test_renovate_finds_every_version_that_says_where_it_is_from() -> None:
    for pattern, name in zip(patterns(), ("config/versions.py", "sandbox/tools/declarations.py"), strict=True):
        text = (ROOT / name).read_text(encoding="utf-8")
        matched = [found["depName"] for found in pattern.finditer(text)]
        assert matched == re.findall(r"# renovate: \S+ depName=(\S+)", text)
        assert matched


def test_every_tool_tells_renovate_where_it_is_from() -> None:
    text = (ROOT / "sandbox" / "tools" / "declarations.py").read_text(encoding="utf-8")
    families = re.findall(r"(# renovate: [^\n]+\n)?[A-Z_]+ = Family\(", text)
    assert families
    assert all(families)


# --- the workflows themselves


WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_every_action_is_pinned_by_the_hash_of_a_commit(path: Path) -> None:
    used = re.findall(r"uses: (\S+)( # v\S+)?", path.read_text(encoding="utf-8"))
    assert used
    for action, version in used:
        assert re.fullmatch(r"[\w/.-]+@[0-9a-f]{40}", action), action
        assert version, f"{action}: the comment says which version that is"


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_no_workflow_has_permissions_that_its_jobs_do_not_ask_for(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert "\npermissions: {}\n" in text
    assert "pull_request_target" not in text


def test_a_job_with_secrets_has_an_environment_and_none_for_a_fork() -> None:
    with_secrets: set[str] = set()
    for path in WORKFLOWS:
        for name, job in yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"].items():
            if "secrets." not in json.dumps(job):
                continue
            with_secrets.add(f"{path.stem}.{name}")
            assert "matrix.stack" in job["environment"], "whose reviewers are asked"
            if path.stem == "preview":
                assert "github.event.pull_request.head.repo.full_name == github.repository" in job["if"]
    assert with_secrets == {"preview.preview", "deploy.deploy", "drift.drift"}
