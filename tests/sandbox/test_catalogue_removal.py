"""The whole catalogue on a cluster, taken out entry by entry: each run of the real engine takes what is the entry's."""

import asyncio
import random
import runpy
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

import pulumi
import pytest
from pulumi import automation as auto

from cli.paths import ROOT
from components.layer import STACK_LABEL
from sandbox.kube import Kube
from tests.catalogue import ENTRIES, STACK, given, recorded
from tests.engine import engine_stack

pytestmark = [pytest.mark.sandbox, pytest.mark.timeout(1800)]

SEED = 20251125
Key = tuple[str, str, str]
Objects = Mapping[Key, Mapping[str, Any]]
SHARED: frozenset[Key] = frozenset(
    {
        ("AuthPolicy", "llm", "gateway-auth"),  # which models there are, and for whom
        ("PrometheusRule", "llm", "maas-catalogue"),  # their sizes and limits
        ("PrometheusRule", "kuadrant-system", "maas-prices"),  # their names and factors
        ("NetworkPolicy", "llm", "maas-models-downloads"),  # who may fetch weights
        ("ConfigMap", "llm", "inference-gateway-options"),  # the endpoints' keys
    }
)
"""What speaks of several entries, and so has another text without one."""
KEPT = ("managedFields", "resourceVersion", "generation", "uid", "creationTimestamp")


class Program:
    """The project's own program, with some entries of the catalogue."""

    def __init__(self) -> None:
        self.entries = sorted(ENTRIES)

    def __call__(self) -> None:
        pulumi.runtime.set_all_config(*given(*self.entries))
        runpy.run_path(str(ROOT / "__main__.py"), run_name="__main__")


def wanted(*names: str) -> Objects:
    return {
        (each.kind, each.namespace, each.metadata_name): each.body
        for each in recorded(*names).objects
        if not each.is_patch
    }


async def _standing(kubeconfig: Path) -> Objects:
    """Every object with the stack's label, of every kind that the whole catalogue has."""
    kinds = {(each.api_version, each.kind) for each in recorded(*sorted(ENTRIES)).objects}
    async with Kube.connect(kubeconfig) as kube:
        found = await asyncio.gather(
            *(kube.list(*kind, label_selector=f"{STACK_LABEL}={STACK}") for kind in sorted(kinds))
        )
    return {
        (kind, str(each["metadata"].get("namespace", "")), str(each["metadata"]["name"])): {
            "metadata": {key: value for key, value in each["metadata"].items() if key not in KEPT},
            **{key: value for key, value in each.items() if key not in {"metadata", "status", "kind", "apiVersion"}},
        }
        for (_, kind), bodies in zip(sorted(kinds), found, strict=True)
        for each in bodies
    }


@pytest.fixture
def program() -> Program:
    return Program()


@pytest.fixture
def stack(program: Program, kubeconfig: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[auto.Stack]:
    with engine_stack(STACK, program, kubeconfig, tmp_path, monkeypatch) as stack:
        yield stack


def test_taking_an_entry_out_takes_exactly_its_objects_off_the_cluster(
    program: Program, stack: auto.Stack, kubeconfig: Path
) -> None:
    stack.up()
    before = asyncio.run(_standing(kubeconfig))
    assert before.keys() == wanted(*program.entries).keys(), "the whole catalogue stands"
    order = list(ENTRIES)
    random.Random(SEED).shuffle(order)  # noqa: S311 - no secret is made of it
    for name in order:
        old = wanted(*program.entries)
        program.entries = [each for each in program.entries if each != name]
        new = wanted(*program.entries)
        stack.up()
        after = asyncio.run(_standing(kubeconfig))
        assert before.keys() - after.keys() == old.keys() - new.keys(), f"{name}: what went"
        assert old.keys() - new.keys(), f"{name} had an object"
        assert not after.keys() - before.keys(), f"{name}: what came"
        touched = {key for key in after if after[key] != before[key]}
        assert touched == {key for key in new if new[key] != old[key]}, f"{name}: what changed"
        assert touched <= SHARED, f"{name}: what changed"
        before = after
    assert not [key for key in before if key[0] in {"InferenceService", "LLMInferenceService", "ServingRuntime"}]
