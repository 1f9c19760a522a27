import asyncio
import json
import urllib.request
from collections.abc import Sequence
from typing import Any

import psutil
import pytest
import yaml

from cli.paths import ROOT
from sandbox.gateway.backends import Backends
from sandbox.gateway.models import Model, models_of, simulator_arguments
from simulator.maas_simulator import parse_options
from tests.unit.enforcement.service import objects
from tests.unit.gateway.service import in_loop, stack


def of_stack(made: Sequence[dict[str, Any]]) -> dict[str, Model]:
    kinds = {kind: [each for each in made if each["kind"] == kind] for kind in ("InferenceService", "ServingRuntime")}
    found = models_of(kinds["InferenceService"], kinds["ServingRuntime"])
    return {each.name: each for each in found}


def test_each_models_simulator_is_taught_by_its_own_spec_and_its_runtimes() -> None:
    models = of_stack([dict(each) for each in objects()])
    assert models["qwen3"].arguments == (
        "--model=qwen3",
        "--enable-force-include-usage",
        "--served-model-name=qwen3-0-6b-instruct",
        "--max-model-len=6144",
        "--max-num-seqs=32",
    )
    options = parse_options(models["simulator"].arguments, {})
    assert (options.names, options.enable_force_include_usage) == (("simulator-model",), True)
    assert models["qwen3"].service == ("llm", "qwen3-predictor")


def test_a_language_models_service_is_played_by_its_own_arguments_behind_the_service_that_its_route_names() -> None:
    golden = ROOT / "tests" / "program" / "goldens" / "models" / "llm-inference-service.yaml"
    made = {each["kind"]: each for each in yaml.safe_load(golden.read_text(encoding="utf-8"))}
    made["LLMInferenceService"]["status"] = {"conditions": [{"type": "Ready", "status": "True"}]}
    [model] = models_of([], [], [made["LLMInferenceService"]])
    [backend] = made["HTTPRoute"]["spec"]["rules"][0]["backendRefs"]
    assert model.service == ("llm", backend["name"])
    assert model.ready
    assert model.arguments == (
        "--model=llm-inference-service",
        "--enable-force-include-usage",
        "--served-model-name=llm-inference-service",
        "--max-model-len=6144",
        "--max-num-seqs=32",
    )


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (["--max-model-len", "10", "--port", "80"], ("--max-model-len=10",)),
        (["--max-model-len=10", "--max_model_len=20"], ("--max-model-len=20",)),
        (["--served-model-name", "a", "b"], ("--served-model-name=a", "--served-model-name=b")),
        (["--enable-force-include-usage", "--host=0.0.0.0"], ("--enable-force-include-usage",)),
        (["--tensor-parallel-size=4", "--quantization", "fp8", "stray"], ()),
    ],
)
def test_of_a_runtimes_arguments_those_are_taken_that_the_simulator_knows(
    given: list[str], wanted: tuple[str, ...]
) -> None:
    assert simulator_arguments(given) == wanted


def test_a_model_is_ready_when_its_condition_says_so() -> None:
    def ready(service: dict[str, Any]) -> None:
        service["status"] = {"conditions": [{"type": "Ready", "status": str(service["metadata"]["name"] == "qwen3")}]}

    models = of_stack(stack(InferenceService=ready))
    assert {name: each.ready for name, each in models.items()} == {"qwen3": True, "simulator": False}


def model(name: str, *arguments: str) -> Model:
    return Model("llm", name, ready=True, arguments=(f"--model={name}", *arguments), environment=())


def served(port: int | None) -> list[str]:
    assert port is not None
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/models", timeout=10) as answer:
        return [each["id"] for each in json.load(answer)["data"]]


async def served_at(port: int | None) -> list[str]:
    return await asyncio.to_thread(served, port)


def simulators() -> list[psutil.Process]:
    words = "sandbox.gateway.simulators"
    return [each for each in psutil.Process().children() if words in each.cmdline()]


def test_models_come_change_and_go_in_one_process_each_under_its_own_name() -> None:
    async def work() -> None:
        backends = Backends()
        try:
            await backends.follow([model("one"), model("two", "--latency-ms=700"), model("bad", "--max-num-seqs=none")])
            one, two, bad = (backends.find("llm", f"{name}-predictor") for name in ("one", "two", "bad"))
            assert one
            assert two
            assert bad
            assert (await served_at(one.port), await served_at(two.port)) == (["one"], ["two"])
            assert bad.port is None
            assert "'none' is not a whole number" in bad.error
            assert len(simulators()) == 1

            slow = asyncio.create_task(asyncio.to_thread(ask, two.port))
            await asyncio.sleep(0.3)
            await backends.follow([model("one"), model("two", "--served-model-name=zwei")])
            again = backends.find("llm", "two-predictor")
            assert again
            assert await served_at(again.port) == ["zwei"]
            assert backends.find("llm", "one-predictor") is one, "what has not changed is left alone"
            assert backends.find("llm", "bad-predictor") is None
            assert await slow == 200, "a request that the old one had is answered"
        finally:
            await backends.close()
        assert simulators() == []

    in_loop(work())


def test_simulators_that_were_killed_are_started_again() -> None:
    async def work() -> None:
        backends = Backends()
        try:
            await backends.follow([model("one")])
            before = backends.find("llm", "one-predictor")
            simulators()[0].kill()
            for _ in range(200):
                found = backends.find("llm", "one-predictor")
                if found is not before and found is not None and found.port:
                    break
                await asyncio.sleep(0.05)
            found = backends.find("llm", "one-predictor")
            assert found
            assert await served_at(found.port) == ["one"]
        finally:
            await backends.close()

    in_loop(work())


def ask(port: int | None) -> int:
    body = json.dumps({"messages": [{"role": "user", "content": "Hello"}]}).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/chat/completions", body)
    with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310 - loopback
        return answer.status
