"""What is said of CRDs that stay when their operator goes."""

import subprocess

import pytest

from cli.deploy.leftovers import Leftover, belongs, told, uninstalled
from cli.deploy.tracker import Step
from cli.program.recorder import record, stack_config
from tests.program.graph import installed_by

OPERATORS = {"gateway-api", "cert-manager", "service-mesh", "kserve", "kuadrant", "monitoring", "grafana"}


def deleted(stack: str) -> list[Step]:
    """A run that takes every operator of a stack away."""
    recording = record(stack, *stack_config(stack))
    return [Step("delete", each.urn) for each in recording.resources]


def test_the_operators_of_a_destroyed_stack_are_those_that_it_had_installed() -> None:
    assert set(uninstalled(deleted("dev"))) == OPERATORS
    assert set(uninstalled(deleted("ocp"))) == {"cert-manager", "kserve", "kuadrant", "grafana"}
    assert uninstalled(deleted("sandbox")) == []


def test_an_operator_that_changes_or_that_could_not_be_deleted_is_still_there() -> None:
    recording = record("dev", *stack_config("dev"))
    [urn] = installed_by(recording, "cert-manager")
    assert uninstalled([Step("delete", urn)]) == ["cert-manager"]
    assert uninstalled([Step("update", urn), Step("replace", urn), Step("delete", urn, failed=True)]) == []


@pytest.mark.parametrize(
    ("group", "does"),
    [("kuadrant.io", True), ("operator.authorino.kuadrant.io", True), ("notkuadrant.io", False), ("io", False)],
)
def test_a_group_belongs_to_an_operator_by_whole_labels(group: str, *, does: bool) -> None:
    assert belongs(group, ("kuadrant.io",)) is does


LEFT = [
    Leftover("kserve", ("serving.kserve.io",), {"inferenceservices.serving.kserve.io": 2, "x.serving.kserve.io": 0}),
    Leftover("kuadrant", ("kuadrant.io",), {"kuadrants.kuadrant.io": None, "limitadors.limitador.kuadrant.io": 0}),
]


def test_it_says_what_stays_and_what_would_be_lost() -> None:
    text = told(LEFT)
    assert "kserve: 2 CRDs, 2 objects: inferenceservices.serving.kserve.io (2)" in text
    assert "kuadrant: 2 CRDs, 0 objects" in text
    assert "those of others too" in text
    assert told([]) == ""


def test_the_command_that_it_prints_names_these_crds_and_no_others() -> None:
    command = told(LEFT).splitlines()[-1]
    names = [
        *LEFT[0].objects,
        *LEFT[1].objects,
        "gateways.networking.istio.io",
        "a.notkuadrant.io",
        "b.kuadrant.io.com",
    ]
    listed = "".join(f"customresourcedefinition.apiextensions.k8s.io/{name}\n" for name in names)
    grep = command.split(" | ")[1].removeprefix("grep -E ").strip("'")
    done = subprocess.run(  # noqa: S603 - the command under test
        ["grep", "-E", grep],  # noqa: S607
        input=listed,
        capture_output=True,
        text=True,
        check=True,
    )
    kept = [line.rpartition("/")[2] for line in done.stdout.splitlines()]
    assert kept == [*LEFT[0].objects, *LEFT[1].objects]
