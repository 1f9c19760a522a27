"""What the gateway's filter asks Limitador: which limits a request falls under, and which counters those are."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from enforcement.counters import Counter
from enforcement.effective import Effective
from enforcement.expressions import FilterContext, filter_expression
from enforcement.objects import items_of, name_of, namespace_of

_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_PART = re.compile(r"([0-9]{1,5})(h|ms|m|s)")


def window_seconds(window: str) -> int:
    """Seconds of a window; fractions are cut off, as Kuadrant's operator does.

    Raises:
        ValueError: the API server would not have accepted it.
    """
    return int(duration_seconds(window))


def duration_seconds(text: str) -> float:
    """Seconds of a duration as the Gateway API writes it (GEP-2257), which is the form of windows too.

    Raises:
        ValueError: the API server would not have accepted it.
    """
    if not re.fullmatch(r"([0-9]{1,5}(h|m|s|ms)){1,4}", text):
        raise ValueError(f"not a window: {text}")
    return sum(int(number) * _UNITS[unit] for number, unit in _PART.findall(text))


@dataclass(frozen=True)
class Limit:
    """One limit of an effective policy on one route."""

    name: str
    identifier: str
    """What conditions are known by to Limitador: the policy and the limit, whatever their figures."""
    rates: tuple[tuple[int, int], ...]
    """Maximum and seconds."""
    predicates: tuple[str, ...]
    variables: tuple[str, ...]

    @property
    def needs_auth(self) -> bool:
        """Whether it is evaluated after Authorino has answered. Kuadrant looks for these letters, wherever they are."""
        return any("auth." in each for each in (*self.predicates, *self.variables))

    @property
    def is_invalid_without_auth(self) -> bool:
        """Whether Kuadrant drops it where no AuthPolicy is in effect; it looks at conditions only."""
        return any("auth." in each for each in self.predicates)

    @property
    def waits_for_the_answer(self) -> bool:
        """Whether a condition reads the answer, which no request can meet (kuadrant-operator issue 2145)."""
        return any("responseBodyJSON(" in each for each in self.predicates)

    def applies(self, context: FilterContext) -> bool:
        """Whether the request falls under it.

        Raises:
            EvaluationError: a predicate cannot be evaluated; the filter's failure mode decides then.
        """
        return all(filter_expression(each).holds(context) for each in self.predicates)

    def counters(self, namespace: str, context: FilterContext) -> list[Counter]:
        """The counters that a hit of this request is counted on, one for each rate.

        Raises:
            EvaluationError: a variable cannot be evaluated.
        """
        return self.with_values(
            namespace, {each: str(filter_expression(f"string({each})").value(context)) for each in self.variables}
        )

    def with_values(self, namespace: str, values: Mapping[str, str]) -> list[Counter]:
        """The counters of these values, by expression."""
        variables = tuple((each, values[each]) for each in sorted(set(self.variables)))
        return distinct(
            Counter(namespace, seconds, (self.identifier,), variables, maximum, self.name)
            for maximum, seconds in self.rates
        )


def distinct(counters: Iterable[Counter]) -> list[Counter]:
    """The counters without those whose identity an earlier one has.

    Limitador keeps its limits as a set by identity: of two rates with one window the first holds, and is counted once.
    """
    found: dict[tuple[object, ...], Counter] = {}
    for each in counters:
        found.setdefault(each.key, each)
    return list(found.values())


def limits_of(policy: Effective) -> list[Limit]:
    """The limits of an effective RateLimitPolicy or TokenRateLimitPolicy, sorted by name."""
    return [_limit(name, rule, policy.sources[f"limits/{name}"]) for name, rule in policy.section("limits").items()]


def _limit(name: str, rule: Mapping[str, Any], source: Mapping[str, Any]) -> Limit:
    kind = "tokenlimit" if source["kind"] == "TokenRateLimitPolicy" else "limit"
    return Limit(
        name=name,
        identifier=f"{kind}.{namespace_of(source)}/{name_of(source)}/{name}",
        rates=tuple(
            (max(0, int(rate["limit"])), window_seconds(str(rate["window"]))) for rate in items_of(rule.get("rates"))
        ),
        predicates=tuple(str(each["predicate"]) for each in items_of(rule.get("when"))),
        variables=tuple(str(each["expression"]) for each in items_of(rule.get("counters"))),
    )
