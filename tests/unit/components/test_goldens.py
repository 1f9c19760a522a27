"""Every body that the program writes, whole."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import yaml

from components import (
    certificates,
    gateway,
    gateway_options,
    identity,
    keycloak,
    kserve,
    kuadrant,
    policies,
    redis,
    routes,
    security_constraints,
)
from components.models.inference_service import inference_service_spec
from components.models.runtimes import serving_runtime_spec
from components.observability import monitors, rule_spec
from components.observability.values import values_files
from components.operators import catalogue, environment, olm
from config.gateway import Expose, Route
from config.gateway import Gateway as GatewaySettings
from config.identity import ApiKeySource, User
from config.keycloak import Keycloak
from config.limiter import Limiter, ManagedRedis
from config.models import Runtime
from config.observability import TelemetryLabels
from config.platform import Install, Profile
from config.settings import Settings
from tests.golden import check_golden
from tests.rule_tests import TESTED
from tests.unit.components.sources import EVERY_SOURCE
from tests.unit.config.bad import GOOD

GOLDENS = Path(__file__).parent / "goldens"


def settings(**changes: object) -> Settings:
    return Settings.load("golden", GOOD | changes)


KUBERNETES = settings()
OPENSHIFT = settings(platform={"profile": "openshift"})
WITH_TLS = settings(gateway={"tls": {"mode": "secret", "secretName": "wildcard"}})
SELF_SIGNED = settings(
    gateway={
        "tls": {"mode": "self-signed", "redirect": True},
        "replicas": 2,
        "expose": "nodePort",
        "nodePorts": {"http": 30080, "https": 30443},
    }
)
ISSUED = settings(gateway={"tls": {"mode": "cert-manager", "issuer": "letsencrypt-prod"}})
REENCRYPT = settings(
    platform={"profile": "openshift"}, gateway={"tls": {"mode": "service-ca"}, "route": {"termination": "reencrypt"}}
)
CA = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
ROUTE_WITH_CA = Route.model_validate({"termination": "reencrypt", "destinationCaCertificate": CA})
EVERY_OPTION = GatewaySettings.model_validate(
    {
        "resources": {"cpu": "1", "cpuLimit": "4", "memory": "3Gi"},
        "replicas": {"min": 2, "max": 6, "cpu": 60},
        "service": {
            "annotations": {"metallb.io/allow-shared-ip": "maas"},
            "externalTrafficPolicy": "Local",
            "loadBalancerSourceRanges": ["10.0.0.0/8"],
        },
    }
)
AGENT = User.model_validate(
    {"tier": "free", "kind": "program", "models": ["qwen3", "simulator"], "expires": "2027-12-31"}
)
TARGET = gateway.parent_ref(KUBERNETES)
ACROSS = settings(**EVERY_SOURCE)

MIRROR = {
    "registries": {
        registry: f"mirror.example.com/{registry.split('.')[0]}"
        for registry in ("docker.io", "gcr.io", "ghcr.io", "quay.io", "registry.k8s.io")
    },
    "charts": {"https://charts.jetstack.io": "oci://mirror.example.com/charts"},
    "pullSecret": "mirror",
}
HELM_MIRRORED = settings(
    mirror=MIRROR,
    platform={
        name: {"install": "helm"}
        for name in ("certManager", "serviceMesh", "kserve", "kuadrant", "monitoring", "grafana")
    },
)
OLM_MIRRORED = settings(
    mirror=MIRROR,
    limiter={"failOpen": True},
    platform={"profile": "openshift"} | {name: {"install": "olm"} for name in ("certManager", "kuadrant", "grafana")},
)


def operator_bodies(stack: Settings, install: Install) -> dict[str, Any]:
    """What each operator of a stack that is installed in one way is asked to be."""
    bodies: dict[str, Any] = {}
    for declaration in catalogue.DECLARATIONS:
        if declaration.of(stack.platform).install is not install:
            continue
        if install is Install.HELM:
            bodies[declaration.name] = [asdict(each) for each in catalogue.releases(declaration, stack)]
        else:
            package = catalogue.package(declaration, stack)
            image = package.catalog.image
            bodies[declaration.name] = {
                "subscription": olm.subscription_spec(package),
                "catalog": olm.catalog_source_spec(package.catalog.name, image, "mirror") if image else None,
            }
    return bodies


KEYCLOAK = Keycloak.model_validate({"users": {"alice": {"tier": "premium", "team": "search"}, "bob": {"tier": "free"}}})

BODIES: dict[str, Callable[[], Any]] = {
    "keycloak": lambda: {
        "realm": keycloak.realm(KEYCLOAK),
        "deployment": keycloak.keycloak_spec(KEYCLOAK, Profile.KUBERNETES, OLM_MIRRORED.mirror, "0123456789abcdef"),
        "service": keycloak.keycloak_service_spec(),
        "issuer": KEYCLOAK.issuer(),
    },
    "redis": lambda: {
        "statefulSet": redis.redis_spec(
            ManagedRedis.model_validate({"storageClass": "fast"}), Profile.KUBERNETES, OLM_MIRRORED.mirror
        ),
        "openshift": redis.redis_spec(ManagedRedis(), Profile.OPENSHIFT, KUBERNETES.mirror),
        "service": redis.redis_service_spec(),
        "secret": redis.redis_secret_data("drawn-by-the-program"),
    },
    "gateway-kubernetes": lambda: gateway.gateway_spec(KUBERNETES),
    "gateway-openshift": lambda: [gateway.gateway_spec(OPENSHIFT), gateway.gateway_annotations(OPENSHIFT)],
    "gateway-tls": lambda: gateway.gateway_spec(WITH_TLS),
    "gateway-self-signed": lambda: {
        "issuer": certificates.self_signed_issuer_spec(),
        "certificate": _certificate(SELF_SIGNED),
        "gateway": gateway.gateway_spec(SELF_SIGNED),
        "annotations": gateway.gateway_annotations(SELF_SIGNED),
        "options": _patches(gateway.options_of(SELF_SIGNED, SELF_SIGNED.gateway)),
    },
    "gateway-redirect": lambda: {
        "gateway": gateway.redirect_gateway_spec(SELF_SIGNED),
        "options": _patches(gateway.options_of(SELF_SIGNED, gateway.redirecting(SELF_SIGNED.gateway))),
        "route": routes.redirect_route_spec(TARGET, "maas.example.com", 8443),
    },
    "gateway-cert-manager": lambda: [_certificate(ISSUED), gateway.gateway_spec(ISSUED)],
    "gateway-reencrypt": lambda: [
        gateway.gateway_spec(REENCRYPT),
        _patches(gateway.options_of(REENCRYPT, REENCRYPT.gateway)),
    ],
    "gateway-options": lambda: _patches(
        gateway_options.gateway_options(EVERY_OPTION, Expose.LOAD_BALANCER, https=False)
    ),
    "security-constraints": lambda: security_constraints.original_constraints("models", "llm"),
    "openshift-route-reencrypt": lambda: gateway.route_spec("a.maas.example.com", "gateway", ROUTE_WITH_CA),
    "openshift-route-passthrough": lambda: gateway.route_spec(
        "a.maas.example.com", "gateway", Route.model_validate({"termination": "passthrough"})
    ),
    "openshift-route": lambda: gateway.route_spec(
        "qwen3-llm.maas.example.com", "inference-gateway-openshift-default", Route()
    ),
    "model-route": lambda: routes.model_route_spec(
        TARGET, "qwen3.maas.example.com", [routes.Backend("", "qwen3-predictor", 80)]
    ),
    "models-route": lambda: routes.model_route_spec(
        TARGET,
        ACROSS.host("qwen3"),
        [routes.Backend(ACROSS.prefix(name), f"{name}-predictor", 80) for name in sorted(ACROSS.models)],
    ),
    "fallback-route": lambda: routes.fallback_route_spec(TARGET, "maas.example.com"),
    "kserve-settings": lambda: kserve.inferenceservice_settings(KUBERNETES),
    "limitador-redis": lambda: kuadrant.limitador_spec(
        Limiter.model_validate({"replicas": 2, "storage": "redis", "redisSecret": "limiter-redis"})
    ),
    "limitador-all": lambda: kuadrant.limitador_spec(
        Limiter.model_validate({"memory": "256Mi", "telemetry": "exhaustive", "rateLimitHeaders": True})
    ),
    "operators-kubernetes": lambda: operator_bodies(HELM_MIRRORED, Install.HELM),
    "operators-openshift": lambda: operator_bodies(OLM_MIRRORED, Install.OLM),
    "kuadrant-environment": lambda: {
        "kubernetes": environment.operator_patch(HELM_MIRRORED),
        "openshift": environment.kuadrant_environment(OLM_MIRRORED),
    },
    "runtime-vllm": lambda: serving_runtime_spec(Runtime.VLLM, Profile.KUBERNETES, "0123456789abcdef"),
    "runtime-simulator": lambda: serving_runtime_spec(Runtime.SIMULATOR, Profile.OPENSHIFT, "0123456789abcdef"),
    "model-qwen3": lambda: inference_service_spec(KUBERNETES.models["qwen3"], "qwen3"),
    "model-simulator": lambda: inference_service_spec(KUBERNETES.models["simulator"], "simulator-model"),
    "key": lambda: [
        identity.key_labels("golden"),
        identity.key_annotations("alice", KUBERNETES.users["alice"], None),
        identity.key_annotations("agent", AGENT, "2027-12-31T23:59:59Z"),
    ],
    "external-secret": lambda: identity.external_secret_spec(
        ApiKeySource.model_validate(
            {"backend": "externalSecrets", "store": {"name": "vault"}, "remoteProperty": "key", "refresh": "15m"}
        ),
        "agent",
        "maas-key-agent.01234567",
        identity.key_labels("golden"),
        identity.key_annotations("agent", AGENT, AGENT.expires),
    ),
    "auth-policy": lambda: policies.auth_policy_spec(TARGET, KUBERNETES, "golden"),
    "auth-policy-every-source": lambda: policies.auth_policy_spec(TARGET, ACROSS, "golden"),
    "request-limits": lambda: policies.request_limits_spec(TARGET, KUBERNETES),
    "token-limits": lambda: policies.token_limits_spec(TARGET, KUBERNETES),
    "token-limits-across-models": lambda: policies.token_limits_spec(TARGET, ACROSS),
    "guard": lambda: policies.guard_spec("inference-gateway", KUBERNETES.gateway.guard),
    "telemetry": lambda: policies.telemetry_spec(TARGET, TelemetryLabels.model_validate({"costCentre": True})),
    "monitors": lambda: {
        "limitador": monitors.limitador_monitor_spec("30s"),
        "authorino": monitors.authorino_monitor_spec("30s"),
        "gateway": monitors.gateway_monitor_spec("inference-gateway", "30s"),
        "gateway-counts": monitors.gateway_monitor_spec("inference-gateway", "30s", counts=True),
        "models": monitors.models_monitor_spec("30s"),
        "cert-manager": monitors.cert_manager_monitor_spec("30s"),
    },
    "rules-of-a-stack": lambda: {file.name: rule_spec(file, TESTED) for file in values_files(TESTED)},
}


def _patches(options: dict[str, str]) -> dict[str, Any]:
    return {key: yaml.safe_load(text) for key, text in options.items()}


def _certificate(of: Settings) -> dict[str, Any]:
    return certificates.certificate_spec(of.gateway.tls, of.domain, of.gateway.certificate_secret)


@pytest.mark.parametrize("name", sorted(BODIES))
def test_a_body_is_what_was_reviewed(name: str) -> None:
    check_golden(GOLDENS / f"{name}.yaml", BODIES[name]())


def test_no_reviewed_file_is_left_over() -> None:
    assert {path.stem for path in GOLDENS.glob("*.yaml")} == set(BODIES)
