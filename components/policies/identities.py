"""Who a caller is, in CEL: one shape of identity, whatever it was proven by.

Authorino overrides what a credential says with these fields, so that nothing in a token can stand in for them. They
are evaluated one by one against the credential alone: none can read another.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from components.identity import (
    COST_CENTRE_ANNOTATION,
    EXPIRES_ANNOTATION,
    GROUPS_ANNOTATION,
    MODELS_ANNOTATION,
    TEAM_ANNOTATION,
    USER_ANNOTATION,
)
from components.policies.called import called_endpoint, called_model
from components.policies.cel import cel_at, cel_choose, cel_let, cel_list, cel_made_of, cel_string
from config.settings import Settings
from config.tiers import Tier
from config.tokens import GROUP_LETTERS, LONGEST_GROUP, Grant, Issuer

API_KEY, ACCOUNT, ANONYMOUS = "apiKey", "serviceAccount", "anonymous"
"""`source` of an identity; for a token of an identity provider, the provider's name with `oidc:` before."""

PUBLISHED = ("source", "userid", "tier", "groups", "team", "costCentre", "models", "model")
"""The fields that limits and telemetry get to know; `model` is the one that is called."""

EXPIRED, NO_USER = "key_expired", "no_user_id"
WRONG_ISSUER, WRONG_AUDIENCE, WRONG_CLIENT = "wrong_issuer", "wrong_audience", "wrong_client"
"""What can be wrong with a credential that proves who somebody is: values of `trouble`."""

_IDENTITY = "auth.identity"
_USER = "auth.identity.user.username"
_ACCOUNT_PREFIX = "system:serviceaccount:"
# No colon: what stands before it tells user ids of tokens from those of keys.
_KEY_USER = ("A-Za-z0-9._@-", 128)
TOKEN_USER = ("A-Za-z0-9._@:|/+=-", 200)
"""Letters and length of user ids."""
_TIMESTAMP = "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$"
_NOW = "string(timestamp(int(request.time.seconds)))"


def api_key_identity(settings: Settings) -> dict[str, Any]:
    """The identity of a key: what the annotations of its Secret say, as far as they are there."""
    groups = _split(_annotation(GROUPS_ANNOTATION))
    user, expires = _annotation(USER_ANNOTATION), _annotation(EXPIRES_ANNOTATION)
    # Times are texts in UTC, which sort as the times do; what is no such text is taken for over.
    over = f'expires != "" && (!expires.matches({cel_string(_TIMESTAMP)}) || expires <= {_NOW})'
    return _overrides(
        settings,
        source=cel_string(API_KEY),
        userid=user,
        groups=groups,
        tier=_highest(settings.tiers, groups, {tier: [tier] for tier in settings.tiers}, ""),
        team=_annotation(TEAM_ANNOTATION),
        costCentre=_annotation(COST_CENTRE_ANNOTATION),
        models=_split(_annotation(MODELS_ANNOTATION)),
        trouble=cel_choose(
            [
                (cel_let("expires", expires, over), cel_string(EXPIRED)),
                (f"!{_made_of(user, *_KEY_USER)}", cel_string(NO_USER)),
            ],
            '""',
        ),
    )


def _made_of(user: str, letters: str, longest: int) -> str:
    return cel_let("user", user, cel_made_of("user", letters, longest))


def oidc_identity(settings: Settings, name: str, issuer: Issuer) -> dict[str, Any]:
    """The identity of an identity provider's token: what its claims say, as far as they can be made sense of."""
    claims = issuer.claims
    safe = f"type(g) == string && {cel_made_of('g', GROUP_LETTERS, LONGEST_GROUP)}"
    groups = f"{_claimed_list(claims.groups)}.filter(g, {safe})"
    by_tier: dict[str, list[str]] = {}
    for group, tier in sorted(issuer.groups.items()):
        by_tier.setdefault(tier, []).append(group)
    user = _claimed_text(claims.user)
    # Authorino verifies the signature and the times of a token, and neither issuer nor audience (SkipIssuerCheck,
    # SkipClientIDCheck in 0.22 to 0.25): providers that sign for many customers with the same keys would let all in.
    issued = f"{cel_at(_IDENTITY, ('iss',))} == {cel_string(issuer.issuer_url)}"
    meant = f"{_claimed_list(('aud',))}.exists(a, a in {cel_list(issuer.audiences)})"
    client = cel_at(_IDENTITY, ("azp",), cel_at(_IDENTITY, ("client_id",)))
    trouble = [(f"!({issued})", WRONG_ISSUER), (f"!{meant}", WRONG_AUDIENCE)]
    if issuer.clients:
        trouble.append((f"!({client} in {cel_list(issuer.clients)})", WRONG_CLIENT))
    trouble.append((f"!{_made_of(user, *TOKEN_USER)}", NO_USER))
    return _overrides(
        settings,
        source=cel_string(f"oidc:{name}"),
        userid=f"{cel_string(name + ':')} + {user}",
        groups=groups,
        tier=_highest(settings.tiers, groups, by_tier, issuer.default_tier or ""),
        team=_claimed_text(claims.team),
        costCentre=_claimed_text(claims.cost_centre),
        models=_claimed_list(claims.models),
        trouble=cel_choose(((condition, cel_string(code)) for condition, code in trouble), '""'),
    )


