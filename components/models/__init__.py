"""The models layer: serving runtimes, InferenceServices and the routes that lead to them."""

from collections.abc import Sequence
from typing import Any

import pulumi
from pulumi_kubernetes.apiextensions import CustomResource
from pulumi_kubernetes.core.v1 import ConfigMap

from components.gateway import GATEWAY_API, parent_ref
from components.layer import Layer, Site, short_hash, wait_for
from components.models.inference_service import inference_service_spec, predictor_service
from components.models.runtimes import pulled, runtime_name, serving_runtime_spec
from components.models.runtimes.simulator import SIMULATOR_FILE, SIMULATOR_SCRIPT
from components.routes import ACCEPTED, RESOLVED, Backend, model_route_spec
from config.models import Model, Runtime
from config.routing import QuotaScope
from config.settings import Settings

_SERVICE_PORT = 80  # the port of the Service that KServe makes for a predictor
_SERVING = "serving.kserve.io"


class Models(Layer):
    """Every model of the catalogue, ready, and then routed."""

    def __init__(
        self, site: Site, *, routes_after: pulumi.Resource, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        """Create the models.

        Args:
            site: the stack.
            routes_after: what must hold before callers can reach a model: the policies.
            opts: options of the layer.
        """
        super().__init__("models", site, opts)
        self._routes_after = routes_after
        script = SIMULATOR_FILE.read_text(encoding="utf-8")
        script_hash = short_hash(script)
        profile = site.settings.platform.profile
        runtimes: dict[Runtime, CustomResource] = {}
        for runtime in sorted({model.runtime for model in site.settings.models.values()}):
            files = [self._script(script)] if runtime is Runtime.SIMULATOR else []
            spec = pulled(serving_runtime_spec(runtime, profile, script_hash), site.settings.mirror)
            runtimes[runtime] = self._runtime(runtime, spec, files)
        services = {
            name: self._service(name, model, runtimes[model.runtime])
            for name, model in sorted(site.settings.models.items())
        }
        for route, models in routed_together(site.settings).items():
            self._route(route, models, [services[model] for model in models])
        self.register_outputs({})

    def _script(self, script: str) -> ConfigMap:
        return ConfigMap(
            SIMULATOR_SCRIPT,
            metadata=self.metadata(SIMULATOR_SCRIPT, self.namespace),
            data={SIMULATOR_FILE.name: script},
            opts=self.options(),
        )

    def _runtime(self, runtime: Runtime, spec: dict[str, Any], files: list[ConfigMap]) -> CustomResource:
        return CustomResource(
            f"runtime-{runtime.value}",
            api_version=f"{_SERVING}/v1alpha1",
            kind="ServingRuntime",
            metadata=self.metadata(runtime_name(runtime), self.namespace),
            spec=spec,
            opts=self.options(depends_on=files),
        )

    def _service(self, name: str, model: Model, runtime: CustomResource) -> CustomResource:
        return CustomResource(
            f"model-{name}",
            api_version=f"{_SERVING}/v1beta1",
            kind="InferenceService",
            metadata=self.metadata(
                name,
                self.namespace,
                # KServe makes no route of its own: that would be a way around our hosts and paths.
                labels_too={"networking.kserve.io/visibility": "cluster-local"},
                annotations={f"{_SERVING}/deploymentMode": "RawDeployment", **wait_for("condition=Ready")},
            ),
            spec=inference_service_spec(model, self.settings.served_name(name), self.settings.mirror),
            opts=self.options(depends_on=[runtime], ready_within=self.settings.timeouts.model),
        )

    def _route(self, name: str, models: Sequence[str], services: Sequence[CustomResource]) -> None:
        settings = self.settings
        backends = [Backend(settings.prefix(model), predictor_service(model), _SERVICE_PORT) for model in models]
        spec = model_route_spec(
            parent_ref(settings), settings.host(models[0]), backends, settings.identity.api_keys.headers
        )
        CustomResource(
            f"route-{name}",
            api_version=GATEWAY_API,
            kind="HTTPRoute",
            metadata=self.metadata(name, self.namespace, annotations=wait_for(ACCEPTED, RESOLVED)),
            spec=spec,
            # The Services behind the route exist once the models are ready.
            opts=self.options(depends_on=[*services, self._routes_after], ready_within=settings.timeouts.route),
        )


def routed_together(settings: Settings) -> dict[str, list[str]]:
    """The models of each HTTPRoute by its name: each by itself, or all on one, for a quota counted over all."""
    names = sorted(settings.models)
    if settings.routing.quota is QuotaScope.ACROSS_MODELS:
        return {settings.routing.host: names} if names else {}
    return {name: [name] for name in names}
