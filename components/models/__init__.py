"""The models layer: serving runtimes, KServe's objects, what scales and protects them, and the routes to them."""

from collections.abc import Sequence
from typing import Any

import pulumi

from components.endpoints import (
    destination_rule_spec,
    endpoint_name,
    endpoints,
    external_rules,
    service_entry_spec,
)
from components.gateway import GATEWAY_API, parent_ref
from components.layer import PREFIX, Layer, Site, short_hash, wait_for
from components.models import pods, scaling
from components.models.inference_service import LABEL, autoscaler_class, inference_service_spec, predictor_service
from components.models.llm_inference_service import (
    llm_inference_service_spec,
    pod_labels,
    workload_deployment,
    workload_service,
    workload_service_spec,
)
from components.models.runtimes import pulled, runtime_name, serving_runtime_spec
from components.models.runtimes.simulator import SIMULATOR_FILE, SIMULATOR_SCRIPT
from components.objects import ConfigMap, CustomResource, PersistentVolumeClaim, Secret, Service
from components.routes import ACCEPTED, RESOLVED, Backend, model_route_spec
from config.models import Api, Model, Runtime
from config.models.sources import Endpoint
from config.routing import QuotaScope
from config.serving import Autoscaler
from config.settings import Settings

_SERVICE_PORT = 80  # the port of the Service that KServe makes for a predictor
_SERVING = "serving.kserve.io"
_ISTIO = "networking.istio.io/v1"
MODEL_LABEL = f"{PREFIX}/model"
"""The label of the objects that are one model's."""


def service_of(settings: Settings, name: str) -> str:
    """Name of the Service behind a model's route."""
    return workload_service(name) if settings.api(name) is Api.LLM_INFERENCE_SERVICE else predictor_service(name)


def deployment_of(settings: Settings, name: str) -> str:
    """Name of the Deployment that KServe makes for a model."""
    return workload_deployment(name) if settings.api(name) is Api.LLM_INFERENCE_SERVICE else predictor_service(name)


