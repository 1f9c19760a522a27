"""What a model's InferenceService and ServingRuntime tell its simulator."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from enforcement.objects import Object, fields_of, items_of, name_of, namespace_of

_FLAGS = frozenset(
    {
        "--served-model-name",
        "--max-model-len",
        "--max-num-seqs",
        "--api-key",
        "--enable-force-include-usage",
        "--latency-ms",
        "--token-ms",
        "--prompt-tokens",
        "--completion-tokens",
        "--max-body-bytes",
    }
)
"""Of a runtime's arguments, those that mean something to the simulator; others are about GPUs and files."""
_SWITCHES = frozenset({"--enable-force-include-usage"})
_REPEATED = frozenset({"--served-model-name", "--api-key"})


MODEL_KINDS = ("InferenceService", "ServingRuntime", "LLMInferenceService")
"""What tells of models, in the order in which `models_of` takes them."""


@dataclass(frozen=True)
class Model:
    """A model that the cluster pretends to run."""

    namespace: str
    name: str
    ready: bool
    arguments: tuple[str, ...]
    environment: tuple[tuple[str, str], ...]
    suffix: str = "predictor"
    """Of its Service: KServe's own, or the one that the stack makes for an LLMInferenceService."""

    @property
    def service(self) -> tuple[str, str]:
        """Namespace and name of the Service that leads to it."""
        return (self.namespace, f"{self.name}-{self.suffix}")

    @property
    def taught(self) -> tuple[object, ...]:
        """What a running simulator has to be replaced for."""
        return (self.arguments, self.environment)


def models_of(
    services: Sequence[Object], runtimes: Sequence[Object], language_models: Sequence[Object] = ()
) -> list[Model]:
    """The models of all InferenceServices, each with its runtime's arguments and its own; and LLMInferenceServices."""
    by_name = {(namespace_of(each), name_of(each)): each for each in runtimes}
    return [
        *(_model(each, by_name) for each in services if not each["metadata"].get("deletionTimestamp")),
        *(_language_model(each) for each in language_models if not each["metadata"].get("deletionTimestamp")),
    ]


def simulator_arguments(arguments: Sequence[str]) -> tuple[str, ...]:
    """What a runtime is called with, as far as the simulator knows it; of a flag given twice the later one wins."""
    found: dict[str, list[str]] = {}
    flag = ""
    for word in arguments:
        if word.startswith("--"):
            flag, equals, value = word.partition("=")
            flag = flag.replace("_", "-")
            found[flag] = [value] if equals else []
        elif flag in _REPEATED or not found.get(flag):
            found.setdefault(flag, []).append(word)
    return tuple(
        word
        for flag, values in found.items()
        if flag in _FLAGS
        for word in ([flag] if flag in _SWITCHES else [f"{flag}={value}" for value in values])
    )


def _model(service: Object, runtimes: Mapping[tuple[str, str], Object]) -> Model:
    namespace, name = namespace_of(service), name_of(service)
    predictor = fields_of(fields_of(service["spec"].get("predictor")).get("model"))
    runtime = fields_of(runtimes.get((namespace, str(predictor.get("runtime")))))
    containers = items_of(fields_of(runtime.get("spec")).get("containers"))
    container = fields_of(containers[0] if containers else None)
    arguments = simulator_arguments([*items_of(container.get("args")), *items_of(predictor.get("args"))])
    variables = {
        each["name"]: str(each["value"])
        for each in (*items_of(container.get("env")), *items_of(predictor.get("env")))
        if each["name"].startswith("SIM_") and "value" in each
    }
    return Model(namespace, name, _ready(service), (f"--model={name}", *arguments), tuple(sorted(variables.items())))


def _language_model(service: Object) -> Model:
    namespace, name = namespace_of(service), name_of(service)
    containers = items_of(fields_of(service["spec"].get("template")).get("containers"))
    arguments = simulator_arguments(items_of(fields_of(containers[0] if containers else None).get("args")))
    return Model(namespace, name, _ready(service), (f"--model={name}", *arguments), (), "llm")


def _ready(service: Mapping[str, Any]) -> bool:
    return any(
        each.get("type") == "Ready" and each.get("status") == "True"
        for each in items_of(fields_of(service.get("status")).get("conditions"))
    )
