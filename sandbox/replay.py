"""A service that never was: its users' traffic, its limiter's restarts, its metrics; and a real Prometheus over it."""

import random
import re
import socket
import subprocess
import threading
import time
from collections import defaultdict
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx

from components.observability import rule_files
from components.observability.rule_folder import document
from config.settings import Settings

FASTER = 60
"""How much faster the clock of the replay and of its rules runs: a minute is a second."""
SCRAPE_MS = 250
_LIMITED = 0.05
"""Share of requests that get 429."""
_SHORTEST_SLEEP = 0.005


@dataclass(frozen=True)
class Request:
    """One request, and its tokens; none when it got 429."""

    user: str
    model: str
    tokens: int


@dataclass
class Replay:
    """The counters of the service as they are now, and the ledger of all that ever was.

    Attributes:
        settings: The stack whose users call its models.
        requests: What is replayed, in order.
        seconds: How long it takes.
        ledger: Tokens by user and model.
        passed: Requests by user that passed.
        limited: Requests by user that got 429.
    """

    settings: Settings
    requests: list[Request]
    seconds: float
    ledger: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict[tuple[str, str], int](int))
    passed: dict[str, int] = field(default_factory=lambda: defaultdict[str, int](int))
    limited: dict[str, int] = field(default_factory=lambda: defaultdict[str, int](int))
    _limiter: dict[str, int] = field(default_factory=lambda: defaultdict[str, int](int))
    _pod: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def of(cls, settings: Settings, tokens: int, seconds: float) -> "Replay":
        """About a hundred tokens a request, as many for each user; one request in twenty gets 429."""
        models = [settings.served_name(name) for name in settings.models]
        chance = random.Random(8)  # noqa: S311 - the same replay each time
        requests: list[Request] = []
        for user in settings.users:
            left = tokens // len(settings.users)
            while left > 0:
                spent = min(left, chance.randint(50, 150))
                left -= spent
                requests.append(Request(user, chance.choice(models), spent))
                if chance.random() < _LIMITED:
                    requests.append(Request(user, models[0], 0))
        chance.shuffle(requests)
        return cls(settings, requests, seconds)

    def run(self) -> None:
        """Replay it all. The limiter is restarted three times: twice in its pod, once as another pod."""
        began = time.monotonic()
        restarts = [len(self.requests) * quarter // 4 for quarter in (1, 2, 3)]
        for number, request in enumerate(self.requests):
            due = began + self.seconds * number / len(self.requests)
            if (wait := due - time.monotonic()) > _SHORTEST_SLEEP:
                time.sleep(wait)
            with self._lock:
                if number in restarts:
                    self._limiter.clear()
                    self._pod += number == restarts[2]
                self._count(request)

    def _count(self, request: Request) -> None:
        who = f'user="{request.user}",tier="{self.settings.users[request.user].tier}"'
        if not request.tokens:
            self.limited[request.user] += 1
            self._limiter[f"limited_calls{{{who}"] += 1
            return
        self.passed[request.user] += 1
        self.ledger[request.user, request.model] += request.tokens
        self._limiter[f"authorized_calls{{{who}"] += 2
        self._limiter[f"authorized_hits{{{who}"] += 1
        self._limiter[f'authorized_hits{{{who},model="{request.model}"'] += request.tokens

    def page(self, path: str) -> str:
        """What a scrape of a part of the service sees."""
        with self._lock:
            done, tokens = sum(self.passed.values()), dict(self.ledger)
            if path == "/limiter":
                where = f'namespace="kuadrant-system",pod="limitador-{self._pod}"'
                lines = [f"{name},{where}}} {value}" for name, value in self._limiter.items()]
                return "\n".join([*lines, f"limitador_up{{{where}}} 1", ""])
        if path == "/authoriser":
            return (
                f'auth_server_authconfig_response_status{{status="OK"}} {done}\n'
                f'auth_server_authconfig_response_status{{status="UNAUTHENTICATED"}} {done // 50}\n'
                + _histogram("auth_server_authconfig_duration_seconds", "", done, (0.01, 0.1, 1))
            )
        if path == "/gateway":
            return (
                f'istio_requests_total{{response_code="200"}} {done}\nistio_requests_total{{response_code="401"}} 5\n'
                f"kuadrant_errors 0\nkuadrant_misses 0\nkuadrant_hits {done}\n"
                + _histogram("istio_request_duration_milliseconds", "", done, (100, 500, 2500))
            )
        model = path.removeprefix("/models/")
        spent = sum(count for (_, name), count in tokens.items() if name == model)
        label = f'model_name="{model}"'
        return (
            f"vllm:num_requests_running{{{label}}} {done % 7}\nvllm:num_requests_waiting{{{label}}} {done % 3}\n"
            f"vllm:generation_tokens_total{{{label}}} {spent * 2 // 3}\nvllm:kv_cache_usage_perc{{{label}}} 0.4\n"
            f"vllm:prompt_tokens_total{{{label}}} {spent // 3}\n"
            + _histogram("vllm:time_to_first_token_seconds", label, done, (0.05, 0.2, 1))
            + _histogram("vllm:e2e_request_latency_seconds", label, done, (0.5, 2, 10))
        )


def _histogram(name: str, label: str, count: int, bounds: tuple[float, ...]) -> str:
    before = f"{label}," if label else ""
    shares = [count * (number + 1) // len(bounds) for number in range(len(bounds))]
    lines = [f'{name}_bucket{{{before}le="{bound}"}} {share}' for bound, share in zip(bounds, shares, strict=True)]
    own = f"{{{label}}}" if label else ""
    return "\n".join([*lines, f'{name}_bucket{{{before}le="+Inf"}} {count}', f"{name}_count{own} {count}", ""])


def faster(rules: str) -> str:
    """The same rules for a clock that runs faster: every duration in them is as much shorter; names stay."""

    def shorter(match: re.Match[str]) -> str:
        return re.sub(r"(?:\d+[dhms])+", lambda each: f"{_milliseconds(each[0]) // FASTER}ms", match[0])

    return re.sub(r"\[[^\]]*\]|offset \w+|(?m:^ *(?:- )?(?:interval|for): .*$)", shorter, rules)


def _milliseconds(duration: str) -> int:
    units = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1000}
    return sum(int(number) * units[unit] for number, unit in re.findall(r"(\d+)([dhms])", duration))


@contextmanager
def exporter(replay: Replay) -> Generator[int]:
    """Serve the replay's pages on loopback; gives the port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            page = replay.page(self.path).encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.end_headers()
            with suppress(BrokenPipeError):  # a scrape that took too long, or the end
                self.wfile.write(page)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's own name
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


def _configuration(settings: Settings, port: int, rules: list[str]) -> str:
    jobs = [
        ("limitador-limitador", "/limiter", "kuadrant-system", ""),
        ("authorino-controller-metrics", "/authoriser", "kuadrant-system", ""),
        ("llm/maas-gateway", "/gateway", "llm", ""),
        *(
            (f"llm/maas-models-{name}", f"/models/{settings.served_name(name)}", "llm", f", inference_service: {name}")
            for name in settings.models
        ),
    ]
    text = f"global: {{scrape_interval: {SCRAPE_MS}ms, scrape_timeout: {SCRAPE_MS}ms, evaluation_interval: 1s}}\n"
    text += f"rule_files: [{', '.join(rules)}]\nscrape_configs:\n"
    for job, path, namespace, more in jobs:
        text += (
            f"  - {{job_name: '{job}', metrics_path: {path}, honor_labels: true, static_configs: "
            f"[{{targets: ['127.0.0.1:{port}'], labels: {{namespace: {namespace}{more}}}}}]}}\n"
        )
    return text


@contextmanager
def prometheus(program: Path, settings: Settings, folder: Path, port: int) -> Generator[str]:
    """A Prometheus that scrapes the exporter at `port` and evaluates the stack's rules; gives its address."""
    names: list[str] = []
    for file in rule_files(settings):
        names.append(f"{file.name}.yaml")
        (folder / names[-1]).write_text(faster(document(file)), encoding="utf-8")
    (folder / "prometheus.yml").write_text(_configuration(settings, port, names), encoding="utf-8")
    with socket.create_server(("127.0.0.1", 0)) as free:
        own = int(free.getsockname()[1])
    command = [
        str(program),
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{own}",
        "--log.level=error",
    ]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)  # noqa: S603 - our own tool
    url = f"http://127.0.0.1:{own}"
    try:
        _wait_until_ready(url, process, folder)
        yield url
    finally:
        process.terminate()
        process.wait(20)


def _wait_until_ready(url: str, process: subprocess.Popen[bytes], folder: Path) -> None:
    for _ in range(300):
        if process.poll() is not None:
            raise RuntimeError((folder / "log").read_text(encoding="utf-8"))
        try:
            if httpx.get(f"{url}/-/ready", trust_env=False).is_success:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.1)
    raise RuntimeError("Prometheus is not ready after 30 s")
