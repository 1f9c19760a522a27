"""What the gateway's Envoy does around Kuadrant's filter, as our EnvoyFilter tells it: hosts before, answers after."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from enforcement.objects import World, fields_of, items_of


@dataclass(frozen=True)
class Edge:
    """The two things that an EnvoyFilter of this project does."""

    lower_case_host: bool = False
    answers: Mapping[int, tuple[str, str]] = field(default_factory=dict[int, tuple[str, str]])
    """Content type and body of what the gateway answers by itself, by status."""

    @classmethod
    def of(cls, world: World) -> "Edge":
        """Read the EnvoyFilters of a gateway; what others do there is left aside."""
        lower, answers = False, dict[int, tuple[str, str]]()
        for item in world.filters:
            for patch in items_of(item["spec"].get("configPatches")):
                value = fields_of(patch["patch"].get("value"))
                typed = fields_of(value.get("typed_config"))
                script = str(fields_of(typed.get("default_source_code")).get("inline_string", ""))
                lower = lower or ("string.lower(host)" in script and ":authority" in script)
                for mapper in items_of(fields_of(typed.get("local_reply_config")).get("mappers")):
                    answers |= _answer(mapper)
        return cls(lower, answers)


def _answer(mapper: Mapping[str, Any]) -> dict[int, tuple[str, str]]:
    status = mapper["filter"]["status_code_filter"]["comparison"]["value"]["default_value"]
    shape = mapper["body_format_override"]
    return {int(status): (str(shape["content_type"]), str(shape["text_format_source"]["inline_string"]))}
