"""The simulator over the wire, in a thread of the test."""

import base64
import json
import logging
import socket
import struct
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.unit.simulator.client import CHAT, QUESTION, TIMEOUT, Answer, Client, read, simulator


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with simulator() as shared:
        yield shared


def eventually(check: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + TIMEOUT
    while not check():
        assert time.monotonic() < deadline, f"never came true: {what}"
        time.sleep(0.01)


# --- answers


def test_a_chat_answer_has_the_shape_that_clients_expect(client: Client) -> None:
    answer = client.chat(model="simulator").json
    assert answer["object"] == "chat.completion"
    assert answer["model"] == "simulator"
    (choice,) = answer["choices"]
    assert choice["index"] == 0
    assert choice["message"]["role"] == "assistant"
    assert choice["message"]["content"]
    assert choice["finish_reason"] == "stop"
    assert client.chat().json["id"] != answer["id"], "two answers have one id"


def test_the_same_request_gets_the_same_text_and_counts_also_from_another_process_with_the_same_options(
    client: Client,
) -> None:
    def words(answer: Answer) -> list[object]:
        return [answer.json["choices"], answer.json["usage"]]

    first = words(client.chat(n=2))
    with simulator() as other:
        assert words(other.chat(n=2)) == first
    assert words(client.chat(n=2, messages=[{"role": "user", "content": "Something else"}])) != first


def test_usage_adds_up_and_max_tokens_is_honoured_by_either_name(client: Client) -> None:
    for fields in ({"max_tokens": 5}, {"max_completion_tokens": 5}, {"max_tokens": 9, "max_completion_tokens": 5}):
        answer = client.chat(**fields).json
        # The question is 6 words and a mark; a message costs 4 more.
        assert answer["usage"] == {"prompt_tokens": 11, "completion_tokens": 5, "total_tokens": 16}
        assert answer["choices"][0]["finish_reason"] == "length"
    assert client.chat(n=3, max_tokens=5).json["usage"]["completion_tokens"] == 15


def test_a_completion_says_at_most_sixteen_tokens_when_it_is_not_told(client: Client) -> None:
    answer = client.post("/v1/completions", {"prompt": ["one", "two three"]}).json
    assert answer["object"] == "text_completion"
    assert [choice["index"] for choice in answer["choices"]] == [0, 1]
    assert answer["usage"] == {"prompt_tokens": 3, "completion_tokens": 32, "total_tokens": 35}


def test_prompts_may_be_token_ids(client: Client) -> None:
    for prompt, tokens in (([1, 2, 3], 3), ([[1, 2, 3], [4]], 4)):
        assert client.post("/v1/completions", {"prompt": prompt}).json["usage"]["prompt_tokens"] == tokens


def test_the_counts_can_be_fixed_and_max_tokens_still_cuts() -> None:
    with simulator(prompt_tokens=100, completion_tokens=50) as fixed:
        assert fixed.chat().json["usage"] == {"prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150}
        assert fixed.chat(max_tokens=7).json["usage"]["total_tokens"] == 107


def test_ignore_eos_says_all_that_max_tokens_allows(client: Client) -> None:
    assert client.chat(ignore_eos=True, max_tokens=500).json["usage"]["completion_tokens"] == 500


def test_embeddings_come_as_numbers_or_packed_and_count_only_the_prompt(client: Client) -> None:
    body = {"model": "simulator", "input": ["one two", "three"], "dimensions": 8}
    plain = client.post("/v1/embeddings", body).json
    assert plain["usage"] == {"prompt_tokens": 3, "completion_tokens": 0, "total_tokens": 3}
    assert [entry["index"] for entry in plain["data"]] == [0, 1]
    packed = client.post("/v1/embeddings", {**body, "encoding_format": "base64"}).json
    for number, code in zip(plain["data"], packed["data"], strict=True):
        assert struct.unpack("<8f", base64.b64decode(code["embedding"])) == pytest.approx(number["embedding"], abs=1e-6)


def test_health_version_and_models_answer() -> None:
    with simulator(model=("base",), served_model_name=("one", "two"), max_model_len=99) as client:
        assert (client.get("/health").status, client.get("/health").body) == (200, b"")
        assert client.get("/version").json["version"]
        cards = client.get("/v1/models").json["data"]
        assert [(card["id"], card["root"], card["max_model_len"]) for card in cards] == [
            ("one", "base", 99),
            ("two", "base", 99),
        ]
        assert client.chat(model="two").json["model"] == "two"
        assert client.chat().json["model"] == "one"
        assert client.chat(model="base").status == 404, "the name behind the served names is served too"


# --- streams


@pytest.mark.parametrize("n", [1, 3])
def test_a_stream_says_the_same_as_the_whole_answer_in_order(client: Client, n: int) -> None:
    whole = client.chat(n=n).json
    stream = client.chat(n=n, stream=True)
    assert stream.headers["content-type"].startswith("text/event-stream")
    for index, choice in enumerate(whole["choices"]):
        parts = [chunk["choices"][0] for chunk in stream.chunks if chunk["choices"][0]["index"] == index]
        assert parts[0]["delta"] == {"role": "assistant", "content": ""}
        assert "".join(part["delta"]["content"] for part in parts) == choice["message"]["content"]
        assert [part["finish_reason"] for part in parts] == [None] * (len(parts) - 1) + [choice["finish_reason"]]
    assert {chunk["id"] for chunk in stream.chunks} == {stream.chunks[0]["id"]}
    assert stream.chunks[0]["object"] == "chat.completion.chunk"


def test_a_stop_string_never_shows_in_a_stream(client: Client) -> None:
    text = client.chat().json["choices"][0]["message"]["content"]
    stop = text[9:17]
    chunks = client.chat(stream=True, stop=stop).chunks
    assert "".join(chunk["choices"][0]["delta"]["content"] for chunk in chunks) == text[: text.index(stop)]
    assert chunks[-1]["choices"][0]["stop_reason"] == stop


@pytest.mark.parametrize(("path", "body"), [(CHAT, QUESTION), ("/v1/completions", {"prompt": ["a b", "c"]})])
def test_usage_is_the_event_right_before_done_when_it_is_asked_for(
    client: Client, path: str, body: dict[str, Any]
) -> None:
    whole = client.post(path, body).json["usage"]
    answer = client.post(path, {**body, "stream": True, "stream_options": {"include_usage": True}})
    last = json.loads(answer.events[-2])
    assert (last["choices"], last["usage"]) == ([], whole)
    assert all("usage" not in chunk for chunk in answer.chunks[:-1])


def test_usage_is_forced_into_streams_by_the_option_only(client: Client) -> None:
    assert all("usage" not in chunk for chunk in client.chat(stream=True).chunks)
    with simulator(enable_force_include_usage=True) as forced:
        for fields in ({}, {"stream_options": {"include_usage": False}}):
            last = forced.chat(stream=True, **fields).chunks[-1]
            assert (last["choices"], last["usage"]["total_tokens"] > 11) == ([], True)


def test_a_client_that_speaks_http_1_0_gets_a_stream_without_chunks(client: Client) -> None:
    body = json.dumps({**QUESTION, "stream": True, "max_tokens": 3}).encode()
    head, _, rest = client.raw(
        b"POST %b HTTP/1.0\r\nContent-Length: %d\r\n\r\n" % (CHAT.encode(), len(body)) + body
    ).partition(b"\r\n\r\n")
    assert b"chunked" not in head.lower()
    assert Answer(200, {}, rest).chunks[-1]["choices"][0]["finish_reason"] == "length"


def test_a_client_that_leaves_mid_stream_harms_nobody_and_counts_as_an_abort(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with simulator(token_ms=5, completion_tokens=2000) as client:
        with socket.create_connection(("127.0.0.1", client.port), timeout=TIMEOUT) as connection:
            body = json.dumps({**QUESTION, "stream": True}).encode()
            connection.sendall(
                b"POST %b HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (CHAT.encode(), len(body)) + body
            )
            assert b"200 OK" in connection.recv(1024)
            assert client.metrics()['vllm:num_requests_running{model_name="simulator"}'] == 1
        aborted = 'vllm:request_success_total{model_name="simulator",finished_reason="abort"}'
        eventually(lambda: client.metrics()[aborted] == 1, "the abort is counted")
        after = client.metrics()
        assert after['vllm:num_requests_running{model_name="simulator"}'] == 0
        assert 0 < after['vllm:generation_tokens_total{model_name="simulator"}'] < 2000
        assert client.chat(max_tokens=1).status == 200
    assert f"POST {CHAT} 499" in caplog.text
    assert all(record.levelno == logging.INFO for record in caplog.records), "a client that leaves is no error"


# --- refusals


def test_bad_json_is_refused_and_not_quoted(client: Client) -> None:
    for body in (b'{"hush', b"\xff\xfe", b"[" * 100_000, b'"text"', b"[]", b""):
        answer = client.post(CHAT, body)
        assert answer.status == 400
        assert answer.error["type"] == "BadRequestError"
        assert answer.error["code"] == 400
        assert b"hush" not in answer.body


def test_an_unknown_model_is_not_found(client: Client) -> None:
    for path, body in ((CHAT, QUESTION), ("/v1/completions", {"prompt": "x"}), ("/v1/embeddings", {"input": "x"})):
        answer = client.post(path, {**body, "model": "gpt"})
        assert answer.status == 404
        assert answer.error == {
            "message": "The model `gpt` does not exist.", "type": "NotFoundError", "param": "model", "code": 404,
        }  # fmt: skip


def test_the_wrong_method_is_refused_with_the_right_one(client: Client) -> None:
    for method, path, allowed in (("GET", CHAT, "POST"), ("DELETE", "/v1/models", "GET"), ("POST", "/metrics", "GET")):
        answer = client.ask(method, path)
        assert (answer.status, answer.headers["allow"], answer.error["code"]) == (405, allowed, 405)
    head = client.raw(b"HEAD /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 405")
    assert head.endswith(b"\r\n\r\n"), "an answer to HEAD has a body, which the next answer would be taken for"
    assert client.get("/v1/nothing").error["code"] == 404


def test_what_does_not_fit_the_context_is_refused_in_the_words_of_vllm() -> None:
    with simulator(max_model_len=20) as small:
        assert small.chat(max_tokens=9).json["usage"]["total_tokens"] == 20
        answer = small.chat(max_tokens=10)
        assert (answer.status, answer.error["param"]) == (400, "input_tokens")
        assert answer.error["message"].startswith("This model's maximum context length is 20 tokens.")
        assert small.chat(ignore_eos=True).json["usage"]["total_tokens"] == 20, (
            "without max_tokens the rest is not used"
        )
        assert small.post("/v1/embeddings", {"input": "x " * 20}).status == 200
        assert small.post("/v1/embeddings", {"input": "x " * 21}).status == 400
        assert small.post("/v1/completions", {"prompt": "x " * 20}).status == 400, "there is no room for an answer"


def test_an_answer_names_the_headers_with_credentials_that_came_and_never_what_is_in_them() -> None:
    with simulator() as client:
        for answer in (
            client.get("/health"),
            client.post(CHAT, QUESTION),
            client.post(CHAT, {**QUESTION, "stream": True}),
        ):
            assert answer.headers["x-simulator-credentials"] == "none"
        answer = client.post(CHAT, QUESTION, Authorization="Bearer hush-key", Cookie="hush")
        assert answer.headers["x-simulator-credentials"] == "authorization, cookie"


def test_with_a_key_only_its_bearers_reach_v1_but_probes_and_scrapes_do() -> None:
    with simulator(api_key=("first", "second")) as client:
        for key in ("first", "second"):
            assert client.post(CHAT, QUESTION, Authorization=f"Bearer {key}").status == 200
        for header in (
            {},
            {"Authorization": "Bearer other"},
            {"Authorization": "first"},
            {"Authorization": "Basic first"},
        ):
            answer = client.post(CHAT, QUESTION, **header)
            assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer")
            assert answer.error["code"] == 401
        assert client.get("/v1/models").status == 401
        assert (client.get("/health").status, client.get("/metrics").status) == (200, 200)


@pytest.mark.parametrize("expect", [b"", b"Expect: 100-continue\r\n"])
def test_a_body_over_the_limit_is_refused_and_one_at_the_limit_is_read(expect: bytes) -> None:
    with simulator(max_body_bytes=200_000) as client:
        padded = json.dumps(QUESTION).encode().ljust(200_000)
        assert client.post(CHAT, padded).status == 200
        assert client.post(CHAT, padded + b" ").status == 413
        head = b"POST %b HTTP/1.1\r\nHost: x\r\n%bContent-Length: 900000000\r\n\r\n" % (CHAT.encode(), expect)
        answer = client.raw(head)
        assert answer.startswith(b"HTTP/1.1 413"), "the announced length is not looked at before the body"
        assert b'"code": 413' in answer
        assert b"Connection: close" in answer


def test_a_client_that_insists_on_sending_too_much_still_reads_the_refusal() -> None:
    with simulator(max_body_bytes=1000) as client:
        answer = client.post(CHAT, b" " * 5_000_000)
        assert (answer.status, answer.error["code"]) == (413, 413)


def test_a_chunked_body_is_read_and_bounded_too() -> None:
    with simulator(max_body_bytes=1000) as client:
        connection = client.connect()
        body = json.dumps(QUESTION).encode()
        for parts, status in (([body[:9], body[9:]], 200), ([b" " * 600, b" " * 600], 413)):
            connection.request("POST", CHAT, iter(parts), encode_chunked=True, headers={"Transfer-Encoding": "chunked"})
            assert read(connection).status == status
        connection.close()


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        b"Content-Length: 5\r\nContent-Length: 6\r\n",
        b"Content-Length: +5\r\n",
        b"Content-Length: -1\r\n",
        b"Transfer-Encoding: gzip\r\n",
    ],
)
def test_a_body_whose_end_is_unclear_is_refused_and_the_connection_closed(client: Client, head: bytes) -> None:
    answer = client.raw(
        b"POST %b HTTP/1.1\r\nHost: x\r\n%b\r\n0\r\n\r\nGET /health HTTP/1.1\r\n\r\n" % (CHAT.encode(), head)
    )
    assert answer.startswith(b"HTTP/1.1 400")
    assert answer.count(b"HTTP/1.1 ") == 1, "the rest of the body was taken for a request"


def test_what_is_not_http_gets_an_answer_in_the_shape_of_the_api(client: Client) -> None:
    assert b'"error"' in client.raw(b"hush hush hush hush\r\n\r\n")
    assert b'"code": 501' in client.raw(b"FETCH /health HTTP/1.1\r\nHost: x\r\n\r\n")


# --- connections


def test_one_connection_serves_many_requests_also_after_streams_and_refusals(client: Client) -> None:
    connection = client.connect()
    connection.connect()
    opened = connection.sock
    for _ in range(2):
        for method, path, body, status in (
            ("POST", CHAT, QUESTION, 200),
            ("POST", CHAT, {**QUESTION, "stream": True}, 200),
            ("POST", CHAT, {**QUESTION, "model": "gpt"}, 404),
            ("PUT", CHAT, {"unread": "body"}, 405),
            ("HEAD", CHAT, None, 405),
            ("POST", CHAT, {}, 400),
            ("GET", "/health", None, 200),
        ):
            connection.request(method, path, None if body is None else json.dumps(body))
            assert read(connection).status == status
            assert connection.sock is opened, f"the connection was closed after {method} {path} {status}"
    connection.close()


def test_twenty_requests_at_once_get_what_each_asked_for() -> None:
    with simulator(latency_ms=50, token_ms=1) as client, ThreadPoolExecutor(20) as pool:

        def ask(number: int) -> Answer:
            return client.chat(
                stream=number % 2 == 1, max_tokens=number + 1, messages=[{"role": "user", "content": f"{number}"}]
            )

        answers = list(pool.map(ask, range(20)))
        alone = [ask(number) for number in range(20)]
        for answer, single in zip(answers, alone, strict=True):
            assert answer.status == 200
            if "json" in answer.headers["content-type"]:
                assert answer.json["choices"] == single.json["choices"]
            else:
                assert [c["choices"] for c in answer.chunks] == [c["choices"] for c in single.chunks]
        assert client.metrics()['vllm:generation_tokens_total{model_name="simulator"}'] == 2 * sum(range(1, 21))


def test_requests_beyond_the_seats_wait_and_are_served() -> None:
    with simulator(max_num_seqs=2, latency_ms=300) as client, ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(client.chat) for _ in range(4)]

        def two_and_two() -> bool:
            now = client.metrics()
            running, waiting, used = (
                now[f'vllm:{name}{{model_name="simulator"}}']
                for name in ("num_requests_running", "num_requests_waiting", "kv_cache_usage_perc")
            )
            assert running <= 2, "more requests run than there are seats"
            return (running, waiting, used) == (2, 2, 1)

        eventually(two_and_two, "two run and two wait")
        assert [request.result(TIMEOUT).status for request in asked] == [200] * 4


