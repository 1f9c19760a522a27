from hypothesis import given
from hypothesis import strategies as st

from enforcement.counters import Counter, Counters
from enforcement.limits import Limit


def counter(maximum: int, seconds: int, user: str = "u", namespace: str = "llm/qwen3") -> Counter:
    return Counter(namespace, seconds, ("limit.llm/p/free",), (("auth.identity.userid", user),), maximum)


STEPS = st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 4), st.integers(0, 40)), max_size=60)


@given(STEPS)
def test_no_user_ever_gets_more_than_the_maximum_in_one_window(steps: list[tuple[str, int, int]]) -> None:
    counters, now, passed = Counters(), 0.0, list[tuple[str, float]]()
    for user, delta, later in steps:
        now += later
        if counters.check_and_add([counter(5, 30, user)], delta, now) is None:
            passed += [(user, now)] * delta
    for user in "abc":
        began: float | None = None
        hits = 0
        for at in (at for who, at in passed if who == user):
            if began is None or at >= began + 30:
                began, hits = at, 0
            hits += 1
            assert hits <= 5


@given(STEPS)
def test_all_rates_of_a_limit_are_counted_or_none(steps: list[tuple[str, int, int]]) -> None:
    counters, now = Counters(), 0.0
    for _, delta, later in steps:
        now += later
        pair = [counter(5, 30), counter(9, 300)]
        before = [counters.value(each, now) for each in pair]
        refused = counters.check_and_add(pair, delta, now)
        after = [counters.value(each, now) for each in pair]
        assert after == (before if refused else [value + delta for value in before])


def test_a_changed_maximum_goes_on_counting_and_a_changed_window_begins_anew() -> None:
    counters = Counters()
    counters.add([counter(100, 60)], 80, 0)
    assert counters.value(counter(50, 60), 1) == 80
    assert counters.value(counter(100, 120), 1) == 0


def test_of_two_rates_with_one_window_the_first_holds_and_is_counted_once() -> None:
    limit = Limit("free", "limit.llm/p/free", ((100, 60), (50, 60), (500, 3600)), (), ())
    minute, hour = limit.with_values("llm/qwen3", {})
    assert (minute.max_value, hour.max_value) == (100, 500)
    counters = Counters()
    counters.add([minute, hour], 1, 0)
    assert counters.value(minute, 1) == 1


def test_a_new_counter_begins_its_window_with_the_first_request_even_if_another_limit_refuses_that() -> None:
    counters = Counters()
    full, fresh = counter(0, 60), counter(9, 300)
    assert counters.check_and_add([full, fresh], 1, 0) is full
    assert (counters.value(fresh, 1), counters.remaining_seconds(fresh, 1)) == (0, 299)


def test_a_restart_forgets_everything() -> None:
    counters = Counters()
    counters.add([counter(1, 60)], 1, 0)
    counters.clear()
    assert counters.over([counter(1, 60)], 1, 1) is None
