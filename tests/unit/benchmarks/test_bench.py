"""What `./maas bench` makes of its figures. The figures themselves are asserted nowhere."""

from pathlib import Path

from benchmarks.measure import Measured
from benchmarks.ready import longest, ready
from benchmarks.report import BEGIN, END, markdown, write
from benchmarks.suite import Results


def figures() -> Results:
    def runs(*seconds: float) -> list[Measured]:
        return [Measured(each, {"engine": each / 2}, {"engine": 100, "program": 50}) for each in seconds]

    return Results(
        machine={"processor": "2 x test"},
        rounds=3,
        operations={
            "preview, no change": {"maas": runs(3, 6, 60), "bare program": runs(2, 4, 8), "Helm": runs(1, 1, 1)}
        },
        series={"users": {10: {"preview": runs(1)[0]}, 100: {"preview": runs(2)[0]}}},
    )


def test_ratios_are_medians_of_ratios_within_a_round() -> None:
    line = next(line for line in markdown(figures()).splitlines() if line.startswith("| preview, no change"))
    # 3/2, 6/4 and 60/8: a round that something else disturbed does not count for more than one.
    assert line == "| preview, no change | 2.0, 4.0 | 3.0, 6.0 (**1.50**, 1.50) | 0.5, 1.0 (**0.25**, 0.25) |"


def test_a_page_keeps_what_is_around_the_figures_and_the_same_figures_give_the_same_files(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    page.write_text(f"# Before\n{BEGIN}\nold\n{END}\nafter\n")
    files = write(figures(), tmp_path)
    text = page.read_text()
    assert text.startswith(f"# Before\n{BEGIN}\n")
    assert text.endswith(f"{END}\nafter\n")
    assert "old" not in text
    assert "| users | 10 | 100 |" in text
    before = [each.read_bytes() for each in files]
    write(figures(), tmp_path)
    assert [each.read_bytes() for each in files] == before


def test_the_longest_chain_is_the_longest_in_time_and_not_in_members() -> None:
    waits = {"d": frozenset({"c"}), "c": frozenset({"b"}), "b": frozenset({"a"}), "z": frozenset({"a"})}
    assert longest({"a": 1, "b": 1, "c": 1, "d": 1, "z": 9}, waits) == (10, ("a", "z"))
    assert longest({}, {}) == (0, ())


def test_a_chain_goes_through_objects_that_took_no_time_of_their_own(tmp_path: Path) -> None:
    urn = "urn:pulumi:sandbox::maas::maas:x:X$kubernetes:core/v1:Secret::{}".format
    state = tmp_path / "state.json"
    state.write_text(
        '{"checkpoint": {"latest": {"resources": ['
        f'{{"urn": "{urn("a")}"}}, {{"urn": "{urn("b")}", "dependencies": ["{urn("a")}"]}},'
        f'{{"urn": "{urn("c")}", "propertyDependencies": {{"spec": ["{urn("b")}"]}}}}]}}}}}}'
    )
    steps = [{"urn": urn("a"), "began": 2, "seconds": 4}, {"urn": urn("c"), "began": 6.5, "seconds": 5}]
    summary = {"seconds": 12.0, "steps": steps}
    found = ready(summary, state, 13.0)
    assert (found.chain, found.seconds, found.one_by_one, found.whole) == (9.0, 9.5, 9.0, 13.0)
    assert found.along == ("Secret a", "Secret c")
