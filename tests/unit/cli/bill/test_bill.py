"""Bills: exact figures from counters, whatever happened to them, and honest words about what is missing."""

import csv
import io
import json
import re
import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.bill.api import Api, Labels, Sample, token_of_user
from cli.bill.command import bill, find_api, period
from cli.bill.counters import Growth, Source, growth, window_length
from cli.bill.report import FORMATS
from cli.bill.statement import By, Period, Statement, about_changed_prices, statement
from cli.exits import Exit, MaasError
from config.settings import Settings
from tests.unit.config.bad import GOOD

SETTINGS = Settings.load("unit", GOOD)
SOURCE = Source(("authorized_hits",), "limitador_up", 30)
HITS: Labels = (("__name__", "authorized_hits"), ("model", "m"), ("namespace", "k"), ("pod", "a"), ("user", "alice"))
UP: Labels = (("__name__", "limitador_up"), ("namespace", "k"), ("pod", "a"))
MONTH = Period(datetime(2026, 10, 1, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC))


class Recorded(Api):
    """An API that answers the queries of a bill from samples, as Prometheus would."""

    series: Mapping[Labels, list[tuple[int, int]]]

    def instant(self, expression: str, time: Decimal) -> dict[Labels, list[Sample]]:
        name, span = self._read(expression)
        found = self._within(name, time, span)
        return {labels: each[-1:] if "last_over" in expression else each for labels, each in found.items()}

    def range(self, expression: str, start: Decimal, end: Decimal, step: int) -> dict[Labels, list[Sample]]:
        result: dict[Labels, list[Sample]] = defaultdict(list)
        time = start
        while time <= end:
            for labels, value in self._value(expression, time).items():
                result[labels].append(Sample(time, value))
            time += step
        return result

    def _value(self, expression: str, time: Decimal) -> dict[Labels, Decimal]:
        name, span = self._read(expression)
        found = self._within(name, time, span)
        if expression.startswith("last_over_time"):
            return {labels: each[-1].value for labels, each in found.items()}
        if expression.startswith("count(resets"):
            broken = sum(any(b.value < a.value for a, b in pairwise(each)) for each in found.values())
            return {(): Decimal(broken)} if broken else {}
        if expression.startswith("sum_over_time"):
            return {
                _no_name(labels): sum((each.value for each in samples), Decimal(0)) for labels, samples in found.items()
            }
        if expression.startswith("count((count_over_time"):
            scrapes = max(map(len, self._within("limitador_up", time, span).values()), default=0)
            there = self._within(name, time - span, span)
            missed = sum(len(samples) <= scrapes - 3 for labels, samples in found.items() if labels in there)
            return {(): Decimal(missed)} if missed else {}
        return {(): Decimal(1)} if found else {}

    def _read(self, expression: str) -> tuple[str, int]:
        span = re.search(r"\[(\d+)s", expression)
        counters = "authorized_hits" in expression
        return ("authorized_hits" if counters else "limitador_up"), int(span[1]) if span else 0

    def _within(self, name: str, time: Decimal, span: int) -> dict[Labels, list[Sample]]:
        result = {
            labels: [Sample(Decimal(at), Decimal(value)) for at, value in samples if time - span < at <= time]
            for labels, samples in self.series.items()
            if dict(labels)["__name__"] == name
        }
        return {labels: samples for labels, samples in result.items() if samples}


def _no_name(labels: Labels) -> Labels:
    return tuple(each for each in labels if each[0] != "__name__")


def _of_pod(labels: Labels, pod: str) -> Labels:
    return tuple((name, pod if name == "pod" else value) for name, value in labels)


def grown(hits: list[tuple[int, int]], up: list[int], start: int = 0, end: int = 600) -> Growth:
    api = Recorded("http://127.0.0.1")
    object.__setattr__(api, "series", {HITS: hits, UP: [(at, 1) for at in up]})
    return growth(api, SOURCE, Decimal(start), Decimal(end))


def total(found: Growth) -> Decimal:
    return sum(found.by_series.values(), Decimal(0))


ALWAYS = list(range(-600, 601, 30))


