"""How long-running work tells what it is doing, without knowing whether a terminal, a log or a test listens."""

from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class Step(Protocol):
    """One piece of work that is under way."""

    def update(self, detail: str, done: int | None = None, total: int | None = None) -> None:
        """Say what is happening inside the step, and how far it is when that can be counted."""
        ...


class Reporter(Protocol):
    """Receives steps and remarks."""

    def step(self, title: str, usually_seconds: float | None = None) -> AbstractContextManager[Step]:
        """Open a step; it ends with the context. `usually_seconds` is how long it takes on two cores."""
        ...

    def note(self, text: str) -> None:
        """Say one thing that is worth a line of its own."""
        ...


class _Nothing:
    def update(self, detail: str, done: int | None = None, total: int | None = None) -> None:
        del detail, done, total


class Silent:
    """A Reporter that says nothing."""

    @contextmanager
    def step(self, title: str, usually_seconds: float | None = None) -> Generator[Step]:
        """Open a step that nobody hears of."""
        del title, usually_seconds
        yield _Nothing()

    def note(self, text: str) -> None:
        """Drop the remark."""
        del text
