"""Configurations that cannot work: what is changed in a good one, the key that the error must name, and its fix."""

import copy
from dataclasses import dataclass, field
from typing import Any

GOOD: dict[str, Any] = {
    "domain": "maas.example.com",
    "platform": {"profile": "kubernetes"},
    "tiers": {
        "free": {"level": 0, "requests": "5 per 2m", "tokens": "100 per 1m", "price": 0.005},
        "premium": {"level": 1, "requests": "20 per 2m", "tokens": ["500 per 1m", "200000 per 24h"], "price": 0.008},
    },
    "users": {"alice": {"tier": "premium", "team": "search", "costCentre": "4711"}, "bob": {"tier": "free"}},
    "apiKeys": {"alice": "a" * 40, "bob": "b" * 40},
    "models": {
        "simulator": {"profile": "simulator", "servedName": "simulator-model"},
        "qwen3": {"source": "hf://Qwen/Qwen3-0.6B", "profile": "small-gpu"},
    },
}

ON_OPENSHIFT = {"platform/profile": "openshift"}
PEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"

SSO = {"issuerUrl": "https://sso.example.com", "audiences": ["maas"], "groups": {"staff": "free"}}

ABSENT = object()
"""As the new value: the key is taken away."""


@dataclass(frozen=True)
class Bad:
    """One change that makes the configuration bad."""

    path: str
    """Where, with slashes: `tiers/free/tokens`."""
    value: Any
    key: str
    """The key that the message must start with."""
    says: str = ""
    """Words that the message must have."""
    fix: str = ""
    """The correction that it must suggest."""
    also: dict[str, Any] = field(default_factory=dict[str, Any])
    """Further changes that the case needs."""

    def values(self) -> dict[str, Any]:
        """The good configuration with this one thing wrong."""
        result = copy.deepcopy(GOOD)
        for path, value in {self.path: self.value, **self.also}.items():
            *parents, last = path.split("/")
            place = result
            for parent in parents:
                place = place.setdefault(parent, {})
            if value is ABSENT:
                del place[last]
            else:
                place[last] = value
        return result


