"""The main road, as a user walks it: `./maas` on a copy of this tree, a real engine, a real API server.

Every test leaves the deployment as it found it; the last one takes it down.
"""

import asyncio
import base64
import json
import os
import random
import shutil
import signal
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest

from cli.paths import ROOT
from cli.program.policies import pack
from cli.program.recorder import record, stack_config
from sandbox import processes
from sandbox.instance import port_is_free
from sandbox.kube import Kube
from tests.keys import key_secret
from tests.sandbox import recorded
from tests.tree import UP_SECONDS, Tree, in_cluster

pytestmark = pytest.mark.sandbox

SEED = 20240607
KILLS = int(os.environ.get("MAAS_TEST_KILLS", "3"))
"""How many times `up` is killed; ten take some minutes."""


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Generator[Tree]:
    tree = Tree(tmp_path_factory.mktemp("main-road"))
    yield tree
    tree.run("down")


@pytest.fixture(scope="module")
def first_up(tree: Tree) -> dict[str, Any]:
    return tree.json("up")


@pytest.fixture
def edit(tree: Tree) -> Generator[Callable[[str, str], None]]:
    """Replace one text in the settings; undone at the end of the test."""
    before = tree.settings.read_text()

    def replace(old: str, new: str) -> None:
        assert before.count(old) == 1, f"{old!r} is in the settings once"
        tree.settings.write_text(before.replace(old, new))

    yield replace
    tree.settings.write_text(before)


@pytest.mark.timeout(UP_SECONDS)
def test_up_from_nothing_creates_every_layer(tree: Tree, first_up: dict[str, Any]) -> None:
    assert first_up["result"] == "succeeded"
    assert set(first_up["changes"]) == {"create"}
    layers = {step["layer"] for step in first_up["steps"]} - {""}
    program = record("sandbox", *stack_config("sandbox"))
    assert layers == {each.layer for each in program.resources}, "of which the program itself says what there are"
    assert set(first_up["outputs"]["endpoints"]) == {"qwen3", "simulator"}
    assert tree.settings.read_bytes() == (ROOT / "Pulumi.sandbox.yaml").read_bytes(), "tracked: not written to"


def test_no_key_is_in_plain_text_anywhere_but_in_the_cluster(tree: Tree, first_up: dict[str, Any]) -> None:
    secret = in_cluster(tree, lambda kube: kube.get("v1", "Secret", key_secret("freeuser1"), "kuadrant-system"))
    key = base64.b64decode(secret["data"]["api_key"]).decode()
    assert key.startswith("maas-")
    assert key not in json.dumps(first_up)
    holders = [
        str(path.relative_to(tree.home))
        for path in tree.home.rglob("*")
        if path.is_file() and "/kwok/" not in str(path) and key.encode() in path.read_bytes()
    ]
    assert holders == []


def test_a_second_up_changes_nothing(tree: Tree, first_up: dict[str, Any]) -> None:
    second = tree.json("up")
    assert second["changes"] == {"same": first_up["changes"]["create"]}
    assert second["steps"] == []
    assert second["outputs"] == first_up["outputs"]


@pytest.mark.usefixtures("first_up")
def test_the_simulation_decides_a_recorded_trace_as_the_gateway_did(tree: Tree, tmp_path: Path) -> None:
    hosts = {"simulator-model": "simulator.maas.localhost", "qwen3-0-6b-instruct": "qwen3.maas.localhost"}
    users = ["freeuser1", "freeuser2", "premiumuser1"]
    # Longer than the windows of the tokens, so that some end.
    trace = asyncio.run(recorded.record(tree.sandbox, users, hosts, seconds=65, seed=SEED))
    (tmp_path / "trace.jsonl").write_text(trace, encoding="utf-8")
    told = tree.json("simulate", "--traffic", str(tmp_path / "trace.jsonl"))
    assert told["recorded"] == {"requests": len(trace.splitlines()), "differing": 0, "examples": []}
    assert told["total"]["allowed"] >= 20
    refused = {why.partition(":")[0] for why in told["total"]["refused"]}
    assert refused == {"requests", "tokens"}


