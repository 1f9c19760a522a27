"""Tokens whose issuers' keys are at hand: JSON Web Tokens by a JOSE library, no network."""

from collections.abc import Mapping, Sequence
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

# What go-oidc accepts from an issuer that names nothing else, and a JWKS can hold: never `none`, never shared secrets.
_ALGORITHMS = ["RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "PS256", "PS384", "PS512"]


class KnownKeys:
    """Key sets by URL of their issuer, or by their own; and TokenReviews by token."""

    def __init__(
        self,
        key_sets: Mapping[str, KeySet],
        reviews: Mapping[str, tuple[Sequence[str], Mapping[str, Any]]] | None = None,
    ) -> None:
        """Know these and no others.

        Args:
            key_sets: keys by URL.
            reviews: for a token of the cluster, the audiences it is meant for and the status of its review.
        """
        self._key_sets = dict(key_sets)
        self._reviews = dict(reviews or {})

    def jwt(self, token: str, now: float, *, issuer: str = "", key_set: str = "") -> Mapping[str, Any] | None:
        """The claims of a token that one of the keys signed and that has not expired, whomever it names."""
        keys = self._key_sets.get(issuer or key_set)
        if keys is None:
            return None
        try:
            claims: Mapping[str, Any] = jwt.decode(token, keys, algorithms=_ALGORITHMS).claims
            rules = jwt.JWTClaimsRegistry(now=int(now), leeway=0, exp={"essential": True})
            rules.validate(claims)
        except (JoseError, ValueError):
            return None
        return claims

    def review(self, token: str, audiences: Sequence[str]) -> Mapping[str, Any] | None:
        """The status of a token that is meant for one of the audiences."""
        meant, status = self._reviews.get(token, ((), None))
        return status if set(meant) & set(audiences) else None
