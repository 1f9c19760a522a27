"""Rules on the service as a whole: who is limited, guarded and charged, and what happens when something is away."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from policy.rules.resource import Resource, Stack, entries, mapping, walk

_LIMITS = {"requests": "RateLimitPolicy", "tokens": "TokenRateLimitPolicy"}
_UNLIMITED = "unlimited"
_FAILURE_MODE_OF_OTHERS = (
    "platform.kuadrant.environment: existing leaves the failure mode to somebody else, and Kuadrant's own lets "
    "requests pass while the limiter does not answer; set managed"
)
_API_SERVER = "https://kubernetes.default.svc"
"""How the usual audience of an API server begins."""
_LLM_PODS = {"app.kubernetes.io/part-of": "llminferenceservice", "kserve.io/component": "workload"}
_MAY_FAIL_OPEN = "RATELIMIT_REPORT_SERVICE_FAILURE_MODE"
"""A report after an answer: failing it could only turn an answer that exists into an error."""


def encrypted_secrets(resource: Resource) -> Iterator[str]:
    """The content of a Secret is a secret of the stack. Where nobody can tell, nothing is said."""
    if resource.kind != "Secret" or resource.secrets is None or resource.is_patch:
        return
    for part in ("data", "stringData"):
        for key in mapping(resource.props.get(part)):
            if not {part, f"{part}.{key}"} & resource.secrets:
                yield f"{part}.{key} is plain text in the stack's state; make it a secret"


def limited_tiers(stack: Stack) -> Iterator[tuple[str, str]]:
    """Every tier has a limit, and the policies know it.

    A policy that names a tier need not limit it: unlimited tokens are counted under a limit that nobody reaches. So
    each policy is asked only for what the stack limits.
    """
    limits = {key: _conditions(stack, kind) for key, kind in _LIMITS.items()}
    for name, tier in mapping(stack.config.get("tiers")).items():
        limited = [key for key in _LIMITS if mapping(tier).get(key, _UNLIMITED) != _UNLIMITED]
        if not limited:
            yield "", f"tiers.{name}: neither requests nor tokens are limited"
        for key in limited:
            if not any(f'\\"{name}\\"' in text for text in limits[key]):
                yield "", f"tiers.{name}: no {_LIMITS[key]} limits its {key}"


def _conditions(stack: Stack, kind: str) -> list[str]:
    """When each limit of the policies of a kind holds, as text."""
    return [
        json.dumps(limit.get("when", ""))
        for policy in stack.of_kind(kind)
        for _, here in walk(policy.spec)
        for limit in map(mapping, mapping(here.get("limits")).values())
        if limit
    ]


def fail_closed(stack: Stack) -> Iterator[tuple[str, str]]:
    """No answer from the limiter or the authoriser is no permission."""
    if mapping(stack.config.get("limiter")).get("failOpen") is True:
        yield "", "limiter.failOpen: requests pass without any limit while the limiter does not answer"
    kuadrant = mapping(mapping(stack.config.get("platform")).get("kuadrant"))
    default = "existing" if kuadrant.get("install", "preinstalled") == "preinstalled" else "managed"
    protected = mapping(stack.config.get("policy")).get("protected") is True
    if protected and kuadrant.get("environment", default) == "existing":
        yield "", _FAILURE_MODE_OF_OTHERS
    for resource in stack.resources:
        for path, here in walk(resource.props):
            name = str(here.get("name", ""))
            if name.endswith("FAILURE_MODE") and name != _MAY_FAIL_OPEN and here.get("value") == "allow":
                yield resource.urn, f"{path}: {name} is allow"


def network_policies(stack: Stack) -> Iterator[tuple[str, str]]:
    """Something decides who reaches a model's pods."""
    guards = [
        each for each in stack.of_kind("NetworkPolicy") if "Ingress" in (each.spec.get("policyTypes") or ["Ingress"])
    ]
    for model in stack.of_kind("InferenceService", "LLMInferenceService"):
        labels = _pod_labels(model)
        if not any(each.namespace == model.namespace and _selects(each, labels) for each in guards):
            yield model.urn, "no NetworkPolicy guards its pods: every pod of the cluster reaches them, without a key"


