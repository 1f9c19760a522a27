"""Whole stack files, at random: any that users may write and that has to work, and those with something wrong in them.

What `stacks` draws is put together so that its parts fit: it has to be accepted. What `spoilt` draws was changed in one
place; whether it still works is for the program to say.
"""

import copy
import random
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from hypothesis import strategies as st
from pydantic import TypeAdapter

from config.models import PROFILES, Models
from policy.rules.levels import RULES

Sections = dict[str, Any]
"""What stands under `config:`, by key without `maas:`."""
Value = TypeVar("Value")

CERTIFICATE = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_TAKEN = ("fallback", "models", "inference-gateway", "gateway-auth", "maas-vllm", "limitador", "simulator", "on", "no")
"""Names that something else has, or that YAML takes for no text."""
_NAMES = st.one_of(
    st.sampled_from(_TAKEN),
    st.tuples(
        st.sampled_from(_LETTERS),
        st.text(f"{_LETTERS}0123456789-", max_size=8),
        st.sampled_from(f"{_LETTERS}0123456789"),
    ).map("".join),
)
"""DNS labels that begin with a letter."""
_LABELS = st.one_of(_NAMES, st.sampled_from(("0", "007", "1e3", "0x1f", "12345678901234567890", "9-a")))
"""DNS labels."""
_TIER_NAMES = st.lists(_LABELS, min_size=1, max_size=4, unique=True)
_USER_NAMES = st.lists(_LABELS, max_size=5, unique=True)
_MODEL_NAMES = st.lists(_NAMES, max_size=5, unique=True)
_WORDS = st.one_of(
    st.sampled_from(("search", "Platform team", "R&D", "Müller's", '"quoted"', "{{ .x }}", "$value", "4711", "a\\b")),
    st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc", "Cn", "Co"]), min_size=1, max_size=12),
)
"""What people call their teams and cost centres."""
_LIMITS = st.one_of(st.integers(1, 1000), st.integers(1, 2**53 - 1))
_SEEDS = st.integers(0, 2**32)
_WINDOWS = ("1s", "10s", "30s", "1m", "90s", "2m", "5m", "1h", "1h30m", "24h", "720h", "99999h")
_TIMES = ("30s", "1m", "5m", "10m", "1h")
_MEMORIES = ("256Mi", "512Mi", "2Gi", "12Gi", "1.5Gi", "8G")
_EXPIRIES = (
    "2099-12-31", "2099-12-31T18:00:00+01:00", "2020-02-29", "2099-01-01T00:00:00Z", "2099-06-30T12:00:00.5Z"
)  # fmt: skip


