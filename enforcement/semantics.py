"""Which Kuadrant this library speaks of, and what it leaves out."""

from collections.abc import Mapping
from dataclasses import dataclass

KUADRANT = "1.4.2"
"""The release of Kuadrant whose behaviour is modelled; it is the one that stacks install by default."""


@dataclass(frozen=True)
class Release:
    """What a release of Kuadrant is made of."""

    wasm_shim: str
    authorino: str
    host_case_matters: bool = True


RELEASES: Mapping[str, Release] = {
    "1.4.2": Release("0.12.1", "0.23"),
    "1.4.6": Release("0.12.3", "0.23.4"),
    "1.5.0": Release("0.14.1", "0.25.1"),
    "1.5.2": Release("0.14.1", "0.25.2"),
}
"""The releases that behave alike in everything that is modelled here, as far as their sources tell."""

NOT_MODELLED = (
    "HTTPRoute matches by regular expression: of paths, headers and query parameters",
    "HTTPRoute filters but RequestRedirect (without its path), RequestHeaderModifier and URLRewrite of the path",
    "a listener's allowedRoutes, and ReferenceGrants: a route that names the Gateway is attached to it",
    "AuthPolicy: metadata, callbacks, SpiceDB, SubjectAccessReview, OAuth2 introspection, x509, plain",
    "AuthPolicy: caches, selectors with modifiers (@extract and the like)",
    "PlanPolicy, OIDCPolicy, ThreatPolicy, DNSPolicy and TLSPolicy; routes of other kinds than HTTPRoute",
    "weights of backends: the first backend of a rule gets every request",
    "Limitador's Redis storage: its check and its increment are two steps, so that simultaneous requests may overshoot",
    "Limitador's bound on counters in memory (its least recently used are forgotten first), and X-RateLimit-* headers",
    "Limitador forgets the counters of a limit that is taken away; here they stay until their window ends",
    "a token limit that hides another one of the same policy (limitador issue 513)",
    "clock skew between replicas of the gateway, and time limits of its calls",
    "the operator's own check of expressions, but for `auth.` where no AuthPolicy is in effect",
    "token reservation, which releases after 1.5.2 have",
    "body of the request: `requestBodyJSON` is accepted by the operator and fails, as in the filter of 1.4; 1.5 has it",
    "attributes of `connection`, of `destination`, and of `source` but its address: they have no value",
    "a piece of a stream that ends within a character: the filter drops it with all that is in it",
)


@dataclass(frozen=True)
class Semantics:
    """Where releases and settings differ."""

    host_case_matters: bool = True
    """The filter looks a host up as it is written; true for all releases up to 1.5.2."""
    auth_fails_open: bool = False
    """AUTH_SERVICE_FAILURE_MODE=allow."""
    check_fails_open: bool = False
    """RATELIMIT_SERVICE_FAILURE_MODE and RATELIMIT_CHECK_SERVICE_FAILURE_MODE =allow; Kuadrant's own default is allow,
    this project sets deny."""
    report_fails_open: bool = True
    """RATELIMIT_REPORT_SERVICE_FAILURE_MODE=allow. With deny, an answer that names no tokens is cut off."""

    @classmethod
    def of(cls, kuadrant: str = KUADRANT, *, fail_open: bool = False) -> "Semantics":
        """What a release does in the way this project sets it up.

        Args:
            kuadrant: the release, such as `1.4.2`.
            fail_open: maas:limiter.failOpen of the stack.

        Raises:
            LookupError: its behaviour is not known here.
        """
        release = RELEASES.get(kuadrant.removeprefix("v"))
        if release is None:
            raise LookupError(f"what Kuadrant {kuadrant} does is not known here; known are {', '.join(RELEASES)}")
        return cls(host_case_matters=release.host_case_matters, check_fails_open=fail_open)

    @classmethod
    def of_environment(cls, environment: Mapping[str, str]) -> "Semantics":
        """What Kuadrant's operator was told, by its environment; where that is silent, what this project sets.

        Request limits and checks of token limits have a mode each; here they fail open only where both do.
        """

        def mode(service: str) -> str | None:
            return environment.get(f"{service}_SERVICE_FAILURE_MODE")

        return cls(
            auth_fails_open=mode("AUTH") == "allow",
            check_fails_open=mode("RATELIMIT") == mode("RATELIMIT_CHECK") == "allow",
            report_fails_open=mode("RATELIMIT_REPORT") != "deny",
        )
