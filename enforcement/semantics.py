"""Which Kuadrant this library speaks of, and what it leaves out."""

from dataclasses import dataclass

KUADRANT = "1.4.2"
"""The release of Kuadrant whose behaviour is modelled (wasm-shim 0.12.1, Authorino 0.23, Limitador 2.3)."""

NOT_MODELLED = (
    "HTTPRoute path matches by regular expression",
    "AuthPolicy: metadata, callbacks, SpiceDB, SubjectAccessReview, OAuth2 introspection, x509, plain",
    "AuthPolicy: caches, selectors with modifiers (@extract and the like)",
    "Limitador's Redis storage: its check and its increment are two steps, so that simultaneous requests may overshoot",
    "clock skew between replicas of the gateway, and time limits of its calls",
    "token reservation, which releases after 1.5.2 have",
    "body of the request: `requestBodyJSON` is accepted by the operator and fails in the filter of this release",
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
    """RATELIMIT_REPORT_SERVICE_FAILURE_MODE=allow."""
