"""`./maas models` as a user calls it."""

import json
import shutil
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from cli.app import app
from cli.exits import Exit, MaasError
from cli.models import catalogue
from cli.models.catalogue import with_settings
from cli.models.estimation import Wanted, estimate
from cli.models.memory import GIB
from cli.paths import ROOT
from config.nodes import NodeKind
from config.values import amount
from sandbox.contents import nodes

STACKS = sorted(path.name.split(".")[1] for path in ROOT.glob("Pulumi.*.yaml"))
NEW = {"source": "hf://Qwen/Qwen3-8B", "profile": "small-gpu"}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the project's configuration, to be changed."""
    for path in (ROOT / "Pulumi.yaml", *ROOT.glob("Pulumi.*.yaml")):
        shutil.copy(path, tmp_path)
    return tmp_path


@pytest.mark.parametrize("stack", STACKS)
def test_adding_and_removing_leaves_the_file_byte_for_byte(project: Path, stack: str) -> None:
    path = project / f"Pulumi.{stack}.yaml"
    before, mode = path.read_bytes(), path.stat().st_mode
    catalogue.add(stack, "new", NEW, project)
    assert path.read_bytes() != before
    assert "new" in catalogue.load(stack, project)[0].models
    catalogue.remove(stack, "new", project)
    assert path.read_bytes() == before
    assert path.stat().st_mode == mode


def test_a_model_that_cannot_work_is_refused_and_nothing_is_written(project: Path) -> None:
    before = (project / "Pulumi.sandbox.yaml").read_bytes()
    with pytest.raises(MaasError, match=r"maas:models\.new.*no profile.*small-gpu") as refused:
        catalogue.add("sandbox", "new", {**NEW, "profile": "small-gpus"}, project)
    assert refused.value.code is Exit.CONFIG
    with pytest.raises(MaasError, match="the same host"):
        catalogue.add("sandbox", "zebra", {"profile": "simulator", "host": "simulator"}, project)
    with pytest.raises(MaasError, match=r"no kind of node can take it.*l40s: 4 x nvidia\.com/gpu, 16 wanted"):
        catalogue.add("sandbox", "new", {**NEW, "gpu": {"count": 16}}, project)
    assert (project / "Pulumi.sandbox.yaml").read_bytes() == before


def test_a_stack_that_extends_a_shared_file_gets_models_in_its_own_and_keeps_those_of_the_file(project: Path) -> None:
    (project / "shared").mkdir()
    fleet = project / "shared" / "fleet.yaml"
    fleet.write_text(
        "config:\n  maas:tiers: {free: {level: 0, requests: unlimited, tokens: unlimited}}\n"
        "  maas:models: {common: {profile: simulator}}\n"
    )
    own = project / "Pulumi.eu.yaml"
    own.write_text("config:\n  maas:extends: fleet\n  maas:domain: eu.example.com\n")
    before = own.read_bytes(), fleet.read_bytes()
    catalogue.add("eu", "new", NEW, project)
    assert sorted(catalogue.load("eu", project)[0].models) == ["common", "new"]
    with pytest.raises(MaasError, match=r"common is in a file that stack eu extends.*common: null") as refused:
        catalogue.remove("eu", "common", project)
    assert refused.value.code is Exit.USAGE
    with pytest.raises(MaasError, match="no model other"):
        catalogue.remove("eu", "other", project)
    catalogue.remove("eu", "new", project)
    assert (own.read_bytes(), fleet.read_bytes()) == before


def test_a_dry_run_says_what_it_would_write(project: Path) -> None:
    before = (project / "Pulumi.ocp.yaml").read_bytes()
    diff = catalogue.add("ocp", "new", NEW, project, dry_run=True)
    assert "+    new:       {source: hf://Qwen/Qwen3-8B, profile: small-gpu}" in diff
    assert not [line for line in diff.splitlines() if line.startswith("-") and not line.startswith("---")]
    assert (project / "Pulumi.ocp.yaml").read_bytes() == before


def test_a_model_that_does_not_work_can_still_be_taken_out(project: Path) -> None:
    path = project / "Pulumi.dev.yaml"
    good = path.read_text(encoding="utf-8")
    path.write_text(good.replace("  maas:observability", "    broken: {profile: none}\n  maas:observability"))
    catalogue.remove("dev", "broken", project)
    assert path.read_text(encoding="utf-8") == good


