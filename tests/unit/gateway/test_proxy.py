import asyncio
import json
import socket
from dataclasses import replace
from typing import Any

import aiohttp
import pytest

from sandbox.gateway import proxy as proxy_module
from sandbox.gateway.backends import Backend
from tests.unit.enforcement.service import CHAT, KEYS
from tests.unit.gateway.service import (
    LOOPBACK,
    STREAM_HEAD,
    Running,
    Writer,
    answers,
    chunk,
    events,
    in_loop,
    running,
    stack,
    whole,
)


async def never(writer: Writer, number: int) -> None:
    raise AssertionError(number, writer)


def test_a_request_without_a_key_is_refused_with_the_policys_own_body_and_no_model_hears_of_it() -> None:
    async def work() -> None:
        async with running(never) as gateway:
            status, body, headers = await gateway.ask()
            assert status == 401
            assert json.loads(body)["error"]["code"] == "invalid_api_key"
            assert headers["content-type"].startswith("application/json")
            assert headers["x-request-id"]
            assert headers["server"] == "istio-envoy"
            assert gateway.server.heads == []

    in_loop(work())


def test_the_model_gets_the_question_and_nothing_of_the_callers_key_wherever_that_was_sent() -> None:
    key = KEYS["freeuser1"]

    async def work() -> None:
        async with running(answers(10)) as gateway:
            sent = {
                "X-Api-Key": key,
                "X-Other": "kept",
                "X-Request-ID": "mine-1",
                "Connection": "keep-alive, x-hop",
                "X-Hop": "for the gateway only",
                "X-Envoy-Retry-On": "5xx",
            }
            target = f"{CHAT}?api_key={key}&kept=1"
            status, _, headers = await gateway.ask("freeuser1", target=target, headers=sent)
            assert status == 200
            assert headers["x-request-id"] == "mine-1"
            assert "x-envoy-upstream-service-time" in headers
            (seen,) = gateway.server.heads
            assert key not in seen
            assert seen.startswith(f"POST {CHAT}?kept=1 HTTP/1.1")
            names = {line.partition(":")[0].lower() for line in seen.partition("\r\n\r\n")[0].split("\r\n")[1:]}
            assert {"x-other", "x-request-id", "x-forwarded-for", "x-forwarded-proto", "host"} <= names
            assert not names & {"authorization", "x-api-key", "x-hop", "x-envoy-retry-on"}
            assert "host: simulator.maas.localhost" in seen.lower()
            assert seen.endswith('"content": "Hello"}]}')

    in_loop(work())


def test_tokens_of_a_whole_answer_are_counted_before_it_is_given() -> None:
    async def work() -> None:
        async with running(answers(60)) as gateway:
            assert (await gateway.ask("freeuser1"))[0] == 200
            assert gateway.used("freeuser1") == {"requests": 1, "tokens": 60}
            assert [(await gateway.ask("freeuser1"))[0] for _ in range(2)] == [200, 429]
            status, body, _ = await gateway.ask("freeuser1")
            assert (status, json.loads(body)["error"]["code"]) == (429, "rate_limit_exceeded")
            assert (await gateway.ask("freeuser2"))[0] == 200, "another user's quota is another's"

    in_loop(work())


def test_a_stream_is_passed_on_as_it_comes_and_counted_before_its_end() -> None:
    async def work() -> None:
        may_go_on = asyncio.Event()

        async def script(writer: Writer, number: int) -> None:
            first, *others = events(77)
            writer.write(STREAM_HEAD + chunk(first))
            await writer.drain()
            await may_go_on.wait()
            writer.write(b"".join(map(chunk, others)) + b"0\r\n\r\n")
            del number

        async with running(script) as gateway, gateway.request("freeuser1") as answer:
            assert answer.headers["Content-Type"] == "text/event-stream"
            got = await answer.content.readany()
            assert got.decode() == next(events(77)), "the first event is here while the model has not said the second"
            assert gateway.used("freeuser1")["tokens"] == 0
            may_go_on.set()
            while not got.endswith(b"data: [DONE]\n\n"):
                got += await answer.content.readany()
            assert gateway.used("freeuser1")["tokens"] == 77, "a caller that has seen the end finds it counted"
            assert got.decode() == "".join(events(77))

    in_loop(work())


