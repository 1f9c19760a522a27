"""The one-time steps' script: what it makes of a text that others write, and what it asks of the API server."""

import json
import re
import threading
from collections.abc import Generator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from components.housekeeping import cluster_steps
from components.housekeeping.cluster_steps import Api, StepError, with_user_workload

KEPT = (
    "",
    "\n",
    "{}\n",
    "# nothing yet\n",
    "---\n",
    "---  # of the platform team\nprometheusK8s:\n  retention: 15d\n",
    "---",
    "prometheusK8s:\n  retention: 15d # two weeks\n\n# alerts\nalertmanagerMain:\n  enabled: true\n",
    "prometheusK8s:\n  externalLabels:\n    note: |\n      enableUserWorkload: false\n",
    "prometheusK8s:\n  nested:\n    enableUserWorkload: false\n",
    "last: |+\n  text\n\n\n",
    "last: >-\n  text without an end",
    "list:\n- a\n- b: c\nother: [1, 2, {a: b}] # flow on one line\n",
    "quoted: \"a: 'b' # no comment\"\n'single': 'it''s'\n",
    "anchored: &x {a: 1}\nused: *x\n",
    "windows: 1\r\nlines: 2\r\n",
)
ALREADY = (
    "enableUserWorkload: true\n",
    "a: 1\nenableUserWorkload:   true  # since 2024\nb: 2\n",
    '"enableUserWorkload": True\n',
    "'enableUserWorkload': TRUE",
)
TURNED_ON = {
    "enableUserWorkload: false\n": "enableUserWorkload: true\n",
    "a: 1\nenableUserWorkload: false # not yet\nb: 2\n": "a: 1\nenableUserWorkload: true # not yet\nb: 2\n",
    "enableUserWorkload:\na: 1\n": "enableUserWorkload: true\na: 1\n",
    "enableUserWorkload: null\r\na: 1\r\n": "enableUserWorkload: true\r\na: 1\r\n",
    "enableUserWorkload: ~": "enableUserWorkload: true",
}
REFUSED = {
    "{enableUserWorkload: false}\n": "line 1",
    "{a: 1}\n": "line 1",
    "a: {b: 1,\nenableUserWorkload: false\n}\n": "line 1: flow style",
    'a: "begins\nenableUserWorkload: false\n"\n': "line 1: a text in quotes",
    "a: &x {b: 1,\n c: 2}\n": "line 1: flow style",
    "- a\n- b\n": "line 1",
    "  indented: 1\n": "line 1",
    "a: 1\nb\n": "line 2",
    "a: 1\n---\nb: 2\n": "line 2",
    "%YAML 1.2\n---\na: 1\n": "line 1",
    "? a\n: 1\n": "line 1",
    "<<: *x\n": "line 1",
    "\ta: 1\n": "line 1",
    "{}\na: 1\n": "line 2: there is something beside",
    "a: 1\rb: 2\n": "line 1: an unusual character",
    "enableUserWorkload: true\nenableUserWorkload: false\n": "line 2: enableUserWorkload is there twice",
    "enableUserWorkload: 'true'\n": "neither true nor false",
    "enableUserWorkload: yes\n": "neither true nor false",
    "enableUserWorkload:\n  true\n": "neither true nor false",
    "enableUserWorkload: !!bool true\n": "neither true nor false",
}


@pytest.mark.parametrize("text", KEPT)
def test_the_key_is_added_and_everything_else_stays_byte_for_byte(text: str) -> None:
    after = with_user_workload(text)
    without = re.sub(r"^enableUserWorkload: true(\r?\n)", "", after, flags=re.MULTILINE)
    assert without.rstrip("\n") == text.replace("{}\n", "").rstrip("\n")
    assert yaml.safe_load(after) == {**(yaml.safe_load(text) or {}), "enableUserWorkload": True}
    assert with_user_workload(after) == after


@pytest.mark.parametrize("text", ALREADY)
def test_a_text_that_has_it_is_not_touched(text: str) -> None:
    assert with_user_workload(text) == text


