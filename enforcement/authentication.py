"""What Authorino says of a request: who it is, whether that may be, and what the policies behind it get to know."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Protocol

from enforcement.effective import Effective
from enforcement.expressions import EvaluationError, authorino_expression
from enforcement.objects import Key, fields_of, items_of
from enforcement.request import Request

UNAUTHENTICATED, FORBIDDEN = 401, 403


class Tokens(Protocol):
    """Whoever can tell what a token is worth: a JOSE library with an issuer's keys, an API server."""

    def jwt(self, token: str, now: float, *, issuer: str = "", key_set: str = "") -> Mapping[str, Any] | None:
        """The claims of a token that is signed and current; None when it is not.

        Whom it names as its issuer and its audience is not looked at, as Authorino does not (SkipIssuerCheck and
        SkipClientIDCheck in 0.22 to 0.25): that is for the policy to do.

        Args:
            token: what was sent.
            now: seconds since the epoch.
            issuer: URL of the issuer whose keys must have signed it; or
            key_set: URL of the keys themselves.
        """
        ...

    def review(self, token: str, audiences: Sequence[str]) -> Mapping[str, Any] | None:
        """The status of a TokenReview for a token of the cluster; None when it is not authenticated."""
        ...


class NoTokens:
    """Accepts no token at all: for stacks that know API keys only."""

    def jwt(self, token: str, now: float, *, issuer: str = "", key_set: str = "") -> None:
        """No token."""
        del token, now, issuer, key_set

    def review(self, token: str, audiences: Sequence[str]) -> None:
        """No token."""
        del token, audiences


Rego = Callable[[str, Mapping[str, Any], float], bool]
"""Whether Rego in which Authorino would look for `allow` does allow an input at a time: an OPA, or nothing at all."""


def no_rego(rules: str, document: Mapping[str, Any], now: float) -> bool:
    """An engine that allows nothing: a policy with Rego then refuses everything, which is the safe mistake."""
    del rules, document, now
    return False


@dataclass(frozen=True)
class Verdict:
    """What comes back from Authorino: allowed with metadata, or a refusal ready to be sent."""

    allowed: bool
    identity: Mapping[str, Any] | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """By name of the filter; the gateway's filter knows it as `auth.<name>`."""
    upstream_headers: Mapping[str, str] = field(default_factory=dict[str, str])
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    body: str = ""
    because: str = ""


@dataclass(frozen=True)
class Authorino:
    """Authorino with what it watches and what it asks."""

    keys: Sequence[Key]
    namespace: str
    tokens: Tokens = field(default_factory=NoTokens)
    rego: Rego = no_rego

    def check(self, policy: Effective, request: Request, now: float) -> Verdict:
        """Evaluate one AuthConfig, its phases in order."""
        attributes: dict[str, Any] = {**request.attributes(now), "auth": {}}
        if not _applies(items_of(policy.rules.get("when/")), attributes):
            return Verdict(allowed=True, because="the AuthPolicy's conditions do not hold: nobody is asked")
        identity, tried = self._identify(policy, request, attributes, now)
        if identity is None:
            return _refusal(policy, "unauthenticated", UNAUTHENTICATED, attributes, "; ".join(tried))
        attributes["auth"] = {"identity": identity}
        refused = self._unauthorized(policy, attributes, now)
        if refused:
            return replace(_refusal(policy, "unauthorized", FORBIDDEN, attributes, refused), identity=identity)
        return Verdict(
            allowed=True,
            identity=identity,
            metadata={name: _success(rule, attributes) for name, rule in policy.section("filters").items()},
            upstream_headers={
                str(rule.get("key") or name): str(_success(rule, attributes))
                for name, rule in policy.section("headers").items()
            },
            because="authenticated and authorised",
        )

    def _identify(
        self, policy: Effective, request: Request, attributes: Mapping[str, Any], now: float
    ) -> tuple[Mapping[str, Any] | None, list[str]]:
        tried: list[str] = []
        rules = policy.section("authentication").items()
        for name, rule in sorted(rules, key=lambda named: int(named[1].get("priority", 0))):
            if not _applies(items_of(rule.get("when")), attributes):
                tried.append(f"{name}: does not apply")
                continue
            credential = "" if "anonymous" in rule else credential_of(fields_of(rule.get("credentials")), request)
            identity = self._identity(rule, credential, now) if credential is not None else None
            if identity is None:
                tried.append(f"{name}: {'no credential' if credential is None else 'not accepted'}")
                continue
            try:
                return _extended(rule, identity, attributes), tried
            except EvaluationError as error:
                tried.append(f"{name}: {error}")
        return None, tried or ["no way to authenticate"]

    def _identity(self, rule: Mapping[str, Any], credential: str, now: float) -> Mapping[str, Any] | None:
        if "anonymous" in rule:
            return {"anonymous": True}
        if "apiKey" in rule:
            return self._key(rule["apiKey"], credential)
        if "jwt" in rule:
            at = rule["jwt"]
            return self.tokens.jwt(credential, now, issuer=at.get("issuerUrl", ""), key_set=at.get("jwksUrl", ""))
        if "kubernetesTokenReview" in rule:
            return self.tokens.review(credential, items_of(rule["kubernetesTokenReview"].get("audiences")))
        raise NotImplementedError(f"authentication by {', '.join(sorted(rule))}")

    def _key(self, rule: Mapping[str, Any], credential: str) -> Mapping[str, Any] | None:
        for key in self._by_value.get(credential, ()):
            in_scope = rule.get("allNamespaces") or key.namespace == self.namespace
            if in_scope and selects(fields_of(rule.get("selector")), key.labels):
                return key.secret
        return None

    @cached_property
    def _by_value(self) -> Mapping[str, Sequence[Key]]:
        found: dict[str, list[Key]] = {}
        for key in self.keys:
            found.setdefault(key.value, []).append(key)
        return found

    def _unauthorized(self, policy: Effective, attributes: Mapping[str, Any], now: float) -> str:
        """Why the identity may not; empty when it may. Every rule has to agree."""
        for name, rule in policy.section("authorization").items():
            if not _applies(items_of(rule.get("when")), attributes):
                continue
            if "patternMatching" in rule:
                allowed = _applies(items_of(rule["patternMatching"].get("patterns")), attributes)
            elif "opa" in rule:
                allowed = self.rego(str(rule["opa"]["rego"]), attributes, now)
            else:
                raise NotImplementedError(f"authorization by {', '.join(sorted(rule))}")
            if not allowed:
                return f"authorization rule {name}"
        return ""


