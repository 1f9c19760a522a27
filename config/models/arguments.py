"""More arguments for a runtime: held to the program's own list of options."""

import json
from functools import cache
from pathlib import Path
from typing import Any, cast

from config.models.gpu import Vendor
from config.models.runtimes import Runtime
from config.problems import RefusalError, closest

_FOLDER = Path(__file__).parent / "options"
_FILES = {
    Runtime.VLLM: "vllm",
    Runtime.VLLM_CPU: "vllm",
    Runtime.SIMULATOR: "simulator",
    Runtime.LLM_D_SIMULATOR: "llm-d-inference-sim",
}
_OF_AMD = "vllm-rocm"
"""AMD's build of vLLM, whose image is of another version."""
_OURS = {
    "--model": "source",
    "--served-model-name": "servedName",
    "--revision": "a revision in the source, hf://<organisation>/<model>:<revision>",
    "--port": "nothing: the gateway's route expects it",
    "--host": "nothing: the gateway's route expects it",
    "--uds": "nothing: the gateway's route expects it",
    "--root-path": "nothing: the gateway's route expects it",
    "--api-key": "nothing: callers are told apart at the gateway, and their keys do not get to the model",
    "--ssl-keyfile": "maas:gateway.tls",
    "--ssl-certfile": "maas:gateway.tls",
    "--self-signed-certs": "maas:gateway.tls",
    "--no-enable-force-include-usage": "nothing: tokens of streamed answers would not be counted",
    "--config": "args, one by one",
}
"""Options that are not the user's, and what to use instead."""
_KEYS = {
    "--max-model-len": "maxLength",
    "--gpu-memory-utilization": "memoryUtilisation",
    "--max-num-seqs": "maxSequences",
}
_SHORT = {"-tp": "--tensor-parallel-size", "-pp": "--pipeline-parallel-size"}
"""Short forms of options that are held against other settings."""


@cache
def options_of(runtime: Runtime, vendor: Vendor | None = None) -> dict[str, Any]:
    """What is known of the options of a runtime on a vendor's GPUs: `program`, `version`, `source`, `options`."""
    name = _OF_AMD if runtime is Runtime.VLLM and vendor is Vendor.AMD else _FILES[runtime]
    text = (_FOLDER / f"{name}.json").read_text(encoding="utf-8")
    return cast("dict[str, Any]", json.loads(text))


def option(argument: str) -> str:
    """The option's name in an argument, as the programs' parsers read it; empty when it is a value."""
    name = argument.partition("=")[0]
    return name.replace("_", "-") if name.startswith("--") else _SHORT.get(name, "")


def value_of(args: tuple[str, ...], wanted: str) -> str | None:
    """What arguments say of an option, in either form; None when they do not."""
    found = None
    for at, argument in enumerate(args):
        if option(argument) == wanted:
            _, equals, value = argument.partition("=")
            found = value if equals else args[at + 1] if at + 1 < len(args) else ""
    return found


def check(runtime: Runtime, args: tuple[str, ...], vendor: Vendor | None = None) -> None:
    """Refuse what the runtime does not know, and what is not the user's to say.

    Raises:
        RefusalError: With the option, and what is probably meant.
    """
    if runtime not in _FILES:
        if args:
            raise RefusalError("there is no program of ours that takes arguments", allowed="no args", fix="no args")
        return
    facts = options_of(runtime, vendor)
    known: list[str] = facts["options"]
    for before, argument in zip(("", *args), args, strict=False):
        if not argument.startswith("-") and (not before or (before.startswith("--") and "=" in before)):
            why = f"{argument!r} is no option, and no option that takes it stands before it"
            raise RefusalError(why, allowed="--option=value, or --option and its value as two", fix=argument.strip())
        name = option(argument)
        if name in _OURS:
            why = f"{name} is not to be set here"
            raise RefusalError(why, allowed=f"{_OURS[name]}", fix=f"without {name}")
        if name in _KEYS:
            raise RefusalError(f"{name} has a key of its own", allowed=_KEYS[name], fix=f"{_KEYS[name]}: <number>")
        if argument.startswith("-") and not _known(argument, name, known):
            why = f"{facts['program']} {facts['version']} has no option {name or argument}"
            raise RefusalError(why, allowed="options of that version", fix=closest(name, known))


def _known(argument: str, name: str, known: list[str]) -> bool:
    if name:
        return name in known
    # Short options may have their value right behind them: -O3.
    return any(argument.startswith(each) for each in known if not each.startswith("--"))
