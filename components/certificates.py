"""The certificate of the gateway's listener, where cert-manager makes it. Private keys are cert-manager's alone."""

from typing import Any

from config.gateway import Tls, TlsMode

CERT_MANAGER = "cert-manager.io"
SELF_SIGNED_ISSUER = "maas-self-signed"
_ORGANISATION = "Models as a Service"


def self_signed_issuer_spec() -> dict[str, Any]:
    """Body of an Issuer (cert-manager.io/v1) that has each certificate sign itself."""
    return {"selfSigned": {}}


def issuer_ref(tls: Tls) -> dict[str, str]:
    """How a Certificate names who signs it."""
    if tls.mode is TlsMode.CERT_MANAGER and tls.issuer is not None:
        return {"group": CERT_MANAGER, "kind": tls.issuer_kind, "name": tls.issuer}
    return {"group": CERT_MANAGER, "kind": "Issuer", "name": SELF_SIGNED_ISSUER}


def certificate_spec(tls: Tls, domain: str, secret: str) -> dict[str, Any]:
    """Body of the Certificate (cert-manager.io/v1) for all models' hosts.

    Its subject is an organisation: a common name ends at 64 characters, and RFC 5280 wants an issuer with a name, which
    for a self-signed certificate is its subject. Public authorities leave it out.
    """
    subject = {"subject": {"organizations": [_ORGANISATION]}} if tls.mode is TlsMode.SELF_SIGNED else {}
    return {
        "secretName": secret,
        "dnsNames": [f"*.{domain}"],
        "issuerRef": issuer_ref(tls),
        "usages": ["digital signature", "key encipherment", "server auth"],
        # A new key with each renewal, whatever the issuer's default is.
        "privateKey": {"algorithm": "ECDSA", "size": 256, "rotationPolicy": "Always"},
        **subject,
    }