@pytest.mark.parametrize(
    ("hits", "tokens"),
    [
        pytest.param([(at, 1000 + at) for at in ALWAYS], 600, id="it grows"),
        pytest.param([(-30, 900), (0, 1000), (30, 1100), (90, 40), (120, 60)], 160, id="a restart"),
        pytest.param([(0, 1000), (30, 1100), (60, 1100), (90, 40), (120, 1500)], 1600, id="it grows past a restart"),
        pytest.param([(200, 70), (230, 90)], 90, id="it begins"),
        pytest.param([(-30, 500)], 0, id="it ended before"),
        pytest.param([(-30, 900), (0, 1000), (570, 5000)], 5000, id="the user is back long after a restart"),
        pytest.param([(0, 1000), (30, 1100), (60, 1200), (90, 1300)], 300, id="a scrape or two lack it"),
        pytest.param([(-390, 1000), (30, 5000), (60, 5001)], 5001, id="the restart was before the period"),
    ],
)
def test_what_a_counter_grew(hits: list[tuple[int, int]], tokens: int) -> None:
    found = grown(hits, ALWAYS)
    assert total(found) == tokens
    assert found.unknown == 0


LONG = 48_000
"""A period whose windows are of five minutes."""


def test_a_user_who_is_back_soon_after_a_restart_begins_at_nought() -> None:
    scraped = list(range(-600, 1501, 30))
    back = [(at, 5000) for at in range(150, 1501, 30)]
    found = grown([(-30, 900), (0, 1000), (30, 1100), *back], scraped, end=LONG)
    assert total(found) == 5100
    assert found.restarts == {300}
    # From one window into the next.
    back = [(at, 5000) for at in range(330, 1501, 30)]
    found = grown([*((at, 1000) for at in range(-600, 151, 30)), *back], scraped, end=LONG)
    assert total(found) == 5000
    assert found.restarts == {300}


@pytest.mark.parametrize("end", [600, LONG])
@pytest.mark.parametrize("offset", [1, 8, 15, 22, 29])
def test_samples_of_two_prometheuses_by_turns_are_no_restart(offset: int, end: int) -> None:
    """Thanos chooses for each series by itself, and leaves a gap where it changes."""
    times = (*range(-600, 181, 30), *range(255, 601, 30))
    hits = [(at, 1000 + at) for at in times]
    up = [(at, 1) for at in range(-600 + offset, 601, 30)]
    other = tuple((name, "bob" if name == "user" else value) for name, value in HITS)
    for more in ({}, {other: [(at, at % 100) for at in times]}):  # whose resets have all samples looked at
        api = Recorded("http://127.0.0.1")
        object.__setattr__(api, "series", {HITS: hits, UP: up, **more})
        found = growth(api, SOURCE, Decimal(0), Decimal(end))
        assert found.by_series[HITS] == hits[-1][1] - 1000
        assert bool(found.restarts) is bool(more)


def test_a_replaced_pod_is_told_as_a_restart() -> None:
    api = Recorded("http://127.0.0.1")
    old, new = range(0, 91, 30), range(120, 601, 30)
    hits = {
        _of_pod(HITS, "a"): [(at, 20 if at == 90 else 10) for at in old],
        _of_pod(HITS, "b"): [(at, 9 if at == 600 else 5) for at in new if at >= 270],
    }
    up = {_of_pod(UP, "a"): [(at, 1) for at in old], _of_pod(UP, "b"): [(at, 1) for at in new]}
    object.__setattr__(api, "series", hits | up)
    found = growth(api, SOURCE, Decimal(0), Decimal(600))
    assert total(found) == 19
    assert found.restarts == {120}


def test_what_grew_while_scrapes_failed_is_billed() -> None:
    scraped = [*range(-600, 1, 30), 570, 600]
    assert total(grown([(-30, 900), (0, 1000), (570, 5000), (600, 5000)], scraped)) == 4000


def test_a_reset_while_scrapes_failed_is_seen_though_the_counter_is_higher_at_the_windows_end() -> None:
    scraped = [*range(-600, 1, 30), 570, 580, 590, 600]
    assert total(grown([(0, 1000), (570, 10), (580, 2000), (590, 2000), (600, 2000)], scraped)) == 2000


