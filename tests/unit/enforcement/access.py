"""A stack with every source of identities, decided over whole; and what is expected of it, said once more by itself."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from components.gateway import gateway_spec, parent_ref
from components.identity import key_labels
from components.policies.auth import auth_policy_spec
from components.policies.guard import guard_spec
from components.policies.limits import request_limits_spec, token_limits_spec
from components.routes import Backend, fallback_route_spec, model_route_spec
from config.settings import Settings
from enforcement.authentication import Authorino
from enforcement.counters import Counters
from enforcement.decision import Decision, Gate
from enforcement.objects import Object, World
from enforcement.request import Request
from tests.unit.components.sources import EVERY_SOURCE, ISSUER, OTHER_ISSUER, PER_MODEL
from tests.unit.config.bad import GOOD

NOW = 1_800_000_000.0  # 2027-01-15T08:00:00Z
NAMESPACE = "kuadrant-system"
CHAT = "/v1/chat/completions"
BY_HOST = Settings.load("test", GOOD | PER_MODEL)
BY_PATH = Settings.load("test", GOOD | EVERY_SOURCE)
MODELS = sorted(BY_HOST.models)


@dataclass(frozen=True)
class Caller:
    """Somebody with a credential, and what they are to be taken for."""

    name: str
    headers: Mapping[str, str]
    user: str | None = None
    """None: not authenticated."""
    tier: str = ""
    trouble: str = ""
    models: Sequence[str] = ()
    secret: Mapping[str, str] | None = None
    """Annotations of the Secret that holds the key; None where there is none."""
    claims: Mapping[str, Any] | None = None
    review: Mapping[str, Any] | None = None


def _bearer(credential: str, prefix: str = "Bearer") -> dict[str, str]:
    return {"authorization": f"{prefix} {credential}"}


def _value(name: str) -> str:
    return f"test-only-{name}-".ljust(40, "x")


def key(name: str, groups: str, tier: str, **more: Any) -> Caller:  # noqa: ANN401 - of any type
    """Somebody with a key; `expires` and `models` as its Secret says, `trouble` as it is told."""
    models = more.get("models", ())
    annotations = {
        "secret.kuadrant.io/user-id": name,
        "kuadrant.io/groups": groups,
        "maas.kuadrant.io/expires": more.get("expires", ""),
        "maas.kuadrant.io/models": ",".join(models),
    }
    return Caller(name, _bearer(_value(name)), name, tier, more.get("trouble", ""), models, annotations)


def token(name: str, tier: str, *, trouble: str = "", user: str = "", may: Sequence[str] = (), **claims: Any) -> Caller:  # noqa: ANN401 - of any type
    whole = {
        "iss": ISSUER,
        "aud": ["account", "maas"],
        "azp": "maas-cli",
        "preferred_username": name,
        # A token cannot say by itself what the policies go by.
        "tier": "enterprise",
        "source": "anonymous",
        "userid": "alice",
        "trouble": "",
        "endpoint": "inference",
        **claims,
    }
    credential = f"eyJ0.{name.encode().hex()}.c2ln"
    return Caller(name, _bearer(credential), user or f"keycloak:{name}", tier, trouble, may, None, whole)


def account(name: str, tier: str, models: Sequence[str] = ()) -> Caller:
    credential = f"eyJh.{name.encode().hex()}.c2ln"
    return Caller(name, _bearer(credential), name, tier, "", models, None, None, {"user": {"username": name}})


CALLERS: tuple[Caller, ...] = (
    Caller("nobody", {}),
    Caller("unknown key", _bearer(_value("stranger"))),
    Caller("unknown token", _bearer("eyJ0.eyJ9.c2ln")),
    Caller("other scheme", {"authorization": f"Basic {_value('free')}"}),
    Caller("lower-case scheme", {"authorization": f"bearer {_value('free')}"}),
    key("free", "free", "free"),
    key("premium", "premium", "premium"),
    key("enterprise", "enterprise", "enterprise"),
    key("several", "free,enterprise,premium", "enterprise"),
    key("none", "", ""),
    key("misspelt", "premum", ""),
    key("restricted", "premium", "premium", models=["simulator"]),
    key("lasting", "free", "free", expires="2027-01-15T08:00:01Z"),
    key("ended", "premium", "premium", expires="2027-01-15T08:00:00Z", trouble="key_expired"),
    key("long-ended", "premium", "premium", expires="2020-01-01T00:00:00Z", trouble="key_expired"),
    key("never-read", "premium", "premium", expires="soon", trouble="key_expired"),
    key("other-zone", "premium", "premium", expires="2099-01-01T00:00:00+01:00", trouble="key_expired"),
    Caller("bare", _bearer(_value("bare")), "", "", "no_user_id", (), {}),
    Caller(
        "borrowed", _bearer(_value("borrowed")), "keycloak:free", "free", "no_user_id", (),
        {"secret.kuadrant.io/user-id": "keycloak:free", "kuadrant.io/groups": "free"},
    ),
    key("k" * 128, "free", "free"),
    key("k" * 129, "free", "free", trouble="no_user_id"),
    Caller("header", {"x-api-key": _value("free")}, "free", "free"),
    Caller("prefix", _bearer(_value("premium"), "APIKEY"), "premium", "premium"),
    token("staff", "free", realm_access={"roles": ["maas-free"]}),
    token("climber", "enterprise", realm_access={"roles": ["maas-free", "llm-enterprise", "/llm/premium"]}),
    token("single", "premium", realm_access={"roles": "/llm/premium"}),
    token("quoted", "free", realm_access={"roles": ['x" || true || "', "maas-free", 7, None, "a b"]}),
    token("outsider", "", realm_access={"roles": ["others", "enterprise"]}),
    token("roleless", ""),
    token("oddly-shaped", "", realm_access={"roles": {"free": True}}),
    token("picky", "free", may=["qwen3"], realm_access={"roles": ["maas-free"]}, models=["qwen3"]),
    token("for-others", "free", trouble="wrong_audience", aud="other", realm_access={"roles": ["maas-free"]}),
    token("for-nobody", "free", trouble="wrong_audience", aud=[], realm_access={"roles": ["maas-free"]}),
    token("of-others", "free", trouble="wrong_client", azp="other", realm_access={"roles": ["maas-free"]}),
    token("elsewhere", "free", trouble="wrong_issuer", iss="https://else.test", realm_access={"roles": ["maas-free"]}),
    token("nameless", "free", trouble="no_user_id", preferred_username="", realm_access={"roles": ["maas-free"]}),
    token("newline", "free", trouble="no_user_id", preferred_username="a\nb", realm_access={"roles": ["maas-free"]}),
    token("w" * 200, "free", realm_access={"roles": ["maas-free"]}),
    token("w" * 201, "free", trouble="no_user_id", realm_access={"roles": ["maas-free"]}),
    token("partner", "free", user="partner:p", iss=OTHER_ISSUER, sub="p"),
    account("system:serviceaccount:team-a:batch", "free"),
    account("system:serviceaccount:team-a:crawler", "premium", ["simulator"]),
    account("system:serviceaccount:team-ab:batch", ""),
    account("system:serviceaccount:other:crawler", ""),
)  # fmt: skip


@dataclass(frozen=True)
class Ask:
    """A request, and the kind of endpoint that it is to be taken for."""

    model: str
    method: str
    path: str
    kind: str = ""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


ASKS: tuple[Ask, ...] = (
    Ask("simulator", "POST", CHAT, "inference"),
    Ask("qwen3", "POST", CHAT, "inference"),
    Ask("large", "POST", CHAT, "inference"),
    Ask("simulator", "POST", "/v1/completions", "inference"),
    Ask("simulator", "POST", "/v1/embeddings", "inference"),
    Ask("simulator", "POST", f"{CHAT}?x=1", "inference"),
    Ask("qwen3", "POST", f"{CHAT}?api-version=1&x=/v1/models", "inference"),
    Ask("simulator", "GET", "/v1/models", "models"),
    Ask("large", "GET", "/v1/models/a/b-c.d", "models"),
    Ask("simulator", "GET", "/health", "health"),
    Ask("simulator", "GET", CHAT),
    Ask("simulator", "PUT", CHAT),
    Ask("simulator", "POST", "/v1/models"),
    Ask("simulator", "POST", f"{CHAT}/"),
    Ask("simulator", "POST", f"/{CHAT}"),
    Ask("simulator", "POST", "/v1/chat%2Fcompletions"),
    Ask("simulator", "POST", "/V1/chat/completions"),
    Ask("simulator", "POST", "/v1/messages"),
    Ask("simulator", "GET", "/v1/models/../chat/completions"),
    Ask("nothing", "POST", CHAT),
    Ask("simulator", "POST", CHAT, "inference", {"x-maas-tier": "enterprise"}),
    Ask("simulator", "GET", "/v1/models", "models", {"x-maas-anything": ""}),
)


class KnownTokens:
    """Tokens of the callers above, each good at its own issuer or at the API server only."""

    def jwt(self, token: str, now: float, *, issuer: str = "", key_set: str = "") -> Mapping[str, Any] | None:
        del now, key_set
        for caller in CALLERS:
            if caller.claims is not None and caller.headers.get("authorization") == f"Bearer {token}":
                # Whom the token names is not Authorino's business; a partner's keys sign a partner's tokens.
                return caller.claims if (caller.claims["iss"] == OTHER_ISSUER) == (issuer == OTHER_ISSUER) else None
        return None

    def review(self, token: str, audiences: Sequence[str]) -> Mapping[str, Any] | None:
        assert list(audiences) == ["maas"]
        for caller in CALLERS:
            if caller.review is not None and caller.headers["authorization"] == f"Bearer {token}":
                return caller.review
        return None


def gate(settings: Settings) -> Gate:
    """A gateway with what the program makes of a stack, and the callers' keys."""
    where, target = settings.platform.namespace, parent_ref(settings)

    def made(kind: str, name: str, spec: Any, api: str = "kuadrant.io/v1", **metadata: Any) -> Object:  # noqa: ANN401
        return {
            "apiVersion": api,
            "kind": kind,
            "metadata": {"name": name, "namespace": where, **metadata},
            "spec": spec,
        }

    together: dict[str, list[Backend]] = {}
    for name in sorted(settings.models):
        backend = Backend(settings.prefix(name), f"{name}-predictor", 80)
        together.setdefault(settings.host(name), []).append(backend)
    routes = [
        made("HTTPRoute", host.partition(".")[0], model_route_spec(target, host, backends))
        for host, backends in together.items()
    ]
    secrets: list[Object] = [
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": caller.name,
                "namespace": NAMESPACE,
                "labels": {**key_labels("test"), "authorino.kuadrant.io/managed-by": "authorino"},
                **({"annotations": dict(caller.secret)} if caller.secret else {}),
            },
            "stringData": {"api_key": _value(caller.name)},
        }
        for caller in CALLERS
        if caller.secret is not None
    ]
    world = World.of(
        [
            made("Gateway", settings.gateway.name, gateway_spec(settings)),
            made("HTTPRoute", "fallback", fallback_route_spec(target, settings.domain)),
            *routes,
            made("AuthPolicy", "auth", auth_policy_spec(target, settings, "test")),
            made("RateLimitPolicy", "requests", request_limits_spec(target, settings)),
            made("TokenRateLimitPolicy", "tokens", token_limits_spec(target, settings)),
            made("EnvoyFilter", "guard", guard_spec(settings.gateway.name, settings.gateway.guard)),
            *secrets,
        ],
        f"{where}/{settings.gateway.name}",
        NAMESPACE,
    )
    return Gate(world, Authorino(world.keys, NAMESPACE, KnownTokens()), Counters())


