from collections.abc import Generator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from cli.console import Console
from cli.deploy.target import of_stack
from cli.deploy.tryout import try_out
from cli.exits import MaasError
from cli.models.catalogue import load
from cli.service.calls import Service, Way, chat_body, models_of
from cli.service.chat import Answer, Chat, left, pieces, refusal
from components.exports import exports


def service(stack: str = "dev") -> Service:
    return Service(of_stack(stack), exports(load("sandbox")[0]))


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ("Too Many Requests", "429: Too Many Requests. Try again when the window has ended."),
        (
            "A limit of your tier is reached. Try again when its window has ended.",
            "429: A limit of your tier is reached. Try again when its window has ended.",
        ),
    ],
)
def test_who_is_over_a_limit_is_told_once_to_try_again(message: str, said: str) -> None:
    assert refusal(Answer(429, message=message)) == said
    assert refusal(Answer(401, message="No key.")) == "401: No key."


def test_without_a_name_the_model_is_the_simulator_and_a_served_name_will_do_too() -> None:
    assert service().way().model == "simulator"
    assert service().way("qwen3-0-6b-instruct").model == "qwen3"
    with pytest.raises(MaasError, match="It has: simulator, qwen3"):
        service().way("gpt")


def test_users_of_the_lowest_tier_come_first() -> None:
    assert service().users() == ["freeuser1", "freeuser2", "premiumuser1", "premiumuser2", "enterpriseuser1"]


def test_who_has_no_key_is_told_how_to_make_one_for_this_stack(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_key(stack: str, user: str, console: Console) -> None:
        del stack, user, console

    monkeypatch.setattr("cli.service.calls.current_key", no_key)
    with pytest.raises(MaasError, match=r"\./maas keys create freeuser1 --stack dev$"):
        service().key("freeuser1", Console())


def test_a_host_is_sent_only_where_the_address_does_not_say_it() -> None:
    assert Way("m", "m", "http://m.example.com", "m.example.com").headers == {}
    assert Way("m", "m", "http://127.0.0.1:1", "m.maas.localhost").headers == {"Host": "m.maas.localhost"}


def test_usage_is_asked_for_in_streams() -> None:
    way = Way("m", "served", "http://m", "m")
    assert chat_body(way, [], most=None, stream=True)["stream_options"] == {"include_usage": True}
    assert chat_body(way, [], most=3, stream=False) == {"model": "served", "messages": [], "max_tokens": 3}


def test_what_is_left_of_a_limit_that_was_overshot_is_nothing() -> None:
    counter = {"max": 100, "used": 144, "counts": "tokens", "endsInSeconds": 59.8}
    assert left(counter) == "0 of 100 tokens left for 60 s"
    assert left(counter | {"max": None}) == "unlimited tokens"


def test_pieces_of_a_stream_are_read_whatever_else_is_in_it() -> None:
    lines = [
        ": ping",
        "",
        'data: {"choices": [{"delta": {"role": "assistant", "content": "a"}}]}',
        'data: {"choices": [{"delta": {}}]}',
        'data: {"choices": [], "usage": {"total_tokens": 9}}',
        "data: [DONE]",
    ]
    assert list(pieces(iter(lines))) == [("a", None), ("", None), ("", 9)]


class Answering(BaseHTTPRequestHandler):
    """Answers with the first of the statuses that are left."""

    statuses: tuple[int, ...] = ()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        Answering.statuses, status = Answering.statuses[1:], Answering.statuses[0]
        body = b'{"usage": {"total_tokens": 5}}' if status == 200 else b'{"error": {"message": "No."}}'
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the parent's name
        del format, args


class Known(Service):
    """A service at a given place, whose users all have a key."""

    url = ""

    def way(self, model: str = "", url: str = "") -> Way:
        return Way(model or "simulator", "simulator-model", url or self.url, "simulator.maas.localhost")

    def key(self, user: str, console: Console) -> str:
        del console
        return f"of-{user}"


@pytest.fixture
def known() -> Generator[Known]:
    server = HTTPServer(("127.0.0.1", 0), Answering)
    Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    made = service()
    found = Known(made.target, made.outputs)
    Known.url = f"http://127.0.0.1:{server.server_port}"
    yield found
    server.shutdown()
    server.server_close()


def test_up_tries_a_refused_and_an_answered_request_and_waits_for_the_gateway(known: Known) -> None:
    Answering.statuses = (404, 401, 500, 200)
    tried = try_out(known, Console(quiet=True))
    assert tried
    assert (tried.user, tried.words) == (
        "enterpriseuser1",
        "without a key 401, with the key of enterpriseuser1 200 and 5 tokens counted",
    )


def test_a_user_whose_tier_may_not_call_the_model_is_passed_over(known: Known) -> None:
    Answering.statuses = (401, 403, 429)
    tried = try_out(known, Console(quiet=True))
    assert tried
    assert (tried.user, "429, as a limit is used up" in tried.words) == ("premiumuser2", True)


def test_up_fails_when_a_request_without_a_key_is_answered(known: Known, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cli.deploy.tryout._PATIENCE_SECONDS", 0)
    Answering.statuses = (200,)
    with pytest.raises(MaasError, match="answered a request without a key with 200 instead of 401"):
        try_out(known, Console(quiet=True))


def test_a_model_outside_of_the_cluster_is_the_last_choice_and_is_not_tried(known: Known) -> None:
    outside = {"runtime": "external", "servedName": "o"}
    both = {"a-outside": outside, "b": {"runtime": "vllm"}, "c": {"runtime": "simulator"}}
    assert models_of({"models": both}) == ["c", "b", "a-outside"]
    alone = {"models": {"a-outside": outside}, "endpoints": {"a-outside": "http://a-outside.maas.localhost"}}
    assert try_out(Service(known.target, {**known.outputs, **alone}), Console(quiet=True)) is None


def test_a_refused_prompt_is_no_part_of_the_conversation(known: Known) -> None:
    chat = Chat(known, known.way(), "freeuser1", "key", Console(quiet=True))
    Answering.statuses = (429,)
    answer = chat.say("Hello", lambda _: None)
    assert (answer.status, answer.message) == (429, "No.")
    assert "key" not in repr(chat).replace("key=", "").replace("keySecret", "").replace("maas-key", "")
