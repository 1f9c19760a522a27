"""What the simulator says, without a server."""

import math

import pytest

from simulator.maas_simulator import ApiError, Options, complete, count_tokens, embed, parse_options, read_work


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", 0),
        ("Hello, world!", 4),
        ("twelveletter", 1),
        ("thirteenchars", 2),
        ("  \n\t ", 0),
        ("größe", 1),
        ("a-b", 3),
    ],
)
def test_words_count_by_twelve_characters_and_punctuation_by_mark(text: str, tokens: int) -> None:
    assert count_tokens(text) == tokens


@pytest.mark.parametrize("limit", [1, 2, 11, 12, 13, 500])
def test_the_text_has_exactly_the_tokens_that_are_billed(limit: int) -> None:
    choice = complete(b"seed", wanted=400, limit=limit)
    assert count_tokens(choice.text) == len(choice.pieces) == min(limit, 400)


def test_an_answer_is_a_function_of_its_seed_and_a_shorter_limit_cuts_the_same_text() -> None:
    long, short = complete(b"seed", wanted=60, limit=60), complete(b"seed", wanted=60, limit=7)
    assert long == complete(b"seed", wanted=60, limit=60)
    assert long.text.startswith(short.text)
    assert long.text != complete(b"other", wanted=60, limit=60).text, "the seed does not matter"
    assert (long.finish_reason, short.finish_reason) == ("stop", "length")


def test_without_a_wish_answers_differ_in_length_and_end_with_a_full_stop() -> None:
    choices = [complete(bytes([seed]), wanted=None, limit=10_000) for seed in range(40)]
    assert {len(choice.pieces) for choice in choices} == {24, 36, 48, 60, 72}
    assert all(choice.text.endswith(".") for choice in choices)


def test_a_stop_string_ends_the_text_before_it_and_its_tokens_count() -> None:
    whole = complete(b"seed", wanted=40, limit=40)
    stop = whole.text[9:17]  # begins and ends inside of words
    cut = complete(b"seed", wanted=40, limit=40, stops=[stop])
    assert cut.text == whole.text[: whole.text.index(stop)]
    assert (cut.finish_reason, cut.stop_reason) == ("stop", stop)
    said = "".join(whole.pieces[: len(cut.pieces)])
    assert stop in said, "the tokens that spell the stop string are not counted"
    assert stop not in said.removesuffix(whole.pieces[len(cut.pieces) - 1]), "a token after the stop string is counted"


def test_of_two_stop_strings_the_one_that_is_complete_first_wins() -> None:
    whole = complete(b"seed", wanted=40, limit=40)
    early, late = whole.pieces[2], whole.pieces[9]
    assert complete(b"seed", wanted=40, limit=40, stops=[late, early]).text == "".join(whole.pieces[:2])


def test_an_embedding_has_length_one_and_depends_on_the_text() -> None:
    assert math.isclose(math.hypot(*embed(b"a", 384)), 1.0)
    assert embed(b"a", 3) != embed(b"b", 3)


def test_n_choices_differ_and_the_seed_field_changes_them() -> None:
    body: dict[str, object] = {"prompt": ["one", "two"], "n": 3, "max_tokens": 20}
    texts = [choice.text for choice in read_work(body, Options(), chat=False).choices]
    assert len(set(texts)) == 6, "two of six choices are the same"
    seeded = [choice.text for choice in read_work({**body, "seed": 1}, Options(), chat=False).choices]
    assert not set(texts) & set(seeded)


BAD: list[tuple[bool, dict[str, object], str]] = [
    (True, {}, "messages"),
    (True, {"messages": []}, "messages"),
    (True, {"messages": "hi"}, "messages"),
    (True, {"messages": ["hi"]}, "messages[0]"),
    (True, {"messages": [{"content": "hi"}]}, "messages[0].role"),
    (True, {"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
    (True, {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages[0].content"),
    (False, {}, "prompt"),
    (False, {"prompt": []}, "prompt"),
    (False, {"prompt": [1, "a"]}, "prompt"),
    (False, {"prompt": [[]]}, "prompt"),
    (False, {"prompt": ["x"] * 129}, "prompt"),
    (False, {"prompt": ["x"] * 65, "n": 2}, "n"),
    (False, {"prompt": "x", "model": 5}, "model"),
    (False, {"prompt": "x", "max_tokens": 0}, "max_tokens"),
    (False, {"prompt": "x", "max_tokens": "5"}, "max_tokens"),
    (False, {"prompt": "x", "max_tokens": True}, "max_tokens"),
    (False, {"prompt": "x", "n": 129}, "n"),
    (False, {"prompt": "x", "stop": ["a", ""]}, "stop"),
    (False, {"prompt": "x", "stop": 5}, "stop"),
    (False, {"prompt": "x", "stream": "yes"}, "stream"),
    (False, {"prompt": "x", "stream_options": {"include_usage": True}}, "stream_options"),
    (False, {"prompt": "x", "stream": True, "stream_options": [1]}, "stream_options"),
    (False, {"prompt": "x", "stream": True, "stream_options": {"include_usage": 1}}, "include_usage"),
]


@pytest.mark.parametrize(("chat", "body", "param"), BAD)
def test_a_field_that_is_wrong_is_refused_by_its_name(chat: bool, body: dict[str, object], param: str) -> None:  # noqa: FBT001
    with pytest.raises(ApiError) as caught:
        read_work(body, Options(), chat=chat)
    assert (caught.value.status, caught.value.param) == (400, param)


def test_flags_win_over_variables_and_variables_over_defaults() -> None:
    env = {"SIM_MODEL": "a, b", "SIM_TOKEN_MS": "2.5", "SIM_PORT": "9", "SIM_ENABLE_FORCE_INCLUDE_USAGE": "true"}
    options = parse_options(["--port", "0", "--served-model-name", "x", "--served-model-name", "y"], env)
    assert options.model == ("a", "b")
    assert options.names == ("x", "y")
    assert (options.port, options.token_ms, options.latency_ms) == (0, 2.5, 0.0)
    assert options.enable_force_include_usage
    assert parse_options(["--model", "c"], env).names == ("c",), "a flag adds to the variable instead of replacing it"
    assert parse_options([], {}) == Options(), "the defaults of the flags are not those of Options"


@pytest.mark.parametrize(
    "env",
    [
        {"SIM_PORT": "70000"},
        {"SIM_LATENCY_MS": "-1"},
        {"SIM_TOKEN_MS": "nan"},
        {"SIM_COMPLETION_TOKENS": "0"},
        {"SIM_ENABLE_FORCE_INCLUDE_USAGE": "perhaps"},
    ],
)
def test_a_variable_that_cannot_be_is_refused_at_the_start(
    env: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        parse_options([], env)
    assert caught.value.code == 2
    (name,) = env
    said = capsys.readouterr().err
    assert name in said or name.removeprefix("SIM_").lower().replace("_", "-") in said, "the message names no option"


def test_an_api_key_is_not_part_of_what_the_options_show() -> None:
    assert "hidden" not in repr(Options(api_key=("hidden",)))
