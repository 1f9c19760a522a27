import json
import re
import subprocess
import sys
from typing import Any

import pytest
from pydantic import ValidationError

from cli.paths import ROOT
from components.models.pods import model_args
from components.models.runtimes import serving_runtime_spec
from config.models import PROFILES, Model, Runtime, Vendor
from config.models.arguments import option, options_of
from config.models.sources import Scheme, billions, repository_of, revision_of, scheme_of
from config.platform import Profile
from config.versions import LLM_D_SIMULATOR_IMAGE, VLLM_CPU_IMAGE, VLLM_IMAGE, VLLM_ROCM_IMAGE


def model(**entry: Any) -> Model:  # noqa: ANN401 - as users write them
    return Model.model_validate(entry)


ENTRIES = {
    "simulator": {},
    "llm-d-simulator": {},
    "gpu": {"source": "hf://a/b", "gpu": {"count": 8}},
    "external": {"source": "https://api.example.com/v1"},
    "modelcar": {"source": "oci://quay.io/a/b:1"},
}


@pytest.mark.parametrize("profile", PROFILES)
def test_every_profile_needs_no_more_than_a_source(profile: str) -> None:
    entry = ENTRIES.get(profile, {"source": "hf://Qwen/Qwen3-0.6B"})
    assert len({"profile": profile, **entry}) <= 5
    model(profile=profile, **entry)


@pytest.mark.parametrize("runtime", [each for each in Runtime if each is not Runtime.EXTERNAL])
def test_every_option_that_we_pass_is_one_of_the_program(runtime: Runtime) -> None:
    profiles = [name for name, values in PROFILES.items() if values.get("runtime") == runtime]
    known = options_of(runtime)["options"]
    spec = serving_runtime_spec(runtime, Profile.KUBERNETES, "hash")
    passed = [*spec["containers"][0]["args"]]
    for profile in profiles:
        entry = ENTRIES.get(profile, {"source": "hf://Qwen/Qwen3-0.6B"})
        passed += model_args(model(profile=profile, **entry), "served")
        if runtime.loads_weights:
            cached = (
                {"source": "hf://a/b:c", "gpu": {"count": 1}} if runtime is Runtime.VLLM else {"source": "hf://a/b:c"}
            )
            passed += model_args(model(profile=profile, **cached, cache={"size": "1Gi", "ephemeral": True}), "served")
    assert passed
    assert {option(each) for each in passed} <= set(known)


@pytest.mark.parametrize(
    ("runtime", "image"),
    [
        (Runtime.VLLM, VLLM_IMAGE),
        (Runtime.VLLM_CPU, VLLM_CPU_IMAGE),
        (Runtime.LLM_D_SIMULATOR, LLM_D_SIMULATOR_IMAGE),
    ],
)
def test_the_list_of_options_is_of_the_pinned_image(runtime: Runtime, image: str) -> None:
    assert image.endswith(f":v{options_of(runtime)['version']}"), "make the list anew: tests/vllm_options.py"


def test_amds_build_has_the_list_of_its_own_version() -> None:
    facts = options_of(Runtime.VLLM, Vendor.AMD)
    assert f"_vllm_{facts['version']}_" in VLLM_ROCM_IMAGE, "make the list anew: tests/vllm_options.py"
    spec = serving_runtime_spec(Runtime.VLLM, Profile.KUBERNETES, "hash")
    passed = [*spec["containers"][0]["args"], *model_args(model(profile="amd-gpu", source="hf://a/b"), "served")]
    assert {option(each) for each in passed} <= set(facts["options"])


def test_an_option_of_one_build_alone_is_taken_there_alone() -> None:
    model(profile="small-gpu", source="hf://a/b", args=["--rope-theta=1e6"])
    model(profile="amd-gpu", source="hf://a/b", args=["--stream-interval=4"])
    with pytest.raises(ValidationError, match=r"0\.11\.1 has no option --rope-theta"):
        model(profile="amd-gpu", source="hf://a/b", args=["--rope-theta=1e6"])
    with pytest.raises(ValidationError, match=r"0\.11\.0 has no option --stream-interval"):
        model(profile="small-gpu", source="hf://a/b", args=["--stream-interval=4"])