def test_a_stream_without_usage_is_not_counted_and_is_an_error_of_the_filter() -> None:
    async def script(writer: Writer, number: int) -> None:
        del number
        parts = [each for each in events(5) if "usage" not in each]
        writer.write(STREAM_HEAD + b"".join(map(chunk, parts)) + b"0\r\n\r\n")

    async def work() -> None:
        async with running(script) as gateway:
            assert (await gateway.ask("freeuser1"))[0] == 200
            assert gateway.used("freeuser1") == {"requests": 1, "tokens": 0}
            assert "kuadrant_errors 1.0" in gateway.proxy.telemetry.envoy.text().decode()

    in_loop(work())


def test_a_caller_that_leaves_ends_the_models_work_and_pays_no_tokens() -> None:
    async def script(writer: Writer, number: int) -> None:
        del number
        writer.write(STREAM_HEAD)
        while True:
            writer.write(chunk(next(events(5))))
            await writer.drain()
            await asyncio.sleep(0.01)

    async def work() -> None:
        async with running(script) as gateway:
            async with gateway.request("freeuser1") as answer:
                await answer.content.readany()
                answer.close()
            await asyncio.wait_for(gateway.server.gone.wait(), 10)
            for _ in range(100):
                if gateway.proxy.journal.last(1)[0]["flags"] == "DC":
                    break
                await asyncio.sleep(0.05)
            assert gateway.proxy.journal.last(1)[0]["flags"] == "DC"
            assert gateway.used("freeuser1")["tokens"] == 0

    in_loop(work())


async def cut_before_the_head(writer: Writer, number: int) -> None:
    del number
    writer.close()


async def too_late(writer: Writer, number: int) -> None:
    del number
    await asyncio.sleep(2)
    writer.write(whole("{}"))


def hurried(route: dict[str, Any]) -> None:
    for rule in route["spec"]["rules"]:
        rule["timeouts"] = {"request": "100ms"}


@pytest.mark.parametrize(
    ("case", "status", "says", "flags"),
    [
        ({"script": never, "port": 1}, 503, "connection failure", "UF"),
        ({"script": never, "port": None}, 503, "no healthy upstream", "UH"),
        ({"script": never, "ready": False}, 503, "no healthy upstream", "UH"),
        ({"script": cut_before_the_head}, 503, "connection termination", "UC"),
        ({"script": too_late, "made": stack(HTTPRoute=hurried)}, 504, "upstream request timeout", "UT"),
    ],
    ids=["refused", "not started", "not ready", "cut", "late"],
)
def test_what_the_model_does_not_answer_envoy_does(case: dict[str, Any], status: int, says: str, flags: str) -> None:
    async def work() -> None:
        async with running(**case) as gateway:
            actual, body, headers = await gateway.ask("freeuser1")
            assert (actual, says in body) == (status, True), body
            assert headers["content-type"].startswith("text/plain")
            assert gateway.proxy.journal.last(1)[0]["flags"] == flags
            metrics = gateway.proxy.telemetry.envoy.text().decode()
            assert f'response_code="{status}",response_flags="{flags}"' in metrics

    in_loop(work())


def test_a_connection_that_the_model_had_closed_is_tried_again_on_another() -> None:
    async def script(writer: Writer, number: int) -> None:
        if number == 2:
            writer.close()
        else:
            await answers(10)(writer, number)

    async def work() -> None:
        async with running(script) as gateway:
            assert [(await gateway.ask("freeuser1"))[0] for _ in range(2)] == [200, 200]
            assert len(gateway.server.heads) == 3

    in_loop(work())


