"""Rules between models and the rest of the stack. Each takes the sections that it names and yields what is wrong."""

import re
from collections.abc import Callable, Iterator

from config.gateway import Gateway
from config.models import Api, Models, Scheme
from config.models.fitting import refuse_for_llm_inference_service
from config.observability import Timeouts
from config.platform import Install, Platform, Profile
from config.problems import Problem, RefusalError, shown
from config.serving import Autoscaler, ModelSecrets, Serving
from config.values import window_seconds
from config.versions import KSERVE_VERSION

_FIRST_WITH_LLM = (0, 16)
"""KServe's first minor release with LLMInferenceService."""
SECRET_PROPERTIES = {
    Scheme.HUGGING_FACE: ("HF_TOKEN",),
    Scheme.S3: ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
    Scheme.OCI: (".dockerconfigjson",),
    Scheme.HTTPS: ("api_key",),
}
"""What a Secret must hold, by what it is for."""


def models_scale_by_something(models: Models, serving: Serving) -> Iterator[Problem]:
    """Without an autoscaler nothing would move, and only KEDA goes to zero."""
    for name, model in models.items():
        if model.autoscaling is None:
            continue
        key, written = f"maas:models.{name}.autoscaling", shown(model.autoscaling.model_dump(by_alias=True))
        if serving.autoscaler is Autoscaler.NONE:
            why = "nothing on this cluster scales models"
            yield Problem(key, written, why, "with serving.autoscaler: keda or hpa", "maas:serving: {autoscaler: keda}")
        elif model.autoscaling.min == 0 and serving.autoscaler is not Autoscaler.KEDA:
            why = "a HorizontalPodAutoscaler does not scale to zero: only KEDA does"
            yield Problem(f"{key}.min", "0", why, "min: 1, or serving.autoscaler: keda", "1")


def keda_may_ask_on_openshift(models: Models, serving: Serving, platform: Platform) -> Iterator[Problem]:
    """OpenShift's Prometheus answers nobody without a token, and KEDA would never scale."""
    asked = serving.autoscaler is Autoscaler.KEDA and any(model.autoscaling for model in models.values())
    own = serving.prometheus is not None or serving.trigger_authentication is not None
    if asked and platform.profile is Profile.OPENSHIFT and not own:
        why = "KEDA asks OpenShift's Thanos, which answers nobody without a token"
        allowed = "the name of a TriggerAuthentication with a token, or serving.prometheus with another address"
        yield Problem("maas:serving.triggerAuthentication", "", why, allowed, "{name: keda-prometheus}")


def prometheus_is_for_keda(serving: Serving) -> Iterator[Problem]:
    """What KEDA alone uses would be left without effect."""
    for key, value in (("prometheus", serving.prometheus), ("triggerAuthentication", serving.trigger_authentication)):
        if value is not None and serving.autoscaler is not Autoscaler.KEDA:
            why = f"has no effect with autoscaler: {serving.autoscaler}"
            yield Problem(f"maas:serving.{key}", shown(str(value)), why, "with autoscaler: keda", "autoscaler: keda")


def kserve_knows_the_api(models: Models, serving: Serving, platform: Platform) -> Iterator[Problem]:
    """LLMInferenceService has a controller and charts of its own, from 0.16 on, which the stack does not install."""
    if platform.kserve.install is Install.PREINSTALLED:
        return
    version = platform.kserve.version or KSERVE_VERSION
    match = re.match(r"v?(\d+)\.(\d+)", version)
    old = match is not None and (int(match[1]), int(match[2])) < _FIRST_WITH_LLM
    why = (
        f"KServe {version} has no LLMInferenceService: it came with 0.16"
        if old
        else "its controller has charts of its own (llmisvc-crd, llmisvc-resources), which the stack does not install"
    )
    allowed = "llmInferenceService with platform.kserve.install: preinstalled, 0.16 or newer"
    places = {f"maas:models.{name}.api": model.api for name, model in models.items()} | {
        "maas:serving.api": serving.api
    }
    for key, api in places.items():
        if api is Api.LLM_INFERENCE_SERVICE:
            yield Problem(key, shown(api), why, allowed, Api.INFERENCE_SERVICE)