def test_a_connection_beyond_the_bound_is_closed_and_room_is_made_again() -> None:
    with simulator(max_connections=2) as client:
        held = [client.connect() for _ in range(2)]
        for connection in held:
            connection.request("GET", "/health")
            assert read(connection).status == 200
        assert client.raw(b"") == b"", "a third connection is served"
        held[0].close()

        def served() -> bool:
            try:
                return client.get("/health").status == 200
            except OSError:
                return False

        eventually(served, "a connection is served again")
        held[1].close()


# --- metrics and logs


def test_metrics_count_what_usage_says_per_model() -> None:
    with simulator(model=("one", 'tw"o')) as client:
        told = [
            client.chat(model="one", max_tokens=4).json["usage"],
            client.chat(model="one", stream=True, stream_options={"include_usage": True}).chunks[-1]["usage"],
            client.post("/v1/embeddings", {"model": "one", "input": "a b c"}).json["usage"],
        ]
        client.chat(model="one", max_tokens=0)  # refused: counts nowhere
        now = client.metrics()
        assert now['vllm:prompt_tokens_total{model_name="one"}'] == sum(usage["prompt_tokens"] for usage in told)
        assert now['vllm:generation_tokens_total{model_name="one"}'] == sum(
            usage["completion_tokens"] for usage in told
        )
        assert now['vllm:request_success_total{model_name="one",finished_reason="length"}'] == 1
        assert now['vllm:request_success_total{model_name="one",finished_reason="stop"}'] == 2
        for histogram in ("e2e_request_latency_seconds", "time_to_first_token_seconds"):
            assert now[f'vllm:{histogram}_count{{model_name="one"}}'] == 3
            assert now[f'vllm:{histogram}_bucket{{model_name="one",le="+Inf"}}'] == 3
        assert now['vllm:prompt_tokens_total{model_name="tw\\"o"}'] == 0
        assert client.get("/metrics").headers["content-type"].startswith("text/plain; version=0.0.4")


