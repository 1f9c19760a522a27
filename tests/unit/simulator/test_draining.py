"""A model's pod that goes: what Kubernetes does (the hook first, then the signal), done to a simulator as a process."""

import http.server
import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from components.models.runtimes.draining import SCRIPT, before_stop
from tests.unit.simulator.client import CHAT, QUESTION, TIMEOUT
from tests.unit.simulator.test_process import process


def hook(port: int, pause: int = 0, drain: int = 15) -> subprocess.Popen[bytes]:
    """The hook as the pod runs it, with times for a test."""
    command = before_stop(port, drain)["preStop"]["exec"]["command"]
    assert command[1:3] == ["-c", SCRIPT]
    return subprocess.Popen([sys.executable, "-I", "-S", "-c", SCRIPT, str(port), str(pause), str(drain)])  # noqa: S603 - our own words


def test_a_request_in_flight_is_answered_before_its_pod_ends(tmp_path: Path) -> None:
    with process(tmp_path, "--token-ms", "50", "--completion-tokens", "60") as (running, client):
        busy = client.connect()
        busy.request("POST", CHAT, json.dumps({**QUESTION, "stream": True}))
        response = busy.getresponse()
        assert response.read(100), "the answer has begun"
        before_stopping = hook(client.port)
        late = client.chat(max_tokens=1)
        assert late.status == 200, "what the gateway still sends meanwhile is served"
        rest = response.read()
        assert before_stopping.wait(TIMEOUT) == 0
        assert rest.endswith(b"data: [DONE]\n\n"), "the stream was cut"
        running.send_signal(signal.SIGTERM)
        assert running.wait(TIMEOUT) == 0


def test_the_hook_waits_for_the_request_and_no_longer(tmp_path: Path) -> None:
    with process(tmp_path, "--latency-ms", "2000") as (_, client):
        busy = client.connect()
        busy.request("POST", CHAT, json.dumps(QUESTION))
        while not client.metrics()['vllm:num_requests_running{model_name="simulator"}']:
            time.sleep(0.02)
        before_stopping = hook(client.port)
        time.sleep(0.7)
        assert before_stopping.poll() is None, "it ended although a request runs"
        assert busy.getresponse().status == 200
        assert before_stopping.wait(TIMEOUT) == 0


def test_a_request_that_takes_too_long_does_not_hold_the_pod_for_ever(tmp_path: Path) -> None:
    with process(tmp_path, "--latency-ms", "30000") as (_, client):
        client.connect().request("POST", CHAT, json.dumps(QUESTION))
        while not client.metrics()['vllm:num_requests_running{model_name="simulator"}']:
            time.sleep(0.02)
        assert hook(client.port, drain=1).wait(TIMEOUT) == 0


def test_a_model_that_has_ended_by_itself_is_not_waited_for(tmp_path: Path) -> None:
    with process(tmp_path) as (running, client):
        running.kill()
        running.wait(TIMEOUT)
        assert hook(client.port, drain=3600).wait(TIMEOUT) == 0


class _Overloaded(http.server.BaseHTTPRequestHandler):
    """Fails to tell its metrics twice, then says that a request runs, then that none does."""

    answers = iter([None, None, 1, 0])

    def do_GET(self) -> None:
        running = next(self.answers)
        if running is None:
            self.connection.close()
            return
        body = f'vllm:num_requests_running{{model_name="x"}} {running}.0\n'.encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the standard library's name
        """Keep quiet."""


@contextmanager
def overloaded() -> Generator[int]:
    with http.server.HTTPServer(("127.0.0.1", 0), _Overloaded) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield server.server_port
        server.shutdown()


def test_a_model_too_busy_to_tell_its_metrics_is_asked_again() -> None:
    with overloaded() as port:
        assert hook(port).wait(TIMEOUT) == 0
    assert list(_Overloaded.answers) == [], "it was asked until no request ran"
