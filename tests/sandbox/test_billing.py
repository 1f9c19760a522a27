"""A real Prometheus scrapes ten million tokens while the limiter restarts; the bill is held against the ledger."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from cli.bill.api import Api
from cli.bill.command import bill
from cli.bill.report import FORMATS
from cli.bill.statement import By, Period, Statement
from dashboards.content import BOARDS
from sandbox.progress import Silent
from sandbox.replay import SCRAPE_MS, Replay, exporter, prometheus
from sandbox.toolbox import find
from tests.replay import REPLAYED, TIERS, USERS

pytestmark = pytest.mark.sandbox

TOKENS = 10_000_000
SECONDS = 120.0
QUERIES = [
    (board.uid, panel.title, query.expression) for board in BOARDS for panel in board.panels for query in panel.queries
]


@dataclass(frozen=True)
class Replayed:
    replay: Replay
    api: Api
    period: Period

    def bill(self, by: By) -> Statement:
        return bill(Statement("replay", by, self.period), self.api, REPLAYED)


@pytest.fixture(scope="module")
def replayed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replayed]:
    program, replay = find("prometheus", Silent()), Replay.of(REPLAYED, TOKENS, SECONDS)
    with (
        exporter(replay) as port,
        prometheus(program, REPLAYED, tmp_path_factory.mktemp("prometheus"), port) as url,
    ):
        while not Api.at(url).instant("limitador_up", _at(datetime.now(UTC))):
            time.sleep(0.2)  # the limiter is there before its first user, as in life
        began = datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=10)
        worker = threading.Thread(target=replay.run)
        worker.start()
        worker.join()
        time.sleep(8 * SCRAPE_MS / 1000)
        yield Replayed(replay, Api.at(url), Period(began, datetime.now(UTC).replace(microsecond=0)))


def test_the_bill_of_each_user_is_within_one_percent_of_the_ledger(
    replayed: Replayed, record_testsuite_property: Callable[[str, object], None]
) -> None:
    lines = {line.name: line for line in replayed.bill(By.USER).lines}
    raw = replayed.api.instant('sum by (user) (authorized_hits{model!=""})', _at(replayed.period.end))
    shown = {dict(labels)["user"]: samples[0].value for labels, samples in raw.items()}
    errors: dict[str, tuple[float, float]] = {}
    for user in USERS:
        ledger = sum(count for (who, _), count in replayed.replay.ledger.items() if who == user)
        errors[user] = (float(lines[user].tokens / ledger) - 1, float(shown[user] / ledger) - 1)
        assert lines[user].tokens <= ledger, "a bill must not be more than what was used"
    worst, worst_raw = (min(each[place] for each in errors.values()) for place in (0, 1))
    total = sum(line.tokens for line in lines.values())
    said = f"bill {total:,} of {TOKENS:,}: worst user {worst:.3%}; plain sum: worst user {worst_raw:.1%}"
    record_testsuite_property("bill", said)
    assert worst > -0.01, said
    assert worst_raw < -0.5, "the plain sum forgets what was before the last restart"
    # Each of three restarts hides at most what came within one scrape interval, with some room for a slow machine.
    assert total > TOKENS * (1 - 3 * 2 * SCRAPE_MS / 1000 / SECONDS)


def test_requests_429s_and_cost_follow_the_ledger(replayed: Replayed) -> None:
    made = replayed.bill(By.TIER)
    for line in made.lines:
        users = [user for user in USERS if USERS[user]["tier"] == line.name]
        ledger = {
            model: sum(count for (who, name), count in replayed.replay.ledger.items() if name == model and who in users)
            for model in REPLAYED.models
        }
        price = Decimal(str(TIERS[line.name][1]))
        cost = sum(count * price * REPLAYED.models[model].price_factor for model, count in ledger.items())
        assert cost * Decimal("0.99") < line.cost <= cost
        assert line.requests is not None
        assert line.limited is not None
        passed = sum(replayed.replay.passed[user] for user in users)
        assert passed * 0.99 < line.requests <= passed
        assert sum(replayed.replay.limited[user] for user in users) * 0.97 < line.limited


def test_the_bill_says_that_the_limiter_was_restarted_and_what_that_may_hide(replayed: Replayed) -> None:
    notes = " ".join(replayed.bill(By.USER).notes)
    assert "were reset" in notes
    assert "time between two scrapes" in notes
    assert "counted twice" not in notes


@pytest.mark.parametrize("by", By)
def test_every_format_has_the_same_figures(by: By, replayed: Replayed) -> None:
    made = replayed.bill(by)
    read = json.loads(FORMATS["json"](made))
    rows = FORMATS["csv"](made).splitlines()
    assert len(read["lines"]) == len(rows) - 1 == len(made.lines)
    assert sum(Decimal(line["cost"]) for line in read["lines"]) == Decimal(read["total"]["cost"]) == made.total.cost
    for line in made.lines:
        assert line.name in FORMATS["html"](made)
        assert f"{line.tokens:,.0f}" in FORMATS["table"](made)


def test_recorded_tokens_add_up_to_the_bill(replayed: Replayed) -> None:
    """As far as the rules were evaluated: with an evaluation each second, a busy machine leaves some out."""
    made, end = replayed.bill(By.USER).total.tokens, _at(replayed.period.end)
    window = int((replayed.period.end - replayed.period.start).total_seconds())
    [[recorded]] = replayed.api.instant(f"sum(sum_over_time(maas:tokens:increase1m[{window}s]))", end).values()
    [[evaluated]] = replayed.api.instant(f"max(count_over_time(maas:tokens:increase1m[{window}s]))", end).values()
    share = min(Decimal(1), evaluated.value / Decimal(int(SECONDS)))
    assert made * (share - Decimal("0.03")) < recorded.value < made * Decimal("1.01")


@pytest.mark.parametrize(("board", "panel", "expression"), QUERIES)
def test_a_panel_shows_data(board: str, panel: str, expression: str, replayed: Replayed) -> None:
    query = expression.replace("$__range", f"{int(SECONDS)}s").replace("$team", "search").replace("$user", ".*")
    found = replayed.api.instant(query, _at(replayed.period.end))
    assert found, f"{board}, {panel}: {query}"
    assert all(sample.value.is_finite() for samples in found.values() for sample in samples)


def _at(moment: datetime) -> Decimal:
    return Decimal(int(moment.timestamp()))