@pytest.mark.usefixtures("first_up")
def test_one_tiers_token_limit_is_one_field_of_that_policy_and_of_what_tells_of_it(
    tree: Tree, edit: Callable[[str, str], None]
) -> None:
    edit("tokens: 100 per 1m", "tokens: 120 per 1m")
    preview = tree.json("preview", "--expect-no-changes", code=4)
    assert sorted((step["op"], step["name"], step["diff"]) for step in preview["steps"]) == [
        ("update", "gateway-token-limits", ["spec.limits.free.rates[0].limit"]),
        # Budgets are told in shares of the limit.
        ("update", "rules-maas-quotas", ["spec.groups[0].rules[3].expr"]),
    ]


@pytest.mark.usefixtures("first_up")
def test_a_new_model_is_its_own_objects_and_what_lists_models(tree: Tree, edit: Callable[[str, str], None]) -> None:
    line = "simulator: {profile: simulator, servedName: simulator-model}"
    edit(line, f"{line}\n    second: {{profile: simulator}}")
    preview = tree.json("preview")
    created = {(s["type"].split(":")[-1], s["name"]) for s in preview["steps"] if s["op"] == "create"}
    assert created == {("InferenceService", "model-second"), ("HTTPRoute", "route-second")}
    others = {s["name"] for s in preview["steps"] if s["op"] != "create"}
    assert others == {"gateway-auth", "rules-maas-catalogue", "rules-maas-prices"}, "what lists the models by name"


@pytest.mark.usefixtures("first_up")
def test_the_policy_pack_speaks_in_the_engines_preview(tree: Tree, edit: Callable[[str, str], None]) -> None:
    environment = tree.root / "policy" / ".venv"
    if not environment.exists():
        environment.symlink_to(pack().parent / ".venv")
    assert tree.json("preview", "--policies")["errors"] == []
    edit("{levels: {tls: disabled}}", "{levels: {prices: advisory}}")
    refused = tree.json("preview", "--policies", code=1)
    [error] = refused["errors"]
    assert error["message"].startswith("tls (mandatory): listens without TLS")
    assert error["urn"].endswith("::inference-gateway")


@pytest.mark.usefixtures("first_up")
def test_what_somebody_edits_behind_pulumis_back_shows_as_that_field(tree: Tree) -> None:
    async def edit(kube: Kube) -> None:
        policy = await kube.get("kuadrant.io/v1alpha1", "TokenRateLimitPolicy", "gateway-token-limits", "llm")
        assert policy is not None
        policy["spec"]["limits"]["free"]["rates"][0]["limit"] = 7
        await kube.replace(policy, field_manager="kubectl-edit")

    in_cluster(tree, edit)
    for _ in range(2):
        looked = tree.json("refresh", "--expect-no-changes", code=4)
        assert [(step["op"], step["name"], step["diff"]) for step in looked["steps"]] == [
            ("update", "gateway-token-limits", ["spec.limits.free.rates[0].limit"])
        ], "with --expect-no-changes it is not remembered, so it shows again"
    tree.json("refresh")
    assert [step["name"] for step in tree.json("up")["steps"]] == ["gateway-token-limits"], "`up` puts it right"
    assert tree.json("refresh", "--expect-no-changes")["steps"] == []


def test_a_state_that_is_gone_comes_back_from_the_copy_that_up_left(tree: Tree, first_up: dict[str, Any]) -> None:
    shutil.rmtree(tree.sandbox.folder / "state")
    code, _, err = tree.run("up")
    assert code == 1
    assert "./maas state restore" in err, "it does not begin anew as if nothing had been"
    assert tree.json("state", "restore")["result"] == "succeeded"
    assert tree.json("up")["changes"] == {"same": first_up["changes"]["create"]}
    assert tree.json("state", "check")["result"] == "succeeded"


def test_without_any_copy_the_stack_is_adopted_and_nothing_is_made_anew(tree: Tree, first_up: dict[str, Any]) -> None:
    def uids() -> set[str]:
        models = in_cluster(tree, lambda kube: kube.list("serving.kserve.io/v1beta1", "InferenceService"))
        return {each["metadata"]["uid"] for each in models}

    before = uids()
    shutil.rmtree(tree.sandbox.folder / "state")
    shutil.rmtree(tree.sandbox.folder / "backups")
    (tree.sandbox.folder / "passphrase").unlink()
    assert "adopt --lost-passphrase" in tree.run("up")[2]
    tree.json("state", "adopt", "--lost-passphrase", "--yes")
    assert set(tree.json("up")["changes"]) == {"create"}, "as the engine sees it"
    assert uids() == before, "they were taken over"
    assert tree.json("preview", "--expect-no-changes")["changes"] == {"same": first_up["changes"]["create"]}


