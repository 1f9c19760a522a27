"""Stacks as users may change them: for tests that hold for every way of exposing the gateway."""

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from cli.program.recorder import Recording, record, stack_config
from tests.catalogue import ENTRIES, configured
from tests.unit.components.sources import EVERY_SOURCE

CA = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
_EVERY_SIZE = {
    "resources": {"cpu": "1", "cpuLimit": "4", "memory": "3Gi"},
    "replicas": {"min": 2, "max": 6},
    "service": {
        "annotations": {"metallb.io/allow-shared-ip": "maas"},
        "externalTrafficPolicy": "Local",
        "loadBalancerSourceRanges": ["10.0.0.0/8"],
    },
}

VARIANTS: dict[str, tuple[str, dict[str, dict[str, Any]]]] = {
    "plain": ("dev", {}),
    "cluster-ip": ("dev", {"gateway": {"expose": "clusterIP"}}),
    "node-port": ("dev", {"gateway": {"expose": "nodePort", "nodePorts": {"http": 30080}}}),
    "other-class": (
        "dev",
        {
            "gateway": {
                "className": "cilium",
                "resources": None,
                "guard": {"lowerCaseHost": False, "errorBodies": False},
            }
        },
    ),
    "self-signed": ("dev", {"gateway": {"tls": {"mode": "self-signed"}}}),
    "self-signed-redirect": (
        "dev",
        {
            "gateway": {
                "expose": "nodePort",
                "nodePorts": {"http": 30080, "https": 30443},
                "replicas": 2,
                "tls": {"mode": "self-signed", "redirect": True},
            }
        },
    ),
    "cluster-issuer": ("dev", {"gateway": {"tls": {"mode": "cert-manager", "issuer": "letsencrypt"}, **_EVERY_SIZE}}),
    "issuer": ("dev", {"gateway": {"tls": {"mode": "cert-manager", "issuer": "our-ca", "issuerKind": "Issuer"}}}),
    "secret": ("dev", {"gateway": {"tls": {"mode": "secret", "secretName": "wildcard"}}}),
    "secret-redirect": ("dev", {"gateway": {"tls": {"mode": "secret", "secretName": "wildcard", "redirect": True}}}),
    "route-edge": ("ocp", {}),
    "route-reencrypt": ("ocp", {"gateway": {"tls": {"mode": "service-ca"}, "route": {"termination": "reencrypt"}}}),
    "route-reencrypt-ca": (
        "ocp",
        {
            "gateway": {
                "tls": {"mode": "cert-manager", "issuer": "our-ca"},
                "route": {"termination": "reencrypt", "destinationCaCertificate": CA},
            }
        },
    ),
    "route-passthrough": (
        "ocp",
        {"gateway": {"tls": {"mode": "self-signed"}, "route": {"termination": "passthrough"}}},
    ),
    "openshift-load-balancer": (
        "ocp",
        {"gateway": {"expose": "loadBalancer", "tls": {"mode": "secret", "secretName": "wildcard"}}},
    ),
    "existing-keys": ("dev", {"identity": {"apiKeys": {"backend": "existing", "selector": {"app": "our-keys"}}}}),
    "external-secrets": (
        "dev",
        {"identity": {"apiKeys": {"backend": "externalSecrets", "store": {"name": "vault"}, "remoteProperty": "key"}}},
    ),
    "every-identity": ("dev", EVERY_SOURCE),
    "development": (
        "dev",
        {
            "limiter": {"replicas": 2, "storage": "redis", "redis": {}},
            "identity": {"keycloak": {"users": {"alice": {"tier": "premium", "team": "search"}}}},
        },
    ),
    "original-scc": ("ocp", {"platform": {"scc": "original"}}),
    "every-kind-of-model": ("dev", {**configured(*ENTRIES), "platform": {"kserve": {"install": "preinstalled"}}}),
    "models-scaled-by-the-cluster": (
        "ocp",
        {
            "serving": {"autoscaler": "hpa"},
            "models": {"qwen3": {"source": "hf://Qwen/Qwen3-0.6B", "profile": "small-gpu", "autoscaling": {"max": 3}}},
        },
    ),
    "cached-models": (
        "dev",
        {
            "models": {
                "qwen3": {
                    "source": "hf://Qwen/Qwen3-0.6B",
                    "profile": "small-gpu",
                    "cache": {"size": "20Gi", "accessMode": "ReadWriteMany"},
                }
            }
        },
    ),
}
"""Name of the variant: stack, and what is different in it, by section."""


def changed(stack: str, changes: Mapping[str, Mapping[str, Any]]) -> Recording:
    """A stack whose sections have the given keys in addition, or with other values."""
    config, secrets = stack_config(stack)
    sections = {
        f"maas:{section}": json.dumps(json.loads(config.get(f"maas:{section}", "{}")) | dict(values))
        for section, values in changes.items()
    }
    return record(stack, config | sections, [*secrets, "maas:modelSecrets"])


@cache
def variant(name: str) -> Recording:
    """One of the variants, recorded; frozen, so that tests may share it."""
    return changed(*VARIANTS[name])