def request(settings: Settings, ask: Ask, headers: Mapping[str, str]) -> Request:
    """How a client of the stack writes it."""
    by_path = settings.routing.by_path
    if by_path:
        host, target = f"{settings.routing.host}.{settings.domain}", f"/{ask.model}{ask.path}"
    else:
        host, target = f"{ask.model}.{settings.domain}", ask.path
    return Request(ask.method, host, target, {**headers, **ask.headers})


def code(decision: Decision) -> str:
    """The code of an error; empty where there is none."""
    return str(json.loads(decision.body)["error"]["code"]) if decision.body else ""


def routed(ask: Ask, *, by_path: bool) -> bool:
    """Whether there is a route at all; without one the gateway answers 404, and no model is reached."""
    if by_path:
        return ask.model in MODELS
    path = ask.path.partition("?")[0]
    listing = ask.method == "GET" and (path in {"/health", "/v1/models"} or path.startswith("/v1/models/"))
    inference = ask.method == "POST" and path in {CHAT, "/v1/completions", "/v1/embeddings"}
    # A host without a model has a route for everything, which leads nowhere.
    return ask.model not in MODELS or listing or inference


def expected(caller: Caller, ask: Ask, *, by_path: bool) -> tuple[int, str]:
    """Status and code that a request has to get, as docs/policies.md has it."""
    if not routed(ask, by_path=by_path):
        return 404, "not_found"
    public = ask.kind in {"models", "health"}
    forged = any(name.startswith("x-maas-") for name in ask.headers)
    if caller.user is None and not (public and ask.model in MODELS):
        return 401, "invalid_api_key"
    if forged:
        return 403, "forged_identity"
    if caller.user is None:
        return 200, ""
    for wrong, why in (
        (bool(caller.trouble), caller.trouble),
        (ask.model not in MODELS, "unknown_model"),
        (not ask.kind, "unknown_endpoint"),
        (not caller.tier, "no_tier"),
        (ask.model == "large" and caller.tier == "free", "model_not_in_tier"),
        (bool(caller.models) and ask.model not in caller.models, "model_not_allowed"),
    ):
        if wrong:
            return 403, why
    return 200, ""


def limits_expected(caller: Caller, ask: Ask) -> tuple[set[str], set[str]]:
    """Names of the request limits and of the token limits that a request is counted on."""
    if ask.kind != "inference":
        return set(), set()
    # Enterprise has no limits: its requests are not limited, its tokens are counted all the same.
    requests = {caller.tier} - {"enterprise"}
    tokens = {
        ("free", "qwen3"): {"free.qwen3"},
        ("premium", "qwen3"): {"premium.qwen3"},
    }.get((caller.tier, ask.model), {caller.tier})
    return requests, tokens
