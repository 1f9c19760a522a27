"""Where a model's weights come from."""

import re
from typing import Annotated

from pydantic import AfterValidator

from config.problems import RefusalError

_SOURCE = re.compile(r"^hf://[\w.-]+/[\w.-]+(:[\w.-]+)?$")


def _source(value: str) -> str:
    if not _SOURCE.match(value):
        raise RefusalError("not a model source", allowed="hf://<organisation>/<model>", fix="hf://Qwen/Qwen3-0.6B")
    return value


Source = Annotated[str, AfterValidator(_source)]
"""Address of a model's weights."""