class _Pen:
    """Draws the parts of one stack. Numbers are what Hypothesis draws fastest."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw

    def number(self, least: int, most: int) -> int:
        return self.draw(st.integers(least, most))

    def yes(self) -> bool:
        return self.number(0, 1) == 1

    def pick(self, values: Sequence[Value]) -> Value:
        return copy.deepcopy(values[self.number(0, len(values) - 1)])

    def some(self, values: Sequence[Value], most: int, least: int = 0) -> list[Value]:
        """Different ones, in the order in which they stand."""
        least, most = min(least, len(values)), min(most, len(values))
        left, wanted = list(range(len(values))), self.number(least, most)
        chosen = [left.pop(self.number(0, len(left) - 1)) for _ in range(wanted)]
        return [values[each] for each in sorted(chosen)]

    def put(self, into: Sections, **choices: Sequence[Any] | st.SearchStrategy[Any]) -> None:
        """Put some of the keys in, each with one of its values."""
        for key, values in choices.items():
            if isinstance(values, st.SearchStrategy):
                if self.yes():
                    into[key] = self.draw(values)
            elif values and (at := self.number(-len(values), len(values) - 1)) >= 0:
                into[key] = copy.deepcopy(values[at])


@dataclass
class _Plan:
    """What the parts have to agree on."""

    pen: _Pen
    openshift: bool
    tiers: list[str]
    models: list[str]
    users: list[str]
    by_path: bool
    across: bool
    autoscaler: str
    llm: bool
    """Whether KServe knows LLMInferenceServices."""
    namespace: str


@st.composite
def stacks(draw: st.DrawFn) -> Sections:
    """Sections of a stack file that have to be accepted. Secrets stand in it as the engine keeps them."""
    pen = _Pen(draw)
    by_path, across = pen.pick(((False, False), (False, False), (True, False), (True, True)))
    plan = _Plan(
        pen,
        openshift=pen.yes(),
        tiers=draw(_TIER_NAMES),
        models=draw(_MODEL_NAMES),
        users=draw(_USER_NAMES),
        by_path=by_path,
        across=across,
        autoscaler=pen.pick(("none", "keda", "hpa")),
        llm=pen.yes(),
        namespace=pen.pick(("llm", "models", "a", "team-a-models")),
    )
    models, secrets = _models(plan)
    platform, users, identity = _platform(plan), _users(plan), _identity(plan)
    sections: Sections = {
        "domain": pen.pick(("example.com", "apps.cluster-1.example.com", "localhost", "1.2.3")),
        "tiers": _tiers(plan),
        "platform": platform,
        "users": users,
        "identity": identity,
        "apiKeys": _api_keys(plan) if identity.get("apiKeys", {}).get("backend", "stack") == "stack" else {},
        "models": models,
        "modelSecrets": secrets,
        "serving": _serving(plan),
        "routing": _routing(plan),
        "gateway": _gateway(plan),
        "limiter": _limiter(plan, platform),
        "observability": _observability(plan, users),
        "nodes": _nodes(plan, models),
        "mirror": _mirror(plan),
        "policy": _policy(plan),
    }
    pen.put(
        sections,
        cluster=({"context": "prod"}, {"identifier": "eu-1"}),
        timeouts=({"gateway": "1m", "policy": "90s"}, {"certificate": "1h", "kserve": "30s", "delete": "1h"}),
    )
    return {key: value for key, value in sections.items() if value != {} or pen.yes()}


def _allowance(pen: _Pen) -> Any:  # noqa: ANN401 - as people write it
    windows = pen.some(_WINDOWS, 3)
    if not windows:
        return "unlimited"
    long = pen.yes()
    rates = [
        {"limit": limit, "window": window} if long else f"{limit} per {window}"
        for window in windows
        if (limit := pen.draw(_LIMITS))
    ]
    return rates[0] if len(rates) == 1 and pen.yes() else rates


def _tiers(plan: _Plan) -> Sections:
    pen = plan.pen
    levels = pen.some(range(20), len(plan.tiers), len(plan.tiers))
    found: Sections = {}
    for name, level in zip(plan.tiers, levels, strict=True):
        tier: Sections = {"level": level, "requests": _allowance(pen), "tokens": _allowance(pen)}
        pen.put(tier, price=(0, 0.005, 0.0000001, 1, 12.5, "0.0025", 1e-12))
        if plan.models and pen.yes():
            tier["models"] = {
                model: {key: _allowance(pen) for key in pen.some(("tokens", "requests"), 2, 1)}
                for model in pen.some(plan.models, 2)
            }
        found[name] = tier
    return found


def _users(plan: _Plan) -> Sections:
    pen = plan.pen
    found: Sections = {}
    for name in plan.users:
        user: Sections = {"tier": pen.pick(plan.tiers)}
        pen.put(
            user,
            kind=("person", "program"),
            team=_WORDS,
            costCentre=_WORDS,
            expires=_EXPIRIES,
            labels=({"a": "x"}, {"example.com/b": "", "C.d_e": "1"}),
        )
        if plan.models and pen.yes():
            user["models"] = pen.some(plan.models, 3, 1)
        found[name] = user
    return found


def _api_keys(plan: _Plan) -> Sections:
    pen = plan.pen
    found: Sections = {}
    for number, name in enumerate(plan.users):
        first, second = ({"secure": f"v1:AAAA{number}:{which}"} for which in (1, 2))
        forms = (
            None,
            first,
            [first],
            {"key": first},
            [first, {"key": second, "expires": pen.pick(_EXPIRIES), "shown": True}],
            [first, second],
        )
        if (form := pen.pick(forms)) is not None:
            found[name] = form
    return found


_CLAIMS = (
    {"user": "preferred_username", "groups": ["realm_access", "roles"], "team": "team", "costCentre": "cost_centre"},
    {"user": ["who", "it is"], "groups": "https://example.com/groups", "team": ["a", "b"], "models": "models"},
    {"groups": "groups"},
)


def _identity(plan: _Plan) -> Sections:
    pen = plan.pen
    found: Sections = {}
    keys: Sections = pen.pick(
        (
            {},
            {},
            {"backend": "existing", "selector": {"app": "keys"}},
            {"backend": "externalSecrets", "store": {"name": "vault"}, "remoteKey": "llm/{user}/key"},
            {"backend": "externalSecrets", "store": {"name": "vault", "kind": "SecretStore"}, "refresh": "5m"},
        )
    )
    pen.put(keys, headers=([], ["x-api-key"], ["api-key", "x-goog-api-key"]))
    issuers = pen.some(("sso", "partner", "keycloak"), 2)
    pen.put(found, apiKeys=[keys], anonymous=([], ["models"], ["models", "health"]))
    if keys:
        found["apiKeys"] = keys
    if issuers:
        found["oidc"] = {name: _issuer(plan, name) for name in issuers}
    if pen.yes():
        accounts = pen.some(("team-a", "team-a/bot", "b/c.d"), 2)
        found["kubernetes"] = {"accounts": {account: _grant(plan) for account in accounts}}
        pen.put(found["kubernetes"], audiences=("maas", ["maas", "llm"]))
    if "keycloak" not in issuers and pen.number(0, 3) == 0:
        user = {"tier": pen.pick(plan.tiers), "team": pen.draw(_WORDS)}
        found["keycloak"] = {"users": {pen.draw(_LABELS): user}}
    return found


def _grant(plan: _Plan) -> Sections:
    grant: Sections = {"tier": plan.pen.pick(plan.tiers)}
    plan.pen.put(grant, team=_WORDS, costCentre=_WORDS)
    if plan.models and plan.pen.yes():
        grant["models"] = plan.pen.some(plan.models, 3, 1)
    return grant


def _issuer(plan: _Plan, name: str) -> Sections:
    pen = plan.pen
    issuer: Sections = {
        "issuerUrl": f"https://{name}.example.com{pen.pick(('', '/realms/maas', ':8443/a%20b'))}",
        "audiences": pen.pick(("maas", ["maas", "other one"])),
        "defaultTier": pen.pick(plan.tiers),
    }
    pen.put(issuer, clients=("maas-cli", ["a", "b"]), claims=_CLAIMS, ttl=("30s", "5m"))
    groups = pen.some(("maas-a", "/llm/b", "x:y_z"), 3)
    if groups:
        issuer["groups"] = {group: pen.pick(plan.tiers) for group in groups}
        if pen.yes():
            del issuer["defaultTier"]
    return issuer


_SOURCES = (
    "hf://Qwen/Qwen3-0.6B",
    "hf://Qwen/Qwen3-8B:b968826d9c46dd6066d109eabc6255188de91218",
    "hf://a/b",
    "hf://meta-llama/Llama-3.3-70B-Instruct:main",
    "oci://quay.io/org/modelcar:granite-3.1-8b",
    "oci://registry:5000/a/b/c@sha256:" + "0123456789abcdef" * 4,
    "s3://models/qwen3-14b",
    "s3://my.bucket/a/b=c+d/",
    "pvc://models/qwen3-4b",
    "pvc://weights",
)
_ENDPOINTS = ("https://api.openai.com/v1", "https://api.openai.com", "https://llm.example.com:8443/openai/v1")
_ARGUMENTS = (
    "--enable-prefix-caching", "--kv-cache-dtype=fp8", "--dtype=bfloat16", "--seed=7", "--tool-call-parser=hermes",
    "--enable_auto_tool_choice",
)  # fmt: skip
_GPUS: tuple[Sections, ...] = (
    {},
    {"count": 1},
    {"count": 8},
    {"product": "NVIDIA-L40S"},
    {"memory": "80G"},
    {"vendor": "amd"},
    {"vendor": "amd", "product": "AMD_Instinct_MI300X_OAM"},
    {"resource": "nvidia.com/mig-3g.40gb", "count": 1},
    {"nodeSelector": {"pool": "gpu"}},
    {"nodeSelector": {}, "tolerations": []},
    {"tolerations": [{"key": "a", "operator": "Equal", "value": "b"}, {"key": "c", "effect": "NoExecute"}]},
)
_LOGINS = {
    "hf": ("HF_TOKEN",),
    "s3": ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
    "oci": (".dockerconfigjson",),
    "https": ("api_key",),
}
_IMAGES = ("registry.example.com:5000/vllm:v1", "vllm/vllm-openai@sha256:" + "a" * 64)
_ON_GPUS = ("small-gpu", "large-gpu", "multi-gpu", "mig", "amd-gpu", "modelcar", "gpu")
_PROFILES = ("simulator", "llm-d-simulator", "cpu", "external", *_ON_GPUS)


def _models(plan: _Plan) -> tuple[Sections, Sections]:
    """The catalogue, and the Secrets that its sources ask for."""
    pen = plan.pen
    found: Sections = {}
    secrets: Sections = {}
    for name in plan.models:
        profile = pen.pick(_PROFILES)
        model: Sections = {"profile": profile}
        if profile == "external":
            model = {"source": pen.pick(_ENDPOINTS), **model}
        elif "simulator" not in profile:
            model = {"source": pen.pick(_SOURCES), **model}
        _common(plan, name, model)
        if profile != "external":
            _pods(plan, model)
        scheme = str(model.get("source", "")).partition("://")[0]
        if scheme in _LOGINS and pen.yes():
            model["secret"] = f"{name}-login"
            if pen.yes():
                secrets[model["secret"]] = {key: {"secure": f"v1:BBBB:{name}"} for key in _LOGINS[scheme]}
        found[name] = model
    return found, secrets


def _common(plan: _Plan, name: str, model: Sections) -> None:
    plan.pen.put(
        model,
        servedName=(f"x/{name}", f"org/y-1.0/{name}", f"Z_z/{name}"),
        priceFactor=(0, 0.5, 1, 3, "1.25"),
        drain=_TIMES,
    )
    if plan.pen.yes():
        model["tiers"] = plan.pen.some(plan.tiers, 3, 1)
    if not plan.by_path and plan.pen.number(0, 3) == 0:
        host = f"{name}-0"
        if host not in {*plan.models, *(f"{each}-{plan.namespace}" for each in plan.models)}:
            model["host"] = host


def _pods(plan: _Plan, model: Sections) -> None:
    pen = plan.pen
    if plan.autoscaler != "none" and pen.yes():
        least = pen.number(0 if plan.autoscaler == "keda" else 1, 2)
        scaling: Sections = {"min": least, "max": max(1, least) + pen.number(0, 3)}
        pen.put(scaling, waiting=(1, 50), cacheUse=(1, 100), cooldown=_TIMES)
        model["autoscaling"] = scaling
    else:
        pen.put(model, replicas=(1, 2, 4))
    pen.put(
        model,
        resources=({"cpu": "250m", "memory": "1.5Gi"}, {"cpu": "16", "memory": "64Gi"}),
        startup=("90s", "10m", "30m"),
        rollout=("surge",),
        image=_IMAGES,
    )
    if "source" not in model:
        return
    pen.put(model, maxLength=(1, 4096, 131072), maxSequences=(1, 1024))
    if pen.yes():
        model["args"] = pen.some(_ARGUMENTS, 2)
    if model["profile"] in _ON_GPUS:
        _gpus(pen, model)
    _weights_kept(plan, model)


def _gpus(pen: _Pen, model: Sections) -> None:
    profile = model["profile"]
    gpu = pen.pick(_GPUS)
    if profile == "gpu":
        gpu.setdefault("count", pen.number(1, 8))
    count = gpu.get("count", PROFILES[profile].get("gpu", {}).get("count", 1))
    sliced = profile == "mig" or "resource" in gpu
    other_hardware = profile in {"mig", "amd-gpu"} and {"vendor", "memory", "resource"} & gpu.keys()
    if gpu and not other_hardware and not (sliced and count > 1):
        model["gpu"] = gpu
    elif profile == "gpu":
        model["gpu"] = {"count": 1}
    pen.put(model, memoryUtilisation=(0.1, 0.85, 1))


def _weights_kept(plan: _Plan, model: Sections) -> None:
    most = model.get("autoscaling", {}).get("max", model.get("replicas", 1))
    form = plan.pen.pick(("nowhere", "llm", "replace", "many", "node", "claim", "once"))
    if form == "llm" and plan.llm:
        model["api"] = "llmInferenceService"
        return
    if form in {"replace", "once"}:
        model["rollout"] = "replace"
    if not model["source"].startswith("hf://"):
        return
    caches: Mapping[str, Sections] = {
        "many": {"size": "50Gi", "accessMode": "ReadWriteMany", "storageClass": "nfs"},
        "node": {"size": "50Gi", "ephemeral": True},
        "claim": {"claim": "weights", "accessMode": "ReadWriteMany"},
        "once": {"size": "50Gi"},
    }
    if form in caches and not (form == "once" and most > 1):
        model["cache"] = caches[form]


def _serving(plan: _Plan) -> Sections:
    found: Sections = {} if plan.autoscaler == "none" else {"autoscaler": plan.autoscaler}
    if plan.autoscaler == "keda":
        trigger = ({"name": "t"}, {"name": "t", "kind": "ClusterTriggerAuthentication", "modes": "basic,tls"})
        plan.pen.put(found, prometheus=("https://thanos.example.com:9091/x",), triggerAuthentication=trigger)
        if plan.openshift and "prometheus" not in found:
            found.setdefault("triggerAuthentication", {"name": "t"})
    return found


def _routing(plan: _Plan) -> Sections:
    found: Sections = {"quota": "acrossModels"} if plan.across else {}
    if plan.by_path and (not plan.across or plan.pen.yes()):
        found["by"] = "path"
    if plan.by_path:
        plan.pen.put(found, host=_LABELS)
    return found


def _platform(plan: _Plan) -> Sections:
    pen = plan.pen
    found: Sections = {"profile": "openshift" if plan.openshift else "kubernetes", "namespace": plan.namespace}
    ways = {
        "certManager": ("helm", "olm"),
        "serviceMesh": () if plan.openshift else ("helm",),
        "kserve": () if plan.llm else ("helm",),
        "kuadrant": ("helm", "olm"),
        "monitoring": () if plan.openshift else ("helm",),
        "grafana": ("helm", "olm"),
    }
    for key, possible in ways.items():
        if pen.yes():
            found[key] = _operator(pen, pen.pick(("preinstalled", *possible)))
    if pen.yes():
        kuadrant = found.setdefault("kuadrant", {"install": "preinstalled"})
        pen.put(
            kuadrant,
            environment=("managed",),
            authTimeout=_TIMES,
            limitsTimeout=_TIMES,
            authorino=({"replicas": 2},),
            instance=("managed", "existing"),
        )
        if "environment" in kuadrant:
            pen.put(kuadrant, wasmShim=("oci://quay.io/nerdalert/wasm-shim:v1",))
    if plan.openshift:
        pen.put(found, scc=("restricted", "original"))
        if pen.yes():
            found.setdefault("monitoring", {})["userWorkload"] = "managed"
    else:
        pen.put(found, gatewayApi=({"install": "manifest"}, {"install": "preinstalled"}))
    pen.put(
        found,
        cleanUp=({}, {"odhWebhook": True}, {"sailOperator": True, "sailNamespace": "other-mesh"}),
        networkPolicies=(
            True,
            False,
            {"scrapers": ["metrics"], "downloads": [{"cidr": "10.0.0.0/8", "exclude": ["10.1.0.0/16"]}]},
            {"enabled": True, "downloads": []},
            {"downloads": [{"namespace": "minio", "ports": [9000]}]},
        ),
    )
    return found


def _operator(pen: _Pen, install: str) -> Sections:
    found: Sections = {"install": install}
    if install == "helm":
        pen.put(found, values=({"nodeSelector": {"a": "b"}},), chart=("oci://registry.test/charts",))
    if install == "olm":
        catalogs = ("our-catalog", "quay.io/kuadrant/kuadrant-operator-catalog:latest")
        pen.put(found, channel=("preview",), catalog=catalogs, approval=("Automatic", "Manual"))
    return found


_ISSUED: tuple[Sections, ...] = (
    {"mode": "self-signed"},
    {"mode": "cert-manager", "issuer": "letsencrypt", "secretName": "wildcard"},
    {"mode": "cert-manager", "issuer": "our-ca", "issuerKind": "Issuer"},
    {"mode": "secret", "secretName": "wildcard"},
)


def _gateway(plan: _Plan) -> Sections:
    pen = plan.pen
    expose = pen.pick(("loadBalancer", "clusterIP", "nodePort", *(("route",) if plan.openshift else ())))
    found: Sections = {"expose": expose}
    if expose == "route":
        found |= _route(pen)
    else:
        pen.put(found, tls=_ISSUED)
        if "tls" in found:
            pen.put(found["tls"], redirect=(True, False))
    service: Sections = {}
    pen.put(service, annotations=({"metallb.io/allow-shared-ip": "maas"},))
    if expose in {"nodePort", "loadBalancer"}:
        pen.put(service, externalTrafficPolicy=("Cluster", "Local"))
    if expose == "loadBalancer":
        pen.put(service, loadBalancerSourceRanges=(["10.0.0.0/8"],))
    if expose == "nodePort":
        pen.put(found, nodePorts=({"http": 30080}, {"http": 30080, "https": 30443}, {}))
    pen.put(
        found,
        service=(service,),
        name=("inference-gateway", "g", "models"),
        replicas=(1, 3, {"min": 2, "max": 5, "cpu": 60}, {"max": 2}),
        resources=({}, {"cpu": "1", "cpuLimit": "2500m", "memory": "3Gi"}),
        guard=({"lowerCaseHost": False}, {"errorBodies": False}, {"lowerCaseHost": False, "errorBodies": False}),
        publicPorts=({"http": 8080}, {"https": 8443}),
    )
    return found


def _route(pen: _Pen) -> Sections:
    termination = pen.pick(("edge", "reencrypt", "passthrough"))
    route: Sections = {"termination": termination}
    if termination == "edge":
        return {"route": route}
    tls = pen.pick(_ISSUED if termination == "passthrough" else ({"mode": "service-ca"}, *_ISSUED))
    if termination == "reencrypt" and tls["mode"] != "service-ca":
        route["destinationCaCertificate"] = CERTIFICATE
    return {"route": route, "tls": tls}


def _limiter(plan: _Plan, platform: Sections) -> Sections:
    pen = plan.pen
    found: Sections = pen.pick(
        (
            {},
            {"storage": "redis", "redis": {}, "replicas": 2},
            {"storage": "redis", "redis": {"size": "2Gi", "storageClass": "fast", "memory": "512Mi"}},
            {"storage": "redis", "redisSecret": "redis-url", "replicas": 3},
        )
    )
    pen.put(found, memory=_MEMORIES, telemetry=("basic", "exhaustive"), rateLimitHeaders=(True, False))
    kuadrant = platform.get("kuadrant", {})
    if kuadrant.get("environment") == "managed" or kuadrant.get("install", "preinstalled") != "preinstalled":
        pen.put(found, failOpen=(True, False))
    return found


def _observability(plan: _Plan, users: Sections) -> Sections:
    pen = plan.pen
    found: Sections = {}
    labels = {key: pen.yes() for key in pen.some(("user", "tier", "model", "team", "costCentre"), 5)}
    pen.put(
        found,
        monitors=(True, False),
        kuadrantMonitors=("maas", "kuadrant"),
        interval=("15s", "1m"),
        monitorLabels=({"release": "kube-prometheus-stack"},),
        counters=("limitador", "gateway"),
        rules=(True, False),
        thresholds=({"limitedRatio": 0.25, "certificateDays": 3, "series": 5},),
        dashboards=("operator", "sidecar", "none"),
        grafana=({"instance": "managed"}, {"instance": "existing", "folder": "Models & more"}),
        prometheus=({"url": "http://p.m.svc:9090"}, {"token": "rotated"}, {"token": "none"}),
        telemetryLabels=(labels,),
    )
    told_apart = all(labels.get(each, True) for each in ("user", "tier", "model"))
    if (told_apart or "telemetryLabels" not in found) and pen.yes():
        found["budgets"] = _budgets(plan, users)
    return found


def _budgets(plan: _Plan, users: Sections) -> Sections:
    scopes: list[Sections] = [{}, *({"tier": each} for each in plan.tiers), *({"user": each} for each in users)]
    scopes += [{"model": each} for each in plan.models]
    scopes += [
        {key: value} for user in users.values() for key in ("team", "costCentre") if (value := user.get(key, ""))
    ]
    return {
        f"b{number}": {"amount": plan.pen.pick((1, 100.5, "0.01", 10**9)), **scope}
        for number, scope in enumerate(plan.pen.some(scopes, 3))
    }


def _mirror(plan: _Plan) -> Sections:
    found: Sections = {}
    plan.pen.put(
        found,
        registries=({"docker.io": "mirror.test/docker"}, {"quay.io/kuadrant": "mirror.test/k"}),
        charts=({"https://charts.jetstack.io": "oci://mirror.test/charts"},),
        pullSecret=("pull",),
    )
    return found


def _policy(plan: _Plan) -> Sections:
    found: Sections = {}
    rule = plan.pen.pick(sorted(RULES))
    levels = [{rule: level} for level in ("mandatory", "advisory", "disabled")]
    plan.pen.put(found, protected=(True, False), levels=levels)
    return found


def _nodes(plan: _Plan, models: Sections) -> Sections:
    """None, or a kind for each model with GPUs: a model that no kind takes is refused."""
    if not plan.pen.yes():
        return {}
    found: Sections = {"cpu": {"nodes": 2, "cpu": "32"}}
    for name, model in TypeAdapter(Models).validate_python(models).items():
        if model.gpu is not None:
            found[f"for-{name}"[:63].rstrip("-")] = {
                "gpu": {"count": model.gpu.count, "memory": "192Gi", "resource": model.gpu.resource},
                "labels": dict(model.gpu.node_selector),
                "taints": [{"key": each.key, "value": each.value or ""} for each in model.gpu.tolerations[:1]],
            }
    return found


# As text.

_PLAIN = re.compile(r"[A-Za-z_/][A-Za-z0-9_./+@-]*")
_NOT_TEXT = frozenset({"true", "false", "yes", "no", "on", "off", "y", "n", "null"})
_NOTES = ("", "", "", "  # a note", "   #: {a: b}", " ")
_BETWEEN = ("", "", "", "", "\n", "    # between\n", "# at the margin\n")


def layout(sections: Sections, seed: int) -> str:
    """The sections as people write them: block and flow style, comments, aliases, Windows' line ends.

    Args:
        sections: by key without `maas:`.
        seed: of everything that is left to taste.
    """
    taste = random.Random(seed)  # noqa: S311 - no secret is made of it
    indent, prefix = taste.choice(("  ", "    ")), taste.choice(("maas:", "maas:", ""))
    lines = [taste.choice(("", "# the stack of a cluster\n", "---\n", "\n")), f"config:{taste.choice(_NOTES)}\n"]
    lines += [_entry(taste, f"{prefix}{key}", value, indent, indent) for key, value in sections.items()]
    lines.append(taste.choice(("", "", "\n# the end\n", "encryptionsalt: v1:abc=:v1:x\n")))
    text = "".join(lines)
    if taste.random() < 0.3:
        text = text.rstrip("\n")
    return text.replace("\n", "\r\n") if taste.random() < 0.2 else text


def layouts(sections: Sections) -> st.SearchStrategy[str]:
    """Ways to write the sections."""
    return _SEEDS.map(lambda seed: layout(sections, seed))


def _entry(taste: random.Random, key: str, value: object, margin: str, indent: str) -> str:
    head = f"{margin}{_scalar(key)}:"
    if not isinstance(value, Mapping) or not value or taste.random() < 0.3:
        return f"{head} {flow(cast('object', value))}{taste.choice(_NOTES)}\n"
    lines = [f"{head}{taste.choice(_NOTES)}\n"]
    anchored: dict[str, str] = {}
    for name, each in cast("Mapping[str, object]", value).items():
        written = flow(each)
        lines.append(taste.choice(_BETWEEN))
        begin = f"{margin}{indent}{_scalar(name)}:"
        if written in anchored and taste.random() < 0.5:
            lines.append(f"{begin} *{anchored[written]}\n")
        elif written.startswith("{") and written not in anchored and taste.random() < 0.2:
            anchored[written] = f"a{taste.randrange(10**6)}"
            lines.append(f"{begin} &{anchored[written]} {written}{taste.choice(_NOTES)}\n")
        else:
            lines.append(_entry(taste, name, each, margin + indent, indent))
    return "".join(lines)


def flow(value: object) -> str:
    """A value on one line."""
    if isinstance(value, Mapping):
        mapping = cast("Mapping[str, object]", value)
        return "{" + ", ".join(f"{_scalar(key)}: {flow(each)}" for key, each in mapping.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(flow(each) for each in cast("list[object]", value)) + "]"
    return _scalar(value)


def _scalar(value: object) -> str:
    if isinstance(value, str):
        return value if _PLAIN.fullmatch(value) and value.lower() not in _NOT_TEXT else _quoted(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        special = {"nan": ".nan", "inf": ".inf", "-inf": "-.inf"}.get(str(value))
        text = repr(value)
        return special or (text if "." in text else text.replace("e", ".0e"))
    return "null" if value is None else str(value)


def _quoted(value: str) -> str:
    escaped = {'"': '\\"', "\\": "\\\\"}
    return '"' + "".join(escaped.get(c, c) if c.isprintable() else f"\\U{ord(c):08x}" for c in value) + '"'


# With something wrong.


@dataclass(frozen=True)
class Spoilt:
    """A stack file with one thing changed."""

    content: bytes
    what: str
    """What was done."""
    path: tuple[str | int, ...] = ()
    """Where, from the section on; empty when the text as such was changed."""


_ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([0, -1, 2**31, 2**53 + 1, 2**63, 10**40, -(10**40), 1e308, float("inf"), float("nan"), 1e-320]),
    st.integers(),
    st.floats(),
    st.sampled_from(["", " ", "None", "null", "~", "{}", "[]", "${a}", "%s", "{0}", "../../etc", "a" * 5000, "\x00"]),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=5), st.integers(), max_size=2),
    st.just({"secure": "v1:x"}),
    st.just([[[[[[[[]]]]]]]]),
)
_KEYS = st.one_of(
    st.text(min_size=1, max_size=12), st.sampled_from(["a.b", "__class__", "model_config", "Tier", "tierz", "0", "-"])
)


@st.composite
def spoilt(draw: st.DrawFn, sections: Sections) -> Spoilt:
    """Valid sections with one part exchanged, added, taken out or renamed, or with their text damaged."""
    if draw(st.integers(0, 2)) == 0:
        return draw(_damaged(draw(layouts(sections))))
    places = list(_places(sections, ()))
    path = places[draw(st.integers(0, len(places) - 1))]
    what = draw(_DOINGS)
    changed = copy.deepcopy(sections)
    place: Any = changed
    for step in path[:-1]:
        place = place[step]
    here: Any = place[path[-1]]
    if what == "added" and isinstance(here, dict):
        key = draw(_KEYS.filter(lambda key: key not in here))
        here[key] = draw(_ODD)
        path = (*path, key)
    elif what == "taken out":
        del place[path[-1]]
    elif what == "renamed" and isinstance(path[-1], str):
        key = draw(_KEYS.filter(lambda key: key not in place))
        place[key] = place.pop(path[-1])
        path = (*path[:-1], key)
    elif what == "doubled" and isinstance(path[-1], int):
        place.append(here)
    else:
        what = "exchanged"
        place[path[-1]] = draw(_ODD)
    return Spoilt(draw(layouts(changed)).encode(), what, path)


_DOINGS = st.sampled_from(["exchanged", "exchanged", "added", "taken out", "renamed", "doubled"])


def _places(value: object, path: tuple[str | int, ...]) -> Iterator[tuple[str | int, ...]]:
    pairs: Iterable[tuple[str | int, object]] = ()
    if isinstance(value, dict):
        pairs = cast("dict[str, object]", value).items()
    elif isinstance(value, list):
        pairs = enumerate(cast("list[object]", value))
    for key, each in pairs:
        yield (*path, key)
        yield from _places(each, (*path, key))


_PIECES = st.sampled_from(
    [
        "\t", ":", "- ", "  ", "{", "}", "[", "]", "'", '"', "#", "&a ", "*a", "*nobody", "!x ", "!!int ", "!!binary ",
        "!!set ", "!!timestamp ", "!!python/object:os.system ", "| \n", ">-\n", "? ", "%YAML 3.0\n", "---\n", "...\n",
        "\x00", "\x07", "\u2028", "\ufeff", "\u0085", "=", "<<: ", "<<: *a\n", "2027-01-01", "1:30", "0o17", "0x1F",
        "1_000", "010", "é", "\U0001f600", "@", "`", ",", "\r", "null", "~: 1\n", "1: 2\n", "[a]: b\n",
        "? {a: b}\n: c\n",
    ]
)  # fmt: skip
_WHOLE = st.sampled_from(
    [
        b"", b"\n", b"#", b"null", b"7", b"[]", b"{}", b"config", b"config:", b"config: 7", b"config: []",
        b"config: {maas:tiers: &a [*a]}", b"config: &a {maas:tiers: *a}", b"config: {1: 2}", b"config: {null: 2}",
        b"config: {[a]: 2}", b"config:\n  maas:domain: x\n  maas:domain: y\n", b"\xff\xfeconfig: {}", b"\x80",
        b"config: \xe9", b"config: {maas:timeouts: !!int x}", b"config: {maas:timeouts: !!timestamp x}",
        b"config: !!python/object/apply:os.getcwd []", b"config: {maas:tiers: !!set {a, b}}", b"a: 1\n---\nb: 2\n",
        b"config: {maas:tiers: {free: {level: 0, requests: 5 per 2m, tokens: !!binary aGk=}}, maas:domain: x}",
        b"config: {maas:domain: x, domain: y, maas:tiers: {}}", b"config: {maas:domain: 2027-01-01, maas:tiers: {}}",
        b"config:\n  maas:tiers: " + b"[" * 3000, b"config:\n  maas:tiers: " + b"[" * 3000 + b"]" * 3000,
        b"config:\n  maas:users: " + b"{a: " * 3000 + b"1" + b"}" * 3000,
        b"config:\n  a: &a [x, x]\n  b: &b [*a, *a]\n  c: &c [*b, *b]\n  maas:tiers: [*c, *c]\n",
    ]
)  # fmt: skip


_DAMAGES = st.sampled_from(["cut off", "inserted", "inserted", "a piece gone", "a line twice", "bytes", "whole"])


@st.composite
def _damaged(draw: st.DrawFn, text: str) -> Spoilt:
    at = draw(st.integers(0, len(text)))
    what = draw(_DAMAGES)
    if what == "whole":
        return Spoilt(draw(_WHOLE), what)
    if what == "cut off":
        return Spoilt(text[:at].encode(), what)
    if what == "a piece gone":
        return Spoilt((text[:at] + text[at + draw(st.integers(1, 20)) :]).encode(), what)
    if what == "a line twice":
        lines = text.splitlines(keepends=True)
        line = draw(st.integers(0, len(lines) - 1))
        return Spoilt("".join([*lines[: line + 1], *lines[line:]]).encode(), what)
    if what == "bytes":
        encoded = text.encode()
        at = draw(st.integers(0, len(encoded)))
        return Spoilt(encoded[:at] + draw(st.binary(min_size=1, max_size=3)) + encoded[at:], what)
    return Spoilt((text[:at] + draw(_PIECES) + text[at:]).encode(), what)
