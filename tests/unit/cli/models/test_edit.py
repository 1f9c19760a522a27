"""Adding a model and taking it out again leaves every byte of a stack file as it was."""

import re
from typing import Any

import pytest
import yaml
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from cli.exits import MaasError
from cli.models.edit import with_entries, with_model, with_root_keys, with_setting, without_model
from cli.paths import ROOT
from config.models import PROFILES, Api, Autoscaling, Cache, Gpu, Model, Resources, Runtime
from tests.stackfiles import layouts, stacks

NEW: dict[str, Any] = {"source": "hf://Qwen/Qwen3-8B", "profile": "gpu", "gpu": {"count": 2}, "args": ["--seed=7"]}
STACK_FILES = sorted(ROOT.glob("Pulumi.*.yaml"))

HARD = {
    "no catalogue yet": "config:\n  maas:domain: example.com\n",
    "no catalogue, no last line end": "config:\n  maas:domain: example.com",
    "no catalogue, comments at the end": (
        "config:\n  maas:domain: example.com  # ours\n\n  # maas:models: later\n# end\n"
    ),
    "no catalogue, more after it": "config:\n  maas:domain: example.com\n\nencryptionsalt: v1:abc\n",
    "an empty catalogue": "config:\n  maas:domain: x\n  maas:models: {}  # none yet\n  maas:users: {}\n",
    "an empty catalogue with room": "config:\n  maas:domain: example.com\n  maas:models: {  }",
    "a short key": "config:\n  domain: example.com\n  models:\n    a: {profile: simulator}\n",
    "aligned": (
        "config:\n  maas:domain: x\n  maas:models:\n    simulator: {profile: simulator}\n"
        "    b:         {profile: simulator}\n"
    ),
    "comments after entries": (
        "config:\n  maas:domain: x\n  maas:models:\n    # first\n    a: {profile: simulator}  # one\n"
        "    b: {profile: simulator}  # two\n    # last\n\n    # really\n  maas:domain: example.com\n"
    ),
    "blocks": (
        "config:\n  maas:domain: x\n  maas:models:\n    a:\n      profile: simulator\n\n      # why\n"
        "      servedName: 'a'\n\n\n"
    ),
    "last key, no last line end": ("config:\n    maas:domain: x\n    maas:models:\n        a: {profile: simulator}"),
    "block, no last line end": ("config:\n  maas:domain: x\n  maas:models:\n    a:\n      profile: simulator"),
    "Windows": ("config:\r\n  maas:domain: x\r\n  maas:models:\r\n    a: {profile: simulator}\r\n  maas:users: {}\r\n"),
    "Windows, no last line end": ("config:\r\n  maas:domain: x\r\n  maas:models:\r\n    a: {profile: simulator}"),
    "braces": ("config:\n  maas:domain: x\n  maas:models: {a: {profile: simulator}, 'b': {profile: simulator} , }\n"),
    "braces over lines": (
        "config:\n  maas:domain: x\n  maas:models: {\n    a: {profile: simulator},  # one\n"
        "    b: {profile: simulator}  # two\n  }\n"
    ),
    "JSON": ('{"config": {"maas:domain": "example.com", "maas:models": {"a": {"profile": "simulator"}}}}'),
    "a list without indent": (
        "config:\n  maas:domain: x\n  maas:models:\n    a:\n      profile: simulator\n      args:\n"
        "      - --x\n      - --y\n"
    ),
    "a text block": (
        "config:\n  maas:domain: x\n  maas:models:\n    a:\n      profile: simulator\n      note: |\n"
        "        two\n\n        lines\n\n# end\n"
    ),
    "a text block that keeps its end": (
        "config:\n  maas:domain: x\n  maas:models:\n    a:\n      note: |+\n        two\n\n\n"
    ),
    "an anchor": (
        "config:\n  maas:domain: x\n  maas:models: &all\n    a: &one {profile: simulator}\n    b: *one\n"
        "  maas:users: {}\n"
    ),
    "a document's marks": ("---\nconfig:\n  maas:domain: x\n  maas:models:\n    a: {profile: simulator}\n...\n"),
    "a sign of Unicode": ("\ufeffconfig:\n  maas:domain: x\n  maas:models:\n    a: {profile: simulator}  # größer\n"),
    "a quoted key": 'config:\n  maas:domain: x\n  "maas:models":\n    "a": {profile: simulator}\n',
    "a plain text over lines": ("config:\n  maas:models:\n    a:\n      note: one\n        two\n  maas:domain: x\n"),
}


