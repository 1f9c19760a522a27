"""How a refusal reaches whoever calls by OpenAI's Python client."""

from collections.abc import Callable
from typing import TypeVar

import openai
import pytest

E = TypeVar("E", bound=openai.APIStatusError)


def refused(kind: type[E], call: Callable[[], object]) -> E:
    """The error of a call: of exactly this kind, in OpenAI's shape, with a request id to ask about."""
    with pytest.raises(kind) as raised:
        call()
    error = raised.value
    assert type(error) is kind
    assert error.body, "the body is JSON in the shape that the client reads"
    assert error.response.headers["x-request-id"]
    return error