def test_a_request_that_was_on_its_way_to_a_server_that_has_ended_goes_to_the_models_next_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def work() -> None:
        async with running(answers(10)) as gateway:
            backends = gateway.proxy.backends
            present = backends.find("llm", "simulator-predictor")
            assert present
            with socket.create_server((LOOPBACK, 0)) as listener:
                nobodys = listener.getsockname()[1]
            ended = iter([replace(present, port=nobodys)])

            def find(_namespace: str, _service: str) -> Backend:
                return next(ended, present)

            monkeypatch.setattr(backends, "find", find)
            assert (await gateway.ask("freeuser1"))[0] == 200

    in_loop(work())


def test_a_stream_that_breaks_off_is_cut_for_the_caller_too() -> None:
    async def script(writer: Writer, number: int) -> None:
        del number
        writer.write(STREAM_HEAD + chunk(next(events(5))))
        await writer.drain()
        writer.transport.abort()

    async def work() -> None:
        async with running(script) as gateway:
            with pytest.raises(aiohttp.ClientError):
                await gateway.ask("freeuser1")
            assert gateway.used("freeuser1")["tokens"] == 0

    in_loop(work())


def test_policies_can_change_while_a_stream_runs_and_hold_from_the_next_request_on() -> None:
    async def work() -> None:
        may_end = asyncio.Event()

        async def script(writer: Writer, number: int) -> None:
            del number
            first, *others = events(50)
            writer.write(STREAM_HEAD + chunk(first))
            await writer.drain()
            await may_end.wait()
            writer.write(b"".join(map(chunk, others)) + b"0\r\n\r\n")

        def tighter(policy: dict[str, Any]) -> None:
            policy["spec"]["limits"]["free"]["rates"][0]["limit"] = 40

        async with running(script) as gateway:
            async with gateway.request("freeuser1") as answer:
                await answer.content.readany()
                gateway.change(*stack(TokenRateLimitPolicy=tighter))
                may_end.set()
                rest = await answer.read()
                assert rest.endswith(b"[DONE]\n\n"), "the stream ends as it began"
            assert (await gateway.ask("freeuser1"))[0] == 429, "50 counted of 40"

    in_loop(work())


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/v1/./chat/completions", 200),
        ("/v1/x/../chat/%63ompletions", 200),
        ("/v1\\chat/completions", 200),
        ("/v1/chat/completions/../../responses", 404),
        ("/v1/responses", 404),
    ],
)
def test_a_path_is_judged_as_the_model_will_read_it(target: str, status: int) -> None:
    async def work() -> None:
        async with running(answers(10)) as gateway:
            reader, writer = await asyncio.open_connection(LOOPBACK, gateway.port)
            head = f"POST {target} HTTP/1.1\r\nHost: simulator.maas.localhost\r\nContent-Length: 2\r\n"
            writer.write(f"{head}Authorization: Bearer {KEYS['freeuser1']}\r\n\r\n{{}}".encode())
            assert (await reader.readline()).split()[1].decode() == str(status)
            writer.close()
            assert all(seen.startswith(f"POST {CHAT} ") for seen in gateway.server.heads)

    in_loop(work())


def test_a_host_that_no_gateway_listens_for_gets_404_and_a_route_to_nowhere_500() -> None:
    async def work() -> None:
        async with running(never) as gateway:
            assert (await gateway.ask("freeuser1", host="elsewhere.example"))[0] == 404
            assert (await gateway.ask(host="unknown.maas.localhost"))[0] == 401, "the fallback route has the policies"
            assert (await gateway.ask("freeuser1", host="qwen3.maas.localhost"))[0] == 500, "its Service does not exist"
            assert "behind Service llm/qwen3-predictor" in gateway.proxy.journal.last(1)[0]["explanation"][-1]

    in_loop(work())