def test_what_stood_there_when_the_records_began_is_not_billed_and_said() -> None:
    found = grown([(300, 5000), (330, 5010), (360, 5030)], [300, 330, 360])
    assert total(found) == 30
    assert found.unknown == 5000
    assert found.began == 300
    notes = " ".join(statement(SETTINGS, _empty(), found, None).notes)
    assert "Counters stood at 5,000" in notes
    assert "from 1970-01-01 00:00:00" not in notes, "it is not in this bill, as was said"
    assert "from 1970-01-01 00:06:00 UTC to 1970-01-01 00:10:00 UTC" in notes
    assert "in the bill of the time after it" in notes


def test_a_restart_and_a_gap_are_said() -> None:
    hits = [(0, 10), (30, 20), (60, 20), (90, 5), (120, 5), (540, 5), (570, 5), (600, 9)]
    found = grown(hits, [*range(-60, 121, 30), *range(540, 601, 30)])
    assert total(found) == 19
    notes = " ".join(statement(SETTINGS, _empty(), found, None).notes)
    assert "were reset, or its pod was replaced, in 1 windows, first by 1970-01-01 00:02:00" in notes
    assert "up to 30s of usage may be missing" in notes
    assert "Nothing was scraped from" in notes


@given(st.lists(st.tuples(st.integers(1, 40), st.booleans()), min_size=1, max_size=60))
def test_every_scraped_token_is_billed_once(steps: list[tuple[int, bool]]) -> None:
    """Whatever is spent between scrapes, and however often the limiter restarts right after one."""
    value, spent = 0, 0
    hits = [(0, 0)]
    for number, (tokens, restarted) in enumerate(steps, start=1):
        # A restart that is not seen as a smaller value cannot be told from growth.
        value = tokens if restarted and tokens < value else value + tokens
        spent += tokens
        hits.append((number * 10, value))
    assert total(grown(hits, [at for at, _ in hits])) == spent


def test_windows_are_as_short_as_their_number_allows() -> None:
    assert [window_length(seconds, 30) for seconds in (600, 40_000, 86400, 31 * 86400, 366 * 86400)] == [
        60, 60, 300, 3600, 86400,
    ]  # fmt: skip
    assert window_length(600, 60) == 300, "a window with one scrape may as well have none"


def test_a_last_window_between_two_scrapes_is_no_gap() -> None:
    assert grown([(0, 10), (600, 20)], ALWAYS, end=610).gaps == []
    assert grown([(0, 10), (600, 20)], ALWAYS, end=640).thin == 0


def _empty(by: By = By.USER, of: Period = MONTH) -> Statement:
    return Statement("unit", by, of)


def _series(name: str, count: int, **labels: str) -> tuple[Labels, Decimal]:
    return tuple(sorted({"__name__": name, **labels}.items())), Decimal(count)


def _month(factor: int = 1) -> Growth:
    found = Growth()
    found.by_series |= dict(
        [
            _series("authorized_hits", 1001 * factor, user="alice", tier="premium", model="qwen3"),
            _series("authorized_hits", 999 * factor, user="alice", tier="premium", model="simulator-model"),
            _series("authorized_hits", 30 * factor, user="alice", tier="premium"),
            _series("authorized_calls", 50 * factor, user="alice", tier="premium"),
            _series("limited_calls", 7, user="alice", tier="premium"),
            _series("authorized_hits", 100 * factor, user="bob", tier="free", model="qwen3"),
            _series("authorized_calls", 2 * factor, user="bob", tier="free"),
        ]
    )
    return found


DEARER = Settings.load(
    "unit", GOOD | {"models": {**GOOD["models"], "qwen3": {**GOOD["models"]["qwen3"], "priceFactor": 1.5}}}
)


def test_cost_is_tokens_times_price_times_factor_exactly() -> None:
    lines = {line.name: line for line in statement(DEARER, _empty(), _month(), _month(2)).lines}
    assert lines["alice"].cost == Decimal(1001) * Decimal("0.008") * Decimal("1.5") + Decimal(999) * Decimal("0.008")
    assert lines["bob"].cost == Decimal("0.75")
    assert lines["bob"].before == Decimal("1.5")
    assert (lines["alice"].tokens, lines["alice"].requests, lines["alice"].limited) == (2000, 20, 7)


