"""The simulators of all models, in one process: a server for each, with its own port, name, options and metrics.

Started by the gateway as `python -m sandbox.gateway.simulators`. It takes one JSON object a line on its standard input
and answers each with one on its standard output: {"id", "start": {"arguments", "environment"}} with {"id", "port"} or
{"id", "error"}; {"id", "stop": {"drain"}} with {"id"} once the model's requests have ended. It ends with its input.

A hundred models so cost one interpreter and a hundred sleeping threads, where a process each would cost a gigabyte.
"""

import contextlib
import io
import json
import logging
import sys
import threading
from typing import Any, TextIO

from simulator import maas_simulator

_POLL_SECONDS = 0.5
_LOOPBACK = "127.0.0.1"


class Simulators:
    """The servers by the id that the gateway gave them."""

    def __init__(self, answers: TextIO) -> None:
        self._answers = answers
        self._lock = threading.Lock()
        self._servers: dict[str, maas_simulator.Server] = {}

    def obey(self, order: dict[str, Any]) -> None:
        """Carry one order out; what takes longer goes on in a thread."""
        known = str(order["id"])
        if "start" in order:
            self._answer({"id": known, **self._start(known, **order["start"])})
        else:
            threading.Thread(target=self._stop, args=(known, float(order["stop"]["drain"])), daemon=True).start()

    def _start(self, known: str, arguments: list[str], environment: dict[str, str]) -> dict[str, object]:
        said = io.StringIO()
        try:
            with contextlib.redirect_stderr(said):
                options = maas_simulator.parse_options([*arguments, f"--host={_LOOPBACK}", "--port=0"], {**environment})
            server = maas_simulator.Server(options)
        except (SystemExit, OSError) as error:
            return {"error": said.getvalue().strip().rpartition("error: ")[2] or str(error)}
        self._servers[known] = server
        threading.Thread(target=server.serve_forever, args=(_POLL_SECONDS,), daemon=True).start()
        return {"port": server.server_port}

    def _stop(self, known: str, drain: float) -> None:
        server = self._servers.pop(known, None)
        if server is not None:
            server.drain(drain)
        self._answer({"id": known})

    def _answer(self, answer: dict[str, object]) -> None:
        with self._lock:
            self._answers.write(json.dumps(answer) + "\n")
            self._answers.flush()


def main() -> None:
    """Obey until the input ends."""
    # A line for each request would be of no use to anybody here; the gateway keeps its own.
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    simulators = Simulators(sys.stdout)
    for line in sys.stdin:
        simulators.obey(json.loads(line))


if __name__ == "__main__":
    main()
