"""What rules need to know of a stack, as series: prices, limits, budgets, thresholds, models."""

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal

from components.observability.rules import RuleFile, Rules, record
from config.gateway import ISSUED
from config.observability import Budget, Thresholds
from config.routing import QuotaScope
from config.settings import Settings
from config.values import Allowance, Rate

_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_NO_ONE = "-"
"""A user id that none is: DNS labels do not begin with a dash."""


def values_files(settings: Settings) -> list[RuleFile]:
    """The files of rules that are different for each stack."""
    thresholds = settings.observability.thresholds
    files = [
        RuleFile("prices", "Tiers, prices, users, budgets of the stack.", "usage", [*_prices(settings)]),
        RuleFile("quotas", "What is used of limits, by window.", "usage", [*_quotas(settings, long=False)]),
        RuleFile(
            "long-quotas", "What is used of limits, by window.", "usage", [*_quotas(settings, long=True)], interval="5m"
        ),
        RuleFile(
            "thresholds",
            "From where on somebody is told.",
            "limiter",
            [*_thresholds(thresholds, "authentication_failure_ratio", "authentication_latency_seconds", "series")],
        ),
        RuleFile("catalogue", "The models of the stack.", "gateway", [*_models(settings)]),
    ]
    if settings.gateway.tls.mode in ISSUED:
        certificate = [
            *_thresholds(thresholds, "certificate_days"),
            _info("gateway_certificate", {"name": settings.gateway.certificate_secret}),
        ]
        files.append(RuleFile("certificate", "The stack's certificate.", "certificates", certificate))
    return [file for file in files if file.rules]


def _info(name: str, labels: Mapping[str, str], value: Decimal | float = 1) -> dict[str, object]:
    return record(f"maas:{name}:info", f"vector({_number(value)})", labels)


def _number(value: Decimal | float) -> str:
    return format(Decimal(str(value)), "f")


def _thresholds(thresholds: Thresholds, *names: str) -> Iterator[dict[str, object]]:
    for name in names:
        yield _info("threshold", {"name": name}, getattr(thresholds, name))


def _prices(settings: Settings) -> Iterator[dict[str, object]]:
    for name, tier in sorted(settings.tiers.items()):
        yield _info("tier_price", {"tier": name}, tier.price)
        yield _info("tier_limits", {"tier": name, "requests": "limited" if tier.limits_requests else "unlimited"})
    for name, model in sorted(settings.models.items()):
        yield _info("model_price_factor", {"model": settings.served_name(name)}, model.price_factor)
    for name, user in sorted(settings.users.items()):
        yield _info(
            "user",
            {"user": name, "tier": user.tier, "team": user.team or "none", "cost_centre": user.cost_centre or "none"},
        )
    yield from _thresholds(settings.observability.thresholds, "limited_ratio")
    for name, budget in sorted(settings.observability.budgets.items()):
        yield _info("budget_amount", {"budget": name}, budget.amount)
        spent = f"sum(maas:cost:increase1m{_scope(settings, budget)})"
        # Without anybody's tokens there is nothing to sum, and nothing was spent.
        yield record("maas:budget_spend:increase1m", f"{spent} or vector(0)", {"budget": name})


def _scope(settings: Settings, budget: Budget) -> str:
    if budget.team is not None:
        members = sorted(name for name, user in settings.users.items() if user.team == budget.team)
        return f'{{user=~"{"|".join(members) or _NO_ONE}"}}'
    if budget.cost_centre is not None:
        members = sorted(name for name, user in settings.users.items() if user.cost_centre == budget.cost_centre)
        return f'{{user=~"{"|".join(members) or _NO_ONE}"}}'
    for label in ("user", "tier"):
        value = getattr(budget, label)
        if value is not None:
            return f'{{{label}="{value}"}}'
    return f'{{model="{settings.served_name(budget.model)}"}}' if budget.model is not None else ""


def _quotas(settings: Settings, *, long: bool) -> Iterator[dict[str, object]]:
    """How much of each limit is used, over the last window.

    Limitador's windows are fixed and begin with the first hit; the last hour or day of the clock is an upper bound of
    what is in one. Where each model's route counts by itself, tokens are told apart by model; requests, whose model is
    not known when they are counted, are of all models together. Windows below a minute are too short to be seen.
    """
    apart = "user, tier" if settings.routing.quota is QuotaScope.ACROSS_MODELS else "user, tier, model"
    for name, tier in sorted(settings.tiers.items()):
        yield from _quota("requests", tier.requests, f'tier="{name}"', "user, tier", long=long)
        others = {settings.served_name(model): own.tokens for model, own in sorted(tier.models.items()) if own.tokens}
        besides = f', model!~"{"|".join(re.escape(each) for each in others)}"' if others else ""
        besides = besides.replace("\\", "\\\\")  # a string of PromQL, too, has escapes
        yield from _quota("tokens", tier.tokens, f'tier="{name}"{besides}', apart, long=long)
        for model, allowance in others.items():
            yield from _quota("tokens", allowance, f'tier="{name}", model="{model}"', "user, tier, model", long=long)


def _quota(limit: str, allowance: Allowance, of: str, apart: str, *, long: bool) -> Iterator[dict[str, object]]:
    for rate in allowance.rates:
        if rate.seconds >= _MINUTE and (rate.seconds >= _HOUR) is long:
            labels = {"limit": limit, "window": rate.window}
            expression = f"sum by ({apart}) ({_used(limit, of, rate)}) / {rate.limit}"
            yield record("maas:quota_used:ratio", expression, labels)


def _used(limit: str, of: str, rate: Rate) -> str:
    # A second less than the window: both ends of a range count, and the oldest minute would be one too many.
    if rate.seconds <= _DAY:
        return f"sum_over_time(maas:{limit}:increase1m{{{of}}}[{rate.seconds - 1}s])"
    return f"sum_over_time(maas:{limit}:increase1h{{{of}}}[{rate.seconds - 1}s:1h])"


def _models(settings: Settings) -> Iterator[dict[str, object]]:
    for name, model in sorted(settings.models.items()):
        labels = {"inference_service": name, "model": settings.served_name(name)}
        least = 0 if model.external else model.least_replicas
        yield _info("model_replicas", labels, least)
        if model.gpu is not None:
            yield _info("model_gpus", labels, model.gpu.count * max(least, 1))


def annotated(rules: Rules, runbooks: str) -> Rules:
    """Rules whose alerts say where the page for each is."""
    return [
        {**rule, "annotations": {**rule["annotations"], "runbook_url": f"{runbooks}#{rule['alert'].lower()}"}}
        if "alert" in rule
        else rule
        for rule in rules
    ]
