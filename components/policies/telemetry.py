"""The TelemetryPolicy: what is counted about a request."""

from collections.abc import Mapping
from typing import Any

from config.observability import TelemetryLabels


def telemetry_spec(target: Mapping[str, str], chosen: TelemetryLabels) -> dict[str, Any]:
    """Body of the TelemetryPolicy (extensions.kuadrant.io/v1alpha1): labels on Limitador's counters.

    One label that cannot be evaluated can take all others with it, so each looks first whether its value is there.
    `model` is known only from the answer, so it is on token counts alone: that is what tells them from request counts.
    """
    every = {
        "user": (chosen.user, _known("userid")),
        "tier": (chosen.tier, _known("tier")),
        "team": (chosen.team, _known("team")),
        "cost_centre": (chosen.cost_centre, _known("costCentre")),
        "model": (chosen.model, 'responseBodyJSON("/model")'),
    }
    return {
        "targetRef": dict(target),
        "metrics": {"default": {"labels": {name: expression for name, (on, expression) in every.items() if on}}},
    }


def _known(name: str) -> str:
    return f'has(auth.identity.{name}) ? auth.identity.{name} : ""'
