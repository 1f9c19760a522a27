import json

from cli.program.recorder import stack_config
from cli.verify.client import Reply
from cli.verify.facts import Facts
from config.settings import SECRET_KEYS, Settings
from config.source import parsed


def facts(tiers: dict[str, object], models: dict[str, object] | None = None) -> Facts:
    config, _ = stack_config("sandbox")
    made = models or {"simulator": {"profile": "simulator"}, "qwen3": {"profile": "simulator"}}
    config |= {"maas:tiers": json.dumps(tiers), "maas:models": json.dumps(made), "maas:users": "{}"}
    config.pop("maas:apiKeys", None)
    return Facts("sandbox", Settings.load("sandbox", parsed(config), SECRET_KEYS), tuple(made))


FREE = {"level": 0, "requests": "5 per 2m", "tokens": ["100 per 1m", "5000 per 24h"]}


def test_every_rate_of_the_stack_is_there_once_and_exceptions_on_their_own_model() -> None:
    own = {"models": {"qwen3": {"tokens": "50 per 1m"}}}
    stack = facts({"free": FREE | own, "pro": {"level": 1, "requests": "unlimited", "tokens": "unlimited"}})
    assert [each.label for each in stack.limits("tokens")] == [
        "free: 100 per 1m",
        "free: 5000 per 24h",
        "free on qwen3: 50 per 1m",
    ]
    assert [(each.label, each.model) for each in stack.limits("requests")] == [("free: 5 per 2m", "simulator")]


def test_an_exception_on_every_model_leaves_nothing_of_the_tiers_own_to_try() -> None:
    own = {"models": {name: {"requests": "2 per 1m"} for name in ("simulator", "qwen3")}}
    assert [each.label for each in facts({"free": FREE | own}).limits("requests")] == [
        "free on simulator: 2 per 1m",
        "free on qwen3: 2 per 1m",
    ]


def test_the_cheapest_way_to_a_refusal_is_few_requests_or_else_large_ones() -> None:
    assert facts({"t": FREE}).way_to_429("t", "simulator") == (
        facts({"t": FREE}).rates("requests", "t", "simulator")[0],
        "requests",
    )
    many = {"level": 0, "requests": "500 per 1m", "tokens": "2000 per 1m"}
    found = facts({"t": many}).way_to_429("t", "simulator")
    assert found is not None
    assert (str(found[0]), found[1]) == ("2000 per 1m", "tokens")
    assert (
        facts({"t": {"level": 0, "requests": "unlimited", "tokens": "unlimited"}}).way_to_429("t", "simulator") is None
    )


def test_a_model_is_called_by_the_highest_tier_that_may() -> None:
    models: dict[str, object] = {
        "simulator": {"profile": "simulator", "tiers": ["free"]},
        "other": {"profile": "simulator"},
    }
    stack = facts({"free": FREE, "pro": FREE | {"level": 1}}, models)
    assert (stack.tier_for("simulator"), stack.tier_for("other")) == ("free", "pro")


def test_a_reply_tells_tokens_of_whole_answers_and_of_streams_and_nothing_of_garbage() -> None:
    whole = Reply(200, {}, b'{"usage": {"total_tokens": 7}}')
    streamed = Reply(200, {}, b'data: {"choices": []}\n\ndata: {"usage": {"total_tokens": 9}}\n\ndata: [DONE]\n\n')
    assert (whole.tokens, streamed.tokens) == (7, 9)
    for garbage in (
        b"",
        b"[1]",
        b"data: {no\n\ndata: [DONE]\n\n",
        b'{"usage": "much"}',
        b"\xff\x00",
        b'{"usage": {"total_tokens": "7"}}',
    ):
        reply = Reply(200, {}, garbage)
        assert (reply.tokens, reply.code) == (None, "")
        assert reply.words.startswith("200")