@pytest.mark.parametrize(
    ("by", "names"),
    [
        (By.USER, ["alice", "bob"]),
        (By.TEAM, ["search", "(unknown)"]),
        (By.TIER, ["premium", "free"]),
        (By.MODEL, ["qwen3", "simulator-model"]),
    ],
)
def test_lines_are_users_teams_tiers_or_models_and_add_up_alike(by: By, names: list[str]) -> None:
    made = statement(DEARER, _empty(by), _month(), None)
    assert [line.name for line in made.lines] == names
    assert made.total.cost == statement(DEARER, _empty(), _month(), None).total.cost
    assert (made.total.requests is None) == (by is By.MODEL), "which model a request is for is not counted"


def test_what_a_user_used_in_two_tiers_is_at_the_price_of_each() -> None:
    found = Growth()
    who = {"user": "alice", "model": "qwen3"}
    found.by_series |= dict(
        [
            _series("authorized_hits", 100, tier="free", **who),
            _series("authorized_hits", 100, tier="premium", **who),
        ]
    )
    [line] = statement(SETTINGS, _empty(), found, None).lines
    assert (line.tokens, line.cost) == (200, 100 * Decimal("0.005") + 100 * Decimal("0.008"))
    assert {line.name for line in statement(SETTINGS, _empty(By.TIER), found, None).lines} == {"free", "premium"}


def test_without_the_models_label_tokens_are_told_from_requests_by_calls() -> None:
    found = Growth()
    found.by_series |= dict(
        [
            _series("authorized_hits", 2010, user="alice", tier="premium"),
            _series("authorized_calls", 20, user="alice", tier="premium"),
        ]
    )
    settings = Settings.load("unit", GOOD | {"observability": {"telemetryLabels": {"model": False}}})
    [line] = statement(settings, _empty(), found, None).lines
    assert (line.tokens, line.requests) == (2000, 10)


def test_the_old_filters_counters_are_read_too() -> None:
    found = Growth()
    found.by_series |= dict(
        [
            _series("token_usage_with_user_and_group", 1000, user="alice", group="premium"),
            _series("authorized_calls_with_user_and_group", 9, user="alice", group="premium"),
        ]
    )
    settings = Settings.load("unit", GOOD | {"observability": {"counters": "gateway"}})
    [line] = statement(settings, _empty(), found, None).lines
    assert (line.tokens, line.requests, line.cost) == (1000, 9, 8)


def test_a_tier_without_a_price_is_said() -> None:
    found = Growth()
    found.by_series |= dict([_series("authorized_hits", 10, user="x", tier="gone", model="qwen3")])
    notes = statement(Settings.load("unit", GOOD), _empty(), found, None).notes
    assert any("Tier gone is none of the stack's" in note for note in notes)


@pytest.mark.parametrize("model", [{}, {"model": "qwen3"}], ids=["without a model", "with a model"])
@pytest.mark.parametrize("requests", ["unlimited", "5 per 1m"])
def test_tokens_of_an_unlimited_tier_are_billed(requests: str, model: dict[str, str]) -> None:
    tiers = {**GOOD["tiers"], "vip": {"level": 5, "requests": requests, "tokens": "unlimited", "price": 0.5}}
    telemetry = {"telemetryLabels": {"model": bool(model)}}
    settings = Settings.load("unit", GOOD | {"tiers": tiers, "observability": telemetry})
    calls, of_requests = (20, 10) if requests != "unlimited" else (10, 0)
    who = {"user": "eve", "tier": "vip"}
    hits = [_series("authorized_hits", 1000 + (0 if model else of_requests), **who, **model)]
    hits += [_series("authorized_hits", of_requests, **who)] if model and of_requests else []
    found = Growth()
    found.by_series |= dict([*hits, _series("authorized_calls", calls, **who)])
    [line] = statement(settings, _empty(), found, None).lines
    assert (line.tokens, line.requests, line.cost) == (1000, 10, 500)