def _models(text: str) -> dict[str, Any]:
    config = yaml.safe_load(text)["config"]
    return config.get("maas:models") or config.get("models") or {}


@pytest.mark.parametrize("text", [each.read_bytes().decode() for each in STACK_FILES], ids=lambda _: "")
def test_each_stack_file_is_as_it_was_after_adding_and_removing(text: str) -> None:
    added = with_model(text, "new", NEW)
    assert _models(added) == _models(text) | {"new": NEW}
    assert without_model(added, "new") == text


@pytest.mark.parametrize("text", HARD.values(), ids=HARD.keys())
def test_hard_files_are_as_they_were_after_adding_and_removing(text: str) -> None:
    added = with_model(text, "new", NEW)
    assert _models(added) == _models(text) | {"new": NEW}
    assert without_model(added, "new") == text
    assert added.startswith(text[:9])
    bare = re.findall(r"(?<!\r)\n", added)
    assert not (bare and "\r" in text), "line ends are not mixed"


@pytest.mark.parametrize("text", HARD.values(), ids=HARD.keys())
def test_each_model_of_a_hard_file_can_be_taken_out(text: str) -> None:
    if "&one" in text:
        return
    for name, entry in _models(text).items():
        less = without_model(text, name)
        assert _models(less) == {key: value for key, value in _models(text).items() if key != name}
        assert with_model(less, name, entry)


def test_a_new_entry_stands_in_the_column_of_its_neighbours() -> None:
    text = (ROOT / "Pulumi.sandbox.yaml").read_text(encoding="utf-8")
    added = with_model(text, "tiny", {"profile": "simulator", "servedName": "4711"})
    line = next(each for each in added.splitlines() if each.startswith("    tiny"))
    assert line == '    tiny:      {profile: simulator, servedName: "4711"}'


def test_a_long_entry_gets_a_line_for_each_key() -> None:
    entry = NEW | {"args": [f"--an-argument-that-is-long={n}" for n in range(4)]}
    added = with_model(HARD["aligned"], "new", entry)
    assert "    new:\n      source: hf://Qwen/Qwen3-8B\n      profile: gpu\n      gpu: {count: 2}\n" in added
    assert without_model(added, "new") == HARD["aligned"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "config:\n",
        "config: {}\n",
        "config: {maas:domain: x}\n",
        "config: [\n",
        "config:\n  maas:models: 7\n",
        "7\n",
    ],
)
def test_a_file_that_cannot_be_edited_safely_is_refused(text: str) -> None:
    with pytest.raises(MaasError):
        with_model(text, "new", NEW)


def test_a_name_is_not_given_twice_and_a_stranger_is_not_taken_out() -> None:
    with pytest.raises(MaasError, match="already"):
        with_model(HARD["aligned"], "b", NEW)
    with pytest.raises(MaasError, match="no model c"):
        without_model(HARD["aligned"], "c")


def test_what_another_model_refers_to_is_not_taken_out() -> None:
    with pytest.raises(MaasError, match="by hand"):
        without_model(HARD["an anchor"], "a")


