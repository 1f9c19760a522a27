"""An API server just good enough to be broken on purpose: real sockets, objects in memory, scripted faults."""

import json
import re
import threading
from collections import defaultdict
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

Object = dict[str, Any]

_DISCOVERY: dict[str, list[tuple[str, str, bool]]] = {
    "/api/v1": [
        ("configmaps", "ConfigMap", True),
        ("secrets", "Secret", True),
        ("namespaces", "Namespace", False),
        ("pods", "Pod", True),
    ],
    "/apis/example.com/v1": [("widgets", "Widget", True)],
}


@dataclass(frozen=True)
class Refuse:
    """Answer with an error."""

    code: int
    reason: str = "InternalError"
    message: str = "scripted"
    headers: tuple[tuple[str, str], ...] = ()
    causes: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Drop:
    """Close the connection without an answer; `after` says whether the request is carried out first."""

    carried_out: bool = False


@dataclass(frozen=True)
class Stream:
    """Answer a watch with these lines as they are, then end the answer properly or not.

    `silent` sends not even a header before it ends.
    """

    lines: tuple[str, ...] = ()
    cut: bool = False
    hold: float = 0.0
    silent: bool = False


Fault = Refuse | Drop | Stream


@dataclass
class FakeApi:
    """The server's state; `faults` are used up one by one, by method and path."""

    objects: dict[str, Object] = field(default_factory=dict[str, Object])
    faults: dict[tuple[str, str], list[Fault]] = field(
        default_factory=lambda: defaultdict[tuple[str, str], list[Fault]](list)
    )
    requests: list[tuple[str, str, dict[str, str], Any]] = field(
        default_factory=list[tuple[str, str, dict[str, str], Any]]
    )
    hidden: set[str] = field(default_factory=set[str])
    warning: str = ""
    version: int = 100

    def sent(self, method: str, path: str = "") -> int:
        """How often a request came in."""
        return sum(1 for m, p, _, _ in self.requests if m == method and p.startswith(path))

    def store(self, path: str, obj: Object) -> Object:
        """Put an object in as the server would."""
        self.version += 1
        metadata = {"uid": f"uid-{path}"} | obj.get("metadata", {}) | {"resourceVersion": str(self.version)}
        self.objects[path] = obj | {"metadata": metadata}
        return self.objects[path]

    def answer(self, method: str, path: str, query: dict[str, str], body: Any) -> tuple[int, Object]:  # noqa: ANN401, PLR0911
        """What a faultless server would say."""
        if path in _DISCOVERY:
            kinds = [k for k in _DISCOVERY[path] if k[1] not in self.hidden]
            return 200, {"resources": [{"name": n, "kind": k, "namespaced": s} for n, k, s in kinds]}
        if method == "POST":
            path = f"{path}/{body['metadata']['name']}"
            if path in self.objects:
                return 409, _status("AlreadyExists", f"{path} already exists")
        if method in {"POST", "PATCH", "PUT"}:
            if "dryRun" in query:
                return 200, body | {"metadata": body["metadata"] | {"uid": "dry", "resourceVersion": "1"}}
            return 200, self.store(path, body)
        found = self.objects.get(path)
        if method == "DELETE" and found:
            del self.objects[path]
            return 200, _status("", "deleted")
        if found:
            return 200, found
        inside = [obj for key, obj in self.objects.items() if key.startswith(f"{path}/")]
        if path.endswith("s"):
            return 200, {"items": inside, "metadata": {"resourceVersion": str(self.version)}}
        return 404, _status("NotFound", f"{path} not found")


def _status(reason: str, message: str, causes: tuple[tuple[str, str], ...] = ()) -> Object:
    listed = [{"reason": "FieldManagerConflict", "field": f, "message": m} for f, m in causes]
    return {"kind": "Status", "reason": reason, "message": message, "details": {"causes": listed}}


class _Handler(BaseHTTPRequestHandler):
    api: FakeApi
    stopping: threading.Event
    protocol_version = "HTTP/1.1"

    def handle_one(self) -> None:
        split = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(split.query).items()}
        length = int(self.headers.get("Content-Length") or 0)
        content = self.rfile.read(length)
        body = json.loads(content) if length else None
        method = f"WATCH {self.command}".removesuffix(" GET") if "watch" in query else self.command
        self.api.requests.append((method, split.path, query, body))
        waiting = self.api.faults[method, split.path]
        fault = waiting.pop(0) if waiting else None
        match fault:
            case Refuse():
                self.send(fault.code, _status(fault.reason, fault.message, fault.causes), fault.headers)
            case Drop():
                if fault.carried_out:
                    self.api.answer(self.command, split.path, query, body)
                self.close_connection = True
            case Stream():
                self.stream(fault, split.path)
            case None if method == "WATCH":
                self.stream(Stream(hold=5), split.path)
            case None if self.command == "PATCH" and re.search(rb"\\u[dD][89abAB]", content):
                # An apply is read as YAML, in which half a letter is none.
                self.send(400, _status("BadRequest", "yaml: found invalid Unicode character escape code", ()), ())
            case None:
                self.send(*self.api.answer(self.command, split.path, query, body), ())

    def send(self, code: int, body: Object, headers: tuple[tuple[str, str], ...]) -> None:
        data = json.dumps(body).encode()
        self.send_response(code)
        for name, value in headers:
            self.send_header(name, value)
        if self.api.warning:
            self.send_header("Warning", self.api.warning)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def stream(self, script: Stream, path: str) -> None:
        self.close_connection = True
        if script.silent:
            self.stopping.wait(script.hold)
            return
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for line in script.lines:
            data = line.encode()
            self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
            if line.startswith('{"type": "MODIFIED"') and line.endswith("\n"):
                obj = json.loads(line)["object"]
                self.api.objects[f"{path}/{obj['metadata']['name']}"] = obj
        self.wfile.flush()
        self.stopping.wait(script.hold)
        if not script.cut:
            self.wfile.write(b"0\r\n\r\n")

    do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = handle_one  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002, ANN401
        del format, args


@contextmanager
def running(folder: Path) -> Generator[tuple[FakeApi, Path]]:
    """Run a fake API server; yields it with a kubeconfig for it."""
    api, stopping = FakeApi(), threading.Event()
    handler = type("Handler", (_Handler,), {"api": api, "stopping": stopping})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    kubeconfig = folder / "kubeconfig"
    kubeconfig.write_text(
        json.dumps(
            {
                "current-context": "fake",
                "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "fake"}}],
                "clusters": [{"name": "fake", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}],
                "users": [{"name": "fake", "user": {"token": "t0ken-of-the-test"}}],
            }
        )
    )
    try:
        yield api, kubeconfig
    finally:
        stopping.set()
        server.shutdown()
        thread.join()
        server.server_close()


def watch_line(kind: str, obj: Object) -> str:
    """One watch event as it goes over the wire."""
    return json.dumps({"type": kind, "object": obj}) + "\n"
