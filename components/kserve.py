"""The KServe layer: raw deployments behind our Gateway, and a controller that has read so."""

import json
from collections.abc import Mapping

import pulumi

from components.layer import FORCE, PREFIX, Layer, Site, short_hash
from components.objects import ConfigMapPatch, DeploymentPatch
from config.platform import Install
from config.settings import Settings

CONFIG_MAP = "inferenceservice-config"
CONTROLLER = "kserve-controller-manager"
_RESTART_ANNOTATION = f"{PREFIX}/settings-hash"


def inferenceservice_settings(settings: Settings) -> dict[str, str]:
    """Our keys of KServe's ConfigMap (0.15): JSON text by key. Keys that are not here stay as they are."""
    gateway = f"{settings.platform.namespace}/{settings.gateway.name}"
    return {
        "deploy": _json({"defaultDeploymentMode": "RawDeployment"}),
        "ingress": _json(
            {
                "enableGatewayApi": True,
                "kserveIngressGateway": gateway,
                # Required by the controller's own check although raw deployments never use it.
                "ingressGateway": "knative-serving/knative-ingress-gateway",
                "ingressDomain": settings.domain,
                "disableIstioVirtualHost": True,
            }
        ),
    }


def settings_hash(values: Mapping[str, str]) -> str:
    """Changes when, and only when, a setting changes."""
    return short_hash(_json(dict(values)))


def _json(value: object) -> str:
    return json.dumps(value, sort_keys=True)


class KServe(Layer):
    """The settings of a KServe that was there before. They are merged into its own, and stay when the stack goes.

    A KServe of ours has them from its chart's values (components/operators/values.py).
    """

    def __init__(self, site: Site, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("kserve", site, opts)
        kserve = site.settings.platform.kserve
        if kserve.configure and kserve.install is Install.PREINSTALLED:
            values = inferenceservice_settings(site.settings)
            within = site.settings.timeouts.kserve
            configured = ConfigMapPatch(
                CONFIG_MAP,
                metadata={"name": CONFIG_MAP, "namespace": kserve.namespace, "annotations": FORCE},
                data=values,
                opts=self.options(ready_within=within, retain_on_delete=True),
            )
            # The controller reads its settings only when it starts: a changed hash rolls it, an unchanged one does not.
            DeploymentPatch(
                CONTROLLER,
                metadata={"name": CONTROLLER, "namespace": kserve.namespace, "annotations": FORCE},
                spec={"template": {"metadata": {"annotations": {_RESTART_ANNOTATION: settings_hash(values)}}}},
                opts=self.options(depends_on=[configured], ready_within=within, retain_on_delete=True),
            )
        self.register_outputs({})
