"""The stacks that the real operators are shown, each with everybody who may send a request to it."""

import base64
import json
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Any, cast

from joserfc.jwk import RSAKey

from enforcement.request import Request
from enforcement.tokens import KnownKeys
from sandbox.kube import Kube
from tests.conformance.issuer import PARTNER, Issuer
from tests.conformance.stack import Cluster, Object
from tests.tree import Tree, in_cluster

DOMAIN = "maas.localhost"
TIERS: dict[str, Object] = {
    "free": {"level": 0, "requests": "5 per 2m", "tokens": "100 per 1m", "models": {"qwen3": {"tokens": "50 per 1m"}}},
    "premium": {"level": 1, "requests": "20 per 2m", "tokens": ["500 per 1m", "200000 per 24h"]},
    "enterprise": {"level": 2, "requests": "unlimited", "tokens": "unlimited"},
}
USERS: dict[str, Object] = {
    "free": {"tier": "free"},
    "premium": {"tier": "premium", "team": "search", "costCentre": "4711"},
    "expired": {"tier": "premium", "expires": "2020-01-01"},
    "narrow": {"tier": "enterprise", "models": ["simulator"]},
}
SIMULATOR: Object = {"profile": "simulator", "servedName": "simulator-model"}
QWEN3: Object = {"source": "hf://Qwen/Qwen3-0.6B", "profile": "small-gpu"}
_ACCOUNTS = ("team-a/app", "team-a/other")
_SA_SECONDS = 3600

Headers = Mapping[str, str]
Senders = Mapping[str, Headers]
"""What each caller sends, by who it is."""


@dataclass(frozen=True)
class Known:
    """What the two sides know beside the cluster's objects.

    Attributes:
        senders: Everybody.
        tokens: What our account of Authorino accepts as tokens.
    """

    senders: Senders
    tokens: KnownKeys = field(default_factory=lambda: KnownKeys({}))


@dataclass(frozen=True)
class Scenario:
    """One stack.

    Attributes:
        settings: Over those of the sandbox's stack; with an issuer where there is one.
        known: Makes the callers, once the stack is up.
        tiers: The tiers.
        models: Names of the models.
        by_path: Whether models share a host.
        expected: Status of a chat request, by who sends it and to which model.
        before: What has to be on the cluster first.
    """

    settings: Callable[[str], dict[str, Any]]
    known: Callable[[Tree, Cluster, Issuer], Known]
    tiers: Mapping[str, Object]
    models: tuple[str, ...]
    expected: Mapping[tuple[str, str], int]
    by_path: bool = False
    before: tuple[Object, ...] = ()

    def requests(self, senders: Senders) -> Iterator[tuple[str, str, Request]]:
        """Everybody, everywhere."""
        places = (
            ("POST", "/v1/chat/completions"),
            ("POST", "/v1/chat/completions?x=1"),
            ("POST", "/v1/embeddings"),
            ("GET", "/v1/models"),
            ("GET", "/health"),
        )
        for (who, headers), model, (method, target) in product(senders.items(), self.models[:2], places):
            host = f"models.{DOMAIN}" if self.by_path else f"{model}.{DOMAIN}"
            path = f"/{model}{target}" if self.by_path else target
            yield who, model, Request(method, host, path, headers)


def keys_of(cluster: Cluster) -> dict[str, str]:
    """The API key of each user."""
    return {
        secret["metadata"]["labels"]["maas.kuadrant.io/user"]: base64.b64decode(secret["data"]["api_key"]).decode()
        for secret in cluster.of("Secret")
        if "maas.kuadrant.io/user" in secret["metadata"].get("labels", {})
    }


def _with_keys(tree: Tree, cluster: Cluster, issuer: Issuer) -> Known:
    del tree, issuer
    keys = keys_of(cluster)
    return Known(
        {
            "nobody": {"accept": "*/*"},
            "a guess": {"authorization": "Bearer maas-guess-guess-guess-guess-guess-guess"},
            "another scheme": {"authorization": f"Basic {keys['premium']}"},
            "a forger": {"authorization": f"Bearer {keys[min(keys)]}", "x-maas-userid": "premium"},
            **{user: {"authorization": f"Bearer {keys[user]}"} for user in keys},
            "premium, in the older way": {"authorization": f"APIKEY {keys['premium']}"},
            "premium, in a header of its own": {"x-api-key": keys["premium"]},
        }
    )