@pytest.mark.usefixtures("first_up")
def test_settings_that_cannot_work_are_refused_before_anything_is_touched(
    tree: Tree, edit: Callable[[str, str], None]
) -> None:
    edit("tokens: 100 per 1m", "tokens: 100 per 1d")
    code, out, err = tree.run("up")
    assert code == 3
    assert "maas:tiers.free.tokens" in err
    assert "Traceback" not in out + err
    assert err.count("maas:tiers.free.tokens") == 1, "said once"


def objects_of_the_stack(tree: Tree) -> list[str]:
    """What the cluster has with the stack's label, by kind and name."""
    kinds = {
        "v1": ["ConfigMap", "Namespace", "Secret", "ServiceAccount"],
        "gateway.networking.k8s.io/v1": ["Gateway", "HTTPRoute"],
        "serving.kserve.io/v1beta1": ["InferenceService"],
        "serving.kserve.io/v1alpha1": ["ServingRuntime"],
        "kuadrant.io/v1": ["AuthPolicy", "RateLimitPolicy"],
        "kuadrant.io/v1alpha1": ["TokenRateLimitPolicy"],
        "networking.k8s.io/v1": ["NetworkPolicy"],
        "monitoring.coreos.com/v1": ["PodMonitor", "ServiceMonitor"],
    }

    async def look(kube: Kube) -> list[str]:
        found: list[str] = []
        for version, names in kinds.items():
            for kind in names:
                items = await kube.list(version, kind)
                found += [
                    f"{kind} {item['metadata'].get('namespace', '')}/{item['metadata']['name']}"
                    for item in items
                    if item["metadata"].get("labels", {}).get("app.kubernetes.io/part-of") == "maas"
                ]
        return sorted(found)

    return in_cluster(tree, look)


@pytest.mark.timeout(UP_SECONDS)
@pytest.mark.usefixtures("first_up")
def test_up_that_is_killed_at_any_moment_converges_with_nothing_doubled(tree: Tree) -> None:
    wanted = objects_of_the_stack(tree)
    moments = random.Random(SEED)  # noqa: S311 - the same moments in each run
    for number in range(KILLS):
        # Every third from nothing at all: then the control plane is being made while the kill comes.
        if number % 3 == 1:
            tree.json("down")
        else:
            tree.json("destroy")
            assert objects_of_the_stack(tree) == [], "destroy leaves nothing of ours"
        moment = moments.uniform(1.0, 9.0)
        killed = tree.start("up")
        time.sleep(moment)
        killed.kill()
        killed.communicate()
        where = f"kill {number + 1} after {moment:.1f} s (seed {SEED})"
        result = tree.json("up")
        assert result["result"] == "succeeded", where
        assert objects_of_the_stack(tree) == wanted, where
        assert tree.json("preview", "--expect-no-changes")["steps"] == [], where
        assert tree.json("refresh", "--expect-no-changes")["steps"] == [], where
        assert tree.engines() == [], where


@pytest.mark.usefixtures("first_up")
def test_a_polite_request_to_end_cancels_and_the_next_up_goes_on(tree: Tree) -> None:
    tree.json("destroy")
    process = tree.start("up")
    for _ in range(600):
        if tree.engines():
            break
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert tree.engines() == []
    assert tree.json("up")["result"] == "succeeded"
    assert tree.json("preview", "--expect-no-changes")["steps"] == []


@pytest.mark.usefixtures("first_up")
def test_down_leaves_no_process_no_port_and_no_state(tree: Tree) -> None:
    sandbox = tree.sandbox
    assert processes.owned_by(sandbox.folder), "something runs"
    assert not all(port_is_free(port) for port in sandbox.ports.all())
    tree.json("down")
    assert processes.owned_by(sandbox.folder) == []
    assert all(port_is_free(port) for port in sandbox.ports.all())
    assert tree.engines() == []
    left = [path.name for path in tree.home.iterdir() if not path.name.endswith(".lock")]
    assert left == []
    assert tree.run("down")[0] == 0, "taking down what is not there is no error"
