"""OpenAI's own Python client against a gateway: what it asks for, it gets; what it is refused, it raises as its own."""

from collections.abc import Generator

import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam

from tests.misbehaviour.service import Double, serving
from tests.misbehaviour.stack import DOMAIN, KEYS, objects
from tests.openai_errors import refused

MODEL = "simulator"
QUESTION: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Hello"}]


@pytest.fixture(scope="module")
def double() -> Generator[Double]:
    with serving(objects()) as made:
        yield made


def client(double: Double, user: str = "eve", *, model: str = MODEL, retries: int = 0) -> openai.OpenAI:
    key, host = KEYS.get(user, user), {"Host": f"{model}.{DOMAIN}"}
    return openai.OpenAI(
        base_url=f"{double.url}/v1", api_key=key, default_headers=host, max_retries=retries, timeout=30
    )


def ask(caller: openai.OpenAI, model: str = MODEL, **headers: str) -> int:
    answer = caller.chat.completions.create(model=model, messages=QUESTION, max_tokens=4, extra_headers=headers)
    assert answer.usage is not None
    return answer.usage.completion_tokens


def test_a_chat_says_what_it_used(double: Double) -> None:
    assert ask(client(double)) == 4


def test_a_stream_ends_with_its_usage_asked_for_or_not(double: Double) -> None:
    chats = client(double).chat.completions
    plain = chats.create(model=MODEL, messages=QUESTION, max_tokens=5, stream=True)
    with_usage = chats.create(
        model=MODEL, messages=QUESTION, max_tokens=5, stream=True, stream_options={"include_usage": True}
    )
    for stream in (plain, with_usage):
        events = list(stream)
        text = "".join(choice.delta.content or "" for event in events for choice in event.choices)
        assert text.strip()
        assert events[-1].usage is not None
        assert events[-1].usage.completion_tokens == 5


def test_models_completions_and_embeddings_are_there(double: Double) -> None:
    caller = client(double)
    assert [each.id for each in caller.models.list()] == [MODEL]
    assert caller.models.list().data[0].object == "model"
    assert caller.completions.create(model=MODEL, prompt="Hello", max_tokens=3).choices[0].text
    assert len(caller.embeddings.create(model=MODEL, input="Hello").data[0].embedding) > 1


def test_a_key_that_nobody_has_is_an_authentication_error(double: Double) -> None:
    error = refused(openai.AuthenticationError, lambda: ask(client(double, "nobody-has-this")))
    assert (error.status_code, error.code) == (401, "invalid_api_key")


@pytest.mark.parametrize(
    ("user", "model", "headers", "code"),
    [
        ("old", MODEL, {}, "key_expired"),
        ("ada", "costly", {}, "model_not_in_tier"),
        ("pat", "other", {}, "model_not_allowed"),
        ("eve", MODEL, {"x-maas-userid": "ada"}, "forged_identity"),
    ],
)
def test_what_a_rule_forbids_is_a_permission_error_with_the_rules_code(
    double: Double, user: str, model: str, headers: dict[str, str], code: str
) -> None:
    error = refused(openai.PermissionDeniedError, lambda: ask(client(double, user, model=model), model, **headers))
    assert (error.status_code, error.code) == (403, code)
    assert error.message.count("\n") == 0


def test_a_limit_is_a_rate_limit_error_also_for_a_stream(double: Double) -> None:
    bob = client(double, "bob")
    assert [ask(bob) for _ in range(3)] == [4, 4, 4]
    error = refused(openai.RateLimitError, lambda: ask(bob))
    assert (error.status_code, error.code, error.type) == (429, "rate_limit_exceeded", "requests")

    def stream() -> None:
        bob.chat.completions.create(model=MODEL, messages=QUESTION, stream=True)

    assert refused(openai.RateLimitError, stream).code == "rate_limit_exceeded"
    assert [each.id for each in bob.models.list()] == [MODEL], "the list is there all the same"


def test_a_model_or_a_path_that_is_not_there_is_a_not_found_error(double: Double) -> None:
    assert refused(openai.NotFoundError, lambda: ask(client(double), "gpt-4")).status_code == 404
    error = refused(openai.PermissionDeniedError, lambda: ask(client(double, model="nowhere"), "x"))
    assert error.code == "unknown_model"


def test_a_gateway_that_cannot_decide_is_a_server_error_that_the_client_tries_again(double: Double) -> None:
    double.set_limiter(answers=False)
    try:
        error = refused(openai.InternalServerError, lambda: ask(client(double, retries=1)))
    finally:
        double.set_limiter(answers=True)
    assert (error.status_code, error.code) == (500, "gateway_error")
    assert ask(client(double)) == 4