def test_the_delays_show_in_the_histograms() -> None:
    with simulator(latency_ms=60, token_ms=10, completion_tokens=5) as client:
        client.chat()
        client.chat(stream=True)
        now = client.metrics()
        assert now['vllm:time_to_first_token_seconds_sum{model_name="simulator"}'] >= 2 * 0.060
        assert now['vllm:e2e_request_latency_seconds_sum{model_name="simulator"}'] >= 2 * (0.060 + 4 * 0.010)


def test_each_request_is_one_log_line_and_nothing_of_its_content_is_in_it(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with simulator(api_key=("hush-key",)) as client:
        key = {"Authorization": "Bearer hush-key", "X-Note": "hush-header"}
        client.post(f"{CHAT}?token=hush-query", {"messages": [{"role": "user", "content": "hush-content"}]}, **key)
        client.post(CHAT, b'{"hush-json', **key)
        client.post(CHAT, {"messages": [{"role": "user", "content": "x"}], "model": "hush-model"}, **key)
        client.post(CHAT, QUESTION, Authorization="Bearer hush-wrong")
        client.get("/v1/hush-path")
        client.raw(b"HUSH /hush HTTP/1.1\r\nHost: x\r\n\r\n")
        client.raw(b"GET /hush HTTP/9.9\r\n\r\n")
    records = [record for record in caplog.records if record.name == "maas.simulator"]
    # Beside them, at DEBUG, a connection may tell that it was closed from the other side.
    lines = [record.getMessage() for record in records if record.levelno == logging.INFO]
    # Sorted: a line is written after its answer, on the thread of its connection.
    assert sorted(line.rsplit(" ", 1)[0] for line in lines) == [
        "- - 501", "- - 505", "GET - 401",
        f"POST {CHAT} 200", f"POST {CHAT} 400", f"POST {CHAT} 401", f"POST {CHAT} 404",
    ]  # fmt: skip
    assert "hush" not in caplog.text.lower()
