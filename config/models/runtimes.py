"""The programs that serve models."""

from enum import StrEnum


class Runtime(StrEnum):
    """The program that serves a model."""

    SIMULATOR = "simulator"
    VLLM = "vllm"