async def raw(gateway: Running, lines: bytes) -> int:
    """The status of a request with these lines of the head."""
    reader, writer = await asyncio.open_connection(LOOPBACK, gateway.port)
    writer.write(b"GET /v1/models HTTP/1.1\r\n" + lines + b"\r\n")
    status = int((await reader.readline()).split()[1])
    writer.close()
    return status


HOST_LINE = b"Host: simulator.maas.localhost\r\n"
KEY_LINE = f"Authorization: Bearer {KEYS['freeuser1']}\r\n".encode()


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        (HOST_LINE + KEY_LINE + b"X-Name: \xc3\xa9\r\n", 200),
        (HOST_LINE + KEY_LINE + b"X-Name: \xe9\xff\r\n", 200),
        (HOST_LINE + b"Authorization: Bearer \xff\r\n", 401),
        (b"Host: \xff.maas.localhost\r\n" + KEY_LINE, 403),
        (HOST_LINE + KEY_LINE + b"X-Name: " + b"x" * 40_000 + b"\r\n", 200),
    ],
    ids=["UTF-8", "other bytes", "a key of other bytes", "a host of other bytes", "long"],
)
def test_a_header_may_have_any_bytes_and_as_many_as_envoy_takes(lines: bytes, status: int) -> None:
    async def work() -> None:
        async with running(answers(10)) as gateway:
            assert await raw(gateway, lines) == status

    in_loop(work())


def test_a_route_that_is_not_modelled_refuses_its_own_requests_and_the_decision_says_why() -> None:
    def by_expression(route: dict[str, Any]) -> None:
        if route["metadata"]["name"] == "qwen3":
            route["spec"]["rules"][0]["matches"] = [{"path": {"type": "RegularExpression", "value": "/v.*"}}]

    async def work() -> None:
        async with running(answers(10), made=stack(HTTPRoute=by_expression)) as gateway:
            status, _, headers = await gateway.ask("freeuser1", host="qwen3.maas.localhost")
            assert (status, headers["server"]) == (500, "istio-envoy")
            [last] = gateway.proxy.journal.last(1)
            assert last["explanation"] == ["not modelled here: path matches of type RegularExpression"]
            assert (await gateway.ask("freeuser1"))[0] == 200

    in_loop(work())


def test_a_body_that_is_too_large_is_refused_and_one_that_waits_for_leave_gets_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(proxy_module, "LARGEST_BODY", 1000)

    async def work() -> None:
        async with running(answers(10)) as gateway:
            assert (await gateway.ask("freeuser1", body={"long": "x" * 2000}))[0] == 413
            assert gateway.server.heads == []
            status, _, _ = await gateway.ask("freeuser1", headers={"Expect": "100-continue"})
            assert status == 200

    in_loop(work())


def test_callers_are_told_what_is_left_where_the_limiter_is_set_to() -> None:
    limitador = {
        "apiVersion": "limitador.kuadrant.io/v1alpha1",
        "kind": "Limitador",
        "metadata": {"name": "limitador", "namespace": "kuadrant-system"},
        "spec": {"rateLimitHeaders": "DRAFT_VERSION_03", "telemetry": "exhaustive"},
    }

    async def work() -> None:
        async with running(answers(30), made=[*stack(), limitador]) as gateway:
            _, _, headers = await gateway.ask("freeuser1")
            assert headers["x-ratelimit-limit"] == '5, 5;w=120;name="free"'
            assert headers["x-ratelimit-remaining"] == "4"
            assert headers["x-ratelimit-reset"] in {"119", "120"}
            statuses = [(await gateway.ask("freeuser1"))[0] for _ in range(4)]
            assert statuses == [200, 200, 200, 429]
            metrics = gateway.proxy.telemetry.limitador.text().decode()
            assert 'limited_calls{limit_name="free",limitador_namespace="llm/simulator"' in metrics

    in_loop(work())