def _with_tokens(tree: Tree, cluster: Cluster, issuer: Issuer) -> Known:
    keys = keys_of(cluster)
    stranger = RSAKey.generate_key(2048, {"kid": "one"})
    member = {"sub": "bob", "groups": ["staff", "maas-premium"]}
    tokens = {
        "bob": issuer.token(member),
        "a newcomer": issuer.token({"sub": "newcomer", "groups": ["staff"]}),
        "bob of another audience": issuer.token(member | {"aud": "elsewhere"}),
        "bob a while ago": issuer.token(member | {"exp": 1_600_000_000}),
        "bob of another issuer": issuer.token(member | {"iss": "http://127.0.0.1:1"}),
        "bob signed by a stranger": issuer.token(member, key=stranger),
        "both groups": issuer.token({"sub": "carol", "groups": ["maas-free", "maas-premium"]}),
    }
    reviews = _accounts(tree)
    senders = {
        "nobody": {"accept": "*/*"},
        "free": {"authorization": f"Bearer {keys['free']}"},
        **{who: {"authorization": f"Bearer {token}"} for who, token in tokens.items()},
        **{who: {"authorization": f"Bearer {token}"} for who, (token, _, _) in reviews.items()},
        "a forger with a token": {"authorization": f"Bearer {tokens['bob']}", "x-maas-tier": "premium"},
    }
    known = {token: (audiences, status) for token, audiences, status in reviews.values()}
    return Known(senders, KnownKeys({issuer.url: issuer.keys}, known))


def _accounts(tree: Tree) -> dict[str, tuple[str, tuple[str, ...], Object]]:
    """A token of each service account, for whom it is, and what the API server says of it."""

    async def ask(kube: Kube) -> dict[str, tuple[str, tuple[str, ...], Object]]:
        found: dict[str, tuple[str, tuple[str, ...], Object]] = {}
        wanted = [(account, ("maas",), account) for account in _ACCOUNTS]
        wanted.append((_ACCOUNTS[0], ("elsewhere",), f"{_ACCOUNTS[0]} for elsewhere"))
        for account, audiences, who in wanted:
            namespace, _, name = account.partition("/")
            token = await kube.token(namespace, name, _SA_SECONDS, audiences=audiences)
            review = {
                "apiVersion": "authentication.k8s.io/v1",
                "kind": "TokenReview",
                "metadata": {"name": ""},
                "spec": {"token": token, "audiences": list(audiences)},
            }
            status = (await kube.create(review, field_manager="test"))["status"]
            found[who] = (token, audiences, status)
        return found

    return cast("dict[str, tuple[str, tuple[str, ...], Object]]", in_cluster(tree, ask))