def test_the_month_before_a_month_is_a_month() -> None:
    march = Period(datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC))
    assert march.before == Period(datetime(2026, 2, 1, tzinfo=UTC), march.start)
    quarter = Period(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC))
    assert quarter.before.start == datetime(2025, 10, 1, tzinfo=UTC)
    day = Period(datetime(2026, 3, 2, tzinfo=UTC), datetime(2026, 3, 3, tzinfo=UTC))
    assert day.before == Period(datetime(2026, 3, 1, tzinfo=UTC), day.start)


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("yesterday", None),
        ("2026-11-02", "2026-11-01"),
        ("2026-11-01", "later"),
        ("2027-01-01", "2027-02-01"),
        ("0001-01-01", None),
        ("2026-11-01", "9999-12-31T23:59:59-14:00"),
    ],
)
def test_a_period_that_is_none_is_refused(start: str, end: str | None) -> None:
    with pytest.raises(MaasError, match=r"not|no Prometheus"):
        period(start, end, datetime(2026, 11, 25, tzinfo=UTC))


def test_without_dates_the_period_is_this_month_until_now() -> None:
    now = datetime(2026, 11, 25, 12, tzinfo=UTC)
    assert period(None, None, now) == Period(datetime(2026, 11, 1, tzinfo=UTC), now)
    zoned = period("2026-11-01T00:00:00+01:00", "2026-11-02", now)
    assert zoned.start == datetime(2026, 10, 31, 23, tzinfo=UTC)


def test_figures_in_csv_and_json_are_exact_and_names_are_no_formulas() -> None:
    found = _month()
    found.by_series |= dict([_series("authorized_hits", 1, user="=1+1", tier="free", model="qwen3")])
    made = statement(DEARER, _empty(), found, None)
    read = {row["user"]: row for row in csv.DictReader(io.StringIO(FORMATS["csv"](made)))}
    assert read["alice"]["cost"] == "20.004"
    assert read["'=1+1"]["cost"] == "0.0075"
    assert read["alice"]["complete"] == "yes"
    content = json.loads(FORMATS["json"](made))
    assert content["lines"][0]["cost"] == "20.004"
    assert content["complete"] is True


def test_the_page_escapes_names_and_says_what_is_missing() -> None:
    found = _month()
    found.twice = True
    found.by_series |= dict([_series("authorized_hits", 1, user="<script>", tier="free", model="qwen3")])
    page = FORMATS["html"](statement(DEARER, _empty(), found, None))
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert "counted twice" in page
    assert "@page" in page


@pytest.mark.parametrize("name", ["[/bold]", "a\r=cmd", "\x1b[2Jx", "[red]x"])
def test_a_user_id_is_shown_as_it_is_whatever_it_holds(name: str) -> None:
    found = Growth()
    found.by_series |= dict([_series("authorized_hits", 1, user=name, tier=name, model="qwen3")])
    made = statement(DEARER, _empty(), found, None)
    for format_ in ("table", "csv", "html"):
        text = FORMATS[format_](made)
        assert name.replace("\r", "?").replace("\x1b", "?") in text
        assert "\r" not in text
        assert "\x1b" not in text
    assert json.loads(FORMATS["json"](made))["lines"][0]["name"] == name
    assert "no" in FORMATS["csv"](made).splitlines()[1].split(","), "there are notes"


def test_a_period_before_that_was_not_recorded_is_said() -> None:
    before = _month()
    before.began = Decimal(1)
    assert any("The period before" in note for note in statement(DEARER, _empty(), _month(), before).notes)
    assert not statement(DEARER, _empty(), _month(), _month()).notes


def test_counters_without_a_tier_are_at_the_price_of_today_and_that_is_said() -> None:
    settings = Settings.load("unit", GOOD | {"observability": {"telemetryLabels": {"tier": False}}})
    assert any("tier that a user has now" in note for note in statement(settings, _empty(), _month(), None).notes)


def test_a_price_that_was_another_in_the_period_is_said() -> None:
    now = {name: tier.price for name, tier in DEARER.tiers.items()}
    assert about_changed_prices(DEARER, now, now) == []
    assert about_changed_prices(DEARER, {}, {}) == [], "no rules, no records"
    [note] = about_changed_prices(DEARER, now | {"premium": Decimal("0.004")}, now)
    assert "Tier premium cost 0.004 to 0.008" in note
    assert "billed at 0.008" in note


