import re

from hypothesis import given
from hypothesis import strategies as st

from config.figures import NEVER_REACHED
from config.problems import ConfigError, Problem, closest
from config.settings import Settings
from config.values import KUADRANT_WINDOW, Allowance, Rate, as_dns_label, window_seconds
from tests.unit.config.bad import GOOD

UNITS = {"h": 3600, "m": 60, "s": 1}
windows = st.tuples(st.integers(1, 99999), st.sampled_from(sorted(UNITS))).map(lambda each: f"{each[0]}{each[1]}")
rates = st.tuples(st.integers(1, NEVER_REACHED - 1), windows).map(lambda each: f"{each[0]} per {each[1]}")
labels = st.from_regex(r"\A[a-z0-9]([-a-z0-9]{0,20}[a-z0-9])?\Z")
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=3),
    max_leaves=8,
)


@given(st.integers(0, 99), st.integers(0, 59), st.integers(1, 59))
def test_a_windows_length_is_the_sum_of_its_parts(hours: int, minutes: int, seconds: int) -> None:
    assert window_seconds(f"{hours}h{minutes}m{seconds}s") == hours * 3600 + minutes * 60 + seconds


@given(rates)
def test_every_rate_survives_the_way_into_its_short_form_and_back(text: str) -> None:
    rate = Rate.model_validate(text)
    assert Rate.model_validate(str(rate)) == rate
    assert KUADRANT_WINDOW.match(rate.window), "what we accept, the CRD accepts"


@given(st.lists(rates, min_size=1, max_size=4))
def test_a_list_of_rates_is_accepted_exactly_when_all_windows_differ(texts: list[str]) -> None:
    lengths = [window_seconds(text.split(" per ")[1]) for text in texts]
    try:
        accepted = len(Allowance.model_validate(texts).rates) == len(texts)
    except ValueError:
        accepted = False
    assert accepted == (len(set(lengths)) == len(lengths))


@given(st.text(min_size=1, max_size=80))
def test_a_suggested_name_is_itself_a_dns_label_or_nothing(text: str) -> None:
    suggestion = as_dns_label(text)
    assert suggestion == "" or re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", suggestion)


@given(st.dictionaries(labels, st.tuples(rates, rates), min_size=1, max_size=5))
def test_any_set_of_well_formed_tiers_is_accepted(tiers: dict[str, tuple[str, str]]) -> None:
    written = {
        name: {"level": level, "requests": requests, "tokens": tokens}
        for level, (name, (requests, tokens)) in enumerate(tiers.items())
    }
    settings = Settings.load("any", {"domain": "example.com", "tiers": written})
    assert {name: str(tier.tokens.rates[0]) for name, tier in settings.tiers.items()} == {
        name: tokens for name, (_, tokens) in tiers.items()
    }


@given(st.sampled_from(sorted(GOOD)), json_values)
def test_whatever_stands_in_a_key_the_answer_is_settings_or_a_readable_refusal(key: str, value: object) -> None:
    problems: list[Problem] = []
    try:
        Settings.load("any", GOOD | {key: value})
    except ConfigError as refused:
        problems = refused.problems
    assert all(problem.key.startswith("maas:") and problem.why for problem in problems)


@given(st.sampled_from(["profile", "domain", "tiers", "observability"]), st.data())
def test_a_word_with_one_letter_missing_is_recognised(word: str, data: st.DataObject) -> None:
    cut = data.draw(st.integers(1, len(word) - 1))
    assert closest(word[:cut] + word[cut + 1 :], ["profile", "domain", "tiers", "observability"]) == word
