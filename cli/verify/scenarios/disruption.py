"""What happens without a limiter."""

from cli.verify.scenario import (
    FAILED_CLOSED,
    OK,
    Bench,
    BlockedError,
    Case,
    Cost,
    ExpectationError,
    Need,
    Phase,
    Scenario,
    expect,
    limiter_stopped,
)

GROUP = "disruption"


async def limiter_down(bench: Bench, _: object) -> str:
    """Nobody is served without limits, unless the stack says so; and all is as before when the limiter is back."""
    limiter = bench.means.limiter
    assert limiter is not None  # noqa: S101 - needed
    caller, open_ = await bench.caller(), bench.facts.settings.limiter.fail_open
    before = await bench.chat(caller)
    if before.status != OK:
        raise BlockedError(f"a user gets {before.words} before the limiter is stopped")
    wanted = OK if open_ else FAILED_CLOSED
    async with limiter_stopped(limiter):
        last = await bench.until(lambda: bench.chat(caller), lambda reply: reply.status == wanted, limiter.patience)
        if last is not None:
            raise ExpectationError(f"{wanted} while there is no limiter", last.words, last.id)
    last = await bench.until(lambda: bench.chat(caller), lambda reply: reply.status == OK, limiter.patience)
    if last is not None:
        raise ExpectationError("200 once the limiter is back", last.words, last.id)
    expect(await bench.ask(caller), OK, "for the list of models, once the limiter is back")
    return "passes, as the stack says (failOpen)" if open_ else "500 while there is no limiter"


SCENARIOS = (
    Scenario(
        "limiter-down",
        GROUP,
        "Without the limiter nobody is served, unless the stack says so.",
        limiter_down,
        Phase.ALONE,
        frozenset({Need.DISRUPTION}),
        "stops Limitador for all callers, and starts it again: counters in memory are lost",
        cases=lambda _facts: [Case(cost=Cost(60, 600, 30))],
        hint="RATELIMIT_CHECK_SERVICE_FAILURE_MODE of Kuadrant's operator is allow: platform.kuadrant.environment",
    ),
)