def account_identity(settings: Settings) -> dict[str, Any]:
    """The identity of a service account: what the stack grants it, or the namespace it is in."""
    grants = settings.identity.kubernetes.accounts

    def granted(value: Callable[[Grant], str], otherwise: str = '""') -> str:
        # Accounts that are named come before whole namespaces.
        ordered = sorted(grants, key=lambda name: ("/" not in name, name))
        return cel_choose(((_is_account(name), value(grants[name])) for name in ordered), otherwise)

    return _overrides(
        settings,
        source=cel_string(ACCOUNT),
        userid=_USER,
        groups=f"[{granted(lambda grant: cel_string(grant.tier))}]",
        tier=granted(lambda grant: cel_string(grant.tier)),
        team=granted(lambda grant: cel_string(grant.team)),
        costCentre=granted(lambda grant: cel_string(grant.cost_centre)),
        models=granted(lambda grant: cel_list(grant.models), "[]"),
        trouble=f'({_USER}.startsWith({cel_string(_ACCOUNT_PREFIX)}) ? "" : {cel_string(NO_USER)})',
    )


def anonymous_identity(settings: Settings) -> dict[str, Any]:
    """The identity of who brings nothing, for what may be asked for without."""
    nothing = dict.fromkeys(("tier", "team", "costCentre", "trouble"), '""')
    who = cel_string(ANONYMOUS)
    return _overrides(settings, source=who, userid=who, groups="[]", models="[]", **nothing)


def _overrides(settings: Settings, **fields: str) -> dict[str, Any]:
    called = {"model": called_model(settings), "endpoint": called_endpoint(settings)}
    return {name: {"expression": expression} for name, expression in {**fields, **called}.items()}


def _annotation(name: str) -> str:
    return cel_at(_IDENTITY, ("metadata", "annotations", name))


def _split(text: str) -> str:
    """A text with commas as a list; empty for an empty text."""
    return cel_let("text", text, 'text == "" ? [] : text.split(",")')


def _claimed_text(claim: tuple[str, ...]) -> str:
    """A claim as text; empty where it is missing or something else."""
    return cel_let("c", cel_at(_IDENTITY, claim), 'type(c) == string ? c : ""') if claim else '""'


def _claimed_list(claim: tuple[str, ...]) -> str:
    """A claim that is a list, or one text that stands for a list of one; empty where it is missing."""
    # Without a claim the type is known beforehand, and the alternatives would not fit together.
    return cel_let("c", cel_at(_IDENTITY, claim), 'type(c) == list ? c : (c == "" ? [] : [c])') if claim else "[]"


def _highest(tiers: Mapping[str, Tier], groups: str, by_tier: Mapping[str, Iterable[str]], otherwise: str) -> str:
    """The tier with the highest level among those that the groups give."""
    ordered = sorted(by_tier, key=lambda tier: -tiers[tier].level)
    cases = ((f"groups.exists(g, g in {cel_list(by_tier[tier])})", cel_string(tier)) for tier in ordered)
    return cel_let("groups", groups, cel_choose(cases, cel_string(otherwise)))


def _is_account(name: str) -> str:
    namespace, _, account = name.partition("/")
    whole = f"{_ACCOUNT_PREFIX}{namespace}:{account}"
    return f"{_USER} == {cel_string(whole)}" if account else f"{_USER}.startsWith({cel_string(whole)})"
