"""Each object of each stack, as rendered, is taken by the API server with unknown fields refused."""

import asyncio
import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from cli.program import render
from cli.program.recorder import Object, record, stack_config
from cli.stacks.stackfile import stack_names
from sandbox.kube import ApiError, Kube
from tests.fuzz import rules
from tests.namespaces import namespaces_present
from tests.stackfiles import layouts, stacks
from tests.variants import VARIANTS, variant

pytestmark = pytest.mark.sandbox

MANAGER = "strict-check"
WITHOUT_CRD = {"CertManager", "ExternalSecret"}
"""Kinds of operators whose CRDs the sandbox has not: the API server does not know them."""
STACKS = stack_names()


def rendered(stack: str, folder: Path) -> list[tuple[str, dict[str, Any]]]:
    """The files of a stack, or of one of the variants of a stack."""
    recording = variant(stack) if stack in VARIANTS else record(stack, *stack_config(stack))
    files = render.write(recording, folder)
    return [(str(file), yaml.safe_load((folder / file).read_text(encoding="utf-8"))) for file in files]


@pytest.fixture(scope="module")
def namespaces(kubeconfig: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The namespaces of the stacks, really there: a dry run in a missing one is refused. Ours are gone afterwards."""
    every = [*STACKS, "development"]
    bodies = [body for stack in every for _, body in rendered(stack, tmp_path_factory.mktemp(stack))]
    with namespaces_present(kubeconfig, (name for body in bodies if (name := body["metadata"].get("namespace")))):
        yield


def completed(body: dict[str, Any]) -> dict[str, Any]:
    """The body with what somebody else has written before us: OLM makes the ClusterServiceVersion that we take over."""
    if body["kind"] != "ClusterServiceVersion":
        return body
    return {"spec": {"displayName": "by OLM", "install": {"strategy": "deployment"}}} | body


@pytest.mark.usefixtures("namespaces")
@pytest.mark.parametrize("stack", [*STACKS, *VARIANTS])
def test_every_rendered_object_passes_strict_validation(stack: str, kubeconfig: Path, tmp_path: Path) -> None:
    async def refusals() -> dict[str, str]:
        found: dict[str, str] = {}
        async with Kube.connect(kubeconfig) as kube:
            for name, body in rendered(stack, tmp_path):
                if body["kind"] in WITHOUT_CRD:
                    continue
                try:
                    await kube.apply(completed(body), field_manager=MANAGER, force=True, dry_run=True, strict=True)
                except ApiError as error:
                    found[name] = str(error)
        return found

    assert asyncio.run(refusals()) == {}


@pytest.mark.usefixtures("namespaces")
@pytest.mark.parametrize("kind", ["TokenRateLimitPolicy", "InferenceService", "Gateway", "HTTPRoute"])
def test_the_check_above_would_see_an_unknown_field(kind: str, kubeconfig: Path, tmp_path: Path) -> None:
    body = next(body for _, body in rendered("sandbox", tmp_path) if body["kind"] == kind)
    body["spec"]["noSuchField"] = 1

    async def apply() -> None:
        async with Kube.connect(kubeconfig) as kube:
            await kube.apply(body, field_manager=MANAGER, force=True, dry_run=True, strict=True)

    with pytest.raises(ApiError, match="noSuchField"):
        asyncio.run(apply())


_AT_RANDOM = 25
_AT_ONCE = 8


def test_every_object_of_stacks_at_random_passes_strict_validation(kubeconfig: Path) -> None:
    """Each body once: stacks have most of them in common."""
    bodies: dict[str, tuple[str, dict[str, Any]]] = {}

    @settings(max_examples=_AT_RANDOM, phases=[Phase.generate])
    @given(sections=stacks(), data=st.data())
    def collect(sections: dict[str, Any], data: st.DataObject) -> None:
        text = data.draw(layouts(sections))
        for each in record(rules.STACK, *rules.read(text.encode())).objects:
            body = copy.deepcopy(dict(each.body))
            if body.get("type") == "kubernetes.io/dockerconfigjson":  # the API server wants JSON, and reads no further
                body["stringData"] = dict.fromkeys(body["stringData"], "{}")
            # A patch is part of an object that somebody else makes.
            if each.kind not in WITHOUT_CRD and not each.is_patch:
                bodies.setdefault(json.dumps(body, sort_keys=True), (text, body))

    async def refusals() -> list[str]:
        turn = asyncio.Semaphore(_AT_ONCE)
        async with Kube.connect(kubeconfig) as kube:

            async def refusal(text: str, body: dict[str, Any]) -> str:
                async with turn:
                    try:
                        await kube.apply(completed(body), field_manager=MANAGER, force=True, dry_run=True, strict=True)
                    except ApiError as error:
                        return f"{body['kind']} {body['metadata']['name']}: {error}\n{text}"
                return ""

            found = await asyncio.gather(*(refusal(*each) for each in bodies.values()))
        return [each for each in found if each]

    collect()
    assert len(bodies) > _AT_RANDOM
    with namespaces_present(
        kubeconfig, (place for _, body in bodies.values() if (place := body["metadata"].get("namespace")))
    ):
        found = asyncio.run(refusals())
    assert not found, "\n\n".join(found[:3])


@pytest.mark.parametrize("stack", STACKS)
def test_rendering_twice_gives_the_same_bytes(stack: str, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    one, two = (render.write(record(stack, *stack_config(stack)), folder) for folder in (first, second))
    assert one == two
    assert [(first / file).read_bytes() for file in one] == [(second / file).read_bytes() for file in two]


@pytest.mark.parametrize("stack", STACKS)
def test_every_object_is_rendered_once(stack: str, tmp_path: Path) -> None:
    recording = record(stack, *stack_config(stack))
    objects: tuple[Object, ...] = recording.objects
    assert len(render.write(recording, tmp_path)) == len(objects)