def _service_accounts() -> Iterator[Object]:
    yield {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team-a"}}
    for account in _ACCOUNTS:
        namespace, _, name = account.partition("/")
        yield {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": namespace}}


def _per_model(_: str) -> dict[str, Any]:
    return {
        "maas:tiers": TIERS,
        "maas:users": USERS,
        "maas:models": {"simulator": SIMULATOR, "qwen3": QWEN3 | {"tiers": ["premium", "enterprise"]}},
    }


_WINDOWS: dict[str, Object] = {
    "free": {"level": 0, "requests": ["5 per 2m", "100 per 24h"], "tokens": "100 per 1m"},
    "premium": {"level": 1, "requests": "20 per 30s", "tokens": ["500 per 1m", "10000 per 1h", "200000 per 24h"]},
    "enterprise": {"level": 2, "requests": "50 per 2m", "tokens": "unlimited"},
}


def _across_models(url: str) -> dict[str, Any]:
    return {
        "maas:tiers": _WINDOWS,
        "maas:users": {"free": {"tier": "free"}},
        "maas:routing": {"quota": "acrossModels"},
        "maas:gateway": {"expose": "clusterIP", "tls": {"mode": "self-signed"}},
        "maas:models": {"simulator": SIMULATOR, "qwen3": QWEN3 | {"tiers": ["premium", "enterprise"]}},
        "maas:identity": {
            "oidc": {
                "corp": {
                    "issuerUrl": url,
                    "audiences": ["maas"],
                    "groups": {"maas-free": "free", "maas-premium": "premium"},
                    "allowHttp": True,
                }
            },
            "kubernetes": {"accounts": {_ACCOUNTS[0]: {"tier": "premium", "team": "search"}}},
        },
    }


_TWENTY = tuple(f"model-{number}" for number in range(1, 21))


def _twenty_models(_: str) -> dict[str, Any]:
    return {
        "maas:tiers": _WINDOWS,
        "maas:users": {"free": {"tier": "free"}, "premium": {"tier": "premium", "models": ["model-1"]}},
        "maas:identity": {"apiKeys": {"headers": ["x-api-key"]}},
        "maas:gateway": {
            "expose": "loadBalancer",
            "tls": {"mode": "cert-manager", "issuer": "company", "issuerKind": "ClusterIssuer"},
        },
        "maas:models": {key: {"profile": "simulator"} for key in _TWENTY},
    }


def _one_model(_: str) -> dict[str, Any]:
    return {
        "maas:tiers": {"all": {"level": 0, "requests": "7 per 1m", "tokens": "900 per 1h"}},
        "maas:users": {"premium": {"tier": "all"}},
        "maas:identity": {"anonymous": ["models", "health"]},
        "maas:gateway": {"expose": "nodePort", "tls": {"mode": "secret", "secretName": "wildcard"}},
        "maas:models": {"simulator": SIMULATOR},
    }


def _issuer() -> Object:
    return {
        "apiVersion": "cert-manager.io/v1",
        "kind": "ClusterIssuer",
        "metadata": {"name": "company"},
        "spec": {"selfSigned": {}},
    }


def _wildcard() -> Object:
    """Somebody else's certificate, for a Gateway that is told the Secret only."""
    return {
        "apiVersion": "cert-manager.io/v1",
        "kind": "Certificate",
        "metadata": {"name": "somebody-elses", "namespace": "llm"},
        "spec": {
            "secretName": "wildcard",
            "dnsNames": [f"*.{DOMAIN}"],
            "issuerRef": {"kind": "ClusterIssuer", "name": "company"},
        },
    }


def _company_secret(name: str, tier: str, **labels: str) -> Object:
    """An API key that somebody else looks after."""
    annotations = {
        "secret.kuadrant.io/user-id": name,
        "kuadrant.io/groups": tier,
        "maas.kuadrant.io/team": "search",
        "maas.kuadrant.io/cost-centre": "",
        "maas.kuadrant.io/models": "",
        "maas.kuadrant.io/expires": "",
    }
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": f"company-{name}",
            "namespace": "kuadrant-system",
            "labels": {"authorino.kuadrant.io/managed-by": "authorino", **labels},
            "annotations": annotations,
        },
        "stringData": {"api_key": f"company-{secrets.token_hex(20)}"},
    }


_COMPANY = (
    _company_secret("dora", "premium", **{"keys-of": "company"}),
    _company_secret("emil", "gold", **{"keys-of": "company"}),
    _company_secret("frieda", "premium", **{"keys-of": "others"}),
)
"""A good one, one of a tier that there is not, and one that the selector does not find."""


def _by_path(url: str) -> dict[str, Any]:
    return {
        "maas:tiers": _WINDOWS,
        "maas:users": {},
        "maas:routing": {"by": "path"},
        "maas:identity": {
            "apiKeys": {"backend": "existing", "selector": {"keys-of": "company"}},
            "oidc": {
                "corp": {
                    "issuerUrl": url,
                    "audiences": ["maas", "models"],
                    "clients": ["cli"],
                    "claims": {"user": ["who", "id"], "groups": ["realm", "roles"], "models": "models"},
                    "groups": {"maas-premium": "premium"},
                    "defaultTier": "free",
                    "allowHttp": True,
                },
                "partner": {
                    "issuerUrl": url + PARTNER,
                    "audiences": ["maas"],
                    "groups": {"maas-free": "free"},
                    "allowHttp": True,
                },
            },
        },
        "maas:gateway": {
            "expose": "loadBalancer",
            "tls": {"mode": "cert-manager", "issuer": "team", "issuerKind": "Issuer", "redirect": True},
        },
        "maas:limiter": {"storage": "redis", "redisSecret": "counters", "replicas": 2},
        "maas:models": {"simulator": SIMULATOR, "qwen3": QWEN3},
    }


def _with_others_keys(tree: Tree, cluster: Cluster, issuer: Issuer) -> Known:
    del tree, cluster
    assert issuer.partner is not None
    partner = issuer.partner
    member = {"who": {"id": "bob"}, "realm": {"roles": ["maas-premium"]}, "azp": "cli"}
    tokens = {
        "bob": issuer.token(member),
        "bob of the second audience": issuer.token(member | {"aud": ["elsewhere", "models"]}),
        "bob from another application": issuer.token(member | {"azp": "browser"}),
        "bob without a group": issuer.token(member | {"realm": {}}),
        "bob for one model": issuer.token(member | {"models": ["simulator"]}),
        "nobody's token": issuer.token({"realm": {"roles": ["maas-premium"]}, "azp": "cli"}),
        "a partner": partner.token({"sub": "zoe", "groups": ["maas-free"]}),
        "a partner's stranger": partner.token({"sub": "zoe", "groups": []}),
        "a partner as one of the company": partner.token(member | {"iss": issuer.url}),
    }
    keys = {str(each["metadata"]["name"]).removeprefix("company-"): each["stringData"]["api_key"] for each in _COMPANY}
    senders = {
        "nobody": {"accept": "*/*"},
        **{who: {"authorization": f"Bearer {credential}"} for who, credential in (tokens | keys).items()},
        "dora, in the older way": {"authorization": f"APIKEY {keys['dora']}"},
    }
    return Known(senders, KnownKeys({issuer.url: issuer.keys, partner.url: partner.keys}))