# Files as people write them, at random.
_NAMES = st.from_regex(r"[a-z][a-z0-9-]{0,11}[a-z0-9]", fullmatch=True)
_NOTES = st.sampled_from(["", "  # a note", "   #: {a: b}", " "])
_BETWEEN = st.sampled_from(["", "", "\n", "    # between\n", "# at the margin\n", "  # half\n\n"])
_TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc", "Cn", "Co"]), max_size=12).filter(
    lambda text: not set(text) & set("\x85\u2028\u2029\ufeff")
)
_VALUES = st.recursive(
    st.one_of(_TEXTS, st.integers(-5, 10**6), st.booleans(), st.sampled_from([0.5, 0.005, 1e-7])),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(_TEXTS.filter(bool), inner, max_size=3)),
    max_leaves=6,
)


@st.composite
def _files(draw: st.DrawFn) -> str:
    names = draw(st.lists(_NAMES, unique=True, max_size=4))
    column = draw(st.sampled_from([0, 16]))
    lines = [draw(st.sampled_from(["", "# top\n", "---\n"])), "config:\n", f"  maas:domain: x{draw(_NOTES)}\n"]
    if names:
        lines += [draw(_BETWEEN), f"  maas:models:{draw(_NOTES)}\n"]
        for name in names:
            block = draw(st.booleans())
            note = draw(_NOTES)
            lines.append(
                f"    {name}:{note}\n      profile: simulator\n{draw(_BETWEEN)}      servedName: {name}{note}\n"
                if block
                else f"    {name + ':':{column}} {{profile: simulator, servedName: {name}}}{note}\n"
            )
            lines.append(draw(_BETWEEN))
    elif draw(st.booleans()):
        lines.append(f"  maas:models: {{{draw(st.sampled_from(['', ' ']))}}}{draw(_NOTES)}\n")
    lines.append(draw(st.sampled_from(["", "  maas:users: {}\n", "\n# the end\n", "encryptionsalt: v1:abc\n"])))
    text = "".join(lines)
    if draw(st.booleans()):
        text = text.rstrip("\n")
    return text.replace("\n", "\r\n") if draw(st.booleans()) else text


@given(text=_files(), name=_NAMES, entry=st.dictionaries(_TEXTS.filter(bool), _VALUES, min_size=1, max_size=4))
def test_adding_and_removing_leaves_any_file_as_it_was(text: str, name: str, entry: dict[str, Any]) -> None:
    if name in _models(text):
        return
    added = with_model(text, name, entry)
    assert _models(added)[name] == entry
    assert without_model(added, name) == text


_WORDS = st.sampled_from(
    ["a", "80G", "1.5Gi", "no", "1e3", "0x1F", "2027-01-01", "a: b", "# c", "{x}", "- y", "'", '"', "é"]
)
_COUNTS = st.integers(0, 2**40)
_Fields = dict[str, st.SearchStrategy[Any]]
_BELOW: dict[str, tuple[type[BaseModel], _Fields]] = {
    "resources": (Resources, {"cpu": _WORDS, "memory": _WORDS}),
    "gpu": (
        Gpu,
        {
            **dict.fromkeys(("vendor", "product", "memory"), _WORDS),
            "count": _COUNTS,
            "resource": st.just("nvidia.com/mig-1g.10gb"),
            "nodeSelector": st.dictionaries(st.just("nvidia.com/gpu.present"), st.sampled_from(["true", "a b"])),
            "tolerations": st.lists(st.fixed_dictionaries({"key": _WORDS, "effect": _WORDS}), max_size=2),
        },
    ),
    "cache": (
        Cache,
        {**dict.fromkeys(("claim", "size", "storageClass", "accessMode"), _WORDS), "ephemeral": st.booleans()},
    ),
    "autoscaling": (
        Autoscaling,
        {**dict.fromkeys(("min", "max", "waiting", "cacheUse"), _COUNTS), "cooldown": _WORDS},
    ),
}
_FIELDS: _Fields = {
    **dict.fromkeys(("servedName", "rollout", "secret", "startup", "drain", "host"), _WORDS),
    **dict.fromkeys(("replicas", "maxLength", "maxSequences"), _COUNTS),
    **{key: st.fixed_dictionaries({}, optional=fields) for key, (_, fields) in _BELOW.items()},
    "profile": st.sampled_from(sorted(PROFILES)),
    "source": st.sampled_from(["hf://a/b:c", "oci://r:5000/a@sha256:0", "https://x.test:8443/v1", "s3://b/c=d+e/"]),
    "runtime": st.sampled_from([str(each) for each in Runtime]),
    "api": st.sampled_from([str(each) for each in Api]),
    "image": st.sampled_from(["r.test:5000/a/b:1.0", "a@sha256:00"]),
    "memoryUtilisation": st.floats(0, 1),
    "args": st.lists(st.sampled_from(["--seed=7", "--x", '{"a": [1]}', "-tp", "#"]), max_size=3),
    "tiers": st.lists(_WORDS, max_size=3),
    "priceFactor": st.one_of(st.floats(0, 100), _COUNTS),
}


