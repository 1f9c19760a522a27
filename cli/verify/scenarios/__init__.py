"""Every scenario, in the order in which they are shown."""

from cli.verify.scenario import Scenario
from cli.verify.scenarios import answers, credentials, disruption, isolation, limits, reach, tricks, usage

SCENARIOS: tuple[Scenario, ...] = (
    *reach.SCENARIOS,
    *credentials.SCENARIOS,
    *answers.SCENARIOS,
    *limits.SCENARIOS,
    *tricks.SCENARIOS,
    *isolation.SCENARIOS,
    *usage.SCENARIOS,
    *disruption.SCENARIOS,
)
