"""The simulator as it runs in a pod: one file, a bare interpreter, signals."""

import ast
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from simulator import maas_simulator
from tests.unit.simulator.client import CHAT, QUESTION, TIMEOUT, Client, read

FILE = Path(maas_simulator.__file__)


@contextmanager
def process(folder: Path, *arguments: str, **env: str) -> Generator[tuple[subprocess.Popen[str], Client]]:
    """Run a copy of the file alone, in a folder that cannot be written to, without site-packages (-I -S)."""
    shutil.copy(FILE, folder / "server.py")
    folder.chmod(0o555)
    running = subprocess.Popen(  # noqa: S603
        [sys.executable, "-I", "-S", "server.py", "--host", "127.0.0.1", "--port", "0", *arguments],
        cwd=folder, env={"PATH": os.environ["PATH"], **env}, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert running.stdout is not None
        address = running.stdout.readline().strip()
        assert address.startswith("listening on http://127.0.0.1:"), address
        yield running, Client(int(address.rpartition(":")[2]))
    finally:
        folder.chmod(0o755)
        running.kill()
        running.communicate(timeout=TIMEOUT)


def test_the_file_imports_the_standard_library_only_and_fits_into_a_config_map() -> None:
    tree = ast.parse(FILE.read_text())
    modules = {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    modules |= {node.module or "." for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {module.partition(".")[0] for module in modules} <= sys.stdlib_module_names
    assert FILE.stat().st_size < 100_000


def test_the_environment_sets_the_options(tmp_path: Path) -> None:
    with process(tmp_path, SIM_MODEL="from-env", SIM_API_KEY="hush") as (_, client):
        assert client.get("/v1/models").status == 401
        answer = client.ask("GET", "/v1/models", headers={"Authorization": "Bearer hush"})
        assert [card["id"] for card in answer.json["data"]] == ["from-env"]


def test_sigterm_lets_a_stream_end_and_exits_with_zero(tmp_path: Path) -> None:
    with process(tmp_path, "--token-ms", "20", "--completion-tokens", "60") as (running, client):
        idle = client.connect()
        idle.request("GET", "/health")
        read(idle)
        busy = client.connect()
        busy.request("POST", CHAT, json.dumps({**QUESTION, "stream": True}))
        response = busy.getresponse()
        start = response.read(300)
        running.send_signal(signal.SIGTERM)
        rest = response.read()
        assert b"[DONE]" not in start
        assert rest.endswith(b"data: [DONE]\n\n"), "the stream was cut"
        assert running.wait(TIMEOUT) == 0
        assert running.stderr is not None
        log = running.stderr.read()
        assert "0 connections were cut" in log, "the idle connection was waited for"
        assert "Traceback" not in log


def test_after_sigterm_no_new_connection_is_taken_and_a_kept_one_is_told_to_close(tmp_path: Path) -> None:
    with process(tmp_path, "--latency-ms", "1500") as (running, client):
        busy = client.connect()
        busy.request("POST", CHAT, json.dumps(QUESTION))
        wait_until(lambda: client.metrics()['vllm:num_requests_running{model_name="simulator"}'] == 1)
        running.send_signal(signal.SIGTERM)
        wait_until(lambda: refused(client))
        answer = read(busy)
        assert (answer.status, answer.headers.get("connection")) == (200, "close")
        assert running.wait(TIMEOUT) == 0


def test_a_request_whose_body_is_still_coming_at_sigterm_is_answered(tmp_path: Path) -> None:
    with process(tmp_path) as (running, client):
        body = json.dumps(QUESTION).encode()
        slow = client.connect()
        slow.putrequest("POST", CHAT)
        slow.putheader("Content-Length", str(len(body)))
        slow.endheaders(body[:5])
        # An answer on a later connection shows that the first one is accepted; its thread then needs a moment to read.
        assert client.get("/health").status == 200
        time.sleep(0.3)
        running.send_signal(signal.SIGTERM)
        wait_until(lambda: refused(client))
        time.sleep(0.3)
        slow.send(body[5:])
        assert read(slow).status == 200
        assert running.wait(TIMEOUT) == 0


def test_a_request_that_takes_longer_than_the_drain_does_not_hold_up_the_end(tmp_path: Path) -> None:
    with process(tmp_path, "--latency-ms", "600000", "--drain-seconds", "0.2") as (running, client):
        busy = client.connect()
        busy.request("POST", CHAT, json.dumps(QUESTION))
        wait_until(lambda: client.metrics()['vllm:num_requests_running{model_name="simulator"}'] == 1)
        running.send_signal(signal.SIGTERM)
        assert running.wait(TIMEOUT) == 0
        assert running.stderr is not None
        assert "1 connections were cut" in running.stderr.read()


def test_a_port_that_is_taken_is_named_and_ends_with_one(tmp_path: Path) -> None:
    with process(tmp_path) as (_, client):
        second = subprocess.run(  # noqa: S603
            [sys.executable, str(FILE), "--host", "127.0.0.1", "--port", str(client.port)],
            capture_output=True, text=True, timeout=TIMEOUT, check=False,
        )  # fmt: skip
        assert second.returncode == 1
        assert f"cannot listen on 127.0.0.1 port {client.port}" in second.stderr


def refused(client: Client) -> bool:
    try:
        client.get("/health")
    except ConnectionRefusedError:
        return True
    except OSError:
        return False
    return False


def wait_until(check: Callable[[], bool]) -> None:
    for _ in range(400):
        if check():
            return
        time.sleep(0.05)
    raise AssertionError("it never came true")
