"""What the user sees while something runs: progress on stderr, results on stdout, where a script can have them."""

import threading
import time
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager

from rich.console import Console as RichConsole
from rich.console import Group, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from cli.deploy.tracker import Layer, Tracker
from cli.program.urns import label
from sandbox.progress import Step

_PLAIN_WIDTH = 120
_HEARTBEAT_SECONDS = 10.0
_SLOW_SECONDS = 2.0
"""From when on a wait is worth naming."""


class Console:
    """A Reporter for people: live on a terminal, plain lines elsewhere."""

    def __init__(self, *, quiet: bool = False, terminal: bool | None = None) -> None:
        """Open it.

        Args:
            quiet: Say nothing but errors.
            terminal: Draw live, or write lines; None looks whether stderr is a terminal.
        """
        self.out = RichConsole(highlight=False, soft_wrap=False)
        self.err = RichConsole(stderr=True, highlight=False, quiet=quiet)
        self.problems = RichConsole(stderr=True, highlight=False)
        for console in (self.out, self.err, self.problems):
            if not console.is_terminal:
                console.width = _PLAIN_WIDTH
        self._live_wanted = self.err.is_terminal if terminal is None else terminal
        self._views: list[Callable[[], RenderableType]] = []
        self._live: Live | None = None
        self._lock = threading.RLock()

    def note(self, text: str) -> None:
        """Say one thing that is worth a line of its own."""
        self.err.print(Text(text))

    def error(self, text: str) -> None:
        """Say what went wrong."""
        self.problems.print(Text(text, style="red" if self.problems.is_terminal else ""), soft_wrap=True)

    @contextmanager
    def step(self, title: str, usually_seconds: float | None = None) -> Generator[Step]:
        """Open a step; see Reporter."""
        view = _StepView(title, usually_seconds, None if self._live_wanted else self.note)
        with self._shown(view.render, view.tick):
            try:
                yield view
            except BaseException:
                self.note(f"{title}: failed after {view.seconds:.1f} s")
                raise
        self.note(f"{title}: {view.seconds:.1f} s")

    @contextmanager
    def watch(self, title: str, tracker: Tracker) -> Generator[None]:
        """Show a tracker's layers for as long as the context lasts."""
        view = _TrackerView(title, tracker, self.note)
        with self._shown(view.render, view.tick):
            yield
        if not self._live_wanted:
            view.tick()

    @contextmanager
    def _shown(self, render: Callable[[], RenderableType], tick: Callable[[], None]) -> Generator[None]:
        """Draw `render` on a terminal; elsewhere call `tick` every now and then, which may write a line."""
        if self._live_wanted:
            with self._drawn(render):
                yield
            return
        over = threading.Event()

        def beat() -> None:
            while not over.wait(0.5):
                tick()

        ticker = threading.Thread(target=beat, daemon=True)
        ticker.start()
        try:
            yield
        finally:
            over.set()
            ticker.join()

    @contextmanager
    def _drawn(self, render: Callable[[], RenderableType]) -> Generator[None]:
        with self._lock:
            self._views.append(render)
            if self._live is None:
                self._live = Live(console=self.err, get_renderable=self._all, refresh_per_second=8, transient=True)
                self._live.start()
        try:
            yield
        finally:
            with self._lock:
                self._views.remove(render)
                if not self._views:
                    self._live, over = None, self._live
                    if over:
                        over.stop()

    def _all(self) -> RenderableType:
        return Group(*[render() for render in list(self._views)])


class _StepView:
    """One step: how long it has taken, and what it is at."""

    def __init__(self, title: str, usually: float | None, write: Callable[[str], None] | None) -> None:
        self._title, self._usually = title, usually
        self._began = time.monotonic()
        self._detail, self._count = "", ""
        self._spinner = Spinner("dots")
        self._write = write
        self._next_line = self._began + _HEARTBEAT_SECONDS
        if write and usually and usually > _HEARTBEAT_SECONDS:
            write(f"{title} (usually {usually:.0f} s) ...")

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began

    def update(self, detail: str, done: int | None = None, total: int | None = None) -> None:
        self._detail = detail
        self._count = "" if done is None else f"{done}/{total}" if total is not None else str(done)

    def render(self) -> RenderableType:
        self._spinner.update(text=Text(self._line()))
        return self._spinner

    def tick(self) -> None:
        if self._write and time.monotonic() >= self._next_line:
            self._next_line = time.monotonic() + _HEARTBEAT_SECONDS
            self._write(f"  {self._line()}")

    def _line(self) -> str:
        usually = f" of usually {self._usually:.0f}" if self._usually else ""
        parts = [f"{self._title}: {self.seconds:.0f}{usually} s", self._count, self._detail]
        return "  ".join(part for part in parts if part)


class _TrackerView:
    """The engine's progress: a table by layer on a terminal; elsewhere a line for each layer that is through."""

    def __init__(self, title: str, tracker: Tracker, write: Callable[[str], None]) -> None:
        self._title, self._tracker, self._write = title, tracker, write
        self._began = time.monotonic()
        self._said: set[str] = set()
        self._next_line = self._began + _HEARTBEAT_SECONDS

    def render(self) -> RenderableType:
        table = Table(title=f"{self._title}  {time.monotonic() - self._began:.0f} s", title_justify="left", box=None)
        table.add_column("layer")
        table.add_column("done", justify="right")
        table.add_column("waiting for")
        for layer in self._tracker.snapshot():
            waiting = Text(_some(layer.waiting), overflow="ellipsis", no_wrap=True)
            table.add_row(layer.name, _progress(layer), waiting, style=_style(layer))
        waits = self._waits()
        return Group(table, Text(f"slowest: {waits}")) if waits else table

    def tick(self) -> None:
        for layer in self._tracker.snapshot():
            through = layer.done + len(layer.failed) >= layer.total > 0 and not layer.waiting
            if through and layer.name not in self._said:
                self._said.add(layer.name)
                self._write(
                    f"  {layer.name}: {_progress(layer)}" + (f", {len(layer.failed)} failed" if layer.failed else "")
                )
                self._next_line = time.monotonic() + _HEARTBEAT_SECONDS
        if time.monotonic() >= self._next_line:
            self._next_line = time.monotonic() + _HEARTBEAT_SECONDS
            if waits := self._waits():
                self._write(f"  {time.monotonic() - self._began:.0f} s, waiting for: {waits}")

    def _waits(self) -> str:
        slow = [wait for wait in self._tracker.slowest() if wait[2] >= _SLOW_SECONDS]
        return ", ".join(f"{label(urn)} ({op}, {seconds:.0f} s)" for urn, op, seconds in slow)


def _some(urns: Iterable[str], most: int = 3) -> str:
    """The first few by name, and how many more."""
    names = [label(urn) for urn in sorted(urns)]
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _progress(layer: Layer) -> str:
    return f"{layer.done}/{layer.total}"


def _style(layer: Layer) -> str:
    if layer.failed:
        return "red"
    if layer.done >= layer.total > 0:
        return "green"
    return "" if layer.waiting or layer.done else "dim"