SCENARIOS: Mapping[str, Scenario] = {
    "quota per model, API keys, no TLS": Scenario(
        _per_model,
        _with_keys,
        TIERS,
        ("simulator", "qwen3"),
        {
            ("nobody", "simulator"): 401,
            ("another scheme", "simulator"): 401,
            ("a forger", "simulator"): 403,
            ("expired", "simulator"): 403,
            ("narrow", "qwen3"): 403,
            ("free", "qwen3"): 403,
            ("free", "simulator"): 200,
            ("premium", "qwen3"): 200,
            ("premium, in a header of its own", "simulator"): 401,
        },
    ),
    "quota across models, tokens, self-signed TLS": Scenario(
        _across_models,
        _with_tokens,
        _WINDOWS,
        ("simulator", "qwen3"),
        {
            ("bob", "qwen3"): 200,
            ("both groups", "qwen3"): 200,
            ("a newcomer", "simulator"): 403,
            ("bob of another audience", "simulator"): 403,
            ("bob of another issuer", "simulator"): 403,
            ("bob a while ago", "simulator"): 401,
            ("bob signed by a stranger", "simulator"): 401,
            ("team-a/app", "qwen3"): 200,
            ("team-a/other", "simulator"): 403,
            ("team-a/app for elsewhere", "simulator"): 401,
            ("a forger with a token", "simulator"): 403,
            ("free", "simulator"): 200,
        },
        by_path=True,
        before=tuple(_service_accounts()),
    ),
    "twenty models, keys in two headers, TLS by an issuer": Scenario(
        _twenty_models,
        _with_keys,
        _WINDOWS,
        _TWENTY,
        {
            ("premium, in a header of its own", "model-1"): 200,
            ("premium", "model-2"): 403,
            ("free", "model-2"): 200,
            ("a guess", "model-1"): 401,
        },
        before=(_issuer(),),
    ),
    "one model, anonymous lists, TLS from a Secret": Scenario(
        _one_model,
        _with_keys,
        {"all": {"level": 0, "requests": "7 per 1m", "tokens": "900 per 1h"}},
        ("simulator",),
        {("nobody", "simulator"): 401, ("premium", "simulator"): 200},
        before=(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "llm"}},
            _issuer(),
            _wildcard(),
        ),
    ),
    "quota per model by path, others' keys, two issuers, TLS by the team's Issuer with a redirect, Redis": Scenario(
        _by_path,
        _with_others_keys,
        _WINDOWS,
        ("simulator", "qwen3"),
        {
            ("nobody", "qwen3"): 401,
            ("dora", "qwen3"): 200,
            ("dora, in the older way", "simulator"): 200,
            ("emil", "simulator"): 403,
            ("frieda", "simulator"): 401,
            ("bob", "qwen3"): 200,
            ("bob of the second audience", "qwen3"): 200,
            ("bob from another application", "simulator"): 403,
            ("bob without a group", "simulator"): 200,
            ("bob for one model", "simulator"): 200,
            ("bob for one model", "qwen3"): 403,
            ("nobody's token", "simulator"): 403,
            ("a partner", "simulator"): 200,
            ("a partner's stranger", "simulator"): 403,
            ("a partner as one of the company", "simulator"): 403,
        },
        by_path=True,
        before=(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "llm"}},
            {
                "apiVersion": "cert-manager.io/v1",
                "kind": "Issuer",
                "metadata": {"name": "team", "namespace": "llm"},
                "spec": {"selfSigned": {}},
            },
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": "counters", "namespace": "kuadrant-system"},
                "stringData": {"URL": "redis://counters.example:6379"},
            },
            *_COMPANY,
        ),
    ),
}


def code_of(body: str) -> str:
    """The error code in the body of a refusal."""
    return str(json.loads(body)["error"]["code"]) if body else ""