def test_the_simulators_own_options_are_those_of_the_list() -> None:
    script = ROOT / "simulator" / "maas_simulator.py"
    command = [sys.executable, str(script), "--help"]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout  # noqa: S603 - our own script
    assert set(options_of(Runtime.SIMULATOR)["options"]) == set(re.findall(r"--[a-z][a-z-]+", text)) - {"--help"}


def test_llm_ds_simulator_cannot_be_made_to_report_usage() -> None:
    """When it can, its streams should be made to: nothing else counts their tokens."""
    assert "--enable-force-include-usage" not in options_of(Runtime.LLM_D_SIMULATOR)["options"]
    assert "--enable-force-include-usage" in options_of(Runtime.VLLM)["options"]


@pytest.mark.parametrize(
    ("source", "scheme", "revision"),
    [
        ("hf://Qwen/Qwen3-0.6B", Scheme.HUGGING_FACE, ""),
        ("hf://Qwen/Qwen3-0.6B:v1.0", Scheme.HUGGING_FACE, "v1.0"),
        ("oci://registry.example.com:5000/models/qwen:1", Scheme.OCI, ""),
        ("oci://quay.io/a/b@sha256:" + "0" * 64, Scheme.OCI, ""),
        ("s3://models/a/b", Scheme.S3, ""),
        ("pvc://models/a", Scheme.PVC, ""),
        ("pvc://models", Scheme.PVC, ""),
    ],
)
def test_a_source_says_what_it_is(source: str, scheme: Scheme, revision: str) -> None:
    entry = model(profile="small-gpu", source=source)
    assert entry.source == source
    assert scheme_of(source) is scheme
    assert revision_of(source) == revision
    if scheme is Scheme.HUGGING_FACE:
        assert repository_of(source) == "Qwen/Qwen3-0.6B"


@pytest.mark.parametrize(
    ("source", "size", "seconds"),
    [
        ("hf://Qwen/Qwen3-0.6B", 0.6, 609),
        ("hf://meta-llama/Llama-3.3-70B-Instruct", 70, 1650),
        ("hf://mistralai/Mixtral-8x7B-Instruct-v0.1", 56, 1440),
        ("hf://meta-llama/Llama-3.1-405B", 405, 1800),
        ("pvc://models/ours", None, 1800),
        ("hf://openai/gpt-oss-20b:main", 20, 900),
    ],
)
def test_the_start_up_budget_grows_with_the_model(source: str, size: float | None, seconds: int) -> None:
    assert billions(source) == size
    assert model(profile="small-gpu", source=source).startup_seconds == seconds


def test_a_vendor_picks_resource_nodes_and_taint_and_the_resource_picks_the_vendor() -> None:
    amd = model(profile="amd-gpu", source="hf://a/b", gpu={"product": "AMD_Instinct_MI300X_OAM"}).gpu
    assert amd is not None
    assert (amd.vendor, amd.resource) == (Vendor.AMD, "amd.com/gpu")
    assert amd.node_selector == {
        "feature.node.kubernetes.io/amd-gpu": "true",
        "amd.com/gpu.product-name": "AMD_Instinct_MI300X_OAM",
    }
    assert [each.key for each in amd.tolerations] == ["amd.com/gpu"]
    by_resource = model(profile="small-gpu", source="hf://a/b", gpu={"resource": "amd.com/gpu"}).gpu
    assert by_resource is not None
    assert by_resource.vendor is Vendor.AMD


def test_what_an_entry_says_of_its_nodes_stands_over_the_vendors_defaults() -> None:
    gpu = model(profile="small-gpu", source="hf://a/b", gpu={"nodeSelector": {"pool": "a"}, "tolerations": []}).gpu
    assert gpu is not None
    assert (gpu.node_selector, gpu.tolerations) == ({"pool": "a"}, ())


def test_a_size_of_memory_is_less_than_what_such_cards_report() -> None:
    gpu = model(profile="small-gpu", source="hf://a/b", gpu={"memory": "80G"}).gpu
    assert gpu is not None
    reported = 81559  # MiB of an H100 of 80 GB, by nvidia-smi
    assert gpu.mebibytes_above is not None
    assert gpu.mebibytes_above < reported


def test_lists_of_options_are_sorted_and_say_where_they_are_from() -> None:
    for path in sorted((ROOT / "config" / "models" / "options").glob("*.json")):
        content = json.loads(path.read_text(encoding="utf-8"))
        assert content["options"] == sorted(set(content["options"]))
        assert content["source"]
        assert content["version"]
