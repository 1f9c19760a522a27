import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from cli.verify.scenario import ExpectationError, SkippedError
from cli.verify.scenarios.isolation import network_policies
from tests.unit.cli.verify.bench import answer, bench, done
from tests.verifying import stack

POD = {"metadata": {"name": "simulator-predictor-1", "labels": {"serving.kserve.io/inferenceservice": "simulator"}}}
Objects = dict[str, list[dict[str, Any]]]


class Listed:
    """A cluster of a few objects."""

    def __init__(self, objects: Mapping[str, Sequence[dict[str, Any]]]) -> None:
        self._objects = objects

    async def list(self, api_version: str, kind: str, namespace: str | None = None) -> Sequence[dict[str, Any]]:
        del api_version
        return [each for each in self._objects[kind] if namespace in (None, each["metadata"].get("namespace", "llm"))]


def judged(change: Callable[[Objects], None] = lambda _: None) -> str | None:
    wanted = stack()[1].objects
    policies = [copy.deepcopy(dict(each.body)) for each in wanted if each.kind == "NetworkPolicy"]
    objects: Objects = {"NetworkPolicy": policies, "Pod": [copy.deepcopy(POD)]}
    change(objects)
    return done(network_policies(bench(lambda _: answer(), cluster=Listed(objects), wanted=wanted), None))


def test_a_cluster_with_the_stacks_policies_passes() -> None:
    assert judged() == "1 pods of models are selected"


def test_a_policy_that_is_gone_or_was_opened_is_told() -> None:
    def opened(objects: Objects) -> None:
        for each in objects["NetworkPolicy"]:
            each["spec"]["ingress"] = [{}]

    with pytest.raises(ExpectationError, match="it is not on the cluster"):
        judged(lambda objects: objects["NetworkPolicy"].clear())
    with pytest.raises(ExpectationError, match="as the stack has it"):
        judged(opened)


def test_nothing_is_told_without_a_pod() -> None:
    with pytest.raises(SkippedError, match="no pod of a model"):
        judged(lambda objects: objects["Pod"].clear())
