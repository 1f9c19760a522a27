"""The work of `./maas load`."""

import asyncio
import json
import signal
import threading
import time
from collections import Counter
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import typer
from rich.console import Console as RichConsole

from cli.console import Console
from cli.exits import Exit, MaasError
from cli.load.client import Caller, session
from cli.load.drive import open_loop
from cli.load.figures import Figures, Outcome, by_tier
from cli.load.plan import Budget, Plan, known, planned
from cli.load.report import shown
from cli.service.addresses import address
from cli.service.calls import Service, Way, given_key, way_of
from cli.simulate.source import Source
from cli.stacks.stackfile import mapping
from sandbox.progress import Step
from simulation.traffic import Ask, TrafficError

_WIDTH = 160
_GIVE_UP = 20
"""So many requests without any connection, and none with, are enough to know."""


@dataclass(frozen=True)
class Wish:
    """What was asked for."""

    stack: str
    sandbox: str
    traffic: str
    url: str
    budget: Budget
    ca: Path | None = None
    timeout: float = 120.0
    as_json: bool = False


def run(wish: Wish, console: Console) -> Exit:
    """Send the traffic and show what came of it.

    Returns:
        FAILED when no request was answered; INTERRUPTED when somebody stopped it.

    Raises:
        MaasError: There is no target or no budget; the traffic, the stack or its keys are not to be had.
    """
    service = _checked(wish)
    try:
        plan, names = _prepared(wish, service, console)
    except TrafficError as error:
        raise MaasError(str(error), code=Exit.USAGE) from error
    ends = f"; cut by the {plan.cut_by}" if plan.cut_by else ""
    console.note(
        f"{len(plan.asks)} requests in {plan.seconds:.0f} s to {wish.url}, {plan.tokens} tokens at most{ends}. "
        "Ctrl-C stops it, and shows what there is."
    )
    with console.step("Sending", plan.seconds) as step:
        done = asyncio.run(_sent(plan, names, wish, step))
    _report(done, wish, console)
    if done.interrupted:
        return Exit.INTERRUPTED
    return Exit.OK if done.figures.answered or done.figures.limited else Exit.FAILED


@dataclass(frozen=True)
class _Names:
    """Who asks for what, and with which key."""

    ways: Mapping[str, Way]
    tiers: Mapping[str, str]
    keys: Mapping[str, str]


@dataclass(frozen=True)
class _Done:
    figures: Figures
    interrupted: bool
    stopped_by: str = ""


def _checked(wish: Wish) -> Service:
    """The stack's service, once it is clear that this is meant."""
    if wish.url and address("--url", wish.url).path.strip("/"):
        raise MaasError(f"--url {wish.url} is no address such as https://203.0.113.7", code=Exit.USAGE)
    missing = [] if wish.url else ["--url, where the gateway is"]
    missing += [] if wish.budget.is_given else ["--requests-budget or --tokens-budget, what it may use at most"]
    service = Service.of(wish.stack, wish.sandbox)
    if missing:
        needed = f"Load is real: it takes from quotas and costs GPU time. Say {' and '.join(missing)}."
        raise MaasError(needed + ("" if wish.url else _suggested(service)), code=Exit.USAGE)
    return service


def _suggested(service: Service) -> str:
    if not service.outputs["models"]:
        return ""
    at = urlsplit(service.way().url)
    return f" The stack says: --url {at.scheme}://{at.netloc}"


def _prepared(wish: Wish, service: Service, console: Console) -> tuple[Plan, _Names]:
    models = mapping(service.outputs["models"])
    tiers = {user: str(mapping(service.outputs["users"])[user]["tier"]) for user in service.users()}
    if not tiers:
        raise MaasError(
            f"Nobody has a key in stack {wish.stack}: ./maas keys create <user> --stack {wish.stack} makes one.",
            code=Exit.USAGE,
        )
    source = Source.of(wish.traffic)
    if source.added:
        raise TrafficError("load is made by the stack's own users: say no number of users")
    plan = known(planned(source.asks(tiers, sorted(models)), wish.budget), tiers, models)
    users = sorted({ask.user for _, ask in plan.asks})
    with console.step("Getting keys") as step:
        keys: dict[str, str] = {}
        for number, user in enumerate(users, 1):
            keys[user] = given_key() or service.key(user, console)
            step.update(user, number, len(users))
    ways = {model: way_of(service.outputs, model, wish.url) for model in {ask.model for _, ask in plan.asks}}
    return plan, _Names(ways, tiers, keys)


async def _sent(plan: Plan, names: _Names, wish: Wish, step: Step) -> _Done:
    outcomes: list[Outcome] = []
    stop, why, counts = asyncio.Event(), "", Counter[str]()
    async with session(str(wish.ca) if wish.ca else None) as http:
        caller = Caller(http, names.ways, names.tiers, names.keys, wish.timeout)
        began = time.perf_counter()

        async def send(what: tuple[int, Ask], due: float) -> None:
            nonlocal why
            number, ask = what
            made = await caller.ask(ask, number, due, began)
            outcomes.append(made)
            counts.update({"tokens": made.tokens, "limited": made.limited, "failed": made.failed})
            step.update(f"{counts['limited']} limited, {counts['failed']} failed", len(outcomes), len(plan.asks))
            if wish.budget.tokens is not None and counts["tokens"] >= wish.budget.tokens and not stop.is_set():
                why = "The budget of tokens is used up."
                stop.set()
            elif len(outcomes) == _GIVE_UP and not any(each.status for each in outcomes):
                why = f"None of the first {_GIVE_UP} requests was answered: {outcomes[-1].error}."
                stop.set()

        with _stopped_by_signal(stop) as interrupted:
            due = ((after, (number, ask)) for number, (after, ask) in enumerate(plan.asks))
            await open_loop(due, send, stop=stop)
    return _Done(Figures(outcomes, time.perf_counter() - began), bool(interrupted), why)


@contextmanager
def _stopped_by_signal(stop: asyncio.Event) -> Generator[list[int]]:
    """Ctrl-C ends the sending, and not the program: what has been measured is shown."""
    heard: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield heard
        return
    loop = asyncio.get_running_loop()

    def on_signal(number: int) -> None:
        heard.append(number)
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, on_signal, number)
    try:
        yield heard
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


def _report(done: _Done, wish: Wish, console: Console) -> None:
    if wish.as_json:
        result = {
            "result": "interrupted" if done.interrupted else "succeeded" if done.figures.answered else "failed",
            "stoppedBy": done.stopped_by or None,
            "seconds": round(done.figures.seconds, 2),
            "all": done.figures.as_json(),
            "tiers": {tier: figures.as_json() for tier, figures in by_tier(done.figures).items()},
        }
        typer.echo(json.dumps(result, indent=2))
        return
    out = console.out if console.out.is_terminal else RichConsole(highlight=False, width=_WIDTH)
    out.print(shown(done.figures))
    if done.stopped_by:
        console.note(done.stopped_by)
