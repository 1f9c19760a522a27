"""What a model's container does before it is stopped: it lets the gateway look away, and finishes what it has begun."""

from typing import Any

PAUSE_SECONDS = 10
"""The gateway takes so long, and less, to learn that a pod is going: requests that it still sends are served."""
_MARGIN_SECONDS = 30
"""For the program's own end, after that."""

SCRIPT = """
import re, sys, time, urllib.request
port, pause, drain = map(int, sys.argv[1:])
time.sleep(pause)
end = time.monotonic() + drain
running = re.compile(r"^vllm:num_requests_(?:running|waiting)(?:\\{[^}]*\\})? ([0-9.e+]+)", re.MULTILINE)
while time.monotonic() < end:
    try:
        text = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5).read().decode()
    except OSError as error:
        if isinstance(getattr(error, "reason", error), ConnectionRefusedError):
            break
    else:
        if not sum(map(float, running.findall(text))):
            break
    time.sleep(1)
"""
"""Ends when no request runs or waits, by the metrics that vLLM and the simulator share: vLLM itself cuts them off. One
that is too busy to tell is asked again; one that takes no connection has ended by itself."""


def before_stop(port: int, drain_seconds: int, *, python: bool = True) -> dict[str, Any]:
    """The `lifecycle` of a model's container.

    Args:
        port: where its metrics are.
        drain_seconds: how long its requests may take.
        python: whether its image has Python; without, it waits the pause alone.
    """
    wait = ["python3", "-c", SCRIPT, str(port), str(PAUSE_SECONDS), str(drain_seconds)]
    return {"preStop": {"exec": {"command": wait if python else ["sleep", str(PAUSE_SECONDS)]}}}


def grace_seconds(drain_seconds: int) -> int:
    """The `terminationGracePeriodSeconds` that leaves room for it."""
    return PAUSE_SECONDS + drain_seconds + _MARGIN_SECONDS