@pytest.fixture
def service() -> Iterator[tuple[str, dict[str, tuple[int, str]]]]:
    """A service that gives the answers it is told, by path, or the one for all."""
    answers: dict[str, tuple[int, str]] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, text = answers[""]
            self.send_response(status)
            self.end_headers()
            self.wfile.write(text.encode())

        do_GET = do_POST  # noqa: N815 - the base's own name

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's own name
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}", answers
        server.shutdown()


@pytest.mark.parametrize(
    ("status", "text", "said"),
    [
        (200, "<html>", "no Prometheus API"),
        (200, "[]", "no Prometheus API"),
        (200, '{"status": "success"}', "no Prometheus API"),
        (200, '{"status": "success", "data": {"result": [{"metric": {}, "value": [1, "much"]}]}}', "no Prometheus API"),
        (422, '{"status": "error", "error": "too many samples"}', "HTTP 422: too many samples"),
        (503, '{"kind": "Status", "message": "no endpoints"}', "HTTP 503: no endpoints"),
        (500, "{}", "HTTP 500: no reason given"),
        (302, "", "HTTP 302, no JSON"),
        (401, "", "does not let this account ask"),
    ],
)
def test_an_answer_that_is_none_is_told_in_a_line(
    service: tuple[str, dict[str, tuple[int, str]]], status: int, text: str, said: str
) -> None:
    url, answers = service
    answers[""] = status, text
    with pytest.raises(MaasError, match=re.escape(said)):
        Api.at(url).instant("up", Decimal(0))


def test_a_sandbox_has_no_prometheus_and_it_is_said_what_to_do() -> None:
    with pytest.raises(MaasError, match="--url") as refused:
        find_api(SETTINGS, "sandbox", "sandbox", None, None)
    assert refused.value.code is Exit.USAGE
    assert find_api(SETTINGS, "sandbox", "sandbox", "http://127.0.0.1:1", None).url == "http://127.0.0.1:1"


def test_what_prometheus_warns_of_is_on_the_bill(service: tuple[str, dict[str, tuple[int, str]]]) -> None:
    """Thanos says so that it has only a part, and answers all the same."""
    url, answers = service
    answers[""] = 200, '{"status": "success", "warnings": ["store a: timeout"], "data": {"result": []}}'
    made = bill(_empty(), Api.at(url), SETTINGS)
    assert [note for note in made.notes if "store a: timeout" in note] == [
        "Prometheus warns that its answer may not be whole: store a: timeout"
    ]


@pytest.mark.parametrize("url", ["http://[bad", "http://", "http://127.0.0.1:99999", "ftp://x", "x"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(MaasError, match=r"--url .*address") as refused:
        Api.at(url)
    assert refused.value.code is Exit.USAGE


@pytest.mark.parametrize(("content", "why"), [(None, "No such file"), ("no PEM", "no certificate")])
def test_an_authority_that_is_none_is_refused(content: str | None, why: str, tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content, encoding="utf-8")
    with pytest.raises(MaasError, match=f"--ca-file .*{why}"):
        Api.at("https://127.0.0.1:1", ca=file)


def test_a_token_that_no_header_may_have_is_refused_and_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAAS_PROMETHEUS_TOKEN", "abc\n")
    assert token_of_user() == "abc"
    for token in ("s3cret\nx", "s3crété"):
        monkeypatch.setenv("MAAS_PROMETHEUS_TOKEN", token)
        with pytest.raises(MaasError) as refused:
            token_of_user()
        assert "s3cr" not in str(refused.value)


def test_the_clusters_prometheus_is_asked_by_way_of_the_api_server(tmp_path: Path) -> None:
    kubeconfig = {
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:1"}}],
        "users": [{"name": "u", "user": {"token": "test-only"}}],
    }
    file = tmp_path / "kubeconfig"
    file.write_text(json.dumps(kubeconfig), encoding="utf-8")
    api = Api.of_cluster(SETTINGS, file)
    place = "/api/v1/namespaces/monitoring/services/http:prometheus-operated:9090/proxy"
    assert api.url == f"http://127.0.0.1:1{place}"
    assert "test-only" not in repr(api)
    with pytest.raises(MaasError, match="does not answer"):
        api.instant("up", Decimal(0))
