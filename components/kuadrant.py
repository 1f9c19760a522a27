"""The Kuadrant layer: the Kuadrant object, and its services where the stack wants them to differ from its own."""

from collections.abc import Sequence
from typing import Any

import pulumi

from components.layer import FORCE, Layer, Site, wait_for
from components.objects import CustomResource, CustomResourcePatch, PodDisruptionBudget
from components.redis import REDIS, managed_redis
from config.limiter import Limiter
from config.observability import Observability
from config.platform import Authorino

KUADRANT = "kuadrant"
LIMITADOR = "limitador"
AUTHORINO = "authorino"
LIMITADOR_PODS = {"app": "limitador", "limitador-resource": "limitador"}
AUTHORINO_PODS = {"authorino-resource": "authorino", "control-plane": "controller-manager"}
"""Labels of the pods that Kuadrant's operators make. The operators' own pods have other values."""
ONE_AT_A_TIME = {"maxUnavailable": 1}
"""A disruption budget of what has several replicas. One replica has none: no node could ever be drained."""
# Limitador's own when nothing is said; the operator takes its defaults whole or not at all.
_CPU_REQUEST, _CPU_LIMIT = "250m", "500m"


def limitador_spec(limiter: Limiter) -> dict[str, Any]:
    """What we set on Kuadrant's Limitador object; its other fields stay Kuadrant's."""
    spec: dict[str, Any] = {"replicas": limiter.replicas}
    if limiter.storage == "redis":
        spec["storage"] = {"redis": {"configSecretRef": {"name": limiter.redis_secret or REDIS}}}
    if limiter.replicas > 1:
        spec["pdb"] = dict(ONE_AT_A_TIME)
    if limiter.memory:
        spec["resourceRequirements"] = {
            "requests": {"cpu": _CPU_REQUEST, "memory": limiter.memory},
            "limits": {"cpu": _CPU_LIMIT, "memory": limiter.memory},
        }
    if limiter.telemetry != "basic":
        spec["telemetry"] = limiter.telemetry
    if limiter.rate_limit_headers:
        spec["rateLimitHeaders"] = "DRAFT_VERSION_03"
    return spec


def kuadrant_spec(observability: Observability) -> dict[str, Any]:
    """What the Kuadrant object says: whether Kuadrant makes monitors of its own."""
    own = observability.monitors and observability.kuadrant_monitors == "kuadrant"
    return {"observability": {"enable": True}} if own else {}


def authorino_spec(authorino: Authorino) -> dict[str, Any]:
    """What we set on Kuadrant's Authorino object; its other fields stay Kuadrant's."""
    return {"replicas": authorino.replicas}


def authorino_budget_spec() -> dict[str, Any]:
    """Body of Authorino's PodDisruptionBudget (policy/v1)."""
    return {**ONE_AT_A_TIME, "selector": {"matchLabels": dict(AUTHORINO_PODS)}}


class Kuadrant(Layer):
    """Kuadrant, ready, with its limiter as the stack says."""

    def __init__(self, site: Site, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("kuadrant", site, opts)
        operator, within = site.settings.platform.kuadrant, site.settings.timeouts.kuadrant
        ready: list[pulumi.Resource] = []
        if operator.instance == "managed":
            instance = CustomResource(
                KUADRANT,
                api_version="kuadrant.io/v1beta1",
                kind="Kuadrant",
                metadata=self.metadata(KUADRANT, operator.namespace, annotations=wait_for("condition=Ready")),
                spec=kuadrant_spec(site.settings.observability),
                opts=self.options(ready_within=within),
            )
            ready.append(instance)
        limiter, authorino = site.settings.limiter, operator.authorino
        if not limiter.is_default:
            store = [managed_redis(self, limiter.redis)] if limiter.redis else []
            spec = limitador_spec(limiter)
            self._patch(LIMITADOR, "limitador.kuadrant.io/v1alpha1", "Limitador", spec, [*ready, *store])
        if authorino != Authorino():
            api_version = "operator.authorino.kuadrant.io/v1beta1"
            self._patch(AUTHORINO, api_version, "Authorino", authorino_spec(authorino), ready)
        if authorino.replicas > 1:
            # Authorino's operator makes none; Limitador's does, when it is told to.
            PodDisruptionBudget(
                AUTHORINO,
                metadata=self.metadata(AUTHORINO, operator.namespace),
                spec=authorino_budget_spec(),
                opts=self.options(),
            )
        self.register_outputs({})

    def _patch(
        self, name: str, api_version: str, kind: str, spec: dict[str, Any], ready: Sequence[pulumi.Resource]
    ) -> None:
        CustomResourcePatch(
            name,
            api_version=api_version,
            kind=kind,
            metadata={
                "name": name,
                "namespace": self.settings.platform.kuadrant.namespace,
                # Kuadrant made the object and may have set the same fields.
                "annotations": {**FORCE, **wait_for("condition=Ready")},
            },
            spec=spec,
            opts=self.options(depends_on=ready, ready_within=self.settings.timeouts.kuadrant),
        )
