from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey

from enforcement.tokens import KnownKeys

ISSUER = "https://issuer.test/realms/maas"
NOW = 1_800_000_000
KEY = RSAKey.generate_key(2048, {"kid": "one"}, auto_kid=False)
OTHER = RSAKey.generate_key(2048, {"kid": "one"}, auto_kid=False)
KNOWN = KnownKeys({ISSUER: KeySet([KEY]), f"{ISSUER}/certs": KeySet([KEY])})


def token(key: RSAKey = KEY, **claims: Any) -> str:  # noqa: ANN401 - claims are of any type
    return jwt.encode({"alg": "RS256", "kid": "one"}, {"iss": ISSUER, "exp": NOW + 60, "sub": "u", **claims}, key)


def test_a_token_of_the_issuer_gives_its_claims() -> None:
    claims = KNOWN.jwt(token(), NOW, issuer=ISSUER)
    assert claims is not None
    assert claims["sub"] == "u"


@pytest.mark.parametrize(
    "bad",
    [
        token(OTHER),
        token(exp=NOW - 1),
        token(nbf=NOW + 60),
        token()[:-4] + "AAAA",
        "eyJhbGciOiJub25lIn0.e30.",
        "maas-not-a-token-at-all",
    ],
    ids=["other key", "expired", "not yet", "signature", "unsigned", "no token"],
)
def test_a_token_that_proves_nothing_is_not_accepted(bad: str) -> None:
    assert KNOWN.jwt(bad, NOW, issuer=ISSUER) is None


def test_nobody_but_the_policy_asks_whom_a_token_names_as_its_issuer() -> None:
    assert KNOWN.jwt(token(iss="https://else.test"), NOW, issuer=ISSUER) is not None, "Authorino skips that check"
    assert KNOWN.jwt(token(iss="https://else.test"), NOW, key_set=f"{ISSUER}/certs") is not None


def test_a_token_without_an_end_is_not_accepted() -> None:
    unending = jwt.encode({"alg": "RS256", "kid": "one"}, {"iss": ISSUER}, KEY)
    assert KNOWN.jwt(unending, NOW, issuer=ISSUER) is None


def test_a_token_of_the_cluster_is_good_for_its_audience_only() -> None:
    known = KnownKeys({}, {"t": (["maas"], {"user": {"username": "system:serviceaccount:a:b"}})})
    assert known.review("t", ["maas"]) is not None
    assert known.review("t", ["other"]) is None
    assert known.review("x", ["maas"]) is None
