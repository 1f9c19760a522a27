"""The dashboards: as the code says, every query PromQL, nothing summed that a restart takes away."""

import json
import re
from typing import Any

import promql_parser
import pytest

from components.observability.rules import FILES
from components.observability.values import values_files
from dashboards.build import FOLDER, documents
from dashboards.content import BOARDS
from tests.rule_tests import TESTED

EXPRESSIONS = [
    (board.uid, panel.title, query.expression) for board in BOARDS for panel in board.panels for query in panel.queries
]
RECORDED = {rule["record"] for file in (*FILES, *values_files(TESTED)) for rule in file.rules if "record" in rule}


def filled_in(expression: str) -> str:
    """What Grafana makes of a query before it asks."""
    return expression.replace("$__range", "24h").replace("$team", "search|lab").replace("$user", ".*")


def test_the_json_is_what_the_code_says() -> None:
    assert {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.json")} == documents(), (
        "run: python -m dashboards.build"
    )


@pytest.mark.parametrize(("board", "panel", "expression"), EXPRESSIONS)
def test_a_query_is_promql_over_series_that_are_recorded(board: str, panel: str, expression: str) -> None:
    promql_parser.parse(filled_in(expression))
    assert set(re.findall(r"maas:\w+:\w+", expression)) <= RECORDED, f"{board}, {panel}"
    assert not re.search(r"authorized_hits|authorized_calls|limited_calls", expression), "a raw counter of Limitador"
    assert "kuadrant_" not in expression or "increase(" in expression, "a raw counter of the gateway's filter"


@pytest.mark.parametrize("text", documents().values(), ids=documents())
def test_a_dashboard_can_be_imported_anywhere(text: str) -> None:
    board: dict[str, Any] = json.loads(text)
    assert board["refresh"] == "30s"
    assert board.get("id") is None
    used = {panel["datasource"]["uid"] for panel in board["panels"]}
    assert used == {"${datasource}"}
    places = [panel["gridPos"] for panel in board["panels"]]
    squares = [
        (x, y)
        for place in places
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(squares) == len(set(squares)), "panels lie on one another"
    assert max(x for x, _ in squares) < 24