BAD: tuple[Bad, ...] = (
    # domain
    Bad("domain", ABSENT, "maas:domain", "required"),
    Bad("domain", "https://apps.example.com/", "maas:domain", "not a domain", "apps.example.com"),
    Bad("domain", "*.apps.example.com", "maas:domain", "not a domain", "apps.example.com"),
    Bad("domain", "Apps.Example.com", "maas:domain", "not a domain", "apps.example.com"),
    Bad("domain", "apps.example.com:8443", "maas:domain", "not a domain", "apps.example.com"),
    # unknown keys
    Bad("tierz", {}, "maas:tierz", "unknown key", "tiers"),
    Bad("tiers/free/token", "1 per 1m", "maas:tiers.free.token", "unknown key", "tokens"),
    Bad("platform/kserve/instal", "helm", "maas:platform.kserve.instal", "unknown key", "install"),
    Bad("users/alice/costCenter", "1", "maas:users.alice.costCenter", "unknown key", "costCentre"),
    Bad("models/qwen3/gpus", 1, "maas:models.qwen3.gpus", "unknown key", "gpu"),
    # tiers
    Bad("tiers", ABSENT, "maas:tiers", "required"),
    Bad("tiers", {}, "maas:tiers", "at least 1", also={"users": {}, "apiKeys": {}}),
    Bad("tiers/Free Tier", {"level": 7, "requests": "1 per 1m", "tokens": "1 per 1m"}, "maas:tiers.Free Tier",
        "not a DNS label", "free-tier"),
    Bad("tiers/free/tokens", ABSENT, "maas:tiers.free.tokens", "no limit is stated", "unlimited"),
    Bad("tiers/free/tokens", "none", "maas:tiers.free.tokens", "not a rate", "unlimited"),
    Bad("tiers/free/tokens", [], "maas:tiers.free.tokens", "limits nothing", "unlimited"),
    Bad("tiers/free/tokens", "100 per 1d", "maas:tiers.free.tokens[0].window", "not a window", "24h"),
    Bad("tiers/free/tokens", "100 per 1w", "maas:tiers.free.tokens[0].window", "not a window", "168h"),
    Bad("tiers/free/tokens", {"limit": 100, "window": "1 month"}, "maas:tiers.free.tokens[0].window", "", "720h"),
    Bad("tiers/free/tokens", "100 per 500ms", "maas:tiers.free.tokens[0].window", "shorter than a second", "1s"),
    Bad("tiers/free/tokens", ["100 per 1m", "50 per 60s"], "maas:tiers.free.tokens", "clash", "50 per 60s"),
    Bad("tiers/free/requests", "many", "maas:tiers.free.requests", "not a rate", "100 per 1m"),
    Bad("tiers/free/requests", {"limit": 0, "window": "1m"}, "maas:tiers.free.requests[0].limit", "greater than 0"),
    Bad("tiers/free/requests", {"limit": 2.5, "window": "1m"}, "maas:tiers.free.requests[0].limit", "integer"),
    Bad("tiers/free/requests", {"limit": 5}, "maas:tiers.free.requests[0].window", "required"),
    Bad("tiers/free/price", -0.01, "maas:tiers.free.price", "greater than or equal to 0"),
    Bad("tiers/free/level", "low", "maas:tiers.free.level", "integer"),
    Bad("tiers/premium/level", 0, "maas:tiers.premium.level", "'free' has that level", "1"),
    # users and keys
    Bad("users/alice/tier", "premum", "maas:users.alice.tier", "no such tier", "premium"),
    Bad("users/alice/tier", ABSENT, "maas:users.alice.tier", "required"),
    Bad("users/Alice@Example", {"tier": "free"}, "maas:users.Alice@Example", "not a DNS label", "alice-example"),
    Bad("users/alice/kind", "robot", "maas:users.alice.kind", "not one of", ""),
    Bad("users/alice/models", ["qwen"], "maas:users.alice.models", "no such model", "qwen3"),
    Bad("users/alice/models", [], "maas:users.alice.models", "no model at all", "no models at all"),
    Bad("users/alice/expires", "next year", "maas:users.alice.expires", "not a point in time", "2027-12-31"),
    Bad("users/alice/expires", "2027-02-30", "maas:users.alice.expires", "not a point in time"),
    Bad("users/alice/expires", "2027-12-31T10:00:00", "maas:users.alice.expires", "without its zone",
        "2027-12-31T10:00:00Z"),
    Bad("users/alice/expires", 20271231, "maas:users.alice.expires", "not a point in time"),
    Bad("users/alice/labels", {"maas.kuadrant.io/credential": "x"},
        "maas:users.alice.labels.maas.kuadrant.io/credential", "have a meaning here", "credential"),
    Bad("users/alice/labels", {"kuadrant.io/x": "x"}, "maas:users.alice.labels.kuadrant.io/x", "have a meaning here"),
    Bad("users/alice/labels", {"a b": "x"}, "maas:users.alice.labels.a b", "not a key of a Kubernetes label", "a-b"),
    Bad("users/alice/labels", {"a": "x y"}, "maas:users.alice.labels.a", "not a value of a Kubernetes label", "x-y"),
    Bad("apiKeys/alice", [c * 40 for c in "xyz"], "maas:apiKeys.alice", "3 keys for one user"),
    Bad("apiKeys/alice", [], "maas:apiKeys.alice", "0 keys for one user"),
    Bad("apiKeys/alice", ["x" * 40, "x" * 40], "maas:apiKeys.alice", "the same key twice"),
    Bad("apiKeys/alice", ["x" * 40, {"key": "b" * 40}], "maas:apiKeys.bob", "the same key as user 'alice'"),
    Bad("apiKeys/alice", {"key": "x" * 40, "expires": "soon"}, "maas:apiKeys.alice[0].expires", "not a point in time"),
    Bad("identity", {"apiKeys": {"headers": ["cookie"]}}, "maas:identity.apiKeys.headers[0]", "keys can be sent in",
        "x-api-key"),
    Bad("identity", {"apiKeys": {"headers": ["x-maas-key"]}}, "maas:identity.apiKeys.headers[0]", "x-maas-*"),
    Bad("identity", {"oidc": {"sso": {**SSO, "issuerUrl": "http://sso.example.com"}}}, "maas:identity.oidc.sso",
        "plain HTTP", "https://sso.example.com"),
    Bad("identity", {"oidc": {"sso": {**SSO, "issuerUrl": "sso.example.com"}}}, "maas:identity.oidc.sso.issuerUrl",
        "not the URL"),
    Bad("identity", {"oidc": {"sso": {**SSO, "audiences": []}}}, "maas:identity.oidc.sso.audiences", "somebody else"),
    Bad("identity", {"oidc": {"sso": {**SSO, "groups": {}}}}, "maas:identity.oidc.sso", "would get a tier"),
    Bad("identity", {"oidc": {"sso": {**SSO, "groups": {"a b": "free"}}}}, "maas:identity.oidc.sso.groups.a b",
        "not a name of a group", "a-b"),
    Bad("identity", {"oidc": {"sso": {**SSO, "groups": {"a": "fre"}}}}, "maas:identity.oidc.sso.groups.a",
        "no such tier", "free"),
    Bad("identity", {"oidc": {"sso": {**SSO, "defaultTier": "fre"}}}, "maas:identity.oidc.sso.defaultTier",
        "no such tier", "free"),
    Bad("identity", {"oidc": {"sso": {**SSO, "ttl": "1s"}}}, "maas:identity.oidc.sso", "all the time", "5m"),
    Bad("identity", {"oidc": {"system": SSO}}, "maas:identity.oidc", "other user ids", "system-tokens"),
    Bad("identity", {"oidc": {"a": SSO, "b": SSO}}, "maas:identity.oidc.b.issuerUrl", "'a' is the same"),
    Bad("identity", {"kubernetes": {"accounts": {"a": {"tier": "fre"}}}}, "maas:identity.kubernetes.accounts.a.tier",
        "no such tier", "free"),
    Bad("identity", {"kubernetes": {"accounts": {"a": {"tier": "free", "models": ["qwen"]}}}},
        "maas:identity.kubernetes.accounts.a.models", "no such model", "qwen3"),
    Bad("identity", {"kubernetes": {"accounts": {"a:b": {"tier": "free"}}}}, "maas:identity.kubernetes.accounts.a:b",
        "neither a namespace", "team-a"),
    Bad("identity", {"kubernetes": {"audiences": []}}, "maas:identity.kubernetes.audiences", "somebody else"),
    Bad("identity", {"anonymous": ["chat"]}, "maas:identity.anonymous[0]", "not one of"),
    Bad("tiers/free/models", {"qwen": {"tokens": "1 per 1m"}}, "maas:tiers.free.models.qwen", "no such model", "qwen3"),
    Bad("tiers/free/models", {"qwen3": {}}, "maas:tiers.free.models.qwen3", "nothing that is different"),
    Bad("routing", {"by": "host", "quota": "acrossModels"}, "maas:routing", "one HTTPRoute cannot",
        "{by: path, quota: acrossModels}"),
    Bad("routing", {"quota": "acrossModels"}, "maas:routing.quota", "17 models need as many rules", "perModel",
        also={"models": {f"m{number}": {"profile": "simulator"} for number in range(17)}}),
    Bad("routing", {"by": "path"}, "maas:models.qwen3.host", "share the host 'models'",
        also={"models/qwen3/host": "chat"}),
    Bad("identity", {"apiKeys": {"backend": "vault"}}, "maas:identity.apiKeys.backend", "not one of"),
    Bad("identity", {"apiKeys": {"backend": "existing"}}, "maas:identity.apiKeys", "where the keys are", "selector",
        also={"apiKeys": {}}),
    Bad("identity", {"apiKeys": {"backend": "externalSecrets"}}, "maas:identity.apiKeys", "where the keys are",
        "store: {name: <store>}", also={"apiKeys": {}}),
    Bad("identity", {"apiKeys": {"selector": {"app": "keys"}}}, "maas:identity.apiKeys", "no use for selector",
        "backend: existing"),
    Bad("identity", {"apiKeys": {"backend": "externalSecrets", "store": {"name": "vault"}, "remoteKey": "maas/key"}},
        "maas:identity.apiKeys", "all would have one key", "maas/key/{user}", also={"apiKeys": {}}),
    Bad("identity", {"apiKeys": {"backend": "existing", "selector": {"app": "keys"}}}, "maas:apiKeys",
        "have no effect", "no keys here"),
    Bad("apiKeys/alise", "c" * 40, "maas:apiKeys.alise", "no such user", "alice"),
    Bad("apiKeys/alice", "short", "maas:apiKeys.alice[0].key", "not an API key", "openssl rand -hex 32"),
    Bad("apiKeys/alice", "with a space in it" + "x" * 40, "maas:apiKeys.alice[0].key", "not an API key"),
    Bad("apiKeys/alice", "b" * 40, "maas:apiKeys.bob", "the same key as user 'alice'"),
    # platform
    Bad("platform/profile", "openshft", "maas:platform.profile", "not one of", "openshift"),
    Bad("platform/kserve/install", "olm", "maas:platform.kserve.install", "no OLM package", "helm"),
    Bad("platform/serviceMesh", {"install": "olm"}, "maas:platform.serviceMesh.install", "GatewayAPIOSSMConflict",
        "preinstalled", also={"platform/profile": "openshift"}),
    Bad("platform/serviceMesh", {"install": "olm"}, "maas:platform.serviceMesh.install", "Istio has no package",
        "helm"),
    Bad("platform/serviceMesh", {"install": "helm"}, "maas:platform.serviceMesh.install", "runs an Istio already",
        "preinstalled", also={"platform/profile": "openshift"}),
    Bad("platform/monitoring", {"install": "olm"}, "maas:platform.monitoring.install", "makes no Prometheus", "helm"),
    Bad("platform/monitoring", {"install": "helm"}, "maas:platform.monitoring.install", "operator already",
        "preinstalled", also={"platform/profile": "openshift"}),
    Bad("platform/gatewayApi", {"install": "manifest"}, "maas:platform.gatewayApi.install", "built in", "preinstalled",
        also={"platform/profile": "openshift"}),
    Bad("platform/gatewayApi", {"install": "helm"}, "maas:platform.gatewayApi.install", "not one of"),
    Bad("platform/certManager", {"version": "v1.18.2"}, "maas:platform.certManager.version", "has no effect",
        "install: helm"),
    Bad("platform/certManager", {"install": "olm", "values": {"replicaCount": 2}}, "maas:platform.certManager.values",
        "has no effect with install: olm", "install: helm"),
    Bad("platform/kuadrant", {"install": "helm", "channel": "preview"}, "maas:platform.kuadrant.channel",
        "has no effect with install: helm", "install: olm"),
    Bad("platform/kuadrant", {"approval": "Manual"}, "maas:platform.kuadrant.approval", "has no effect",
        "install: olm"),
    Bad("platform/kuadrant", {"install": "olm", "package": "rhcl-operator"}, "maas:platform.kuadrant.package",
        "no such package", "kuadrant-operator"),
    Bad("platform/kuadrant", {"install": "olm", "package": "rhcl-operator", "version": "1.4.0"},
        "maas:platform.kuadrant.version", "without a key", "1.4.1", also={"platform/profile": "openshift"}),
    Bad("platform/kuadrant", {"wasmShim": "oci://registry.example.com/wasm-shim:1"}, "maas:platform.kuadrant.wasmShim",
        "left as it is", "environment: managed"),
    Bad("platform/namespace", "istio-system", "maas:platform.namespace", "istio's operator", "llm",
        also={"platform/serviceMesh": {"install": "helm"}}),
    Bad("platform/kuadrant/install", "olmm", "maas:platform.kuadrant.install", "not one of", "olm"),
    Bad("platform/namespace", "kuadrant-system", "maas:platform.namespace", "kuadrant's operator", "llm"),
    # gateway
    Bad("gateway", {"expose": "route"}, "maas:gateway.expose", "OpenShift only", "loadBalancer"),
    Bad("gateway", {"replicas": {"min": 3, "max": 2}}, "maas:gateway.replicas", "max is less than min", "min: 2"),
    Bad("gateway", {"replicas": {"min": 0, "max": 1}}, "maas:gateway.replicas.min", "greater than or equal to 1"),
    Bad("gateway", {"resources": {"cpu": "4"}}, "maas:gateway.resources", "more than cpuLimit", "cpuLimit: 4"),
    Bad("gateway", {"resources": {"memory": "2 GB"}}, "maas:gateway.resources.memory", "quantity"),
    Bad("gateway", {"nodePorts": {"http": 30080}}, "maas:gateway.nodePorts", "exposed by loadBalancer"),
    Bad("gateway", {"expose": "nodePort", "nodePorts": {"http": 80}}, "maas:gateway.nodePorts.http", "30000"),
    Bad("gateway", {"expose": "clusterIP", "service": {"externalTrafficPolicy": "Local"}},
        "maas:gateway.service.externalTrafficPolicy", "exposed by clusterIP"),
    Bad("gateway", {"expose": "nodePort", "service": {"loadBalancerSourceRanges": ["10.0.0.0/8"]}},
        "maas:gateway.service.loadBalancerSourceRanges", "exposed by nodePort"),
    # TLS
    Bad("gateway", {"tls": {"mode": "selfsigned"}}, "maas:gateway.tls.mode", "not one of", "self-signed"),
    Bad("gateway", {"tls": {"mode": "secret"}}, "maas:gateway.tls", "belong together", "secretName"),
    Bad("gateway", {"tls": {"secretName": "wildcard"}}, "maas:gateway.tls", "belong together", "mode: secret"),
    Bad("gateway", {"tls": {"mode": "cert-manager"}}, "maas:gateway.tls", "issuer belong together", "letsencrypt-prod"),
    Bad("gateway", {"tls": {"mode": "self-signed", "issuer": "ours"}}, "maas:gateway.tls", "issuer belong together",
        "mode: cert-manager, issuer: ours"),
    Bad("gateway", {"tls": {"mode": "cert-manager", "issuer": "ours", "issuerKind": "Vault"}},
        "maas:gateway.tls.issuerKind", "not one of", ""),
    Bad("gateway", {"tls": {"redirect": True}}, "maas:gateway.tls", "no HTTPS", "self-signed"),
    Bad("gateway", {"tls": {"mode": "service-ca"}}, "maas:gateway.tls.mode", "only OpenShift", "self-signed"),
    Bad("gateway", {"tls": {"mode": "service-ca"}, "expose": "loadBalancer"}, "maas:gateway.tls.mode",
        "nobody but the router", "cert-manager", also=ON_OPENSHIFT),
    # Routes
    Bad("gateway", {"route": {"termination": "passthrough"}}, "maas:gateway.route", "no Routes with this exposure"),
    Bad("gateway", {"tls": {"mode": "secret", "secretName": "wildcard"}}, "maas:gateway.tls.mode", "the Route ends TLS",
        "none", also=ON_OPENSHIFT),
    Bad("gateway", {"route": {"termination": "passthrough"}}, "maas:gateway.route.termination", "can trust", "edge",
        also=ON_OPENSHIFT),
    Bad("gateway", {"route": {"termination": "passthrough"}, "tls": {"mode": "service-ca"}},
        "maas:gateway.route.termination", "can trust", "edge", also=ON_OPENSHIFT),
    Bad("gateway", {"route": {"termination": "reencrypt"}}, "maas:gateway.route.termination", "no certificate",
        "service-ca", also=ON_OPENSHIFT),
    Bad("gateway", {"route": {"termination": "reencrypt"}, "tls": {"mode": "self-signed"}},
        "maas:gateway.route.destinationCaCertificate", "service CA", "service-ca", also=ON_OPENSHIFT),
    Bad("gateway", {"route": {"destinationCaCertificate": PEM}}, "maas:gateway.route.destinationCaCertificate",
        "would not use it", "no destinationCaCertificate", also=ON_OPENSHIFT),
    Bad("gateway", {"route": {"termination": "reencrypt", "destinationCaCertificate": "ca.crt"}},
        "maas:gateway.route.destinationCaCertificate", "not PEM", "ca.crt", also=ON_OPENSHIFT),
    Bad("gateway", {"route": {"termination": "passthrough"}, "tls": {"mode": "self-signed", "redirect": True}},
        "maas:gateway.tls.redirect", "router redirects", "false", also=ON_OPENSHIFT),
    Bad("platform/scc", "original", "maas:platform.scc", "OpenShift only", "restricted"),
    Bad("platform/scc", "anyuid", "maas:platform.scc", "not one of", "", also=ON_OPENSHIFT),
    Bad("platform/monitoring", {"userWorkload": "managed"}, "maas:platform.monitoring.userWorkload", "OpenShift only",
        "existing"),
    Bad("platform/monitoring", {"userWorkload": "on"}, "maas:platform.monitoring.userWorkload", "not one of",
        also=ON_OPENSHIFT),
    Bad("platform/cleanUp", {"sailNamespace": "mesh"}, "maas:platform.cleanUp.sailNamespace", "nothing is cleaned up",
        "sailOperator: true"),
    Bad("platform/cleanUp", {"sailOperator": True, "sailNamespace": "istio-system"},
        "maas:platform.cleanUp.sailNamespace", "runs the gateway", "gateway-system"),
    Bad("platform/cleanUp", {"odhWebhok": True}, "maas:platform.cleanUp.odhWebhok", "unknown key", "odhWebhook"),
    # limiter
    Bad("limiter", {"replicas": 3}, "maas:limiter", "counts alone", "storage: redis"),
    Bad("limiter", {"storage": "redis", "redis": {}, "redisSecret": "x"}, "maas:limiter", "belong together"),
    Bad("limiter", {"redis": {}}, "maas:limiter", "belong together", "storage: redis"),
    Bad(
        "platform/networkPolicies",
        {"downloads": [{"cidr": "10.0.0.1/8"}]},
        "maas:platform.networkPolicies.downloads[0].cidr",
        "CIDR",
        "10.0.0.0/8",
    ),
    Bad(
        "platform/networkPolicies",
        {"downloads": [{"cidr": "10.0.0.0/8", "exclude": ["192.168.0.0/16"]}]},
        "maas:platform.networkPolicies.downloads[0]",
        "no part of",
    ),
    Bad(
        "platform/networkPolicies",
        {"scrapers": ["Monitoring"]},
        "maas:platform.networkPolicies.scrapers[0]",
        "DNS label",
        "monitoring",
    ),
    Bad("identity", {"keycloak": {"users": {}}}, "maas:identity.keycloak.users", "nobody could sign in", "alice"),
    Bad(
        "identity",
        {"keycloak": {"users": {"ann": {"tier": "gold"}}}},
        "maas:identity.oidc.keycloak.groups.maas-gold",
        "no such tier",
    ),
    Bad(
        "identity",
        {"keycloak": {"namespace": "llm", "users": {"ann": {"tier": "free"}}}},
        "maas:identity.keycloak.namespace",
        "others are in it",
        "llm-keycloak",
    ),
    Bad("limiter", {"storage": "redis"}, "maas:limiter", "belong together", "redisSecret"),
    Bad("limiter", {"memory": "64 MB"}, "maas:limiter.memory", "quantity"),
    Bad("limiter", {"failOpen": True}, "maas:limiter.failOpen", "has no effect", "environment: managed"),
    # mirror
    Bad("mirror", {"registry": {}}, "maas:mirror.registry", "unknown key", "registries"),
    # models
    Bad("models/qwen3/profile", "gpu", "maas:models.qwen3", "how many GPUs", "gpu: {count: 1}"),
    Bad("models/qwen3/profile", "small-gpus", "maas:models.qwen3", "no profile", "small-gpu"),
    Bad("models/qwen3/gpu", {"count": 0}, "maas:models.qwen3.gpu.count", "greater than or equal to 1"),
    Bad("models/qwen3/source", ABSENT, "maas:models.qwen3", "needs a model to load", "hf://Qwen/Qwen3-0.6B"),
    Bad("models/qwen3/source", "Qwen/Qwen3-0.6B", "maas:models.qwen3.source", "not a model source"),
    Bad("models/qwen3/resources", {"memory": "12 GB"}, "maas:models.qwen3.resources.memory", "quantity"),
    Bad("models/qwen3/servedName", "simulator-model", "maas:models.simulator.servedName", "the same name"),
    Bad("models/qwen3/host", "simulator", "maas:models.simulator.host", "the same host"),
    Bad("models/qwen3/tiers", ["premum"], "maas:models.qwen3.tiers", "no such tier", "premium"),
    Bad("models/qwen3/tiers", [], "maas:models.qwen3.tiers", "at least 1 item"),
    Bad("models/simulator/gpu", {"count": 1}, "maas:models.simulator", "uses no GPU"),
    Bad("models/3d", {"profile": "simulator"}, "maas:models.3d", "not a name that KServe takes", "m-3d"),
    Bad("models/" + "m" * 54, {"profile": "simulator"}, "maas:models." + "m" * 54, "not a name that KServe takes"),
    Bad("models/" + "m" * 50, {"profile": "simulator"}, "maas:models." + "m" * 50 + ".host", "at most 63",
        also={"platform": {"profile": "openshift", "namespace": "a-rather-long-namespace"}}),
    # nodes
    Bad("nodes", {"cpu": {}, "l40s": {"gpu": {"count": 4, "memory": "46068Mi"}}}, "maas:models.qwen3.gpu",
        "l40s: no label nvidia.com/gpu.present=true"),
    Bad("nodes", {"l40s": {"labels": {"nvidia.com/gpu.present": "true"}, "taints": [{"key": "ours"}]}},
        "maas:models.qwen3.gpu", "l40s: taint ours is not tolerated"),
    Bad("nodes", {"l40s": {"labels": {"nvidia.com/gpu.present": "true"}, "gpu": {"count": 4, "memory": "46068Mi",
        "resource": "amd.com/gpu"}}}, "maas:models.qwen3.gpu", "l40s: 0 x nvidia.com/gpu, 1 wanted"),
    Bad("nodes", {"l40s": {"gpu": {"memory": "46068Mi"}}}, "maas:nodes.l40s.gpu.count", "required"),
    Bad("nodes", {"l40s": {"taints": [{"key": "a", "effect": "Never"}]}}, "maas:nodes.l40s.taints[0].effect", ""),
    # the rest
    Bad("observability", {"interval": "half a minute"}, "maas:observability.interval", "not a window"),
    Bad("observability", {"kuadrantMonitors": "both"}, "maas:observability.kuadrantMonitors", "not one of"),
    Bad("observability", {"counters": "envoy"}, "maas:observability.counters", "not one of"),
    Bad("observability", {"thresholds": {"limitedRatio": 50}}, "maas:observability.thresholds.limitedRatio",
        "less than or equal to 1"),
    Bad("observability", {"budgets": {"b": {"amount": 0}}}, "maas:observability.budgets.b.amount", "greater than 0"),
    Bad("observability", {"budgets": {"b": {"amount": 1, "user": "alice", "tier": "free"}}},
        "maas:observability.budgets.b", "is for user and for tier", "two budgets"),
    Bad("observability", {"budgets": {"b": {"amount": 1, "team": "serach"}}},
        "maas:observability.budgets.b.team", "no such team", "search"),
    Bad("observability", {"budgets": {"b": {"amount": 1, "costCentre": "4712"}}},
        "maas:observability.budgets.b.costCentre", "no such costCentre", "4711"),
    Bad("observability", {"budgets": {"b": {"amount": 1, "team": "search"}}, "telemetryLabels": {"user": False}},
        "maas:observability.telemetryLabels.user", "budget 'b' needs that label", "true"),
    Bad("observability", {"dashboards": "configMaps"}, "maas:observability.dashboards", "not one of"),
    Bad("observability", {"prometheus": {"url": "thanos:9091"}}, "maas:observability.prometheus.url", "match"),
    Bad("models/qwen3/priceFactor", -1, "maas:models.qwen3.priceFactor", "greater than or equal to 0"),
    Bad("policy", {"levels": {"tsl": "advisory"}}, "maas:policy.levels.tsl", "no such rule", "tls"),
    Bad("policy", {"levels": {"tls": "of"}}, "maas:policy.levels.tls", "not one of the known values"),
    Bad("policy", {"protect": True}, "maas:policy.protect", "unknown key", "protected"),
    Bad("timeouts", {"model": "1d"}, "maas:timeouts.model", "not a window", "24h"),
)  # fmt: skip