def test_every_field_of_a_model_is_among_those_that_are_added_and_removed() -> None:
    for model, fields in [(Model, _FIELDS), *_BELOW.values()]:
        assert set(fields) == {field.alias or name for name, field in model.model_fields.items()}


@settings(max_examples=25, phases=[Phase.generate])  # whole stacks take long to shrink
@given(sections=stacks(), data=st.data(), name=_NAMES)
def test_adding_any_model_and_removing_it_leaves_every_byte_of_a_stack_file(
    sections: dict[str, Any], data: st.DataObject, name: str
) -> None:
    if name in sections.get("models", {}):
        return
    text = data.draw(layouts(sections))
    entry = data.draw(st.fixed_dictionaries({}, optional=_FIELDS).filter(bool))
    added = with_model(text, name, entry)
    assert _models(added) == _models(text) | {name: entry}
    assert without_model(added, name) == text


@given(text=_files(), secret=st.text("abcdefXYZ0189+/=", min_size=1, max_size=200))
def test_setting_a_section_changes_it_and_nothing_else_of_any_file(text: str, secret: str) -> None:
    once = with_setting(text, "apiKeys", {"secure": f"v1:{secret}"})
    assert yaml.safe_load(once)["config"]["maas:apiKeys"] == {"secure": f"v1:{secret}"}
    assert with_setting(
        with_setting(once, "apiKeys", {"secure": "v1:other"}), "apiKeys", {"secure": f"v1:{secret}"}
    ) == (once), "and again, over what is there"
    kept = [line for line in once.splitlines() if "maas:apiKeys:" not in line and "secure:" not in line]
    assert kept == text.splitlines()


def test_keys_that_were_set_one_by_one_make_way_for_the_one_text_in_their_place() -> None:
    old = "config:\n  maas:apiKeys:\n    # hers\n    alice: {secure: v1:a}\n  maas:domain: x # y\nencryptionsalt: s\n"
    new = with_setting(old, "apiKeys", {"secure": "v1:b"})
    assert new == "config:\n  maas:apiKeys:\n    secure: v1:b\n  maas:domain: x # y\nencryptionsalt: s\n"


def test_what_the_engine_keeps_beside_the_settings_is_added_once() -> None:
    assert with_root_keys("config:\n  a: b", {"encryptionsalt": "v1:x="}) == "config:\n  a: b\nencryptionsalt: v1:x=\n"
    assert with_root_keys("encryptionsalt: v1:x\n", {"encryptionsalt": "v1:y"}) == "encryptionsalt: v1:x\n"


def test_many_entries_are_added_at_once_and_one_that_is_there_refuses_all() -> None:
    text = "config:\n  maas:users:\n    ann: {tier: free}\n    bob: {tier: free}\n"
    new = with_entries(text, "users", {"cyd": {"tier": "free"}, "dora": {"tier": "premium", "models": ["a", "b"]}})
    assert new == text + "    cyd: {tier: free}\n    dora: {tier: premium, models: [a, b]}\n"
    with pytest.raises(MaasError, match="There is a user bob already"):
        with_entries(text, "users", {"cyd": {"tier": "free"}, "bob": {"tier": "free"}})
