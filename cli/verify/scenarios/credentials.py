"""Who gets in, and who does not."""

import time
from collections.abc import Iterator
from datetime import timedelta

from cli.verify.client import NOBODY, Caller, Reply
from cli.verify.facts import Facts
from cli.verify.scenario import (
    FORBIDDEN,
    OK,
    UNAUTHORIZED,
    Bench,
    Case,
    Cost,
    ExpectationError,
    Need,
    Scenario,
    SkippedError,
    expect,
)
from components.policies.identities import EXPIRED

GROUP = "credentials"
_STRANGER = "maas-verify-none"
"""Neither a tier nor a model of any stack."""


def _each_model(facts: Facts) -> Iterator[Case]:
    for model in facts.models:
        yield Case(model, Cost(2, 20), model)


async def no_key(bench: Bench, model: str) -> None:
    """Nobody gets an answer; the list of models is told where the stack says so."""
    expect(await bench.chat(NOBODY, 1, model), UNAUTHORIZED, "without a key")
    if "models" not in bench.facts.settings.identity.anonymous:
        expect(await bench.ask(NOBODY, model=model), UNAUTHORIZED, "for the list of models without a key")


async def bad_key(bench: Bench, _: object) -> None:
    """A key of nobody's, and a good one that is not quite right."""
    guess = Caller("a guess", "maas-guess-guess-guess-guess-guess-guess-guess")
    expect(await bench.chat(guess), UNAUTHORIZED, "with a key that nobody has")
    known = await bench.caller()
    expect(await bench.ask(known), OK, "with a good key")
    for what, key in (("a key that lacks its end", known.key[:-1]), ("a key with more at its end", known.key + "x")):
        expect(await bench.chat(Caller(what, key)), UNAUTHORIZED, f"with {what}")


async def expired_key(bench: Bench, _: object) -> None:
    """A key that ended a minute ago."""
    tier = _some_tier(bench)
    expect(
        await bench.chat(await bench.user(tier, expires_in=timedelta(minutes=-1))),
        FORBIDDEN,
        "with an expired key",
        EXPIRED,
    )


async def revoked_key(bench: Bench, _: object) -> str:
    """A key that was good, from when its Secret is deleted."""
    caller = await bench.user(_some_tier(bench))
    expect(await bench.ask(caller), OK, "with a new key")
    await bench.revoke(caller)
    began = time.monotonic()

    async def ask() -> Reply:
        return await bench.ask(caller)

    within = bench.means.accepted_within
    last = await bench.until(ask, lambda reply: reply.status == UNAUTHORIZED, within)
    if last is not None:
        wanted = f"401 with a key whose Secret was deleted {within:g} s before"
        raise ExpectationError(wanted, last.words, last.id)
    return f"refused {time.monotonic() - began:.1f} s after its Secret was deleted"


async def no_tier(bench: Bench, _: object) -> None:
    """A user of a tier that the stack does not have is not unlimited, but refused."""
    expect(
        await bench.chat(await bench.user(_STRANGER)),
        FORBIDDEN,
        "for a user of no tier",
        bench.facts.code("has-a-tier"),
    )


async def wrong_tier(bench: Bench, subject: tuple[str, str]) -> None:
    """A tier that a model is not offered to."""
    tier, model = subject
    code = bench.facts.code("model-is-for-the-tier")
    expect(await bench.chat(await bench.caller(model, tier), 1, model), FORBIDDEN, f"for tier {tier}", code)


async def wrong_model(bench: Bench, _: object) -> None:
    """A user who may call other models only."""
    caller = await bench.user(_some_tier(bench), models=[_STRANGER])
    code = bench.facts.code("user-may-call-the-model")
    expect(await bench.chat(caller), FORBIDDEN, "for a user who may not call this model", code)


def _each_wrong_tier(facts: Facts) -> Iterator[Case]:
    found = [(tier, model) for model in facts.models for tier in facts.tiers if not facts.may_call(tier, model)]
    yield from (Case(f"{tier} on {model}", Cost(4, 20), (tier, model)) for tier, model in found)
    if not found:
        yield Case(skip="every model is offered to every tier")


def _some_tier(bench: Bench) -> str:
    tier = bench.facts.tier_for(bench.model)
    if tier is None:
        raise SkippedError(f"no tier may call {bench.model}")
    return tier


_USERS = frozenset({Need.USERS})
_POLICY = "the AuthPolicy on the cluster is not the stack's (./maas refresh), or is not enforced"
SCENARIOS = (
    Scenario("no-key", GROUP, "Without a key nobody gets an answer.", no_key, cases=_each_model, hint=_POLICY),
    Scenario("bad-key", GROUP, "Keys that nobody has are refused.", bad_key, hint=_POLICY),
    Scenario(
        "expired-key", GROUP, "A key that has ended is refused, and told so.", expired_key, needs=_USERS, hint=_POLICY
    ),
    Scenario(
        "revoked-key",
        GROUP,
        "A new key is accepted, and refused soon after its Secret is deleted.",
        revoked_key,
        needs=_USERS,
        cases=lambda _facts: [Case(cost=Cost(25))],
        hint="Authorino does not see changes of Secrets: its pods, its label selector, its rights",
    ),
    Scenario("no-tier", GROUP, "A user of no tier is refused.", no_tier, needs=_USERS, hint=_POLICY),
    Scenario(
        "wrong-tier",
        GROUP,
        "A tier that a model is not offered to is refused.",
        wrong_tier,
        needs=_USERS,
        cases=_each_wrong_tier,
        hint=_POLICY,
    ),
    Scenario(
        "wrong-model",
        GROUP,
        "A user who may call other models only is refused.",
        wrong_model,
        needs=_USERS,
        hint=_POLICY,
    ),
)