@pytest.mark.parametrize(("before", "after"), TURNED_ON.items())
def test_a_text_that_has_it_off_gets_it_on_and_keeps_its_comment(before: str, after: str) -> None:
    assert with_user_workload(before) == after


@pytest.mark.parametrize(("text", "why"), REFUSED.items())
def test_what_is_not_understood_is_refused_with_its_line_and_what_to_do(text: str, why: str) -> None:
    with pytest.raises(StepError) as error:
        with_user_workload(text)
    assert why in str(error.value)
    assert "add `enableUserWorkload: true` to it by hand" in str(error.value)


WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Zl", "Zp"]), max_size=12)
NAMES = st.sampled_from(["prometheusK8s", "enableUserWorkload", "grafana", "a-b", "x"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | WORDS | st.just("two\nlines\n"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)


STYLES: list[dict[str, Any]] = [
    {"default_flow_style": flow, "default_style": style} for flow in (False, True, None) for style in (None, "|")
]


@given(st.dictionaries(NAMES, VALUES, max_size=4), st.sampled_from(STYLES))
def test_a_text_that_a_yaml_library_wrote_means_the_same_afterwards_or_is_refused(
    config: dict[str, Any], style: dict[str, Any]
) -> None:
    text = cast("str", yaml.safe_dump(config, **style, allow_unicode=True, width=30))
    try:
        after = with_user_workload(text)
    except StepError:
        ordinary = all(each is None or isinstance(each, bool) for each in config.values())
        assert not (ordinary and style == STYLES[0]), "nothing about this is unusual"
        return
    assert yaml.safe_load(after) == {**config, "enableUserWorkload": True}


# Against an API server of a few lines: what no sandbox does on demand.


class Server:
    """Answers each request with what the test says, and remembers it."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, dict[str, Any]]] = []
        self.asked: list[tuple[str, str, Any]] = []
        self.headers: list[str] = []


@pytest.fixture
def server() -> Generator[tuple[Server, Api]]:
    script = Server()

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            script.asked.append((self.command, self.path, body))
            script.headers.append(self.headers["Authorization"])
            status, content = script.answers.pop(0)
            data = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PATCH = do_DELETE = answer  # noqa: N815 - the library's names

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
            del format, args

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield script, Api(f"http://127.0.0.1:{http.server_port}", "a-token", "", pause=0.0)
    finally:
        http.shutdown()
        http.server_close()


def config_map(text: str, version: str) -> dict[str, Any]:
    return {"metadata": {"resourceVersion": version}, "data": {"config.yaml": text}}


def test_when_somebody_else_was_quicker_their_text_is_read_again(server: tuple[Server, Api]) -> None:
    script, api = server
    conflict = {"message": "the object has been modified"}
    script.answers = [(200, config_map("a: 1\n", "1")), (409, conflict), (200, config_map("b: 2\n", "2")), (200, {})]
    cluster_steps.user_workload_monitoring(api)
    first, second = [body for method, _, body in script.asked if method == "PATCH"]
    assert first["metadata"]["resourceVersion"] == "1"
    assert second == {
        "metadata": {"resourceVersion": "2"},
        "data": {"config.yaml": "enableUserWorkload: true\nb: 2\n"},
    }
    assert set(script.headers) == {"Bearer a-token"}


def test_a_server_that_is_busy_is_asked_again_and_a_refusal_is_told(server: tuple[Server, Api]) -> None:
    script, api = server
    script.answers = [(503, {}), (429, {}), (403, {"message": "configmaps is forbidden"})]
    with pytest.raises(StepError, match="HTTP 403: configmaps is forbidden"):
        cluster_steps.user_workload_monitoring(api)
    assert script.answers == []


def test_without_a_pod_and_without_an_address_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(StepError, match="MAAS_API_SERVER"):
        Api.from_environment({}, tmp_path)
    with pytest.raises(StepError, match="no token"):
        Api.from_environment({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, tmp_path)
