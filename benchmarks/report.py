"""The figures of `./maas bench` as Markdown, JSON and a chart."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.measure import Measured
from benchmarks.suite import Results, median

BEGIN, END = "<!-- bench: begin -->", "<!-- bench: end -->"
_FLOOR = "bare program"


def markdown(results: Results) -> str:
    """The section for docs/performance.md."""
    lines = [BEGIN, *_where(results)]
    if results.operations:
        lines += ["", *_comparison(results)]
    if results.ready:
        lines += ["", *_ready(results)]
    for what, by_count in results.series.items():
        lines += ["", *_series(what, by_count)]
    if results.alone:
        lines += ["", "| without a cluster | seconds | processor | MiB |", "|---|---|---|---|"]
        lines += [
            f"| {name} | {each.seconds} | {each.processor_seconds} | {sum(each.memory.values())} |"
            for name, each in results.alone.items()
        ]
    return "\n".join([*lines, END]) + "\n"


def write(results: Results, folder: Path) -> list[Path]:
    """Write the files into a folder; in a performance.md that is there only what is between the marks changes."""
    folder.mkdir(parents=True, exist_ok=True)
    page, figures, picture = (folder / name for name in ("performance.md", "performance.json", "performance.svg"))
    section = markdown(results)
    text = page.read_text(encoding="utf-8") if page.is_file() else ""
    before, begun, rest = text.partition(BEGIN)
    _, ended, after = rest.partition(END + "\n")
    page.write_text(before + section + after if begun and ended else text + section, encoding="utf-8")
    figures.write_text(results.as_json() + "\n", encoding="utf-8")
    chart(results, picture)
    return [page, figures, picture]


def chart(results: Results, path: Path) -> None:
    """Processor time of each operation by side, and how it grows."""
    import matplotlib as mpl  # noqa: PLC0415 - slow to load

    mpl.use("Agg")
    mpl.rcParams["svg.hashsalt"] = "maas"  # the same figures give the same file
    from matplotlib import pyplot as plt  # noqa: PLC0415

    figure, (bars, growth) = plt.subplots(1, 2, figsize=(12, 4.5), layout="constrained")
    names = list(results.operations)
    sides = list(dict.fromkeys(side for each in results.operations.values() for side in each))
    for number, side in enumerate(sides):
        heights = [_processor(results.operations[name].get(side, [])) or 0.0 for name in names]
        places = [index + (number - (len(sides) - 1) / 2) * 0.8 / max(1, len(sides)) for index in range(len(names))]
        bars.bar(places, heights, 0.8 / max(1, len(sides)), label=side)
    bars.set_xticks(range(len(names)), names, rotation=30, ha="right")
    bars.set_ylabel("processor seconds")
    if names:
        bars.legend()
    for what, by_count in results.series.items():
        for name in ("up, all new", "preview, no change"):
            points = [(count, each[name].processor_seconds) for count, each in sorted(by_count.items()) if name in each]
            if points:
                growth.plot(*zip(*points, strict=True), marker="o", label=f"{name}, by {what}")
    growth.set(xscale="log", yscale="log", xlabel="models or users", ylabel="processor seconds")
    if growth.lines:
        growth.legend()
    figure.savefig(path, metadata={"Date": None})  # pyright: ignore[reportUnknownMemberType] - matplotlib's stubs
    plt.close(figure)


def _where(results: Results) -> list[str]:
    return [", ".join(f"{name} {value}" for name, value in results.machine.items()) + "."]


def _processor(runs: Sequence[Measured]) -> float | None:
    return median([each.processor_seconds for each in runs]) if runs else None


def _comparison(results: Results) -> list[str]:
    sides = list(dict.fromkeys(side for each in results.operations.values() for side in each))
    others = [side for side in sides if side != _FLOOR]
    heads = ["operation", f"{_FLOOR}: processor s, by the clock s"]
    heads += [f"{side}: processor s, by the clock s (ratios to the floor)" for side in others]
    lines = [f"Medians of {results.rounds} rounds.", "", f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for operation, by_side in results.operations.items():
        floor = by_side.get(_FLOOR, [])
        cells = [_figures(floor)]
        cells += [_figures(by_side[side], floor) if side in by_side else "" for side in others]
        lines.append(f"| {operation} | {' | '.join(cells)} |")
    peaks = {
        side: max(sum(each.memory.values()) for runs in results.operations.values() for each in runs.get(side, []))
        for side in sides
    }
    return [*lines, "", "Peak memory: " + ", ".join(f"{side} {size} MiB" for side, size in peaks.items()) + "."]


def _figures(runs: Sequence[Measured], floor: Sequence[Measured] = ()) -> str:
    if not runs:
        return ""
    processor, clock = median([each.processor_seconds for each in runs]), median([each.seconds for each in runs])
    text = f"{processor:.1f}, {clock:.1f}"
    if not floor:
        return text
    # Ratios within a round, so that what else the machine did is in both.
    pairs = list(zip(runs, floor, strict=False))
    by_processor = median([one.processor_seconds / other.processor_seconds for one, other in pairs])
    by_clock = median([one.seconds / other.seconds for one, other in pairs])
    return f"{text} (**{by_processor:.2f}**, {by_clock:.2f})"


def _ready(results: Results) -> list[str]:
    last = results.ready[-1]
    lines = ["| first `up` | seconds | to the longest chain |", "|---|---|---|"]
    chain = median([each.chain for each in results.ready])
    for name, values in {
        "the longest chain of objects that wait for each other": [each.chain for each in results.ready],
        "from the first object to the last": [each.seconds for each in results.ready],
        "whole command": [each.whole for each in results.ready],
        "one object after the other": [each.one_by_one for each in results.ready],
    }.items():
        lines.append(f"| {name} | {median(values):.1f} | {median(values) / chain:.2f} |")
    return [*lines, "", f"The longest chain: {' → '.join(last.along)}."]


def _series(what: str, by_count: Mapping[int, Mapping[str, Measured]]) -> list[str]:
    counts = sorted(by_count)
    lines = [f"| {what} | {' | '.join(str(each) for each in counts)} |", "|---" * (len(counts) + 1) + "|"]
    for name in by_count[counts[0]]:
        cells = [
            f"{each.processor_seconds:.1f} s, {each.seconds:.1f} s, {sum(each.memory.values())} MiB"
            for each in (by_count[count][name] for count in counts)
        ]
        lines.append(f"| {name}: processor, by the clock, memory | {' | '.join(cells)} |")
    return lines
