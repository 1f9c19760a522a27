"""A small client for the tests: it speaks to a real simulator on loopback and shows what came over the wire."""

import http.client
import json
import re
import socket
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

from simulator.maas_simulator import Options, Server

TIMEOUT = 20.0
CHAT = "/v1/chat/completions"
QUESTION: dict[str, object] = {"messages": [{"role": "user", "content": "How many teams share one gateway?"}]}


@dataclass
class Answer:
    """One HTTP answer, read to its end."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:  # noqa: ANN401  the shape is what the tests look at
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        return cast("dict[str, Any]", self.json["error"])

    @property
    def events(self) -> list[str]:
        """The data of each server-sent event, after a check that there is nothing else in the body."""
        text = self.body.decode()
        assert text.endswith("\n\n"), "the last event is not closed by an empty line"
        events = text[:-2].split("\n\n")
        assert all(event.startswith("data: ") and "\n" not in event for event in events), events
        return [event.removeprefix("data: ") for event in events]

    @property
    def chunks(self) -> list[dict[str, Any]]:
        """The JSON events; the stream must end with [DONE]."""
        *chunks, done = self.events
        assert done == "[DONE]", f"the stream ends with {done!r}"
        return [cast("dict[str, Any]", json.loads(chunk)) for chunk in chunks]


def read(connection: http.client.HTTPConnection) -> Answer:
    response = connection.getresponse()
    return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())


@dataclass
class Client:
    """Asks one simulator, each time on a new connection unless one is given."""

    port: int

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT)

    def raw(self, payload: bytes) -> bytes:
        """Send bytes as they are and return all that comes until the server closes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=TIMEOUT) as connection:
            connection.sendall(payload)
            return b"".join(iter(lambda: connection.recv(65536), b""))

    def ask(self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None) -> Answer:
        raw = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        connection = self.connect()
        try:
            connection.request(method, path, raw, headers or {})
            return read(connection)
        finally:
            connection.close()

    def get(self, path: str) -> Answer:
        return self.ask("GET", path)

    def post(self, path: str, body: object, **headers: str) -> Answer:
        return self.ask("POST", path, body, headers)

    def chat(self, **fields: object) -> Answer:
        return self.post(CHAT, {**QUESTION, **fields})

    def metrics(self) -> dict[str, float]:
        """Each sample of /metrics by its name and labels, after a check of the format."""
        return parse_exposition(self.get("/metrics").body.decode())


@contextmanager
def simulator(options: Options | None = None, **fields: Any) -> Generator[Client]:  # noqa: ANN401
    """Run a simulator on a free port of loopback until the end of the block."""
    server = Server(options or Options(host="127.0.0.1", port=0, **fields))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield Client(server.server_port)
    finally:
        server.drain(5)
        thread.join(TIMEOUT)


SAMPLE = re.compile(r'([a-zA-Z_:][a-zA-Z0-9_:]*)\{((?:[a-z_]+="(?:[^"\\\n]|\\[\\"n])*",?)*)\} (\S+)')


def parse_exposition(text: str) -> dict[str, float]:
    """Read the Prometheus text format strictly: HELP and TYPE before samples, families together, histograms sound."""
    assert text.endswith("\n"), "the last line is not ended"
    kinds: dict[str, str] = {}
    samples: dict[str, float] = {}
    family = ""
    for line in text.splitlines():
        if line.startswith("# HELP "):
            family = line.split()[2]
            assert family not in kinds, f"{family} comes twice"
        elif line.startswith("# TYPE "):
            _, _, name, kinds[family] = line.split()
            assert name == family, f"TYPE of {name} follows HELP of {family}"
        else:
            match = SAMPLE.fullmatch(line)
            assert match, f"not a sample: {line!r}"
            name, labels, value = match.groups()
            suffixes = ("_bucket", "_sum", "_count") if kinds[family] == "histogram" else ("",)
            assert name in {family + suffix for suffix in suffixes}, f"{name} stands under {family}"
            key = f"{name}{{{labels}}}"
            assert key not in samples, f"{key} comes twice"
            samples[key] = float(value)
    buckets: dict[str, list[float]] = {}
    for key, value in samples.items():
        series, found, _ = key.partition(',le="')
        if found:
            buckets.setdefault(series, []).append(value)
    for series, counts in buckets.items():
        assert counts == sorted(counts), f"the buckets of {series} are not cumulative"
        assert counts[-1] == samples[series.replace("_bucket{", "_count{") + "}"], f"{series} does not end at its count"
    return samples
