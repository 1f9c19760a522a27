"""The page of the dashboards: every panel is on it, figures are readable, names cannot be markup."""

from decimal import Decimal

import pytest

from cli.bill.api import Api, Labels, Sample
from cli.dashboard.command import serve
from cli.dashboard.page import Span, page, shown
from cli.exits import MaasError
from dashboards.content import BOARDS, Board
from sandbox.replay import faster

SPAN = Span(Decimal(1000), 600)
WHO: Labels = (("tier", "<b>free</b>"), ("user", "alice"))


class Always(Api):
    """An API that has something for every query."""

    def instant(self, expression: str, time: Decimal) -> dict[Labels, list[Sample]]:
        assert "$" not in expression
        return {WHO: [Sample(time, Decimal(1234))]}

    def range(self, expression: str, start: Decimal, end: Decimal, step: int) -> dict[Labels, list[Sample]]:
        assert "$" not in expression
        assert step >= 1
        return {WHO: [Sample(start, Decimal(1)), Sample(end, Decimal("NaN"))]}


class Nothing(Always):
    """An API that has nothing."""

    def instant(self, expression: str, time: Decimal) -> dict[Labels, list[Sample]]:
        del expression, time
        return {}

    def range(self, expression: str, start: Decimal, end: Decimal, step: int) -> dict[Labels, list[Sample]]:
        del expression, start, end, step
        return {}


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: str(board.uid))
def test_a_page_has_every_panel_and_names_are_no_markup(board: Board) -> None:
    text = page(board, Always("http://127.0.0.1"), SPAN, 5)
    assert text.count("<section") == len(board.panels)
    assert "No data yet" not in text
    assert "<b>free</b>" not in text
    assert page(board, Nothing("http://127.0.0.1"), SPAN, 5).count("No data yet") == len(board.panels)


class Undefined(Nothing):
    """An API whose values are none: nought by nought."""

    def instant(self, expression: str, time: Decimal) -> dict[Labels, list[Sample]]:
        del expression
        return {WHO: [Sample(time, Decimal("NaN"))], (): [Sample(time, Decimal("NaN"))]}


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: str(board.uid))
def test_a_value_that_is_none_is_no_data(board: Board) -> None:
    assert page(board, Undefined("http://127.0.0.1"), SPAN, 5).count("No data yet") == len(board.panels)


@pytest.mark.parametrize("port", [-1, 99999])
def test_a_port_that_is_none_is_refused(port: int) -> None:
    with pytest.raises(MaasError, match="0 to 65535"):
        serve(Nothing("http://127.0.0.1"), port, lambda _: None)


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        ("0.256", "percentunit", "25.6%"),
        ("1234567", "short", "1,234,567"),
        ("0.0421", "s", "0.042 s"),
        ("12.345", "reqps", "12.34/s"),
        ("NaN", "short", "-"),
    ],
)
def test_figures_are_short(value: str, unit: str, text: str) -> None:
    assert shown(Decimal(value), unit) == text


def test_rules_for_a_faster_clock_keep_their_names() -> None:
    rule = "- interval: 1m\n  record: maas:tokens:increase1m\n  expr: sum_over_time(x:increase1m[59m59s]) + y offset 1m"
    assert faster(rule).splitlines() == [
        "- interval: 1000ms",
        "  record: maas:tokens:increase1m",
        "  expr: sum_over_time(x:increase1m[59983ms]) + y offset 1000ms",
    ]
