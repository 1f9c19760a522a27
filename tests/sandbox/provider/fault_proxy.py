"""A proxy on the loopback interface, between the provider and a real API server, that fails on purpose."""

import json
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx

from sandbox.kubeconfig import Connection

Fault = str
"""`drop` (not carried out), `lose` (carried out, but no answer), `cut` (a watch ends after 0.2 s), or a status code."""


@dataclass
class Proxy:
    """The proxy's state: `plan` says which fault befalls the n-th request of a method."""

    plan: Callable[[str, int, bool], Fault | None] = field(default=lambda _method, _number, _watch: None)
    seen: dict[str, int] = field(default_factory=dict[str, int])
    faults: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def fault(self, method: str, *, watch: bool) -> Fault | None:
        with self.lock:
            number = self.seen[method] = self.seen.get(method, 0) + 1
            fault = self.plan(method, number, watch)
            self.faults += fault is not None
            return fault


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    proxy: Proxy
    upstream: httpx.Client

    def handle_any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        watch = "watch=true" in self.path
        fault = self.proxy.fault(self.command, watch=watch)
        if fault == "drop":
            self.close_connection = True
        elif fault and fault.isdigit():
            self.answer(
                int(fault), json.dumps({"kind": "Status", "reason": "Scripted", "message": "scripted"}).encode()
            )
        elif watch:
            self.relay(cut=fault == "cut")
        else:
            headers = {"Content-Type": self.headers.get("Content-Type", "application/json")}
            response = self.upstream.request(self.command, self.path, content=body, headers=headers)
            if fault == "lose":
                self.close_connection = True
            else:
                self.answer(response.status_code, response.content)

    def answer(self, code: int, content: bytes) -> None:
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def relay(self, *, cut: bool) -> None:
        self.close_connection = True
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.flush()
        try:
            with self.upstream.stream("GET", self.path, timeout=0.2 if cut else 60) as response:
                for data in response.iter_raw():
                    self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
                    self.wfile.flush()
        except (httpx.TransportError, OSError):
            return

    do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = handle_any  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002, ANN401
        del format, args


@contextmanager
def between(kubeconfig: Path, folder: Path) -> Generator[tuple[Proxy, Path]]:
    """Run a proxy in front of the API server; yields it with a kubeconfig that leads through it."""
    connection, proxy = Connection.read(kubeconfig), Proxy()
    with httpx.Client(
        base_url=connection.server, verify=connection.tls, headers=connection.headers, trust_env=False
    ) as upstream:
        handler = type("Handler", (_Handler,), {"proxy": proxy, "upstream": upstream})
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        through = folder / "through-the-proxy"
        cluster = {"name": "c", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}
        context = {"name": "c", "context": {"cluster": "c"}}
        through.write_text(json.dumps({"current-context": "c", "contexts": [context], "clusters": [cluster]}))
        try:
            yield proxy, through
        finally:
            server.shutdown()
            thread.join()
            server.server_close()
