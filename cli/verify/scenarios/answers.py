"""What a caller with a good key gets from each model."""

from collections.abc import Iterator
from statistics import median
from typing import Any

from cli.doctor.case import items
from cli.verify.client import COMPLETIONS, EMBEDDINGS, NOBODY, Reply
from cli.verify.facts import Facts
from cli.verify.scenario import OK, Bench, Case, Cost, Phase, Scenario, SkippedError, expect, expect_that

GROUP = "answers"
_TOKENS = 8
_TIMES = 5
_NO_EMBEDDINGS = (400, 404, 405, 501)
"""How a model answers that has none."""


def _each_model(facts: Facts) -> Iterator[Case]:
    for model in facts.models:
        yield Case(model, Cost(4, 100), model)


async def models(bench: Bench, model: str) -> None:
    """The list has the name that requests use."""
    reply = expect(await bench.ask(await bench.caller(model), model=model), OK, "for the list of models")
    listed = [str(each.get("id")) for each in items(reply.json.get("data"))]
    name = bench.way(model).served_name
    expect_that(name in listed, f"{name} in the list of models", ", ".join(listed) or reply.words, reply)


async def chat(bench: Bench, model: str) -> None:
    """A whole answer."""
    _whole(await bench.chat(await bench.caller(model), _TOKENS, model), "message")


async def chat_streamed(bench: Bench, model: str) -> None:
    """A stream, to its end."""
    _stream(await bench.chat(await bench.caller(model), _TOKENS, model, stream=True), "delta")


async def completions(bench: Bench, model: str) -> None:
    """A whole answer."""
    _whole(await _complete(bench, model), "text")


async def completions_streamed(bench: Bench, model: str) -> None:
    """A stream, to its end."""
    _stream(await _complete(bench, model, stream=True, stream_options={"include_usage": True}), "text")


async def embeddings(bench: Bench, model: str) -> None:
    """A vector, where the model has any."""
    body = {"model": bench.way(model).served_name, "input": "Hi"}
    reply = await bench.ask(await bench.caller(model), EMBEDDINGS, model, body=body)
    if reply.status in _NO_EMBEDDINGS and not bench.facts.settings.models[model].runtime.simulates:
        raise SkippedError(f"{model} has no embeddings: {reply.words}")
    expect(reply, OK, "for embeddings")
    vectors = [each.get("embedding") for each in items(reply.json.get("data"))]
    expect_that(any(vectors), "a vector", reply.words, reply)
    _counted(reply)


async def in_time(bench: Bench, _: object) -> str:
    """What asks no model to think takes no time: it is the gateway, and whom it asks, that is measured."""
    caller = await bench.caller()
    slowest = 0.0
    for who, what in ((NOBODY, "refusal"), (caller, "list of models")):
        replies = [await bench.ask(who) for _ in range(_TIMES)]
        took = median(each.seconds for each in replies)
        expect_that(
            took <= bench.means.slow_seconds,
            f"a {what} within {bench.means.slow_seconds:g} s",
            f"{took:.1f} s (median of {_TIMES})",
            replies[-1],
        )
        slowest = max(slowest, took)
    return f"{slowest * 1000:.0f} ms"


async def _complete(bench: Bench, model: str, **more: Any) -> Reply:  # noqa: ANN401 - JSON
    body = {"model": bench.way(model).served_name, "prompt": "Hi", "max_tokens": _TOKENS, **more}
    return await bench.ask(await bench.caller(model), COMPLETIONS, model, body=body)


def _whole(reply: Reply, holds: str) -> None:
    expect(reply, OK, "with an answer")
    choices = items(reply.json.get("choices"))
    expect_that(any(holds in each for each in choices), f"a choice with a {holds}", reply.words, reply)
    _counted(reply)


def _stream(reply: Reply, holds: str) -> None:
    expect(reply, OK, "with a stream")
    expect_that(reply.events is not None, "a stream of events that ends with [DONE]", reply.words, reply)
    parts = [each for event in reply.events or () for each in items(event.get("choices"))]
    expect_that(any(holds in each for each in parts), f"events with a {holds}", reply.words, reply)
    _counted(reply)


def _counted(reply: Reply) -> None:
    expect_that(bool(reply.tokens), "an answer that says how many tokens it cost", reply.words, reply)


_HINT = "the model is not ready, or serves another name than the stack says: ./maas models show"
SCENARIOS = (
    Scenario("models", GROUP, "The list of models has the model's name.", models, cases=_each_model, hint=_HINT),
    Scenario("chat", GROUP, "A chat is answered, and says what it cost.", chat, cases=_each_model, hint=_HINT),
    Scenario(
        "chat-streamed",
        GROUP,
        "A streamed chat comes to its end, and says what it cost.",
        chat_streamed,
        cases=_each_model,
        hint=_HINT,
    ),
    Scenario(
        "completions",
        GROUP,
        "A completion is answered, and says what it cost.",
        completions,
        cases=_each_model,
        hint=_HINT,
    ),
    Scenario(
        "completions-streamed",
        GROUP,
        "A streamed completion comes to its end, and says what it cost.",
        completions_streamed,
        cases=_each_model,
        hint=_HINT,
    ),
    Scenario(
        "embeddings",
        GROUP,
        "Embeddings are answered where the model has them.",
        embeddings,
        cases=_each_model,
        hint=_HINT,
    ),
    Scenario(
        "in-time",
        GROUP,
        "The gateway refuses, and lets through, without delay.",
        in_time,
        Phase.QUIET,
        cases=lambda _facts: [Case(cost=Cost(2 * _TIMES + 3))],
        hint="Authorino or Limitador is slow, or far away: see the dashboards, and platform.kuadrant.authTimeout",
    ),
)
