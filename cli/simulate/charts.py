"""Charts of a simulation: requests that passed and that were refused, and tokens by tier, over time."""

import base64
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import jinja2
import matplotlib as mpl

from simulation.replay import BUCKET_SECONDS, Bucket, Result

mpl.use("Agg")  # draws into files; must be chosen before pyplot is imported

import matplotlib.pyplot as plt

_MOST_POINTS = 240
_METADATA = {".png": {"Software": None}, ".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
"""What would make the same simulation another file."""
_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{{ title }}</title>
<h1>{{ title }}</h1>
<img alt="{{ title }}" src="data:image/png;base64,{{ picture }}">
</html>
"""


def draw(path: Path, results: Mapping[str, Result]) -> None:
    """Draw results below each other into a .png, .svg, .pdf or .html file."""
    suffix = path.suffix.lower()
    figure = _figure(results)
    try:
        if suffix == ".html":
            picture = io.BytesIO()
            figure.savefig(picture, format="png", dpi=110, metadata=_METADATA[".png"])
            page = jinja2.Environment(autoescape=True).from_string(_PAGE)
            encoded = base64.b64encode(picture.getvalue()).decode()
            path.write_text(page.render(title=_title(results), picture=encoded), encoding="utf-8")
        else:
            figure.savefig(path, dpi=110, metadata=_METADATA[suffix])
    finally:
        plt.close(figure)


def series(result: Result) -> dict[str, list[Bucket]]:
    """The figures by tier, in as many equal steps as a chart has room for; the first is where the traffic begins."""
    first, last = int(result.began // BUCKET_SECONDS), int(result.ended // BUCKET_SECONDS)
    step = minutes_a_step(result)
    found: dict[str, list[Bucket]] = {}
    for tier, buckets in sorted(result.buckets.items()):
        points = found.setdefault(tier or "none", [Bucket() for _ in range((last - first) // step + 1)])
        for minute, bucket in buckets.items():
            point = points[(minute - first) // step]
            point.allowed += bucket.allowed
            point.refused += bucket.refused
            point.tokens += bucket.tokens
    return found


def minutes_a_step(result: Result) -> int:
    """How many minutes one point of a chart stands for."""
    minutes = int(result.ended // BUCKET_SECONDS) - int(result.began // BUCKET_SECONDS) + 1
    return -(-minutes // _MOST_POINTS)


def _figure(results: Mapping[str, Result]) -> Any:  # noqa: ANN401 - matplotlib's types are not strict
    # matplotlib has types, but not for everything that it passes on.
    figure, raw = cast("Any", plt).subplots(
        len(results), 2, figsize=(14, 4 * len(results)), squeeze=False, layout="constrained"
    )
    for row, (title, result) in zip(raw, results.items(), strict=True):
        _requests(row[0], title, result)
        _tokens(row[1], title, result)
    # The same scale for all, or a glance would mislead.
    for column in (0, 1):
        top = max(row[column].get_ylim()[1] for row in raw)
        for row in raw:
            row[column].set_ylim(0, top)
    return figure


def _requests(axes: Any, title: str, result: Result) -> None:  # noqa: ANN401 - as above
    tiers = series(result)
    passed = [sum(points) for points in zip(*[[each.allowed for each in tier] for tier in tiers.values()], strict=True)]
    refused = [
        sum(points) for points in zip(*[[each.refused for each in tier] for tier in tiers.values()], strict=True)
    ]
    step = minutes_a_step(result)
    times = [number * step for number in range(len(passed))]
    axes.stackplot(times, passed, refused, labels=["passed", "refused"], colors=["#4c9f70", "#c8553d"])
    _finished(axes, f"Requests, {title}", step)


def _tokens(axes: Any, title: str, result: Result) -> None:  # noqa: ANN401 - as above
    tiers, step = series(result), minutes_a_step(result)
    for tier, points in tiers.items():
        axes.plot([number * step for number in range(len(points))], [each.tokens for each in points], label=tier)
    _finished(axes, f"Tokens by tier, {title}", step)


def _finished(axes: Any, title: str, step: int) -> None:  # noqa: ANN401 - as above
    axes.set_title(title)
    axes.set_xlabel("minutes from the beginning")
    axes.set_ylabel("in a minute" if step == 1 else f"in {step} minutes")
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="upper right")


def _title(results: Mapping[str, Result]) -> str:
    return "Simulation: " + ", and ".join(results)