def test_an_unknown_stack_is_named(project: Path) -> None:
    with pytest.raises(MaasError, match=r"Pulumi\.none\.yaml does not exist"):
        catalogue.add("none", "new", NEW, project)


def test_settings_are_given_as_pulumi_writes_paths() -> None:
    given = ["gpu.count=2", 'gpu.nodeSelector["nvidia.com/gpu.product"]=NVIDIA-L40S', "args=[--seed=7]", "host=a=b"]
    assert with_settings({"gpu": {"count": 1, "resource": "x"}}, given) == {
        "gpu": {"count": 2, "resource": "x", "nodeSelector": {"nvidia.com/gpu.product": "NVIDIA-L40S"}},
        "args": ["--seed=7"],
        "host": "a=b",
    }


@pytest.mark.parametrize("bad", ["gpu.count", "=2", "gpu..count=2", "a b=2", "a=[", "[0]=2"])
def test_settings_that_cannot_be_read_are_refused(bad: str) -> None:
    with pytest.raises(MaasError, match="is not key=value"):
        with_settings({}, [bad])


def test_each_setting_says_where_it_comes_from() -> None:
    entry = catalogue.entry_of("sandbox", "qwen3")
    origins = {each.path: (each.value, each.origin) for each in entry.settings}
    assert origins["source"] == ("hf://Qwen/Qwen3-0.6B", "entry")
    assert origins["maxLength"] == (6144, "profile small-gpu")
    assert origins["gpu.count"] == (1, "profile small-gpu")
    assert origins["replicas"] == (1, "default")
    assert origins['gpu.nodeSelector["nvidia.com/gpu.present"]'] == ("true", "default")


def _run(*args: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["models", *args])
    return result.exit_code, result.output


def test_the_list_has_hosts_and_can_be_read_by_programs() -> None:
    code, out = _run("list", "--json")
    models = json.loads(out)["models"]
    assert code == 0
    assert [each["name"] for each in models] == ["qwen3", "simulator"]
    assert models[0]["url"] == "http://qwen3.maas.localhost"
    assert models[0]["settings"]["source"] == {"value": "hf://Qwen/Qwen3-0.6B", "origin": "entry"}
    code, out = _run("list", "--stack", "ocp", "--json")
    assert json.loads(out)["models"][0]["url"] == "https://qwen3-llm.apps.cluster.example.com"
    code, out = _run("list")
    assert "qwen3-0-6b-instruct" in out


def test_an_unknown_model_is_answered_with_those_there_are() -> None:
    code, out = _run("show", "qwen")
    assert code == Exit.USAGE
    assert "It has: qwen3, simulator." in out


def test_a_model_without_anything_said_is_not_added() -> None:
    assert _run("add", "new")[0] == Exit.USAGE


def test_the_estimate_finds_the_kinds_that_fit() -> None:
    fits = {each.kind: (each.gpus, each.why) for each in estimate("sandbox", Wanted(name="qwen3")).fits}
    assert fits["l40s"] == fits["h100"] == (1, "")
    assert "no label nvidia.com/gpu.present=true" in fits["mi300x"][1]
    assert "room for 8 of 32" in fits["a100-tenth"][1]
    large = estimate("sandbox", Wanted(source="hf://meta-llama/Llama-3.3-70B-Instruct"))
    assert {each.kind: each.gpus for each in large.fits} == {
        "a100-half": 0,  # a process sees one slice, so slices are not added up
        "a100-tenth": 0,
        "h100": 4,
        "l40s": 4,
        "mi300x": 2,
    }
    assert large.assumed == ("context", "sequences", "utilisation")


