"""The Kuadrant layer: the Kuadrant object, and Limitador where the stack wants it other than Kuadrant makes it."""

from typing import Any

import pulumi
from pulumi_kubernetes.apiextensions import CustomResource, CustomResourcePatch

from components.layer import Layer, Site, wait_for
from config.limiter import Limiter

KUADRANT = "kuadrant"
LIMITADOR = "limitador"


def limitador_spec(limiter: Limiter) -> dict[str, Any]:
    """What we set on Kuadrant's Limitador object; its other fields stay Kuadrant's."""
    spec: dict[str, Any] = {"replicas": limiter.replicas}
    if limiter.storage == "redis":
        spec["storage"] = {"redis": {"configSecretRef": {"name": limiter.redis_secret}}}
    return spec


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
                spec={},
                opts=self.options(ready_within=within),
            )
            ready.append(instance)
        if not site.settings.limiter.is_default:
            CustomResourcePatch(
                LIMITADOR,
                api_version="limitador.kuadrant.io/v1alpha1",
                kind="Limitador",
                metadata={
                    "name": LIMITADOR,
                    "namespace": operator.namespace,
                    # Kuadrant made the object and may have set the same fields.
                    "annotations": {"pulumi.com/patchForce": "true", **wait_for("condition=Ready")},
                },
                spec=limitador_spec(site.settings.limiter),
                opts=self.options(depends_on=ready, ready_within=within),
            )
        self.register_outputs({})