def secrets_hold_what_is_asked_for(models: Models, model_secrets: ModelSecrets) -> Iterator[Problem]:
    """A Secret of the stack has the keys that its user reads, and a user."""
    used: set[str] = set()
    for name, model in models.items():
        if model.secret is None or model.scheme is None or model.secret not in model_secrets:
            continue
        used.add(model.secret)
        missing = [each for each in SECRET_PROPERTIES.get(model.scheme, ()) if each not in model_secrets[model.secret]]
        for each in missing:
            key, why = f"maas:modelSecrets.{model.secret}", f"model '{name}' reads {each} of it"
            yield Problem(key, "", why, ", ".join(SECRET_PROPERTIES[model.scheme]), f"{key}.{each}")
    for each in sorted(model_secrets.keys() - used):
        why = "no model asks for it"
        yield Problem(f"maas:modelSecrets.{each}", "", why, "names that a model's secret says", f"secret: {each}")


def startups_fit_the_wait(models: Models, timeouts: Timeouts) -> Iterator[Problem]:
    """The deployment must not give up while a model may still start."""
    for name, model in models.items():
        if model.startup is not None and not model.external and model.startup_seconds > window_seconds(timeouts.model):
            why = f"the deployment waits for a model for {timeouts.model} only"
            key = f"maas:models.{name}.startup"
            yield Problem(
                key, shown(model.startup), why, "up to timeouts.model", f"timeouts: {{model: {model.startup}}}"
            )


def keys_reach_the_gateway(models: Models, gateway: Gateway) -> Iterator[Problem]:
    """The endpoint's key gets to the gateway by its parameters, which older meshes do not know."""
    for name, model in models.items():
        if model.external and model.secret is not None and gateway.resources is None:
            why = "the gateway has no parameters (gateway.resources: null), which the endpoint's key would come by"
            allowed = "with gateway.resources, on Istio 1.26 or newer"
            yield Problem(f"maas:models.{name}.secret", shown(model.secret), why, allowed, "gateway: {resources: {}}")


def models_fit_the_api_of_all(models: Models, serving: Serving) -> Iterator[Problem]:
    """What holds for a model that names its API holds for one that has it from the stack, too."""
    if serving.api is not Api.LLM_INFERENCE_SERVICE:
        return
    for name, model in models.items():
        if model.api is None and model.runtime.loads_weights:
            try:
                refuse_for_llm_inference_service(model)
            except RefusalError as refusal:
                key = f"maas:models.{name}"
                yield Problem(key, "", refusal.why, refusal.allowed, f"{refusal.fix}, or api: {Api.INFERENCE_SERVICE}")


def endpoints_differ(models: Models) -> Iterator[Problem]:
    """Each model outside has a ServiceEntry of its own, and two for one host would contradict one another."""
    seen: dict[str, str] = {}
    for name, model in sorted(models.items()):
        if not model.external or model.source is None:
            continue
        # One name can serve several entries as long as they mean the same port.
        host, _, port = model.source.removeprefix("https://").partition("/")[0].partition(":")
        if seen.setdefault(host, port) != port:
            why = f"another model is at {host} with another port"
            yield Problem(f"maas:models.{name}.source", shown(model.source), why, "one port for each host")


MODEL_CHECKS: tuple[Callable[..., Iterator[Problem]], ...] = (
    models_scale_by_something,
    keda_may_ask_on_openshift,
    prometheus_is_for_keda,
    kserve_knows_the_api,
    secrets_hold_what_is_asked_for,
    startups_fit_the_wait,
    keys_reach_the_gateway,
    models_fit_the_api_of_all,
    endpoints_differ,
)
"""Every rule about models that needs more than the catalogue."""