def hosts_in_any_case(stack: Stack) -> Iterator[tuple[str, str]]:
    """Kuadrant's filter looks a host up as it was written, and the gateway in any case."""
    if mapping(mapping(stack.config.get("gateway")).get("guard")).get("lowerCaseHost") is False:
        yield "", "gateway.guard.lowerCaseHost: a host in mixed case can reach a model without any policy"


def trusted_tokens(stack: Stack) -> Iterator[tuple[str, str]]:
    """Tokens are worth as much as the way that their keys come by, and no more than they were made for."""
    identity = mapping(stack.config.get("identity"))
    for name, issuer in mapping(identity.get("oidc")).items():
        if mapping(issuer).get("allowHttp") is True:
            yield "", f"identity.oidc.{name}.allowHttp: whoever is on the way of the issuer's keys can sign tokens"
    # One name or a list of them.
    if f'"{_API_SERVER}' in json.dumps(mapping(identity.get("kubernetes")).get("audiences")):
        yield "", "identity.kubernetes.audiences: tokens for the API server's own audience are good there, too"
    if identity.get("keycloak") is not None and mapping(stack.config.get("policy")).get("protected") is True:
        yield "", "identity.keycloak: an identity provider for development, without TLS and without a database"


def tls(stack: Stack) -> Iterator[tuple[str, str]]:
    """Keys and prompts are never in plain text on their way to us."""
    targets = {
        (policy.namespace, str(mapping(policy.spec.get("targetRef")).get("name")))
        for policy in stack.of_kind("AuthPolicy")
    }
    routes = list(stack.of_kind("Route"))
    in_front = bool(routes) and all(_ends_tls(mapping(each.spec.get("tls"))) for each in routes)
    for gateway in stack.of_kind("Gateway"):
        if (gateway.namespace, gateway.name) not in targets:
            continue
        plain = [
            each for each in entries(gateway.spec.get("listeners")) if each.get("protocol") not in {"HTTPS", "TLS"}
        ]
        if plain and not in_front:
            yield gateway.urn, "listens without TLS, and no Route in front ends TLS either; set gateway.tls"


def _ends_tls(route: Mapping[str, Any]) -> bool:
    """Whether a Route takes TLS, and nothing without it."""
    return bool(route.get("termination")) and route.get("insecureEdgeTerminationPolicy") != "Allow"


def prices(stack: Stack) -> Iterator[tuple[str, str]]:
    """Usage can be charged."""
    for name, tier in mapping(stack.config.get("tiers")).items():
        if "price" not in mapping(tier):
            yield "", f"tiers.{name}: no price"


def kept_counters(stack: Stack) -> Iterator[tuple[str, str]]:
    """A restart of the limiter gives nobody a new quota, and takes no usage off the bill."""
    if not any(mapping(each.spec.get("storage")) for each in stack.of_kind("Limitador")):
        yield "", "limiter.storage: counters are in the memory of a pod, and go with it; set storage: redis"


def _pod_labels(model: Resource) -> dict[str, str]:
    """The labels that KServe gives a model's pods: of a predictor in raw deployment mode, or of a language model."""
    if model.kind == "LLMInferenceService":
        return {**_LLM_PODS, "app.kubernetes.io/name": model.name}
    metadata = mapping(model.props.get("metadata"))
    predictor: Mapping[str, Any] = mapping(model.spec.get("predictor"))
    return {
        **{key: str(value) for key, value in mapping(metadata.get("labels")).items()},
        **{key: str(value) for key, value in mapping(predictor.get("labels")).items()},
        "app": f"isvc.{model.name}-predictor",
        "component": "predictor",
        "serving.kserve.io/inferenceservice": model.name,
    }


def _selects(policy: Resource, labels: Mapping[str, str]) -> bool:
    selector = mapping(policy.spec.get("podSelector"))
    if any(labels.get(key) != value for key, value in mapping(selector.get("matchLabels")).items()):
        return False
    return all(_matches(each, labels) for each in entries(selector.get("matchExpressions")))


def _matches(expression: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    value = labels.get(str(expression.get("key")))
    among = value in (expression.get("values") or [])
    answers = {"In": among, "NotIn": not among, "Exists": value is not None, "DoesNotExist": value is None}
    return answers.get(str(expression.get("operator")), False)
