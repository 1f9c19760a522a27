"""The work of `./maas simulate`."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import typer
from rich.console import Console as RichConsole
from rich.console import RenderableType

from cli.console import Console
from cli.diff.revisions import commit_of
from cli.exits import Exit, MaasError
from cli.paths import of_user
from cli.simulate.source import Source
from cli.simulate.tables import shown, shown_comparison
from cli.simulate.versions import parsed_settings, service
from simulation import summary
from simulation.replay import Result, replay
from simulation.service import Service
from simulation.traffic import Ask, TrafficError, read, written

_WIDTH = 160
_CHARTS = (".png", ".svg", ".pdf", ".html")


@dataclass(frozen=True)
class Wish:
    """What was asked for."""

    stack: str
    traffic: str
    against: str = ""
    settings: Sequence[str] = ()
    unknown_tier: str = ""
    """The tier of users that a trace has and the stack has not; empty: they have no key."""
    tokens_per_second: float = 50.0
    chart: Path | None = None
    save: Path | None = None
    as_json: bool = False
    all_users: bool = False

    @property
    def compares(self) -> bool:
        """Whether there is a second version."""
        return bool(self.against or self.settings)


def run(wish: Wish, console: Console) -> Exit:
    """Simulate and show.

    Returns:
        FAILED when a trace has recorded decisions and the simulation of the stack as it is decides otherwise.

    Raises:
        MaasError: the traffic, the revision, a setting or a file to write makes no sense.
    """
    try:
        return _run(wish, console)
    except TrafficError as error:
        raise MaasError(str(error), code=Exit.USAGE) from error


def _run(wish: Wish, console: Console) -> Exit:
    settings = parsed_settings(wish.settings)
    source = Source.of(wish.traffic)
    _require_places(wish, source.path)
    if wish.against:
        commit_of(wish.against, again="./maas simulate --against")
    added = _strangers(source.path, wish) if source.path and wish.unknown_tier else source.added
    with console.step(f"Recording what the program makes of stack {wish.stack}", 3):
        now = service(wish.stack, users=added, settings={})

    def asks() -> Iterator[Ask]:
        # The same requests for both: what a recipe leaves open is decided by the stack as it is.
        return source.asks(now.users, sorted(now.endpoints))

    title, other = _title(wish), None
    if wish.compares:
        # Before anything is simulated: a refusal should not wait for a million requests.
        with console.step(f"Recording it {title}", 5):
            other = service(wish.stack, revision=wish.against, users=added, settings=settings)
    if wish.save is not None:
        _save(of_user(wish.save), asks())
    result = _replayed("Simulating the stack as it is", now, asks(), wish, console)
    if other is None:
        _report(wish, console, lambda: summary.as_json(result), lambda: shown(result, all_users=wish.all_users))
        _chart(wish, {"as it is": result})
        return Exit.FAILED if result.differing else Exit.OK
    then = _replayed(f"Simulating it {title}", other, asks(), wish, console)
    _report(
        wish,
        console,
        lambda: summary.comparison_json(result, then),
        lambda: shown_comparison(result, then, title, all_users=wish.all_users),
    )
    _chart(wish, {"as it is": result, title: then})
    return Exit.FAILED if result.differing else Exit.OK


def _strangers(path: Path, wish: Wish) -> dict[str, str]:
    """Users of a trace that the stack does not have, be it in its own file or in one that it shares."""
    known = service(wish.stack, users={}, settings={})
    if wish.unknown_tier not in known.prices:
        raise MaasError(
            f"--unknown-users {wish.unknown_tier}: the stack has no such tier. It has: {', '.join(known.prices)}.",
            code=Exit.USAGE,
        )
    return {ask.user: wish.unknown_tier for ask in read(path) if ask.user not in known.users}


def _require_places(wish: Wish, trace: Path | None) -> None:
    """See that what is to be written can be, before a long simulation; and that it is not the trace itself."""
    if wish.chart is not None and wish.chart.suffix.lower() not in _CHARTS:
        raise MaasError(f"{wish.chart.name}: a chart is a {', '.join(_CHARTS)} file.", code=Exit.USAGE)
    for path in (of_user(each) for each in (wish.chart, wish.save) if each is not None):
        if not path.parent.is_dir():
            raise MaasError(f"{path}: there is no folder {path.parent}.", code=Exit.USAGE)
        if trace is not None and path.resolve() == trace.resolve():
            raise MaasError(f"{path}: that is the trace itself; write to another file.", code=Exit.USAGE)


def _replayed(title: str, stack: Service, asks: Iterator[Ask], wish: Wish, console: Console) -> Result:
    with console.step(title) as step:
        return replay(
            stack,
            asks,
            tokens_per_second=wish.tokens_per_second,
            told=lambda number: step.update(f"{number} requests", number),
        )


def _title(wish: Wish) -> str:
    parts = [f"at {wish.against}"] if wish.against else []
    return " ".join([*parts, *(["with " + ", ".join(wish.settings)] if wish.settings else [])])


def _report(wish: Wish, console: Console, content: Callable[[], object], table: Callable[[], RenderableType]) -> None:
    if wish.as_json:
        typer.echo(json.dumps(content(), indent=2))
        return
    out = console.out if console.out.is_terminal else RichConsole(highlight=False, width=_WIDTH)
    out.print(table())


def _save(path: Path, asks: Iterator[Ask]) -> None:
    with path.open("w", encoding="utf-8") as out:
        out.writelines(f"{written(ask)}\n" for ask in asks)


def _chart(wish: Wish, results: Mapping[str, Result]) -> None:
    if wish.chart is not None:
        from cli.simulate.charts import draw  # noqa: PLC0415 - matplotlib takes its time

        draw(of_user(wish.chart), results)
