"""`./maas dashboard`: a real Prometheus, the stack's own rules, and the dashboards with data in them."""

import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory

from cli.bill.api import Api
from cli.dashboard.page import Span, page
from cli.exits import Exit, MaasError
from config.settings import Settings
from dashboards.content import BOARDS
from sandbox import replay
from sandbox.progress import Reporter
from sandbox.toolbox import find

_LONGEST = 3600
_REFRESH = 5
_TOKENS, _SECONDS = 3_000_000, 600.0


@contextmanager
def generated(settings: Settings, reporter: Reporter) -> Generator[str]:
    """A Prometheus over traffic that is made up, of the stack's users on its models; gives its address."""
    if not settings.users or not settings.models:
        raise MaasError("Traffic is made up of the stack's users and models, and it has none.", code=Exit.USAGE)
    program, service = find("prometheus", reporter), replay.Replay.of(settings, _TOKENS, _SECONDS)
    with (
        TemporaryDirectory(prefix="maas-dashboard-") as folder,
        replay.exporter(service) as port,
        replay.prometheus(program, settings, Path(folder), port) as url,
    ):
        threading.Thread(target=_for_ever, args=(service,), daemon=True).start()
        yield url


def _for_ever(service: replay.Replay) -> None:
    while True:
        service.run()


def serve(api: Api, port: int, opened: Callable[[str], None]) -> None:
    """Show the dashboards on loopback until Ctrl-C; `opened` gets the address."""
    began = time.time()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            board = next((each for each in BOARDS if self.path == f"/{each.uid}"), BOARDS[0])
            now = datetime.now(UTC).timestamp()
            span = Span(Decimal(int(now)), min(_LONGEST, max(60, int(now - began) + 30)))
            body = page(board, api, span, _REFRESH).encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's own name
            pass

    try:
        server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    except (OSError, OverflowError) as error:
        why = error.strerror if isinstance(error, OSError) else "0 to 65535"
        raise MaasError(f"Port {port} on 127.0.0.1 cannot be had ({why}): try --port.", code=Exit.USAGE) from error
    with server:
        opened(f"http://127.0.0.1:{server.server_address[1]}/")
        server.serve_forever()