def test_the_estimate_takes_what_the_command_line_says_over_the_entry() -> None:
    usual, longer = (estimate("sandbox", Wanted(name="qwen3", context=each)) for each in (0, 12_288))
    assert (usual.context, usual.sequences, usual.utilisation) == (6144, 32, 0.8)
    assert longer.cache == 2 * usual.cache
    eight = estimate("sandbox", Wanted(name="qwen3", dtype="fp8", cache_dtype="fp8"))
    assert eight.cache == usual.cache / 2
    assert eight.weights < usual.weights


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [
        ("--context", "-5", "less than nothing"),
        ("--sequences", "-1", "less than nothing"),
        ("--kv-heads", "-1", "--kv-heads -1"),
        ("--utilisation", "3", "up to 1"),
        ("--utilisation", "-0.5", "up to 1"),
    ],
)
def test_the_estimate_refuses_figures_that_no_model_has(option: str, value: str, says: str) -> None:
    code, out = _run("estimate", "--source", "hf://Qwen/Qwen3-8B", option, value)
    assert code == Exit.USAGE
    assert says in " ".join(out.split())


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"num_attention_heads": 0}, "does not say num_attention_heads: a whole number above 0, and there is 0"),
        ({"num_hidden_layers": "many"}, 'num_hidden_layers: a whole number above 0, and there is "many"'),
        ({"vocab_size": None}, "vocab_size: a whole number above 0, and there is null"),
        ({"intermediate_size": True}, "intermediate_size"),
    ],
)
def test_a_config_json_without_a_figure_is_told_by_its_key(
    tmp_path: Path, change: dict[str, object], says: str
) -> None:
    good = {"num_hidden_layers": 2, "num_attention_heads": 2, "hidden_size": 8, "vocab_size": 9, "intermediate_size": 4}
    path = tmp_path / "config.json"
    path.write_text(json.dumps(good | {"text_config": None}))
    assert _run("estimate", "--config", str(path))[0] == Exit.OK
    path.write_text(json.dumps(good | change))
    code, out = _run("estimate", "--config", str(path))
    assert code == Exit.USAGE
    assert says in " ".join(out.split())


def test_no_parameters_are_no_model() -> None:
    assert _run("estimate", "--source", "hf://Qwen/Qwen3-8B", "--parameters", "0B")[0] == Exit.USAGE


def test_the_estimate_says_what_all_parts_come_to_where_no_kinds_of_nodes_are_named() -> None:
    code, out = _run("estimate", "qwen3", "--stack", "ocp")
    assert code == Exit.OK
    answer = estimate("ocp", Wanted(name="qwen3"))
    assert answer.total == answer.weights + answer.cache + answer.working
    assert f"together {answer.total / GIB:.1f} a GPU of {answer.total / 0.8 / GIB:.1f} GiB" in " ".join(out.split())


def test_the_estimate_of_an_unknown_model_asks_for_its_figures() -> None:
    code, out = _run("estimate", "--source", "hf://example/unknown")
    assert code == Exit.USAGE
    assert "--config" in out
    code, out = _run(
        "estimate", "--parameters", "8B", "--layers", "32", "--kv-heads", "8", "--head-size", "128", "--json"
    )
    assert code == 0
    assert json.loads(out)["estimate"]["weights"] == 16e9
    assert _run("estimate", "simulator")[0] == Exit.USAGE
    assert _run("estimate", "qwen3", "--type", "bf17")[0] == Exit.USAGE


def test_a_model_that_fits_nowhere_ends_with_an_error() -> None:
    code, out = _run("estimate", "--source", "hf://Qwen/Qwen3-32B", "--type", "fp32", "--context", "40000000")
    assert code == Exit.FAILED
    assert "does not fit" in out


def test_the_stack_of_the_sandbox_has_its_nodes() -> None:
    kinds = {
        name: NodeKind.model_validate(kind)
        for name, kind in yaml.safe_load((ROOT / "Pulumi.sandbox.yaml").read_text())["config"]["maas:nodes"].items()
    }
    found: dict[str, int] = {}
    for node in nodes():
        labels, allocatable = node["metadata"]["labels"], node["status"]["allocatable"]
        taints = [(each["key"], each["effect"]) for each in node.get("spec", {}).get("taints", [])]
        names = [
            name
            for name, kind in kinds.items()
            if kind.labels.items() <= labels.items()
            and taints == [(each.key, each.effect) for each in kind.taints]
            and (kind.cpu, kind.memory) == (allocatable["cpu"], allocatable["memory"])
            and (kind.gpu is None or allocatable.get(kind.gpu.resource) == str(kind.gpu.count))
            and (kind.gpu is not None or not taints)
        ]
        assert names, f"{node['metadata']['name']} is of no kind"
        for name in names:
            found[name] = found.get(name, 0) + 1
            gpu = kinds[name].gpu
            if gpu and gpu.resource == "nvidia.com/gpu":
                assert amount(gpu.memory) == int(labels["nvidia.com/gpu.memory"]) * 2**20
    assert found == {name: kind.nodes for name, kind in kinds.items()}