def test_a_limiter_without_replicas_answers_nobody_who_is_limited_and_the_list_of_models_still_comes() -> None:
    limitador = {
        "apiVersion": "limitador.kuadrant.io/v1alpha1",
        "kind": "Limitador",
        "metadata": {"name": "limitador", "namespace": "kuadrant-system"},
        "spec": {"replicas": 0},
    }

    async def work() -> None:
        async with running(answers(7), made=[*stack(), limitador]) as gateway:
            assert (await gateway.ask("freeuser1"))[0] == 500
            assert (await gateway.ask("freeuser1", method="GET", target="/v1/models", body=None))[0] == 200
            gateway.change(*stack(), {**limitador, "spec": {}})
            assert (await gateway.ask("freeuser1"))[0] == 200

    in_loop(work())


@pytest.mark.parametrize(("mode", "status"), [("allow", 200), ("deny", 500), (None, 500)])
def test_what_happens_without_a_limiter_is_what_kuadrants_operator_was_told(mode: str | None, status: int) -> None:
    limitador = {"kind": "Limitador", "metadata": {"name": "limitador", "namespace": "k"}, "spec": {"replicas": 0}}
    names = ("RATELIMIT_SERVICE_FAILURE_MODE", "RATELIMIT_CHECK_SERVICE_FAILURE_MODE") if mode else ()
    container = {"name": "manager", "env": [{"name": name, "value": mode} for name in names]}
    operator = {
        "kind": "Deployment",
        "metadata": {"name": "kuadrant-operator-controller-manager", "namespace": "kuadrant-system"},
        "spec": {"template": {"spec": {"containers": [container]}}},
    }

    async def work() -> None:
        async with running(answers(10), made=[*stack(), limitador, operator]) as gateway:
            assert (await gateway.ask("freeuser1"))[0] == status
            metrics = gateway.proxy.telemetry
            assert "authorized_calls{" not in metrics.limitador.text().decode()
            assert "kuadrant_errors 0.0" not in metrics.envoy.text().decode()

    in_loop(work())


def test_as_many_decisions_are_told_as_were_asked_for() -> None:
    async def work() -> None:
        async with running(answers(10)) as gateway:
            for _ in range(2):
                await gateway.ask()
            assert [len(gateway.proxy.journal.last(count)) for count in (0, 1, 5)] == [0, 1, 2]

    in_loop(work())


def test_limitadors_metrics_count_calls_and_hits_as_limitador_does() -> None:
    async def work() -> None:
        async with running(answers(60)) as gateway:
            for _ in range(3):
                await gateway.ask("freeuser1")
            lines = gateway.proxy.telemetry.limitador.text().decode().splitlines()
            labels = 'limitador_namespace="llm/simulator"'
            who = 'tier="free",user="freeuser1"'
            assert "# TYPE authorized_hits counter" in lines
            # Three requests within their limit, two checks within the tokens'; the third check is over.
            assert f"authorized_calls{{{labels},{who}}} 5.0" in lines
            assert f"authorized_hits{{{labels},{who}}} 3.0" in lines
            assert f'authorized_hits{{{labels},model="simulator-model",{who}}} 120.0' in lines
            assert f"limited_calls{{{labels},{who}}} 1.0" in lines

    in_loop(work())


def test_a_model_that_takes_no_connection_is_no_late_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    async def timed_out(*_: object, **__: object) -> None:
        raise aiohttp.ConnectionTimeoutError

    async def work() -> None:
        async with running(never) as gateway:
            real = aiohttp.ClientSession.request

            def request(session: aiohttp.ClientSession, *words: Any, **more: Any) -> Any:  # noqa: ANN401 - as the real one
                return real(session, *words, **more) if session is gateway.session else timed_out()

            monkeypatch.setattr(aiohttp.ClientSession, "request", request)
            status, body, _ = await gateway.ask("freeuser1")
            assert (status, "connection failure" in body) == (503, True)

    in_loop(work())
