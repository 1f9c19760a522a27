"""The policy pack on this stack: how strict it is."""

from typing import Annotated

from pydantic import AfterValidator, Field

from config.model import Model
from config.problems import RefusalError, closest, one_of
from policy.rules.levels import RULES, Level


def _rule(value: str) -> str:
    if value not in RULES:
        raise RefusalError("no such rule", allowed=one_of(RULES), fix=closest(value, RULES))
    return value


class Policy(Model):
    """What the policy pack holds this stack to."""

    protected: bool = False
    """Callers depend on this stack: rules that are advice or off elsewhere are mandatory here, `./maas up` deploys
    nothing that breaks one, and `./maas destroy` refuses."""
    levels: dict[Annotated[str, AfterValidator(_rule)], Level] = Field(default_factory=dict)
    """Level of single rules on this stack, by name."""
