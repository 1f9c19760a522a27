import pytest

from config.problems import ConfigError
from config.settings import Settings
from tests.unit.config.bad import BAD, GOOD, Bad


def test_the_configuration_that_the_bad_ones_start_from_is_good() -> None:
    Settings.load("dev", GOOD)


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: f"{bad.key}-{bad.says or bad.fix}")
def test_a_bad_configuration_is_refused_with_its_key_the_reason_and_a_fix(bad: Bad) -> None:
    with pytest.raises(ConfigError) as refused:
        Settings.load("dev", bad.values())
    assert [problem.key for problem in refused.value.problems] == [bad.key], "exactly the one thing that is wrong"
    problem = refused.value.problems[0]
    assert bad.says in str(problem)
    assert bad.fix in problem.fix


def test_every_problem_is_reported_at_once() -> None:
    values = GOOD | {
        "domain": "UPPER",
        "tiers": {"free": {"level": 0, "requests": "5 per 1d", "tokens": "x"}},
        "limiter": {"replicas": 2},
        "gateway": {"expose": "router"},
    }
    with pytest.raises(ConfigError) as refused:
        Settings.load("dev", values)
    assert {problem.key for problem in refused.value.problems} == {
        "maas:domain",
        "maas:tiers.free.requests[0].window",
        "maas:tiers.free.tokens",
        "maas:limiter",
        "maas:gateway.expose",
    }
    assert str(refused.value).startswith("5 problems in the configuration of stack 'dev':")


def test_a_cross_check_runs_although_another_section_is_broken() -> None:
    values = GOOD | {"domain": "UPPER", "users": {"alice": {"tier": "gold"}, "bob": {"tier": "free"}}}
    with pytest.raises(ConfigError) as refused:
        Settings.load("dev", values)
    assert {problem.key for problem in refused.value.problems} == {"maas:domain", "maas:users.alice.tier"}


@pytest.mark.parametrize("key", ["tooshort", "has spaces, and more than thirty-two characters of them"])
def test_a_refused_api_key_is_not_repeated_in_the_message(key: str) -> None:
    with pytest.raises(ConfigError) as refused:
        Settings.load("dev", GOOD | {"apiKeys": {"alice": key}})
    assert key not in str(refused.value)
    assert "[hidden]" in str(refused.value)


def test_api_keys_that_are_no_mapping_are_not_repeated_in_the_message() -> None:
    with pytest.raises(ConfigError) as refused:
        Settings.load("dev", GOOD | {"apiKeys": "pasted-by-mistake"})
    assert "pasted-by-mistake" not in str(refused.value)


def test_an_encrypted_value_where_nothing_is_kept_secret_is_refused_and_not_repeated() -> None:
    values = GOOD | {"identity": {"oidc": "in-clear-by-now"}}
    with pytest.raises(ConfigError, match="would stand in plain text") as refused:
        Settings.load("dev", values, {"apiKeys", "identity"})
    assert {problem.key for problem in refused.value.problems} >= {"maas:identity"}
    assert "in-clear-by-now" not in str(refused.value)


def test_a_misspelt_section_of_secrets_does_not_show_them() -> None:
    with pytest.raises(ConfigError, match=r"maas:apiKeyz = \[hidden\]: unknown key") as refused:
        Settings.load("dev", GOOD | {"apiKeyz": {"alice": "in-clear-by-now"}}, {"apiKeys", "apiKeyz"})
    assert "in-clear-by-now" not in str(refused.value)


def test_a_key_with_control_characters_does_not_reach_the_terminal_as_such() -> None:
    with pytest.raises(ConfigError) as refused:
        Settings.load("dev", GOOD | {"evil\x1b[2J\nmaas:domain": 1})
    (line,) = str(refused.value).splitlines()[1:]
    assert r"maas:evil\x1b[2J\nmaas:domain = 1: unknown key" in line
