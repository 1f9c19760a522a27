"""Many stack files: `python -m tests.fuzz --examples 100000`.

Works in rounds, each with its own seed, and says after each how far it is. A failure is shown with the smallest file
that still fails; `--keep-going` says what failed in a line and goes on: `--seed` of that round shows the file.
"""

import argparse
import sys
import time
import traceback
from collections import Counter

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.fuzz import rules
from tests.stackfiles import layouts, spoilt, stacks

_SPOILT_FOR_EACH = 9
"""Files with something wrong for each that has to work: those are quick."""
_IN_A_ROUND = 20
"""Files that have to work."""
_LONGEST = 500


def main() -> int:
    """Try as many as are asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--examples", type=int, default=1000, help="how many stack files (1000)")
    parser.add_argument("--seed", type=int, default=0, help="of the first round (0)")
    parser.add_argument("--keep-going", action="store_true", help="do not stop at the first failure")
    chosen = parser.parse_args()
    done: Counter[str] = Counter()
    failures, began, number = 0, time.monotonic(), chosen.seed
    while done["files"] < chosen.examples:
        try:
            _round(number, done, shrink=not chosen.keep_going)
        except Exception as error:
            failures += 1
            if not chosen.keep_going:
                raise
            place = traceback.extract_tb(error.__traceback__)[-1]
            said = f"{type(error).__name__}: {error}".replace("\n", " ")[:_LONGEST]
            print(f"round {number} failed at {place.filename}:{place.lineno}: {said}", flush=True)  # noqa: T201
        number += 1
        print(  # noqa: T201
            f"{done['files']} of {chosen.examples} files, {done['accepted']} of them deployed on paper, "
            f"{done['refused']} refused, {failures} rounds failed; {time.monotonic() - began:.0f} s",
            flush=True,
        )
    return 1 if failures else 0


def _round(number: int, done: Counter[str], *, shrink: bool) -> None:
    @seed(number)
    @settings(
        max_examples=_IN_A_ROUND,
        deadline=None,
        database=None,
        suppress_health_check=(HealthCheck.too_slow, HealthCheck.data_too_large),
        phases=(Phase.generate, Phase.shrink) if shrink else (Phase.generate,),
    )
    @given(sections=stacks(), data=st.data())
    def every_rule_holds(sections: dict[str, object], data: st.DataObject) -> None:
        done["files"] += 1
        unspoilt, _ = rules.accepted(data.draw(layouts(sections)))
        done["accepted"] += 1
        for _ in range(_SPOILT_FOR_EACH):
            other = data.draw(spoilt(sections))
            done["files"] += 1
            done["refused"] += rules.refused_or_sound(other, unspoilt)

    every_rule_holds()


if __name__ == "__main__":
    sys.exit(main())
