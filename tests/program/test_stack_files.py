"""Stack files at random: what is valid works, and what is not is refused in words. More: `python -m tests.fuzz`."""

from typing import Any

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tests.fuzz import rules
from tests.stackfiles import layouts, spoilt, stacks

_SPOILT_FOR_EACH = 18


@settings(max_examples=8, phases=[Phase.generate])
@given(sections=stacks(), data=st.data())
def test_whatever_users_write_it_works_or_is_refused_with_its_place(
    sections: dict[str, Any], data: st.DataObject
) -> None:
    unspoilt, _ = rules.accepted(data.draw(layouts(sections)))
    for _ in range(_SPOILT_FOR_EACH):
        rules.refused_or_sound(data.draw(spoilt(sections)), unspoilt)