def pod_labels_of(settings: Settings, name: str) -> dict[str, str]:
    """The labels that a model's pods have, and no others."""
    return pod_labels(name) if settings.api(name) is Api.LLM_INFERENCE_SERVICE else {LABEL: name}


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
        self._secrets = {name: self._secret(name) for name in sorted(site.settings.model_secrets)}
        models = sorted(site.settings.models.items())
        inference_services = {
            name: model
            for name, model in models
            if not model.external and site.settings.api(name) is Api.INFERENCE_SERVICE
        }
        runtimes = self._runtimes({model.runtime for model in inference_services.values()})
        entries = self._endpoints()
        behind: dict[str, list[pulumi.Resource]] = {}
        for name, model in models:
            if model.external:
                behind[name] = [entries[Endpoint(model.source or "").host]]
                continue
            needed = self._before(name, model)
            if name in inference_services:
                served = self._inference_service(name, model, [runtimes[model.runtime], *needed])
                behind[name] = [served]
            else:
                served = self._llm_inference_service(name, model, needed)
                behind[name] = [served, self._workload_service(name)]
            self._around(name, model, served)
        for route, together in routed_together(site.settings).items():
            self._route(route, together, [each for name in together for each in behind[name]])
        self.register_outputs({})

    def _runtimes(self, wanted: set[Runtime]) -> dict[Runtime, CustomResource]:
        script = SIMULATOR_FILE.read_text(encoding="utf-8")
        settings = self.settings
        made: dict[Runtime, CustomResource] = {}
        for runtime in sorted(wanted):
            files = [self._script(script)] if runtime is Runtime.SIMULATOR else []
            spec = serving_runtime_spec(runtime, settings.platform.profile, short_hash(script))
            made[runtime] = CustomResource(
                f"runtime-{runtime.value}",
                api_version=f"{_SERVING}/v1alpha1",
                kind="ServingRuntime",
                metadata=self.metadata(runtime_name(runtime), self.namespace),
                spec=pulled(spec, settings.mirror),
                opts=self.options(depends_on=files),
            )
        return made

    def _script(self, script: str) -> ConfigMap:
        return ConfigMap(
            SIMULATOR_SCRIPT,
            metadata=self.metadata(SIMULATOR_SCRIPT, self.namespace),
            data={SIMULATOR_FILE.name: script},
            opts=self.options(),
        )

    def _secret(self, name: str) -> Secret:
        values = {key: value.get_secret_value() for key, value in self.settings.model_secrets[name].items()}
        # KServe reads where a bucket is from annotations of the Secret with its keys.
        annotations = {key: value for key, value in values.items() if key.startswith(f"{_SERVING}/")}
        data = {key: value for key, value in values.items() if key not in annotations}
        return Secret(
            f"secret-{name}",
            metadata=self.metadata(name, self.namespace, annotations=annotations),
            type="kubernetes.io/dockerconfigjson" if ".dockerconfigjson" in data else "Opaque",
            string_data=pulumi.Output.secret(data),
            opts=self.options(),
        )

    def _before(self, name: str, model: Model) -> list[pulumi.Resource]:
        """What a model's pods mount or read, as far as the stack makes it."""
        needed: list[pulumi.Resource] = []
        if model.secret in self._secrets:
            needed.append(self._secrets[model.secret])
        if model.cache is not None and model.cache.size is not None and not model.cache.ephemeral:
            claim = pods.claim_name(name)
            needed.append(
                PersistentVolumeClaim(
                    claim,
                    # Storage that binds when the first pod comes would be waited for in vain.
                    metadata=self._of(name, claim, {"pulumi.com/skipAwait": "true"}),
                    spec=pods.claim_spec(model.cache),
                    opts=self.options(),
                )
            )
        return needed

    def _of(self, model: str, name: str, annotations: dict[str, str] | None = None) -> dict[str, Any]:
        return self.metadata(name, self.namespace, labels_too={MODEL_LABEL: model}, annotations=annotations)

    def _inference_service(self, name: str, model: Model, needed: Sequence[pulumi.Resource]) -> CustomResource:
        return CustomResource(
            f"model-{name}",
            api_version=f"{_SERVING}/v1beta1",
            kind="InferenceService",
            metadata=self.metadata(
                name,
                self.namespace,
                # KServe makes no route of its own: that would be a way around our hosts and paths.
                labels_too={"networking.kserve.io/visibility": "cluster-local"},
                annotations={
                    f"{_SERVING}/deploymentMode": "RawDeployment",
                    f"{_SERVING}/autoscalerClass": autoscaler_class(model),
                    **pods.annotations(model),
                    **wait_for("condition=Ready"),
                },
            ),
            spec=inference_service_spec(
                model,
                self.settings.served_name(name),
                self.settings.mirror,
                name=name,
                profile=self.settings.platform.profile,
            ),
            opts=self.options(depends_on=needed, ready_within=self.settings.timeouts.model),
        )

    def _llm_inference_service(self, name: str, model: Model, needed: Sequence[pulumi.Resource]) -> CustomResource:
        settings = self.settings
        return CustomResource(
            f"model-{name}",
            api_version=f"{_SERVING}/v1alpha1",
            kind="LLMInferenceService",
            metadata=self.metadata(
                name, self.namespace, annotations={**pods.annotations(model), **wait_for("condition=Ready")}
            ),
            spec=llm_inference_service_spec(
                name, model, settings.served_name(name), settings.platform.profile, settings.mirror
            ),
            opts=self.options(depends_on=needed, ready_within=settings.timeouts.model),
        )

    def _workload_service(self, name: str) -> Service:
        service = workload_service(name)
        return Service(
            service,
            # It is there for the route; whether its pods are ready is the model's own condition.
            metadata=self._of(name, service, {"pulumi.com/skipAwait": "true"}),
            spec=workload_service_spec(name),
            opts=self.options(),
        )

    def _around(self, name: str, model: Model, served: CustomResource) -> None:
        """What keeps a model's replicas to what is wanted."""
        settings = self.settings
        if model.least_replicas > 1:
            CustomResource(
                f"budget-{name}",
                api_version="policy/v1",
                kind="PodDisruptionBudget",
                metadata=self._of(name, f"{name}-model"),
                spec=scaling.disruption_budget_spec(pod_labels_of(settings, name)),
                opts=self.options(),
            )
        if model.autoscaling is None:
            return
        deployment = deployment_of(settings, name)
        if settings.serving.autoscaler is Autoscaler.KEDA:
            CustomResource(
                f"scaling-{name}",
                api_version="keda.sh/v1alpha1",
                kind="ScaledObject",
                metadata=self._of(name, name, wait_for("condition=Ready")),
                spec=scaling.scaled_object_spec(
                    name,
                    settings.served_name(name),
                    model.autoscaling,
                    namespace=self.namespace,
                    deployment=deployment,
                    service=service_of(settings, name),
                    serving=settings.serving,
                    profile=settings.platform.profile,
                ),
                # KEDA refuses a Deployment that is not there.
                opts=self.options(depends_on=[served], ready_within=settings.timeouts.route),
            )
        else:
            CustomResource(
                f"scaling-{name}",
                api_version="autoscaling/v2",
                kind="HorizontalPodAutoscaler",
                metadata=self._of(name, name),
                spec=scaling.autoscaler_spec(model.autoscaling, deployment=deployment),
                opts=self.options(depends_on=[served]),
            )

    def _route(self, name: str, models: Sequence[str], behind: Sequence[pulumi.Resource]) -> None:
        settings = self.settings
        inside = [model for model in models if not settings.models[model].external]
        credentials = settings.identity.api_keys.headers
        spec = model_route_spec(
            parent_ref(settings),
            settings.host(models[0]),
            [Backend(settings.prefix(model), service_of(settings, model), _SERVICE_PORT) for model in inside],
            credentials,
            [
                rule
                for model in models
                if model not in inside
                for rule in external_rules(settings.models[model], settings.prefix(model), credentials)
            ],
        )
        CustomResource(
            f"route-{name}",
            api_version=GATEWAY_API,
            kind="HTTPRoute",
            metadata=self.metadata(name, self.namespace, annotations=wait_for(ACCEPTED, RESOLVED)),
            spec=spec,
            # The Services behind the route exist once the models are ready.
            opts=self.options(depends_on=[*behind, self._routes_after], ready_within=settings.timeouts.route),
        )

    def _endpoints(self) -> dict[str, pulumi.Resource]:
        """The endpoints outside of the cluster, by host."""
        known: dict[str, pulumi.Resource] = {}
        for host, endpoint in endpoints(self.settings).items():
            name = endpoint_name(host)
            rule = CustomResource(
                f"tls-{host}",
                api_version=_ISTIO,
                kind="DestinationRule",
                metadata=self.metadata(name, self.namespace),
                spec=destination_rule_spec(endpoint),
                opts=self.options(),
            )
            known[host] = CustomResource(
                f"endpoint-{host}",
                api_version=_ISTIO,
                kind="ServiceEntry",
                metadata=self.metadata(name, self.namespace),
                spec=service_entry_spec(endpoint),
                # Without the rule, the gateway would speak plain text to it.
                opts=self.options(depends_on=[rule]),
            )
        return known


def routed_together(settings: Settings) -> dict[str, list[str]]:
    """The models of each HTTPRoute by its name: each by itself, or all on one, for a quota counted over all."""
    names = sorted(settings.models)
    if settings.routing.quota is QuotaScope.ACROSS_MODELS:
        return {settings.routing.host: names} if names else {}
    return {name: [name] for name in names}
