"""Makes the JSON of the dashboards: `python -m dashboards.build` writes this folder's files anew.

Grafana imports them as they are: the data source is a variable of each dashboard.
"""

from pathlib import Path

from grafana_foundation_sdk.builders import bargauge, dashboard, prometheus, stat, table, timeseries
from grafana_foundation_sdk.builders.common import ReduceDataOptions, StackingConfig
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import BigValueGraphMode, StackingMode, VizOrientation
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DataSourceRef,
    DataTransformerConfig,
    GridPos,
    VariableRefresh,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from dashboards.content import BOARDS, Board, Panel, Variable

FOLDER = Path(__file__).parent
_SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
_COLUMNS = 24
_HEIGHTS = {"number": 4, "lines": 8, "bars": 8, "table": 8}
_LETTERS = "ABCDEFGH"
_Visual = stat.Panel | timeseries.Panel | bargauge.Panel | table.Panel


def documents() -> dict[str, str]:
    """Every file by its name."""
    return {f"{board.uid.removeprefix('maas-')}.json": document(board) for board in BOARDS}


def document(board: Board) -> str:
    """One dashboard as JSON."""
    builder = (
        dashboard.Dashboard(board.title)
        .uid(board.uid)
        .description(board.about)
        .tags(["maas"])
        .refresh("30s")
        .time(board.since, "now")
        .timezone("browser")
        .editable()
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .with_variable(dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus"))
    )
    for variable in board.variables:
        builder.with_variable(_variable(variable))
    x = y = row = 0
    for number, panel in enumerate(board.panels, start=1):
        if x + panel.width > _COLUMNS:
            x, y, row = 0, y + row, 0
        height = _HEIGHTS[panel.kind]
        place = GridPos(h=height, w=panel.width, x=x, y=y)
        builder.with_panel(_visual(panel).id(number).grid_pos(place))
        x, row = x + panel.width, max(row, height)
    return JSONEncoder(sort_keys=True, indent=2).encode(builder.build()) + "\n"


def _variable(variable: Variable) -> dashboard.QueryVariable:
    return (
        dashboard.QueryVariable(variable.name)
        .label(variable.name.capitalize())
        .datasource(_SOURCE)
        .query(variable.query)
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .multi(True)  # noqa: FBT003 - the SDK's own way
        .include_all(True)  # noqa: FBT003
        .all_value(".*")
    )


def _visual(panel: Panel) -> _Visual:
    visual: _Visual
    match panel.kind:
        case "number":
            last = ReduceDataOptions().calcs(["lastNotNull"])
            visual = stat.Panel().reduce_options(last).graph_mode(BigValueGraphMode.NONE)
        case "bars":
            last = ReduceDataOptions().calcs(["lastNotNull"])
            visual = bargauge.Panel().reduce_options(last).orientation(VizOrientation.HORIZONTAL).min(0)
        case "table":
            hidden = {"excludeByName": {"Time": True}}
            visual = table.Panel().with_transformation(DataTransformerConfig(id_val="organize", options=hidden))
        case _:
            visual = timeseries.Panel().min(0).fill_opacity(10)
            if panel.stacked:
                visual.stacking(StackingConfig().mode(StackingMode.NORMAL))
    visual.title(panel.title).description(panel.about).unit(panel.unit).datasource(_SOURCE)
    for letter, query in zip(_LETTERS, panel.queries, strict=False):
        target = prometheus.Dataquery().expr(query.expression).ref_id(letter).datasource(_SOURCE)
        target = target.instant() if panel.instant else target.range()
        if query.legend:
            target.legend_format(query.legend)
        if panel.kind == "table":
            target.format(PromQueryFormat.TABLE)
        visual.with_target(target)
    return visual


def main() -> None:
    """Write the files."""
    for old in FOLDER.glob("*.json"):
        old.unlink()
    for name, text in documents().items():
        (FOLDER / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
