"""The environment of Kuadrant's operator: which gateways are its own, and what happens when a service does not answer.

The operator reads it when it starts, and writes it into the configuration of the gateway's filter.
"""

import json
from typing import Any

import pulumi

from components.layer import FORCE, PREFIX, Site, short_hash
from components.objects import DeploymentPatch
from components.operators.catalogue import DECLARATIONS
from components.operators.installation import Installation
from config.platform import Install, Profile
from config.settings import Settings
from config.versions import KUADRANT_VERSION, WASM_SHIM_IMAGES

OPERATOR = "kuadrant-operator-controller-manager"
_CONTAINER = "manager"
BOOT_ANNOTATION = f"{PREFIX}/boot-hash"
_LOOKED_FOR = frozenset({"cert-manager", "monitoring", "service-mesh"})
"""What the operator looks for when it starts, and then never again, beside the Gateway API."""

CONTROLLERS = {
    Profile.KUBERNETES: "istio.io/gateway-controller",
    Profile.OPENSHIFT: "openshift.io/gateway-controller/v1",
}
"""Controller of the gateway classes by kind of cluster."""


def kuadrant_environment(settings: Settings) -> dict[str, str]:
    """Environment of kuadrant-operator-controller-manager, by name.

    Checks before the request fail closed: without a working limiter nobody is served, unless the stack says
    `limiter.failOpen`. The report after the answer fails open always: the answer has been made, and an answer without
    `usage` is a failed report too, so that failing closed would turn each such answer into an error.
    """
    kuadrant, limiter = settings.platform.kuadrant, settings.limiter
    checks = "allow" if limiter.fail_open else "deny"
    environment = {
        "ISTIO_GATEWAY_CONTROLLER_NAMES": CONTROLLERS[settings.platform.profile],
        "AUTH_SERVICE_FAILURE_MODE": "deny",
        "AUTH_SERVICE_TIMEOUT": kuadrant.auth_timeout,
        "RATELIMIT_SERVICE_FAILURE_MODE": checks,
        "RATELIMIT_SERVICE_TIMEOUT": kuadrant.limits_timeout,
        "RATELIMIT_CHECK_SERVICE_FAILURE_MODE": checks,
        "RATELIMIT_CHECK_SERVICE_TIMEOUT": kuadrant.limits_timeout,
        "RATELIMIT_REPORT_SERVICE_FAILURE_MODE": "allow",
        "RATELIMIT_REPORT_SERVICE_TIMEOUT": kuadrant.limits_timeout,
    }
    shim = _wasm_shim(settings)
    return environment | ({"RELATED_IMAGE_WASMSHIM": shim} if shim else {})


def _wasm_shim(settings: Settings) -> str | None:
    """The filter's image, when it is not left to the release.

    OLM puts the release's own image back by itself when ours is taken away. A patched Deployment would be left without
    any, so there the release's own is always named, as far as it is known.
    """
    kuadrant = settings.platform.kuadrant
    if kuadrant.wasm_shim:
        return kuadrant.wasm_shim
    own = WASM_SHIM_IMAGES.get((kuadrant.version or KUADRANT_VERSION).removeprefix("v"))
    patched = kuadrant.install is Install.HELM
    if own is None or not (patched or settings.mirror.image(own) != own):
        return None
    return settings.mirror.image(own)


def boot_annotations(settings: Settings) -> dict[str, str]:
    """Annotation of the operator's pods that changes when what it looks for at its start changes.

    It looks once for the gateway provider, cert-manager and the Prometheus operator. One that comes later it reports as
    MissingDependency until it is restarted: a changed pod template does so, once.
    """
    platform = settings.platform
    looked_for: dict[str, Any] = {"gatewayApi": [platform.gateway_api.install, platform.gateway_api.version]}
    for declaration in DECLARATIONS:
        if declaration.name in {*_LOOKED_FOR, "kuadrant"}:
            operator = declaration.of(platform)
            default = declaration.charts.version if declaration.charts else None
            looked_for[declaration.key] = [operator.install, operator.version or default]
    text = json.dumps(looked_for, sort_keys=True)
    return {BOOT_ANNOTATION: short_hash(text)}


def is_patched(settings: Settings) -> bool:
    """Whether the operator's Deployment is patched: for its environment, or to restart it.

    OLM has both from the Subscription. An operator that was there before is restarted only where the stack brings
    something that it looks for; it may have started without.
    """
    kuadrant = settings.platform.kuadrant
    if kuadrant.install is Install.OLM:
        return False
    return kuadrant.manages_environment or kuadrant.install is Install.HELM or brings_something(settings)


def brings_something(settings: Settings) -> bool:
    """Whether the stack installs anything that Kuadrant's operator looks for when it starts."""
    platform = settings.platform
    installs = [each.of(platform).install for each in DECLARATIONS if each.name in _LOOKED_FOR]
    return platform.gateway_api.install == "manifest" or any(each is not Install.PREINSTALLED for each in installs)


def operator_patch(settings: Settings) -> dict[str, Any]:
    """What we set on the operator's Deployment. A changed pod template restarts it, an unchanged one does not."""
    template: dict[str, Any] = {"metadata": {"annotations": boot_annotations(settings)}}
    if settings.platform.kuadrant.manages_environment:
        environment = kuadrant_environment(settings)
        container = {
            "name": _CONTAINER,
            "env": [{"name": name, "value": value} for name, value in sorted(environment.items())],
        }
        template["spec"] = {"containers": [container]}
    return {"template": template}


def patch_operator(part_of: Installation, site: Site, installed: pulumi.Resource) -> DeploymentPatch:
    """Patch the Deployment of an operator that is installed. It stays as it is when the stack goes."""
    namespace = site.settings.platform.kuadrant.namespace
    return DeploymentPatch(
        OPERATOR,
        # Helm set the image of the filter before.
        metadata={"name": OPERATOR, "namespace": namespace, "annotations": FORCE},
        spec=operator_patch(site.settings),
        opts=part_of.options(depends_on=[installed], retain_on_delete=True),
    )