def credential_of(where: Mapping[str, Any], request: Request) -> str | None:
    """What stands where a rule looks for its credential; the prefix of `Authorization` is compared letter by letter."""
    if "customHeader" in where:
        return request.headers.get(str(where["customHeader"]["name"]).lower())
    if "queryString" in where:
        name = where["queryString"]["name"]
        return next((part.partition("=")[2] for part in request.query.split("&") if part.startswith(f"{name}=")), None)
    if "cookie" in where:
        name = where["cookie"]["name"]
        parts = (part.strip() for part in request.headers.get("cookie", "").split(";"))
        return next((part.removeprefix(f"{name}=") for part in parts if part.startswith(f"{name}=")), None)
    prefix = fields_of(where.get("authorizationHeader")).get("prefix", "Bearer")
    header = request.headers.get("authorization")
    return header.removeprefix(f"{prefix} ") if header and header.startswith(f"{prefix} ") else None


def selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Whether a Kubernetes label selector selects something with these labels."""
    if any(labels.get(key) != value for key, value in fields_of(selector.get("matchLabels")).items()):
        return False
    for expression in items_of(selector.get("matchExpressions")):
        has, value = expression["key"] in labels, labels.get(expression["key"])
        wanted = items_of(expression.get("values"))
        fits = {"In": value in wanted, "NotIn": value not in wanted, "Exists": has, "DoesNotExist": not has}
        if not fits[expression["operator"]]:
            return False
    return True


def _extended(rule: Mapping[str, Any], identity: Mapping[str, Any], attributes: Mapping[str, Any]) -> dict[str, Any]:
    """The identity with `defaults` where it lacks something and `overrides` in any case."""
    known = {**attributes, "auth": {"identity": dict(identity)}}
    extended = dict(identity)
    for name, value in fields_of(rule.get("defaults")).items():
        if name not in extended:
            extended[name] = _value(value, known)
    for name, value in fields_of(rule.get("overrides")).items():
        extended[name] = _value(value, known)
    return extended


def _applies(patterns: Sequence[Mapping[str, Any]], attributes: Mapping[str, Any]) -> bool:
    """Whether all patterns hold; one that cannot be evaluated does not."""
    try:
        return all(_pattern(each, attributes) for each in patterns)
    except EvaluationError:
        return False


def _pattern(pattern: Mapping[str, Any], attributes: Mapping[str, Any]) -> bool:
    if "predicate" in pattern:
        return authorino_expression(pattern["predicate"]).holds(attributes)
    if "all" in pattern:
        return all(_pattern(each, attributes) for each in pattern["all"])
    if "any" in pattern:
        return any(_pattern(each, attributes) for each in pattern["any"])
    raise NotImplementedError(f"patterns with {', '.join(sorted(pattern))}")


def _value(source: Mapping[str, Any], attributes: Mapping[str, Any]) -> Any:  # noqa: ANN401 - of any type
    if "expression" in source:
        return authorino_expression(source["expression"]).value(attributes)
    if "value" in source:
        return source["value"]
    raise NotImplementedError(f"values by {', '.join(sorted(source))}")


def _success(rule: Mapping[str, Any], attributes: Mapping[str, Any]) -> Any:  # noqa: ANN401 - of any type
    """What a response rule publishes; a property that cannot be evaluated is null."""
    if "json" in rule:
        return {name: _or_none(value, attributes) for name, value in rule["json"]["properties"].items()}
    if "plain" in rule:
        return _or_none(rule["plain"], attributes)
    raise NotImplementedError(f"responses by {', '.join(sorted(rule))}")


def _or_none(source: Mapping[str, Any], attributes: Mapping[str, Any]) -> Any:  # noqa: ANN401 - of any type
    try:
        return _value(source, attributes)
    except EvaluationError:
        return None


def _refusal(policy: Effective, kind: str, status: int, attributes: Mapping[str, Any], because: str) -> Verdict:
    wish = fields_of(policy.rules.get(f"denial/{kind}"))
    headers = {name: _text(_or_none(value, attributes)) for name, value in fields_of(wish.get("headers")).items()}
    if status == UNAUTHENTICATED and not headers:
        # Authorino's challenge names every way in which a credential is taken from the Authorization header.
        rules = policy.section("authentication").items()
        headers = {
            "www-authenticate": ", ".join(
                f"{fields_of(fields_of(rule.get('credentials')).get('authorizationHeader')).get('prefix', 'Bearer')}"
                f' realm="{name}"'
                for name, rule in rules
            )
        }
    body = _or_none(wish["body"], attributes) if "body" in wish else ""
    return Verdict(
        allowed=False,
        status=int(wish.get("code") or status),
        headers={"x-ext-auth-reason": because, **headers},
        body=_text(body),
        because=because,
    )


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
